//! The steps of a plan as requests, and what single answers mean (R67–R86, R113).
//!
//! Every write names the incarnation it means: by uid, and by version where the decision holds for that version only.
//!
//! Not here: what is asked after what ([`super::errand`]), sending, retries (`everynode-control`, and the simulator).

use everynode_core::daemonset::Step;
use everynode_core::daemonset::history::missing_label;
use everynode_core::daemonset::plan::{Outcome, Ref};
use everynode_core::model::{HASH_LABEL, Set, Status, Version};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{PodMaker, new_revision, owner_reference};
use crate::{codec, project};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A request as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// The path, with its query.
    pub path: String,
    /// Media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A read of what is there now.
    #[must_use]
    pub fn get(path: String) -> Self {
        Self { method: "GET", path, content_type: JSON, body: Vec::new() }
    }

    fn new(method: &'static str, path: String, content_type: &'static str, body: &Value) -> Self {
        Self { method, path, content_type, body: body.to_string().into_bytes() }
    }
}

/// Pods of a namespace.
#[must_use]
pub fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// Revisions of a namespace.
#[must_use]
pub fn revisions(namespace: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/controllerrevisions")
}

/// The path of a set.
#[must_use]
pub fn set_path(set: &Set) -> String {
    format!("/apis/apps/v1/namespaces/{}/daemonsets/{}", set.key.namespace, set.key.name)
}

/// R75: whether the set read live is the one that was judged, and is to stay.
#[must_use]
pub fn may_adopt(set: &Set, live: &[u8]) -> bool {
    let live: Value = serde_json::from_slice(live).unwrap_or_default();
    let meta = &live["metadata"];
    meta["uid"].as_str() == Some(set.uid.as_str()) && meta["deletionTimestamp"].is_null()
}

/// A pod for a node; nothing for a step that is no create.
#[must_use]
pub fn create_pod(set: &Set, maker: &PodMaker, step: &Step) -> Option<Request> {
    let Step::Create { node, name, failures, .. } = step else { return None };
    let body = maker.pod(name, node.as_str(), *failures);
    Some(Request { method: "POST", path: pods(&set.key.namespace), content_type: JSON, body })
}

/// The request of a step, but for creates of pods ([`create_pod`]). `object` is the set as it was read.
#[must_use]
pub fn request(set: &Set, object: &Value, step: &Step) -> Option<Request> {
    let namespace = &set.key.namespace;
    let pod_path = |pod: &Ref| format!("{}/{}", pods(namespace), pod.name);
    let revision_path = |revision: &Ref| format!("{}/{}", revisions(namespace), revision.name);
    Some(match step {
        Step::Adopt(pod) => adopt(object, pod_path(pod), pod),
        Step::AdoptRevision(revision) => adopt(object, revision_path(revision), revision),
        Step::Release(pod) => release(set, pod_path(pod), pod),
        Step::ReleaseRevision(revision) => release(set, revision_path(revision), revision),
        Step::Relabel { pod, hash } => {
            let patch = json!({"metadata": {"uid": pod.uid.as_str(), "labels": {HASH_LABEL: &**hash}}});
            Request::new("PATCH", pod_path(pod), MERGE, &patch)
        }
        Step::LabelRevision(revision) => {
            let labels = json!({HASH_LABEL: missing_label(&revision.name)});
            let patch = json!({"metadata": {"uid": revision.uid.as_str(), "labels": labels}});
            Request::new("PATCH", revision_path(revision), MERGE, &patch)
        }
        Step::RenumberRevision { revision, version, number } => {
            let meta = json!({"uid": revision.uid.as_str(), "resourceVersion": version.0.to_string()});
            let patch = json!({"metadata": meta, "revision": number});
            Request::new("PATCH", revision_path(revision), MERGE, &patch)
        }
        Step::DeleteRevision(revision) => delete(revision_path(revision), revision, None),
        Step::CreateRevision { hash, number } => {
            // Servers keep the data as it is sent, and it is compared byte by byte: so it is sent as Go would write it (R81).
            let body = codec::json::encode_any(&new_revision(object, hash, *number));
            Request { method: "POST", path: revisions(namespace), content_type: JSON, body }
        }
        Step::Delete { pod, version, .. } => delete(pod_path(pod), pod, *version),
        Step::Create { .. } => return None,
    })
}

fn adopt(object: &Value, path: String, what: &Ref) -> Request {
    let patch = json!({"metadata": {"uid": what.uid.as_str(), "ownerReferences": [owner_reference(object)]}});
    Request::new("PATCH", path, STRATEGIC, &patch)
}

fn release(set: &Set, path: String, what: &Ref) -> Request {
    let reference = json!({"$patch": "delete", "uid": set.uid.as_str()});
    let patch = json!({"metadata": {"uid": what.uid.as_str(), "ownerReferences": [reference]}});
    Request::new("PATCH", path, STRATEGIC, &patch)
}

fn delete(path: String, what: &Ref, version: Option<Version>) -> Request {
    let mut preconditions = json!({"uid": what.uid.as_str()});
    if let Some(version) = version {
        preconditions["resourceVersion"] = json!(version.0.to_string());
    }
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions});
    Request::new("DELETE", path, JSON, &options)
}

/// R113: the numbers into a copy of the set as it was read. Conditions and the collision count are left as they are (R6, R110).
#[must_use]
pub fn write_status(set: &Set, mut object: Value, status: &Status) -> Request {
    object["apiVersion"] = json!("apps/v1");
    object["kind"] = json!("DaemonSet");
    if !object["status"].is_object() {
        object["status"] = json!({});
    }
    let fields = &mut object["status"];
    fields["currentNumberScheduled"] = json!(status.current);
    fields["numberMisscheduled"] = json!(status.misscheduled);
    fields["desiredNumberScheduled"] = json!(status.desired);
    fields["numberReady"] = json!(status.ready);
    fields["updatedNumberScheduled"] = json!(status.updated);
    fields["numberAvailable"] = json!(status.available);
    fields["numberUnavailable"] = json!(status.unavailable);
    fields["observedGeneration"] = json!(status.observed_generation);
    Request::new("PUT", format!("{}/status", set_path(set)), JSON, &object)
}

/// R113: the live set as text, if it is still the one whose status is to be written.
#[must_use]
pub fn same_set(set: &Set, live: &[u8]) -> Option<Value> {
    let live: Value = serde_json::from_slice(live).ok()?;
    (live["metadata"]["uid"].as_str() == Some(set.uid.as_str())).then_some(live)
}

/// R86: counts a collision of hashes in the live set, if the one that was judged knew of all before.
#[must_use]
pub fn count_collision(set: &Set, live: &[u8]) -> Option<Request> {
    let mut live = same_set(set, live)?;
    let count = live["status"]["collisionCount"].as_i64();
    if count != set.collision_count.map(i64::from) {
        return None;
    }
    live["status"]["collisionCount"] = json!(count.unwrap_or(0) + 1);
    Some(Request::new("PUT", format!("{}/status", set_path(set)), JSON, &live))
}

/// A no, as far as an outcome depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The HTTP status.
    pub code: u16,
    /// `reason` of the `Status`.
    pub reason: &'a str,
    /// A cause says that the namespace is going away.
    pub namespace_going: bool,
    /// In words.
    pub words: &'a str,
}

/// What a no to a write means.
///
/// A 5xx is not a no: an API server answers 500 or 504 also when its store was too slow to say that it has done the write, so
/// whether it was done is not known.
#[must_use]
pub fn outcome(refusal: &Refusal<'_>) -> Outcome {
    match (refusal.code, refusal.reason) {
        (_, "NotFound") => Outcome::Gone,
        (_, "Conflict") => Outcome::Conflict,
        (500.., _) => Outcome::Unknown,
        _ => Outcome::Refused,
    }
}

/// What a no to a step means; nothing when the name is taken, and whose it is has to be read.
#[must_use]
pub fn outcome_of(step: &Step, refusal: &Refusal<'_>) -> Option<Outcome> {
    match step {
        Step::Create { .. } | Step::CreateRevision { .. } if refusal.reason == "AlreadyExists" => None,
        Step::Create { .. } | Step::CreateRevision { .. } if refusal.namespace_going => Some(Outcome::NamespaceGoing),
        // A conflict or a missing thing is not the pod's.
        Step::Create { .. } if refusal.code < 500 => Some(Outcome::Refused),
        // R76: no longer ours to change is as good as released.
        Step::Release(_) | Step::ReleaseRevision(_) if refusal.reason == "Invalid" => {
            Some(Outcome::Done { version: Version(0) })
        }
        _ => Some(outcome(refusal)),
    }
}

/// Pods of a name: a list of one at most, since R171 does not let the controller get pods.
#[must_use]
pub fn pods_named(set: &Set, name: &str) -> Request {
    Request::get(format!("{}?{NAMED}{name}", pods(&set.key.namespace)))
}

/// How a query selects by name.
pub const NAMED: &str = "fieldSelector=metadata.name%3D";

/// The name of a new pod is taken, as this list shows: by an earlier try of the same, or by somebody else.
#[must_use]
pub fn whose_pod(set: &Set, step: &Step, list: &[u8]) -> Outcome {
    #[derive(serde::Deserialize)]
    struct List<'a> {
        #[serde(borrow, default)]
        items: Option<Vec<&'a RawValue>>,
    }
    let Step::Create { node, .. } = step else { return Outcome::NameTaken };
    let list = serde_json::from_slice::<List<'_>>(list).ok();
    let there =
        list.and_then(|list| list.items?.first().copied()).and_then(|pod| project::pod(pod.get().as_bytes()).ok());
    match there {
        Some(pod) if pod.owner.as_ref().is_some_and(|owner| owner.uid == set.uid) && pod.target() == Some(node) => {
            Outcome::Done { version: pod.version }
        }
        _ => Outcome::NameTaken,
    }
}

/// The path of the set's revision of this hash.
#[must_use]
pub fn revision_of(set: &Set, hash: &str) -> String {
    format!("{}/{}-{hash}", revisions(&set.key.namespace), set.key.name)
}

/// The name of a new revision is taken: by the same template, or (nothing) by another one with the same hash.
#[must_use]
pub fn whose_revision(set: &Set, there: &[u8]) -> Option<Outcome> {
    let Ok(there) = project::revision(there) else { return Some(Outcome::Refused) };
    (there.data == set.template.data).then_some(Outcome::Done { version: there.version })
}

/// The version of an object in an answer; 0 when it tells none.
#[must_use]
pub fn version_of(body: &[u8]) -> Version {
    #[derive(serde::Deserialize, Default)]
    #[serde(default)]
    struct Answer {
        metadata: Meta,
    }
    #[derive(serde::Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct Meta {
        resource_version: String,
    }
    let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
    Version::parse(&answer.metadata.resource_version)
}

#[cfg(test)]
mod tests {
    use everynode_core::daemonset::plan::{CreateWhy, DeleteWhy, TemplateId};

    use super::*;

    fn create() -> Step {
        Step::Create {
            node: "n".into(),
            name: "p".into(),
            template: TemplateId(0),
            why: CreateWhy::Missing,
            failures: 0,
        }
    }

    fn pod() -> Ref {
        Ref { name: "p".into(), uid: "u".into() }
    }

    /// An answer that does not say whether the write was made keeps the intention alive.
    #[test]
    fn a_refusal_means_an_outcome() {
        let delete = Step::Delete { pod: pod(), node: "n".into(), version: None, why: DeleteWhy::Failed };
        for (step, code, reason, namespace_going, expect) in [
            (create(), 409, "AlreadyExists", false, None),
            (create(), 403, "Forbidden", true, Some(Outcome::NamespaceGoing)),
            (create(), 403, "Forbidden", false, Some(Outcome::Refused)),
            (create(), 404, "NotFound", false, Some(Outcome::Refused)),
            (create(), 429, "TooManyRequests", false, Some(Outcome::Refused)),
            (create(), 500, "InternalError", false, Some(Outcome::Unknown)),
            (create(), 504, "Timeout", false, Some(Outcome::Unknown)),
            (delete.clone(), 404, "NotFound", false, Some(Outcome::Gone)),
            (delete.clone(), 409, "Conflict", false, Some(Outcome::Conflict)),
            (delete.clone(), 503, "ServiceUnavailable", false, Some(Outcome::Unknown)),
            (delete, 403, "Forbidden", false, Some(Outcome::Refused)),
            (Step::Release(pod()), 422, "Invalid", false, Some(Outcome::Done { version: Version(0) })),
            (Step::Adopt(pod()), 422, "Invalid", false, Some(Outcome::Refused)),
        ] {
            let refusal = Refusal { code, reason, namespace_going, words: "" };
            assert_eq!(outcome_of(&step, &refusal), expect, "{step:?} {code} {reason}");
        }
    }

    /// R70: a deletion names the incarnation, and the version if that was what was judged.
    #[test]
    fn deletions_have_preconditions() {
        let set = project::daemon_set(&json!({"metadata": {"name": "s", "namespace": "ns", "uid": "s1"}})).unwrap();
        for (version, expect) in
            [(None, json!({"uid": "u"})), (Some(Version(7)), json!({"uid": "u", "resourceVersion": "7"}))]
        {
            let step = Step::Delete { pod: pod(), node: "n".into(), version, why: DeleteWhy::OutdatedBroken };
            let request = request(&set, &Value::Null, &step).unwrap();
            assert_eq!((request.method, request.path.as_str()), ("DELETE", "/api/v1/namespaces/ns/pods/p"));
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(body["preconditions"], expect);
        }
    }
}
