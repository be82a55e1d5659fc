//! YAML as users write it, and what is said when it is broken.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::schema::table;

fn value(text: &str) -> Value {
    read(text.as_bytes()).unwrap()
}

#[test]
fn scalars_are_those_of_yaml_1_1() {
    let text = "a: yes\nb: off\nc: 0777\nd: 0x1f\ne: 1_000\nf: 1.50\ng: 1e3\nh: ~\ni:\nj: 'yes'\nk: \"1\"\nl: 2026-11-21\nm: 1.2.3\nnn: !!str 5\no: .5\np: 08\nq: -3\nr: +4\ns: 12e\nt: 1Gi\n1: x\ntrue: z\n";
    assert_eq!(
        value(text),
        json!({"a": true, "b": false, "c": 511, "d": 31, "e": 1000, "f": 1.5, "g": 1000, "h": null, "i": null, "j": "yes", "k": "1",
            "l": "2026-11-21", "m": "1.2.3", "nn": "5", "o": 0.5, "p": 8, "q": -3, "r": 4, "s": "12e", "t": "1Gi", "1": "x", "true": "z"})
    );
}

#[test]
fn anchors_merges_blocks_and_further_documents() {
    let text = "---\nbase: &b {x: 1, z: [2]}\nmore:\n  <<: *b\n  x: 9\nlist:\n- *b\ntext: |\n  a\n  b\nfolded: >-\n  a\n  b\n---\nother: 1\n";
    assert_eq!(
        value(text),
        json!({"base": {"x": 1, "z": [2]}, "more": {"x": 9, "z": [2]}, "list": [{"x": 1, "z": [2]}], "text": "a\nb\n", "folded": "a b"})
    );
    assert_eq!(value(""), Value::Null);
}

#[test]
fn repeated_and_unknown_fields_are_findings() {
    // A75: repeated keys come first and in the words of the YAML library; unknown ones in the order of sorted keys.
    let text = "kind: ConfigMap\nzzz: 1\nmetadata:\n  name: x\n  labels:\n    a: b\n    a: c\naaa: 2\n";
    let shape = table().shape("core.v1.ConfigMap").unwrap();
    let (object, findings) = decode(text.as_bytes(), shape, Strictness::Warn).unwrap();
    assert_eq!(object["metadata"]["labels"]["a"], "c");
    assert_eq!(
        findings,
        [
            "yaml: unmarshal errors:\n  line 7: key \"a\" already set in map",
            "unknown field \"aaa\"",
            "unknown field \"zzz\""
        ]
    );
    assert!(decode(text.as_bytes(), shape, Strictness::Strict).is_err());
}

#[test]
fn broken_yaml_is_refused_in_the_usual_words() {
    let rows = [
        ("a: b: c\n", "yaml: mapping values are not allowed in this context"),
        ("x: 1\na: b: c\n", "yaml: line 2: mapping values are not allowed in this context"),
        ("a: [1, 2\n", "did not find expected ',' or ']'"),
        ("a: 'x\n", "found unexpected end of stream"),
        ("a:\n\tb: 1\n", "found character that cannot start any token"),
        ("a: *nope\n", "unknown anchor"),
    ];
    for (text, expect) in rows {
        let error = read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("yaml: ") && error.contains(expect), "{text:?}: {error}");
    }
    let bomb: String = (0..30).fold("a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(), |t, i| {
        format!("{t}a{}: &a{} [{}]\n", i + 1, i + 1, vec![format!("*a{i}"); 8].join(", "))
    });
    assert_eq!(read(bomb.as_bytes()).unwrap_err().to_string(), "yaml: document contains excessive aliasing");
}

/// As generators of manifests write long descriptions.
#[test]
fn quoted_text_may_go_on_without_being_indented() {
    for quote in ['\'', '"'] {
        let text = format!("a:\n  b: {quote}one\n  two\n\n  three{quote}\n  c: d\n");
        let read = super::read(text.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(read, Ok(json!({"a": {"b": "one two\nthree", "c": "d"}})), "{text}");
    }
}

#[test]
fn answers_are_written_as_clients_know_them() {
    let v = json!({"kind": "X", "metadata": {"name": "yes", "k": "1", "e": "", "empty": {}, "none": []}, "list": [{"a": 1, "b": [true, null]}, "x: y", "- z"],
        "text": "a\nb\n", "cut": "a\nb", "url": "http://x/y", "star": "*", "q": "it's: so", "time": "2026-11-21T09:13:17Z"});
    let text = String::from_utf8(encode(&v)).unwrap();
    assert_eq!(
        text,
        "cut: |-\n  a\n  b\nkind: X\nlist:\n- a: 1\n  b:\n  - true\n  - null\n- 'x: y'\n- '- z'\nmetadata:\n  e: \"\"\n  empty: {}\n  k: \"1\"\n  name: \"yes\"\n  none: []\nq: 'it''s: so'\nstar: '*'\ntext: |\n  a\n  b\ntime: \"2026-11-21T09:13:17Z\"\nurl: http://x/y\n"
    );
    assert_eq!(value(&text), v);
}

#[test]
fn a_text_that_would_be_read_as_a_time_is_quoted() {
    // A6: (text, whether it is quoted).
    for (text, quoted) in [
        ("2026-11-21", true),
        ("2026-1-2", true),
        ("2026-11-21T09:13:17Z", true),
        ("2026-11-21T09:13:17.000001Z", true),
        ("2026-11-21t9:13:17+01:00", true),
        ("2026-11-21 09:13:17", true),
        ("2026-13-01", false),
        ("2026-11", false),
        ("2026-11-21T09:13", false),
        ("2026-11-21-a", false),
        ("v2026-11-21", false),
    ] {
        let written = String::from_utf8(encode(&json!(text))).unwrap();
        assert_eq!(written.starts_with('"'), quoted, "{text}: {written}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "\\PC{0,12}",
        "[ a:#'\"\\n-]{0,10}",
        Just("0x1".to_owned()),
        Just("1:20".to_owned()),
        "[0-9._eE+-]{0,6}"
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        text.clone().prop_map(Into::into)
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(text.clone().prop_filter("merge", |k| k != "<<"), inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(v in any_value()) {
        let text = encode(&v);
        prop_assert_eq!(read(&text).map_err(|e| format!("{e}:\n{}", String::from_utf8_lossy(&text))), Ok(v));
    }

    #[test]
    fn any_text_is_survived(text in "[a-c:\\-\\[\\]{}&*!|>'\" \\n\\t#,<]{0,60}") {
        let _ = read(text.as_bytes());
    }
}
