//! The data file against the facts it was made from, and a few facts that everything hangs on.

use std::fmt::Write;

use serde_json::Value;

use super::*;

const FACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/spec/schema.jsonl");
const FACTS_OF_WORKTREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/spec/schema.jsonl");

fn text<'a>(v: &'a Value, key: &str) -> Option<&'a str> {
    v.get(key).and_then(Value::as_str)
}

fn short(spelled: &str, prefix: &str) -> String {
    let dotted = format!("{prefix}.");
    spelled.replace(&dotted, ".")
}

fn joined(v: &Value) -> String {
    v.as_array().unwrap().iter().map(|x| x.as_str().unwrap()).collect::<Vec<_>>().join(",")
}

/// The text of `table.txt` for the given facts.
fn compact(facts: &str) -> String {
    let mut out = String::new();
    for line in facts.lines() {
        let t: Value = serde_json::from_str(line).unwrap();
        let name = text(&t, "type").unwrap();
        let prefix = name.rsplit_once('.').unwrap().0;
        write!(out, "={name}").unwrap();
        if t.get("kind").is_some() {
            out.push_str(" kind");
        }
        match text(&t, "is") {
            Some("special") => out.push_str(" special"),
            Some(is) => write!(out, " is:{}", short(is, prefix)).unwrap(),
            None => {}
        }
        if let Some(map) = text(&t, "map") {
            write!(out, " map:{map}").unwrap();
        }
        if let Some(values) = t.get("values") {
            write!(out, " values:{}", joined(values)).unwrap();
        }
        out.push('\n');
        for f in t.get("fields").and_then(Value::as_array).unwrap_or(&Vec::new()) {
            compact_field(&mut out, f, prefix);
        }
    }
    out.push_str("=resource.Quantity special\n");
    out
}

fn compact_field(out: &mut String, f: &Value, prefix: &str) {
    // Fields that have no JSON name stand only on the protobuf wire.
    let name = if f.get("inline").is_some() { "+" } else { text(f, "name").unwrap_or("-") };
    let proto = f.get("proto").and_then(Value::as_i64).unwrap_or(0);
    write!(out, "{name} {} {proto}", short(text(f, "type").unwrap(), prefix)).unwrap();
    match text(f, "omit") {
        Some("empty") => out.push_str(" e"),
        Some("zero") => out.push_str(" z"),
        _ => {}
    }
    for (key, flag) in [("optional", "o"), ("required", "r")] {
        if f.get(key).is_some() {
            write!(out, " {flag}").unwrap();
        }
    }
    for (key, flag) in [
        ("list", "l"),
        ("keys", "k"),
        ("map", "m"),
        ("patch", "p"),
        ("patchKey", "pk"),
        ("default", "d"),
        ("gate", "g"),
    ] {
        match f.get(key) {
            None => {}
            Some(Value::String(s)) => write!(out, " {flag}:{s}").unwrap(),
            Some(Value::Array(_)) => write!(out, " {flag}:{}", joined(&f[key])).unwrap(),
            Some(other) => write!(out, " {flag}:{other}").unwrap(),
        }
    }
    if f.get("union").is_some() {
        out.push_str(" u");
    }
    out.push('\n');
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn the_table_is_what_the_facts_say() {
    let Some(facts) = [FACTS, FACTS_OF_WORKTREE].iter().find_map(|p| std::fs::read_to_string(p).ok()) else {
        eprintln!("SKIPPED: ../shared/spec/schema.jsonl is not there, so table.txt was not compared with it");
        return;
    };
    let made = compact(&facts);
    if std::env::var_os("EVERYNODE_WRITE_TABLE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/schema/table.txt"), &made).unwrap();
    }
    let at_hand = include_str!("table.txt");
    if let Some((a, b)) = made.lines().zip(at_hand.lines()).find(|(a, b)| a != b) {
        panic!("table.txt differs from the facts (EVERYNODE_WRITE_TABLE=1 rewrites it):\n facts {a}\n table {b}");
    }
    assert_eq!(made.len(), at_hand.len());
    assert_eq!(table().shapes().len(), facts.lines().count() + 1);
}

#[test]
fn shapes_are_found_by_name_and_kind() {
    let ds = table().kind("apps", "v1", "DaemonSet").unwrap();
    assert_eq!(ds.name, "apps.v1.DaemonSet");
    assert_eq!(ds.go_name(), "v1.DaemonSet");
    assert!(table().kind("apps", "v1", "DaemonSetSpec").is_none());
    assert!(table().kind("nope", "v1", "DaemonSet").is_none());
    assert_eq!(table().kind("rbac.authorization.k8s.io", "v1", "Role").unwrap().folder(), "rbac");
    let containers = ds.member_at("spec.template.spec.containers").unwrap();
    assert_eq!(containers.patch.key, Some("name"));
    assert_eq!(containers.list, Some(ListKind::Map));
    assert_eq!(containers.keys, ["name"]);
    assert!(containers.is_required());
    assert_eq!(ds.member_at("spec.template.spec.containers.ports").unwrap().keys, ["containerPort", "protocol"]);
    let volume = table().shape("core.v1.Volume").unwrap();
    assert_eq!(volume.fields.len(), 2);
    assert!(volume.member("hostPath").is_some(), "inline members are found");
    assert_eq!(
        ds.member_at("spec.updateStrategy.rollingUpdate.maxUnavailable").unwrap().ty.go_name(),
        "intstr.IntOrString"
    );
}

#[test]
fn every_shape_finds_all_its_members() {
    for shape in table().shapes() {
        for field in shape.members().iter().filter(|f| f.name != "-") {
            assert!(std::ptr::eq(shape.member(field.name).unwrap(), field), "{} {}", shape.name, field.name);
        }
        assert!(std::ptr::eq(table().shape(shape.name).unwrap(), shape));
        assert!(std::ptr::eq(shape.id.get(), shape));
    }
}

/// How long this thread has run, whatever else the machine does; 0 where the kernel does not say.
fn worked_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0) / 1_000_000
}

#[test]
fn the_table_stays_small() {
    // Design §3: at most 2 MB.
    let shapes = table().shapes();
    let members: usize = shapes.iter().map(|s| s.fields.capacity() + s.spread.as_ref().map_or(0, Vec::capacity)).sum();
    let bytes = size_of_val(shapes) + members * size_of::<FieldDef>() + include_str!("table.txt").len();
    assert!(bytes < 1_500_000, "{bytes} bytes");
    let before = worked_ms();
    let again = load::load(include_str!("table.txt"));
    // Unoptimised this is many times the 5 ms of an optimised build; a hundred would still be a mistake.
    assert!(worked_ms() - before < 2000 && again.shapes().len() == shapes.len());
}
