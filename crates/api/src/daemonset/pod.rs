//! The pods of a set (R47–R55).
//!
//! A [`PodMaker`] lays the effective template out as text once; a pod for a node is that text with the node's name spliced in, so
//! no template is copied or encoded per node.

use everynode_core::daemonset::eligibility::AUTOMATIC;
use everynode_core::model::{FAILURES_ANNOTATION, GENERATION_LABEL, HASH_LABEL};
use everynode_core::selector::TolerationOperator;
use serde_json::{Map, Value, json};

use super::revision::owner_reference;

/// Makes the pods of one template of one set.
#[derive(Clone, Debug)]
pub struct PodMaker {
    /// The pod as JSON, cut where the pod's own name, and where its node's name belongs.
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    PodName,
    NodeName,
}

/// Why a set can have no pods.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// R53: nothing could ever find such a pod again.
    #[error("unable to create pods, no labels")]
    NoLabels,
}

impl PodMaker {
    /// Prepares pods of `set`'s present template, whose hash label is `hash`.
    pub fn new(set: &Value, hash: &str) -> Result<Self, MakeError> {
        let template = &set["spec"]["template"];
        if template["metadata"]["labels"].as_object().is_none_or(Map::is_empty) {
            return Err(MakeError::NoLabels);
        }
        let plain = template.to_string();
        // Two marks that occur nowhere in the template.
        let mark = (0u32..).map(|n| format!("everynode-mark-{n}-")).find(|mark| !plain.contains(mark.as_str()));
        let mark = mark.unwrap_or_default();
        let (pod_mark, node_mark) = (format!("{mark}pod"), format!("{mark}node"));
        let text = effective(set, template, hash, &pod_mark, &node_mark).to_string();
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(&mark) {
            pieces.push(Piece::Text(rest[..at].to_owned()));
            let is_pod = rest[at..].starts_with(&pod_mark);
            pieces.push(if is_pod { Piece::PodName } else { Piece::NodeName });
            rest = &rest[at + if is_pod { pod_mark.len() } else { node_mark.len() }..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// The pod of this name for this node, as JSON. Both names are names of objects, so they need no escapes. A pod that stands
    /// in for others that ended says how many they were; a first one is as upstream makes it.
    #[must_use]
    pub fn pod(&self, name: &str, node: &str, failures: u32) -> Vec<u8> {
        let mut body = String::new();
        for piece in &self.pieces {
            body.push_str(match piece {
                Piece::Text(text) => text,
                Piece::PodName => name,
                Piece::NodeName => node,
            });
        }
        if failures > 0
            && let Ok(mut pod) = serde_json::from_str::<Value>(&body)
        {
            pod["metadata"]["annotations"][FAILURES_ANNOTATION] = json!(failures.to_string());
            return pod.to_string().into_bytes();
        }
        body.into_bytes()
    }
}

/// R52: what names of pods begin with.
#[must_use]
pub(super) fn name_prefix(set: &str) -> String {
    // A valid object name followed by a dash is a valid prefix unless it is too long.
    if set.len() < 253 { format!("{set}-") } else { set.to_owned() }
}

fn effective(set: &Value, template: &Value, hash: &str, pod_name: &str, node: &str) -> Value {
    let mut labels = template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    if !hash.is_empty() {
        labels.insert(HASH_LABEL.to_owned(), json!(hash));
    }
    let generation = set["metadata"]["annotations"]["deprecated.daemonset.template.generation"].as_str();
    if let Some(generation) = generation.and_then(|text| text.parse::<i64>().ok()) {
        labels.insert(GENERATION_LABEL.to_owned(), json!(generation.to_string()));
    }
    let set_name = set["metadata"]["name"].as_str().unwrap_or_default();
    let mut metadata = Map::new();
    metadata.insert("generateName".to_owned(), json!(name_prefix(set_name)));
    metadata.insert("name".to_owned(), json!(pod_name));
    metadata.insert("namespace".to_owned(), set["metadata"]["namespace"].clone());
    metadata.insert("labels".to_owned(), Value::Object(labels));
    for copied in ["annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(copied).filter(|value| !value.is_null()) {
            metadata.insert(copied.to_owned(), value.clone());
        }
    }
    metadata.insert("ownerReferences".to_owned(), json!([owner_reference(set)]));
    let mut spec = template["spec"].as_object().cloned().unwrap_or_default();
    pin(&mut spec, node);
    tolerate(&mut spec);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// R50: exactly one required term, which names the node; everything else of the affinity stays.
fn pin(spec: &mut Map<String, Value>, node: &str) {
    let affinity = object_in(spec, "affinity");
    let node_affinity = object_in(affinity, "nodeAffinity");
    node_affinity.insert(
        "requiredDuringSchedulingIgnoredDuringExecution".to_owned(),
        json!({"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        ]}),
    );
}

fn object_in<'m>(map: &'m mut Map<String, Value>, key: &str) -> &'m mut Map<String, Value> {
    let slot = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Object(object) => object,
        // Made an object just above.
        _ => unreachable!("the slot holds an object"),
    }
}

/// R47, R48: the automatic tolerations replace equal ones in place and follow the others.
fn tolerate(spec: &mut Map<String, Value>) {
    let host_network = spec.get("hostNetwork").and_then(Value::as_bool).unwrap_or(false);
    let mut tolerations = spec.get("tolerations").and_then(Value::as_array).cloned().unwrap_or_default();
    for automatic in AUTOMATIC.iter().filter(|automatic| automatic.applies(host_network)) {
        debug_assert_eq!(automatic.toleration().operator, TolerationOperator::Exists);
        let wire = json!({"key": automatic.key, "operator": "Exists", "effect": automatic.effect.as_str()});
        let same = |other: &Value| {
            ["key", "operator", "effect", "value"]
                .iter()
                .all(|field| other[field].as_str().unwrap_or_default() == wire[field].as_str().unwrap_or_default())
        };
        match tolerations.iter_mut().find(|other| same(other)) {
            Some(slot) => *slot = wire,
            None => tolerations.push(wire),
        }
    }
    spec.insert("tolerations".to_owned(), Value::Array(tolerations));
}
