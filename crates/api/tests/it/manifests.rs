//! Real manifests of other projects (../shared/manifests/real): what a real server accepts, this one accepts (A303a).

use everynode_api::codec::{Strictness, yaml};
use everynode_api::registry::find_kind;
use everynode_api::resource::Storage;
use serde_json::Value;

use crate::golden::{create, shared};

/// Objects that the real server refuses too: (file, kind).
const REFUSED: &[(&str, &str)] = &[
    ("grafana-alloy-sidecars.yaml", "DaemonSet"),
    ("hetzner-csi-chart-full.yaml", "DaemonSet"),
    ("hetzner-csi-chart-full.yaml", "Deployment"),
    ("hetzner-csi-chart-full.yaml", "StorageClass"),
    ("kubernetes-api-daemonset-allfields.yaml", "DaemonSet"),
    // Its namespace is a placeholder, which is refused before the volume that it lacks.
    ("nvidia-gpu-operator-driver.yaml", "DaemonSet"),
];

fn documents(text: &str) -> Vec<Value> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts.iter().filter_map(|part| yaml::read(part.as_bytes()).ok()).filter(Value::is_object).collect()
}

fn objects(document: Value) -> Vec<Value> {
    match document["kind"].as_str() {
        Some("List") => document["items"].as_array().cloned().unwrap_or_default(),
        _ => vec![document],
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn real_manifests_are_accepted() {
    let Some(dir) = shared() else {
        eprintln!("SKIPPED: ../shared/manifests is not here, real manifests are not judged");
        return;
    };
    let mut files: Vec<_> = std::fs::read_dir(dir.join("manifests/real")).into_iter().flatten().flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    let (mut accepted, mut wrong, mut refused) = (0, Vec::new(), Vec::new());
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        for object in documents(&text).into_iter().flat_map(objects) {
            let (group, version) = match object["apiVersion"].as_str().unwrap_or_default().split_once('/') {
                Some((group, version)) => (group.to_owned(), version.to_owned()),
                None => (String::new(), object["apiVersion"].as_str().unwrap_or_default().to_owned()),
            };
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            let Some(row) = find_kind(&group, &version, &kind).filter(|r| r.storage != Storage::Virtual) else {
                continue;
            };
            let expected = REFUSED.contains(&(name.as_str(), kind.as_str()));
            match create(row, &object, Strictness::Strict) {
                Ok(_) if !expected => accepted += 1,
                Ok(_) => {}
                Err(_) if expected => refused.push((name.clone(), kind)),
                Err(status) => wrong.push(format!("{name}: {kind} {}: {status}", object["metadata"]["name"])),
            }
        }
    }
    assert!(wrong.is_empty(), "{accepted} accepted, {} refused wrongly:\n{}", wrong.len(), wrong.join("\n"));
    for (file, kind) in REFUSED {
        assert!(refused.iter().any(|(f, k)| f == file && k == kind), "{file}: {kind} should be refused");
    }
    assert!(accepted > 400, "only {accepted} objects were judged");
}
