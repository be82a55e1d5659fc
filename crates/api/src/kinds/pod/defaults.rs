//! What a pod spec is given when the client leaves it out: everywhere (R12) and on pods only (R13, A311).

use serde_json::{Value, json};

use crate::quantity::Quantity;
use crate::value::{Read, set, set_default};

/// File mode of projected files: 0644.
const MODE: i64 = 420;

/// The defaults that hold for a pod and for every template (R12).
pub fn template_spec(spec: &mut Value) {
    mirror(spec, "serviceAccountName", "serviceAccount");
    set_default(spec, "restartPolicy", "Always");
    set_default(spec, "dnsPolicy", "ClusterFirst");
    set_default(spec, "terminationGracePeriodSeconds", 30);
    set_default(spec, "schedulerName", "default-scheduler");
    if spec.at("securityContext").is_none() {
        set(spec, "securityContext", json!({}));
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        each(spec, list, container);
    }
    each(spec, "volumes", volume);
    round_up(spec.get_mut("overhead"));
    resources(spec.get_mut("resources"));
}

/// The defaults that only a pod gets (R13, A311).
pub fn pod_spec(spec: &mut Value) {
    set_default(spec, "enableServiceLinks", true);
    let host_network = spec.is_true("hostNetwork");
    for list in ["containers", "initContainers"] {
        each(spec, list, |container| {
            requests_from_limits(container);
            if host_network {
                each(container, "ports", |port| {
                    if port.is_zero("hostPort") && !port.is_zero("containerPort") {
                        set(port, "hostPort", port["containerPort"].clone());
                    }
                });
            }
        });
    }
    if spec.at("resources").is_some() {
        requests_from_limits(spec);
    }
}

/// Two spellings of one field: either fills the other, the first wins (R8).
fn mirror(spec: &mut Value, new: &str, old: &str) {
    let name = [new, old].into_iter().map(|f| spec.text_or_empty(f).to_owned()).find(|n| !n.is_empty());
    if let Some(name) = name {
        set(spec, new, name.as_str());
        set(spec, old, name);
    }
}

fn requests_from_limits(owner: &mut Value) {
    let Some(limits) = owner.map("resources.limits").cloned() else { return };
    for (name, amount) in limits {
        let requests = crate::value::members(owner, "resources.requests");
        requests.entry(name).or_insert(amount);
    }
}

/// Runs over the elements of a list, if there is one.
fn each(owner: &mut Value, list: &str, act: impl FnMut(&mut Value)) {
    owner.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().for_each(act);
}

/// Whether a text field is absent or empty: both are "not given" for fields that are no pointers.
fn missing(owner: &Value, field: &str) -> bool {
    owner.text_or_empty(field).is_empty()
}

fn fill(owner: &mut Value, field: &str, value: &str) {
    if missing(owner, field) {
        set(owner, field, value);
    }
}

fn container(container: &mut Value) {
    if missing(container, "imagePullPolicy") {
        set(container, "imagePullPolicy", pull_policy(container.text_or_empty("image")));
    }
    fill(container, "terminationMessagePath", "/dev/termination-log");
    fill(container, "terminationMessagePolicy", "File");
    each(container, "ports", |port| fill(port, "protocol", "TCP"));
    each(container, "env", |env| {
        let Some(source) = env.get_mut("valueFrom").filter(|v| v.is_object()) else { return };
        field_ref(source);
        if source.at("fileKeyRef").is_some() {
            set_default(source, "fileKeyRef.optional", false);
        }
    });
    resources(container.get_mut("resources"));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).filter(|p| p.is_object()) {
            default_probe(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(hook) = container.pointer_mut(&format!("/lifecycle/{hook}")) {
            http_get(hook);
        }
    }
}

fn default_probe(probe: &mut Value) {
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if probe.is_zero(field) {
            set(probe, field, value);
        }
    }
    http_get(probe);
    if probe.at("grpc").is_some() {
        set_default(probe, "grpc.service", "");
    }
}

fn http_get(handler: &mut Value) {
    if let Some(get) = handler.get_mut("httpGet").filter(|g| g.is_object()) {
        fill(get, "path", "/");
        fill(get, "scheme", "HTTP");
    }
}

/// `fieldRef.apiVersion` of anything that has a `fieldRef`.
fn field_ref(owner: &mut Value) {
    if owner.at("fieldRef").is_some() && owner.text_or_empty("fieldRef.apiVersion").is_empty() {
        set(owner, "fieldRef.apiVersion", "v1");
    }
}

/// `Always` for the tag `latest`, said or implied; else `IfNotPresent`.
fn pull_policy(image: &str) -> &'static str {
    if latest(image) { "Always" } else { "IfNotPresent" }
}

fn latest(image: &str) -> bool {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, _)) => (rest, true),
        None => (image, false),
    };
    let after_slash = rest.rfind('/').map_or(0, |i| i + 1);
    let (repository, tag) = match rest[after_slash..].find(':') {
        Some(i) => (&rest[..after_slash + i], &rest[after_slash + i + 1..]),
        None => (rest, if digest { "" } else { "latest" }),
    };
    // A name that is no image reference has no tag either.
    let path = repository.split_once('/').filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost");
    let path = path.map_or(repository, |(_, path)| path);
    let well_formed = !path.is_empty()
        && path.split('/').all(|part| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))
        });
    well_formed && tag == "latest"
}

fn resources(resources: Option<&mut Value>) {
    let Some(resources) = resources.filter(|r| r.is_object()) else { return };
    for half in ["limits", "requests"] {
        round_up(resources.get_mut(half));
    }
}

/// Rounds the quantities of a resource list up to thousandths.
pub(in crate::kinds) fn round_up(list: Option<&mut Value>) {
    let Some(Value::Object(list)) = list else { return };
    for amount in list.values_mut() {
        // Nothing with a suffix coarser than milli can be finer than it: most amounts are told apart without arithmetic.
        let fine = amount.as_str().filter(|t| t.contains(['.', 'n', 'u', 'e', '-']));
        if let Some(quantity) = fine.and_then(|t| t.parse::<Quantity>().ok()) {
            *amount = Value::String(quantity.rounded_up_to_milli().to_string());
        }
    }
}

fn volume(volume: &mut Value) {
    let sources = volume.as_object().map_or(0, |v| v.iter().filter(|(k, s)| *k != "name" && !s.is_null()).count());
    if sources == 0 {
        set(volume, "emptyDir", json!({}));
        return;
    }
    let Some(members) = volume.as_object_mut() else { return };
    for (kind, source) in members.iter_mut().filter(|(k, s)| *k != "name" && s.is_object()) {
        volume_source(kind, source);
    }
}

fn volume_source(kind: &str, source: &mut Value) {
    match kind {
        "hostPath" => {
            set_default(source, "type", "");
        }
        "secret" | "configMap" => {
            set_default(source, "defaultMode", MODE);
        }
        "downwardAPI" => {
            set_default(source, "defaultMode", MODE);
            each(source, "items", field_ref);
        }
        "projected" => {
            set_default(source, "defaultMode", MODE);
            each(source, "sources", |part| {
                if part.at("serviceAccountToken").is_some() {
                    set_default(part, "serviceAccountToken.expirationSeconds", 3600);
                }
                if let Some(downward) = part.get_mut("downwardAPI").filter(|d| d.is_object()) {
                    each(downward, "items", field_ref);
                }
            });
        }
        "iscsi" => fill(source, "iscsiInterface", "default"),
        "rbd" => {
            fill(source, "pool", "rbd");
            fill(source, "user", "admin");
            fill(source, "keyring", "/etc/ceph/keyring");
        }
        "azureDisk" => {
            set_default(source, "cachingMode", "ReadWrite");
            set_default(source, "fsType", "ext4");
            set_default(source, "readOnly", false);
            set_default(source, "kind", "Shared");
        }
        "scaleIO" => {
            fill(source, "storageMode", "ThinProvisioned");
            fill(source, "fsType", "xfs");
        }
        "ephemeral" => {
            if let Some(claim) = source.pointer_mut("/volumeClaimTemplate/spec") {
                set_default(claim, "volumeMode", "Filesystem");
                resources(claim.get_mut("resources"));
            }
        }
        "image" if missing(source, "pullPolicy") => {
            set(source, "pullPolicy", pull_policy(source.text_or_empty("reference")));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_pull_by_tag() {
        // R12: (image, implied policy is Always).
        let rows = [
            ("registry.example/agent", true),
            ("registry.example:5000/agent", true),
            ("registry.example:5000/agent:1", false),
            ("agent:latest", true),
            ("agent", true),
            ("a@sha256:abab", false),
            ("a:latest@sha256:abab", true),
            ("localhost/A", false),
            ("", false),
        ];
        for (image, always) in rows {
            assert_eq!(latest(image), always, "{image}");
        }
    }

    #[test]
    fn defaults_are_idempotent() {
        let mut spec = json!({"containers": [{"name": "a", "image": "x", "ports": [{"containerPort": 80}], "resources": {
            "limits": {"cpu": "0.0001"}}, "livenessProbe": {"httpGet": {"port": 80}}}], "volumes": [{"name": "v"},
            {"name": "h", "hostPath": {"path": "/"}}], "serviceAccount": "sa", "hostNetwork": true});
        template_spec(&mut spec);
        pod_spec(&mut spec);
        let once = spec.clone();
        template_spec(&mut spec);
        pod_spec(&mut spec);
        assert_eq!(once, spec);
        assert_eq!(spec["containers"][0]["resources"]["requests"]["cpu"], "1m");
        assert_eq!(spec["containers"][0]["ports"][0]["hostPort"], 80);
        assert_eq!(spec["volumes"][1]["hostPath"]["type"], "");
        assert_eq!(spec["serviceAccountName"], "sa");
    }
}
