//! Creations recorded from a real API server (../shared/golden/http): body → defaults → rules → the recorded object or causes.
//!
//! Only requests that need no other object can be judged here. What admission adds to pods is taken out of the comparison.

use std::path::PathBuf;

use everynode_api::codec::Strictness;
use everynode_api::codec::json;
use everynode_api::registry::find;
use everynode_api::resource::{Resource, Storage};
use everynode_api::schema::table;
use everynode_api::status::Status;
use everynode_api::strategy::Context;
use everynode_api::write;
use serde_json::Value;

const FILES: &[&str] = &[
    "03-ds-create",
    "04-ds-validation",
    "06-pod-create",
    "07-pod-validation",
    "09-nodes",
    "10-namespaces",
    "11-core-kinds",
    "12-metadata",
    "23-rbac",
    "27-revisions-and-certificates",
    "28-admission",
];
/// Records that other parts of the server decide: admission, allocation of addresses, decoding of the request.
const ELSEWHERE: &[&str] = &[
    "a second global default",
    "a priority class that does not exist",
    "a service account that does not exist",
    "a number of priority that nobody asked for",
    "a new node gets the not-ready taint",
    "defaults are filled in",
    "bound at creation",
];

pub(crate) fn shared() -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let dir = if dir.is_dir() { dir } else { PathBuf::from("/work/shared") };
    dir.join("golden/http").is_dir().then_some(dir)
}

fn row_of(path: &str) -> Option<(&'static Resource, bool)> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let plural = match rest {
        ["namespaces", _, plural] => plural,
        [plural] => plural,
        _ => return None,
    };
    Some((find(group, version, plural)?, query.contains("dryRun")))
}

pub(crate) fn create(
    row: &'static Resource,
    body: &Value,
    strictness: Strictness,
) -> Result<(Value, Vec<String>), Value> {
    let shape = table().shape(row.shape).unwrap_or_else(|| panic!("no shape {}", row.shape));
    let (mut object, _) = json::decode(body.to_string().as_bytes(), shape, strictness).map_err(|e| {
        Value::String(format!("{} in version \"{}\" cannot be handled as a {}: {e}", row.kind, row.version, row.kind))
    })?;
    row.strategy.default(&mut object);
    if let Storage::View(view) = row.storage {
        (view.to_stored)(&mut object);
    }
    let context = Context {
        subresource: "",
        namespace: if row.namespaced { "golden" } else { "" },
        now: jiff::Timestamp::UNIX_EPOCH,
        uid: "00000000-0000-4000-8000-000000000000",
        suffix: "bcdfg",
        requester: None,
    };
    let warnings = write::before_create(row, &mut object, &context).map_err(|errors| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        serde_json::from_slice(&Status::invalid(row.group, row.kind, name, errors).to_bytes()).unwrap_or(Value::Null)
    })?;
    if let Storage::View(view) = row.storage {
        (view.from_stored)(&mut object);
    }
    let bytes = json::encode(&object, shape);
    Ok((serde_json::from_slice(&bytes).unwrap_or(Value::Null), warnings))
}

/// Takes out what a single creation cannot know.
fn bare(mut object: Value, kind: &str) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|k, _| {
            !matches!(
                k.as_str(),
                "uid"
                    | "resourceVersion"
                    | "creationTimestamp"
                    | "name"
                    | "generateName"
                    | "namespace"
                    | "managedFields"
            )
        });
    }
    if let Some(members) = object.as_object_mut() {
        members.retain(|k, _| !matches!(k.as_str(), "kind" | "apiVersion"));
    }
    if kind == "Service"
        && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.retain(|k, _| !matches!(k.as_str(), "clusterIP" | "clusterIPs"));
    }
    if kind == "Pod"
        && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.retain(|k, _| {
            !matches!(
                k.as_str(),
                "tolerations" | "priority" | "preemptionPolicy" | "serviceAccount" | "serviceAccountName"
            )
        });
        strip_tokens(spec);
    }
    object
}

fn strip_tokens(spec: &mut serde_json::Map<String, Value>) {
    let token = |v: &Value| v["name"].as_str().is_some_and(|n| n.starts_with("kube-api-access"));
    for list in ["containers", "initContainers"] {
        for container in
            spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
        {
            if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.retain(|m| !token(m));
                if mounts.is_empty() {
                    container.remove("volumeMounts");
                }
            }
        }
    }
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.retain(|v| !token(v));
        if volumes.is_empty() {
            spec.remove("volumes");
        }
    }
}

fn same_text(text: &str) -> String {
    let mut text = text.replace("${ns}", "golden").replace("<rand>", "bcdfg");
    // Recorded uids and times are placeholders on one side only.
    for uid in ["11111111-2222-3333-4444-555555555551", "11111111-2222-3333-4444-555555555552"] {
        text = text.replace(uid, "<uid>");
    }
    for time in ["2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05Z"] {
        text = text.replace(time, "<time>");
    }
    text
}

fn judge(file: &str, record: &Value) -> Option<Result<(), String>> {
    let (request, response) = (&record["request"], &record["response"]);
    let body = request.get("body").filter(|b| b.is_object())?;
    if request["method"] != "POST" || ELSEWHERE.contains(&record["name"].as_str()?) {
        return None;
    }
    let (row, _) = row_of(request["path"].as_str()?)?;
    if row.storage == Storage::Virtual || body["kind"] != row.kind {
        return None;
    }
    let status = response["status"].as_u64()?;
    let expect = &response["body"];
    let body: Value = serde_json::from_str(&body.to_string().replace("${ns}", "golden")).ok()?;
    let got = create(row, &body, Strictness::Warn);
    let say = |what: String| Some(Err(format!("{file}: {}: {what}", record["name"])));
    match (status, got) {
        (201, Ok((object, _))) => {
            let (a, b) = (bare(object, row.kind), bare(expect.clone(), row.kind));
            let (a, b) = (same_text(&a.to_string()), same_text(&b.to_string()));
            if a == b { Some(Ok(())) } else { say(format!("\n  got    {a}\n  expect {b}")) }
        }
        (422, Err(status)) => {
            let (a, b) = (same_text(&status["message"].to_string()), same_text(&expect["message"].to_string()));
            if a != b {
                return say(format!("\n  got    {a}\n  expect {b}"));
            }
            let (a, b) = (&status["details"], &expect["details"]);
            if same_text(&a.to_string()) == same_text(&b.to_string()) {
                Some(Ok(()))
            } else {
                say(format!("\n  got    {a}\n  expect {b}"))
            }
        }
        (201 | 422, got) => say(format!("{status} expected, got {got:?}\n  expect {}", expect["message"])),
        _ => None,
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn creations_are_answered_as_recorded() {
    let Some(dir) = shared() else {
        eprintln!("SKIPPED: ../shared/golden is not here, recorded creations are not judged");
        return;
    };
    let (mut same, mut different) = (0, Vec::new());
    for file in FILES {
        let text = std::fs::read_to_string(dir.join(format!("golden/http/{file}.jsonl"))).unwrap_or_default();
        for record in text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()) {
            match judge(file, &record) {
                Some(Ok(())) => same += 1,
                Some(Err(why)) => different.push(why),
                None => {}
            }
        }
    }
    assert!(different.is_empty(), "{same} the same, {} different:\n{}", different.len(), different.join("\n"));
    assert!(same > 100, "only {same} records were judged");
}
