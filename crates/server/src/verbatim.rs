//! What is kept as it was sent: `data` of ControllerRevisions (R4, R29), whose bytes are compared when the object changes.
//!
//! Objects are worked on as values, which know neither blanks nor the order of members; the text travels beside them and
//! takes the member's place in the encoded object. Line breaks become blanks, since a stored object is one line.
//!
//! Not here: what may be in it (`everynode_api::kinds::controller_revision`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use everynode_api::Object;
use everynode_api::codec::json;
use everynode_api::resource::Resource;
use serde_json::value::RawValue;

/// The text of a member that is kept as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verbatim {
    member: &'static str,
    text: String,
}

/// The member of a kind that is kept so.
fn member(row: &Resource) -> Option<&'static str> {
    (row.group == "apps" && row.kind == "ControllerRevision").then_some("data")
}

impl Verbatim {
    /// As it stands in the JSON of an object.
    pub(crate) fn of_json(row: &Resource, object: &[u8]) -> Option<Self> {
        let member = member(row)?;
        let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(object).ok()?;
        let text = members.get(member)?.get();
        // Inside strings line breaks are always escaped.
        Some(Self { member, text: text.replace(['\n', '\r', '\t'], " ") })
    }

    /// As an object is encoded that came in another form.
    pub(crate) fn of_object(row: &Resource, object: &Object) -> Option<Self> {
        let member = member(row)?;
        let text = String::from_utf8(json::encode_any(object.get(member)?)).ok()?;
        Some(Self { member, text })
    }

    /// As Go writes raw JSON out: without blanks, and with what HTML minds escaped.
    pub(crate) fn compact(&self) -> Self {
        let mut text = String::with_capacity(self.text.len());
        let (mut in_string, mut is_escaped) = (false, false);
        for c in self.text.chars() {
            match c {
                ' ' if !in_string => continue,
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => text.push(c),
            }
            if c == '"' && !is_escaped {
                in_string = !in_string;
            }
            is_escaped = c == '\\' && !is_escaped;
        }
        Self { member: self.member, text }
    }

    /// Puts the text where the encoded object has the member's value.
    pub(crate) fn put_into(&self, encoded: &mut Vec<u8>) {
        let Ok(value) = json::parse(self.text.as_bytes()) else { return };
        let name = format!(",\"{}\":", self.member);
        let canonical = [name.as_bytes(), &json::encode_any(&value)].concat();
        let Some(at) = memchr::memmem::find(encoded, &canonical) else { return };
        let begin = at + name.len();
        encoded.splice(begin..at + canonical.len(), self.text.bytes());
    }
}

#[cfg(test)]
mod tests {
    use everynode_api::registry::find;

    use super::*;

    fn of(text: &str) -> Verbatim {
        let row = find("apps", "v1", "controllerrevisions").expect("a row");
        Verbatim::of_json(row, format!("{{\"data\":{text},\"revision\":1}}").as_bytes()).expect("data")
    }

    /// R4, R29.
    #[test]
    fn text_is_kept_and_compacted_as_go_does() {
        for (sent, kept, compact) in [
            ("{\"z\":1,\"a\":2}", "{\"z\":1,\"a\":2}", "{\"z\":1,\"a\":2}"),
            ("{ \"a\" :\n\t[1, 2] }", "{ \"a\" :  [1, 2] }", "{\"a\":[1,2]}"),
            ("{\"a\":\"b \\\" c\"}", "{\"a\":\"b \\\" c\"}", "{\"a\":\"b \\\" c\"}"),
            ("{\"a\":\"\\\\\", \"b\": 1}", "{\"a\":\"\\\\\", \"b\": 1}", "{\"a\":\"\\\\\",\"b\":1}"),
            ("{\"a\":\"<&>\"}", "{\"a\":\"<&>\"}", "{\"a\":\"\\u003c\\u0026\\u003e\"}"),
        ] {
            assert_eq!(of(sent).text, kept);
            assert_eq!(of(sent).compact().text, compact);
        }
    }

    #[test]
    fn it_takes_the_place_of_the_value_and_of_nothing_else() {
        let mut encoded = br#"{"kind":"ControllerRevision","metadata":{"annotations":{"a":"b","data":"{}"}},"data":{"a":2,"z":{"data":{"a":2}}},"revision":1}"#.to_vec();
        of("{\"z\": {\"data\": {\"a\": 2}}, \"a\": 2}").put_into(&mut encoded);
        let expect = r#"{"kind":"ControllerRevision","metadata":{"annotations":{"a":"b","data":"{}"}},"data":{"z": {"data": {"a": 2}}, "a": 2},"revision":1}"#;
        assert_eq!(String::from_utf8(encoded).expect("text"), expect);
        let row = find("", "v1", "configmaps").expect("a row");
        assert_eq!(Verbatim::of_json(row, b"{\"data\":{}}"), None, "only revisions");
    }
}
