//! One row per refusal: what a body has wrong, and the words for it. The recorded sessions (tests/it) judge many more.

mod updates;

use serde_json::{Value, json};

use crate::registry::find;
use crate::resource::Resource;
use crate::strategy::Context;
use crate::value::set;
use crate::write::{before_create, before_update};

/// What a write of the main resource is asked in; also for the tests of single kinds.
pub(super) const CONTEXT: Context<'static> = Context {
    subresource: "",
    namespace: "ns",
    now: jiff::Timestamp::UNIX_EPOCH,
    uid: "u",
    suffix: "bcdfg",
    requester: None,
};

fn row(group: &str, plural: &str) -> &'static Resource {
    find(group, "v1", plural).unwrap_or_else(|| panic!("no row {group} {plural}"))
}

fn refusals(row: &'static Resource, mut object: Value) -> Vec<String> {
    row.strategy.default(&mut object);
    before_create(row, &mut object, &CONTEXT)
        .err()
        .unwrap_or_default()
        .iter()
        .map(|e| format!("{}: {}", e.field, e.body()))
        .collect()
}

fn pod(path: &str, value: Value) -> Value {
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "i"}],
        "volumes": [{"name": "v"}]}});
    if let Some(rest) = path.strip_prefix("container.") {
        set(&mut pod["spec"]["containers"][0], rest, value);
    } else {
        set(&mut pod, path, value);
    }
    pod
}

#[test]
fn a_quota_counts_what_there_is() {
    // A442: (resource, whether it is refused, and how often).
    for (name, errors) in [("pods", 0), ("count/pods", 0), ("requests.example.com/x", 0), ("foo", 2), ("storage", 1)] {
        let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {name: "1"}}});
        assert_eq!(refusals(row("", "resourcequotas"), quota).len(), errors, "{name}");
    }
}

#[test]
fn an_owner_has_a_version() {
    // A55.
    for (version, fine) in [("v1", true), ("apps/v1", true), ("a/b/c", false), ("apps/", false), ("", false)] {
        let owner = json!({"apiVersion": version, "kind": "K", "name": "n", "uid": "u"});
        let errors = refusals(row("", "pods"), pod("metadata.ownerReferences", json!([owner])));
        let expect =
            format!("metadata.ownerReferences.apiVersion: Invalid value: \"{version}\": version must not be empty");
        assert_eq!(errors, if fine { vec![] } else { vec![expect] }, "{version}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn pods_are_refused_in_the_usual_words() {
    // A316: (path, value, the one error).
    let rows = [
        ("spec.containers", json!([]), "spec.containers: Required value"),
        (
            "container.image",
            json!(" i"),
            "spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace",
        ),
        (
            "container.imagePullPolicy",
            json!("Z"),
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Z\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
        ),
        ("container.ports", json!([{"containerPort": 0}]), "spec.containers[0].ports[0].containerPort: Required value"),
        (
            "container.ports",
            json!([{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
            "spec.containers[0].ports[1].name: Duplicate value: \"a\"",
        ),
        ("container.env", json!([{"name": ""}]), "spec.containers[0].env[0].name: Required value"),
        (
            "container.env",
            json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
        ),
        (
            "container.volumeMounts",
            json!([{"name": "no", "mountPath": "/x"}]),
            "spec.containers[0].volumeMounts[0].name: Not found: \"no\"",
        ),
        (
            "container.volumeMounts",
            json!([{"name": "v", "mountPath": "/x", "mountPropagation": "Bidirectional"}]),
            "spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
        ),
        (
            "container.resources",
            json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "2Gi"}}),
            "spec.containers[0].resources.requests: Invalid value: \"2Gi\": must be less than or equal to memory limit of 1Gi",
        ),
        (
            "container.resources",
            json!({"requests": {"example.com/x": "1"}}),
            "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
        ),
        (
            "container.livenessProbe",
            json!({"exec": {"command": ["x"]}, "successThreshold": 2}),
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            "container.lifecycle",
            json!({"preStop": {}}),
            "spec.containers[0].lifecycle.preStop: Required value: must specify a handler type",
        ),
        (
            "container.readinessProbe",
            json!({"httpGet": {"port": 80, "scheme": "X"}}),
            "spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: \"X\": supported values: \"HTTP\", \"HTTPS\"",
        ),
        ("spec.volumes", json!([{"name": "v"}, {"name": "v"}]), "spec.volumes[1].name: Duplicate value: \"v\""),
        (
            "spec.volumes",
            json!([{"name": "v", "hostPath": {"path": ""}}]),
            "spec.volumes[0].hostPath.path: Required value",
        ),
        (
            "spec.volumes",
            json!([{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 1}}]}}]),
            "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
        ),
        (
            "spec.tolerations",
            json!([{"value": "b"}]),
            "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        ),
        (
            "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution",
            json!([{"weight": 0, "preference": {}}]),
            "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100",
        ),
        (
            "spec.activeDeadlineSeconds",
            json!(0),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        ("spec.dnsConfig", json!({"options": [{}]}), "spec.dnsConfig.options[0]: Required value: must not be empty"),
        (
            "spec.ephemeralContainers",
            json!([{"name": "e", "image": "i"}]),
            "spec.ephemeralContainers: Forbidden: cannot be set on create",
        ),
        ("spec.hostname", json!("a.b"), "spec.hostname: Invalid value: \"a.b\": must not contain dots"),
    ];
    for (path, value, expect) in rows {
        assert_eq!(refusals(row("", "pods"), pod(path, value)), [expect], "{path}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn other_kinds_are_refused_in_the_usual_words() {
    // A380–A411: (group, plural, object, errors).
    let rows: &[(&str, &str, Value, &[&str])] = &[
        (
            "",
            "configmaps",
            json!({"metadata": {}}),
            &["metadata.name: Required value: name or generateName is required"],
        ),
        (
            "",
            "configmaps",
            json!({"metadata": {"name": "a", "labels": {"k": "we b"}}}),
            &[
                "metadata.labels: Invalid value: \"we b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ],
        ),
        (
            "",
            "configmaps",
            json!({"metadata": {"name": "a", "finalizers": ["orphan", "foregroundDeletion"]}}),
            &[
                "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion cannot be both set",
            ],
        ),
        (
            "",
            "secrets",
            json!({"metadata": {"name": "a"}, "type": "kubernetes.io/basic-auth"}),
            &["data[username]: Required value", "data[password]: Required value"],
        ),
        (
            "",
            "secrets",
            json!({"metadata": {"name": "a"}, "type": "kubernetes.io/service-account-token"}),
            &["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
        (
            "",
            "services",
            json!({"metadata": {"name": "a.svc"}, "spec": {"ports": [{"port": 80}]}}),
            &["metadata.name: Invalid value: \"a.svc\": must not contain dots"],
        ),
        (
            "",
            "services",
            json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80, "name": "x"}, {"port": 81}]}}),
            &["spec.ports[1].name: Required value"],
        ),
        (
            "",
            "events",
            json!({"metadata": {"name": "a"}, "involvedObject": {"namespace": ""}}),
            &["involvedObject.namespace: Invalid value: \"\": does not match event.namespace"],
        ),
        (
            "rbac.authorization.k8s.io",
            "roles",
            json!({"metadata": {"name": "a:b"}, "rules": [{"verbs": [], "apiGroups": [""], "resources": ["pods"]}, {"verbs": ["get"], "nonResourceURLs": ["/x"]}]}),
            &[
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[1].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
            ],
        ),
        (
            "rbac.authorization.k8s.io",
            "clusterrolebindings",
            json!({"metadata": {"name": "a"}, "roleRef": {"kind": "ClusterRole", "name": "x"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}]}),
            &["subjects[0].namespace: Required value"],
        ),
        (
            "scheduling.k8s.io",
            "priorityclasses",
            json!({"metadata": {"name": "system-x"}, "value": 1}),
            &[
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-x is not a known system priority class",
            ],
        ),
        (
            "apps",
            "controllerrevisions",
            json!({"metadata": {"name": "a"}, "data": null}),
            &["data: Required value: data is mandatory"],
        ),
        (
            "batch",
            "jobs",
            json!({"metadata": {"name": "a"}, "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "i"}]}}}}),
            &[
                "spec.template.spec.restartPolicy: Unsupported value: \"Always\": supported values: \"OnFailure\", \"Never\"",
            ],
        ),
    ];
    for (group, plural, object, expect) in rows {
        assert_eq!(refusals(row(group, plural), object.clone()), *expect, "{object}");
    }
}

fn changed(
    row: &'static Resource,
    old: &Value,
    path: &str,
    value: Value,
    subresource: &str,
) -> Result<Value, Vec<String>> {
    let mut new = old.clone();
    set(&mut new, path, value);
    row.strategy.default(&mut new);
    let context = Context { subresource, ..CONTEXT };
    match before_update(row, &mut new, old, &context) {
        Ok(_) => Ok(new),
        Err(errors) => Err(errors.iter().map(|e| format!("{}: {}", e.field, e.body())).collect()),
    }
}

#[test]
fn what_a_pod_may_change() {
    // A320–A322.
    let row = row("", "pods");
    let mut old = pod("metadata.labels", json!({"a": "b"}));
    row.strategy.default(&mut old);
    assert_eq!(before_create(row, &mut old, &CONTEXT), Ok(vec![]));
    let mut with_image = old["spec"]["containers"].clone();
    with_image[0]["image"] = json!("j");
    let new = changed(row, &old, "spec.containers", with_image, "").unwrap_or_default();
    assert_eq!(new["metadata"]["generation"], 2);
    let new = changed(row, &old, "metadata.labels", json!({}), "").unwrap_or_default();
    assert_eq!(new["metadata"]["generation"], 1);
    let error = changed(row, &old, "spec.nodeName", json!("n"), "").unwrap_err();
    assert!(error[0].starts_with("spec: Forbidden: pod updates may not change fields other than"), "{error:?}");
    let error = changed(row, &old, "status.qosClass", json!("Guaranteed"), "status").unwrap_err();
    assert_eq!(error, ["status.qosClass: Invalid value: \"Guaranteed\": field is immutable"]);
    let new = changed(row, &old, "status.podIP", json!("10.0.0.1"), "status").unwrap_or_default();
    assert_eq!(new["status"]["podIPs"], json!([{"ip": "10.0.0.1"}]));
    let error = changed(row, &old, "metadata.name", json!("other"), "").unwrap_err();
    assert_eq!(error, ["metadata.name: Invalid value: \"other\": field is immutable"; 2]);
}

#[test]
fn what_services_and_secrets_keep() {
    // A387, A383.
    let services = row("", "services");
    let mut old = json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"],
        "ports": [{"port": 80, "nodePort": 30080}]}});
    services.strategy.default(&mut old);
    let bare = json!({"type": "NodePort", "ports": [{"port": 80}]});
    let new = changed(services, &old, "spec", bare, "").unwrap_or_default();
    assert_eq!(new["spec"]["clusterIPs"], json!(["10.0.0.9"]));
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080);
    let error = changed(services, &old, "spec.clusterIPs", json!(["10.0.0.77"]), "").unwrap_err();
    assert_eq!(error, ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.77\"]: may not change once set"]);
    let secrets = row("", "secrets");
    let old = json!({"metadata": {"name": "s"}, "type": "Opaque", "immutable": true, "data": {"a": "eA=="}});
    let error = changed(secrets, &old, "data", json!({}), "").unwrap_err();
    assert_eq!(error, ["data: Forbidden: field is immutable when `immutable` is set"]);
}
