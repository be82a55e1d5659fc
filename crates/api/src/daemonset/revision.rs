//! ControllerRevisions of a DaemonSet: their bytes (R80) and the object (R85).

use everynode_core::model::HASH_LABEL;
use serde_json::{Map, Value, json};

use crate::codec::{Strictness, json, normalise};
use crate::kinds::pod::default_template;

/// R80: the bytes that identify a template: keys sorted, `$patch: replace` added, `<`, `>`, `&` and the two line separators
/// escaped as Go does.
#[must_use]
pub fn revision_data(template: &Value) -> Vec<u8> {
    let mut template = template.as_object().cloned().unwrap_or_default();
    template.insert("$patch".to_owned(), json!("replace"));
    let text = json!({"spec": {"template": template}}).to_string();
    // None of these occurs outside of strings, so the whole text can be escaped at once.
    let mut data = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => data.push_str("\\u003c"),
            '>' => data.push_str("\\u003e"),
            '&' => data.push_str("\\u0026"),
            '\u{2028}' => data.push_str("\\u2028"),
            '\u{2029}' => data.push_str("\\u2029"),
            c => data.push(c),
        }
    }
    data.into_bytes()
}

/// The bytes of a template as they would be written today, where these differ from `data`: a revision may be of a release with
/// other defaults, or with another way to write the same (R192). Nothing when it cannot be read as a template.
#[must_use]
pub fn rewritten(data: &[u8]) -> Option<Vec<u8>> {
    let mut stored: Value = serde_json::from_slice(data).ok()?;
    let mut template = stored.pointer_mut("/spec/template")?.take();
    template.as_object_mut()?.remove("$patch");
    let shape = crate::schema::table().kind("apps", "v1", "DaemonSet")?;
    let text = json!({"spec": {"template": template}}).to_string();
    let (mut set, _) = json::decode(text.as_bytes(), shape, Strictness::Ignore).ok()?;
    default_template(&mut set, "spec.template");
    normalise(&mut set, shape);
    let wire: Value = serde_json::from_slice(&json::encode(&set, shape)).ok()?;
    let new = revision_data(&wire["spec"]["template"]);
    (new != data).then_some(new)
}

/// The longest name of an object.
const NAME_MAX: usize = 253;

/// R85: `<set>-<hash>`; of a set's name only as much as fits (mends R205).
fn revision_name(set: &str, hash: &str) -> String {
    // Names of objects are ASCII.
    let kept = set.get(..NAME_MAX - 1 - hash.len().min(NAME_MAX - 1)).unwrap_or(set);
    format!("{}-{hash}", kept.trim_end_matches(['-', '.']))
}

/// R53: the one owner reference of what a set makes.
#[must_use]
pub fn owner_reference(set: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "name": set["metadata"]["name"],
        "uid": set["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// R85: a new revision of `set`, named after the hash of its template.
#[must_use]
pub fn new_revision(set: &Value, hash: &str, number: i64) -> Value {
    let template = &set["spec"]["template"];
    let mut labels = template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(HASH_LABEL.to_owned(), json!(hash));
    let mut metadata = Map::new();
    metadata
        .insert("name".to_owned(), json!(revision_name(set["metadata"]["name"].as_str().unwrap_or_default(), hash)));
    metadata.insert("namespace".to_owned(), set["metadata"]["namespace"].clone());
    metadata.insert("labels".to_owned(), Value::Object(labels));
    if let Some(annotations) = set["metadata"]["annotations"].as_object() {
        metadata.insert("annotations".to_owned(), Value::Object(annotations.clone()));
    }
    metadata.insert("ownerReferences".to_owned(), json!([owner_reference(set)]));
    // The data goes out as a value with sorted keys; the server keeps its bytes as it encodes them, escapes included.
    let data: Value = serde_json::from_slice(&revision_data(template)).unwrap_or_default();
    json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "data": data,
        "revision": number,
    })
}
