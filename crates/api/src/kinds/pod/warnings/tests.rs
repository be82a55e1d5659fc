//! What a template is warned about, row by row (A317).

use serde_json::{Value, json};

use super::of_template;
use crate::value::set;

/// A317: what a template says, and the warnings.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn templates_are_warned_about() {
    let spec = "spec.template.spec";
    let port = |rest: Value| {
        let mut port = json!({"containerPort": 80, "protocol": "TCP"});
        for (member, value) in rest.as_object().into_iter().flatten() {
            port[member] = value.clone();
        }
        port
    };
    let rows: Vec<(&str, Value, Vec<String>)> = vec![
        (
            "spec.containers",
            json!([{"name": "a", "ports": [port(json!({})), port(json!({"hostPort": 80}))]}, {"name": "b", "ports": [port(json!({}))]}]),
            vec![
                format!("{spec}.containers[0].ports[1]: overlapping port definition with {spec}.containers[0].ports[0]"),
                format!("{spec}.containers[1].ports[0]: duplicate port definition with {spec}.containers[0].ports[0]"),
                format!("{spec}.containers[1].ports[0]: overlapping port definition with {spec}.containers[0].ports[1]"),
            ],
        ),
        (
            "spec.containers",
            json!([{"name": "a", "ports": [port(json!({"hostPort": 80})), port(json!({"hostPort": 80, "hostIP": "1.1.1.1"}))]}]),
            vec![format!(
                "{spec}.containers[0].ports[1]: dangerously ambiguous port definition with {spec}.containers[0].ports[0]"
            )],
        ),
        (
            "spec.containers",
            json!([{"name": "a", "ports": [port(json!({"hostIP": "1.1.1.1"}))]}]),
            vec![format!(
                "{spec}.containers[0].ports[0]: hostIP set without hostPort: {{Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.1.1.1}}"
            )],
        ),
        (
            "spec.containers",
            json!([{"name": "a", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "$(A)"}]}]),
            vec![format!(
                "{spec}.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply"
            )],
        ),
        (
            "spec.containers",
            json!([{"name": "a", "resources": {"limits": {"memory": "1500m"}}}]),
            vec![format!(
                "{spec}.containers[0].resources.limits[memory]: fractional byte value \"1500m\" is invalid, must be an integer"
            )],
        ),
        (
            "spec.imagePullSecrets",
            json!([{"name": "a"}, {"name": "a"}, {}]),
            vec![
                format!("{spec}.imagePullSecrets[1].name: duplicate name \"a\""),
                format!("{spec}.imagePullSecrets[2].name: invalid empty name \"\""),
            ],
        ),
        (
            "spec.hostAliases",
            json!([{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}, {"ip": "2001:DB8::1"}]),
            vec![
                format!("{spec}.hostAliases[1].ip: duplicate ip \"1.1.1.1\""),
                format!(
                    "{spec}.hostAliases[2].ip: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")"
                ),
            ],
        ),
        (
            "spec.topologySpreadConstraints",
            json!([{"topologyKey": "failure-domain.beta.kubernetes.io/zone"}]),
            vec![
                format!(
                    "{spec}.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"
                ),
                format!("{spec}.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod"),
            ],
        ),
        (
            "spec.volumes",
            json!([{"name": "v", "glusterfs": {}}, {"name": "c", "configMap": {"name": "m", "items": [{"path": "a"}, {"path": "a/b"}]}}]),
            vec![
                format!("{spec}.volumes[0].glusterfs: deprecated in v1.25, non-functional in v1.26+"),
                "volume \"c\" (ConfigMap \"m\"): overlapping paths: \"a/b\" with \"a\"".to_owned(),
            ],
        ),
        (
            "spec.volumes",
            json!([{"name": "p", "projected": {"sources": [{}, {"secret": {"name": "s", "items": [{"path": "t"}]}}, {"serviceAccountToken": {"path": "t"}}]}}]),
            vec![
                "volume \"p\" (Projected) has no sources provided".to_owned(),
                "volume \"p\" (Projected): overlapping paths: \"t\" (ServiceAccountToken) with \"t\" (Secret \"s\")".to_owned(),
            ],
        ),
        (
            "metadata.annotations",
            json!({"scheduler.alpha.kubernetes.io/critical-pod": "", "container.apparmor.security.beta.kubernetes.io/a": "unconfined"}),
            vec![
                "spec.template.metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the \"priorityClassName\" field instead".to_owned(),
                "spec.template.metadata.annotations[container.apparmor.security.beta.kubernetes.io/a]: deprecated since v1.30; use the \"appArmorProfile\" field instead".to_owned(),
            ],
        ),
    ];
    for (path, value, expect) in rows {
        let mut template = json!({"spec": {"containers": [{"name": "a"}]}});
        set(&mut template, path, value.clone());
        assert_eq!(of_template(&json!({"spec": {"template": template}}), "spec.template"), expect, "{value}");
    }
}
