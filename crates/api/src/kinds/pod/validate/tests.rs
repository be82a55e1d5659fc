//! What a template has wrong, and the words for it, where the recorded sessions say nothing (A316: upstream's validation.go).

use serde_json::{Value, json};

use super::template;
use crate::field::Path;
use crate::kinds::pod::defaults;
use crate::value::set;

/// The errors of a DaemonSet's template with one change: `c.` is its container, `v.` its volume.
fn refusals(path: &str, value: Value) -> Vec<String> {
    let mut object = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "i"}],
        "volumes": [{"name": "v"}]}});
    if let Some(rest) = path.strip_prefix("c.") {
        set(&mut object["spec"]["containers"][0], rest, value);
    } else if let Some(rest) = path.strip_prefix("v.") {
        set(&mut object["spec"]["volumes"][0], rest, value);
    } else {
        set(&mut object, path, value);
    }
    defaults::template_spec(&mut object["spec"]);
    let mut errors = Vec::new();
    template(&object, &Path::new("t"), &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

fn expect(rows: &[(&str, Value, &[&str])]) {
    for (path, value, expected) in rows {
        assert_eq!(refusals(path, value.clone()), *expected, "{path}: {value}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn containers() {
    const NAME: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
         and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    let key_ref = format!("t.spec.containers[0].env[0].valueFrom.configMapKeyRef.name: Invalid value: \"\": {NAME}");
    let env = |source: Value| json!([{"name": "A", "valueFrom": source}]);
    let source = "t.spec.containers[0].env[0].valueFrom";
    expect(&[
        ("c.env", env(json!({"configMapKeyRef": {"key": "k"}})), &[&key_ref]),
        (
            "c.env",
            env(json!({"fieldRef": {"fieldPath": "spec.x['a']"}})),
            &[&format!(
                "{source}.fieldRef.fieldPath: Invalid value: \"spec.x['a']\": error converting fieldPath: field label does not support subscript: spec.x['a']"
            )],
        ),
        (
            "c.env",
            env(json!({"fieldRef": {"apiVersion": "v2", "fieldPath": "metadata.name"}})),
            &[&format!(
                "{source}.fieldRef.fieldPath: Invalid value: \"metadata.name\": error converting fieldPath: unsupported pod version: v2"
            )],
        ),
        (
            "c.env",
            env(json!({"resourceFieldRef": {"resource": "limits.ephemeral-storage", "divisor": "3"}})),
            &[&format!(
                "{source}.resourceFieldRef.divisor: Invalid value: \"limits.ephemeral-storage\": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the local ephemeral storage resource"
            )],
        ),
        (
            "c.envFrom",
            json!([{}]),
            &["t.spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"],
        ),
        (
            "c.resizePolicy",
            json!([{"resourceName": "gpu", "restartPolicy": "NotRequired"}]),
            &["t.spec.containers[0].resizePolicy: Unsupported value: \"gpu\": supported values: \"cpu\", \"memory\""],
        ),
        (
            "c.restartPolicyRules",
            json!([{"action": "Stop", "exitCodes": {"operator": "Equals", "values": [1]}}]),
            &[
                "t.spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used",
                "t.spec.containers[0].restartPolicyRules[0].action: Unsupported value: \"Stop\": supported values: \"Restart\", \"RestartAllContainers\"",
                "t.spec.containers[0].restartPolicyRules[0].exitCodes.operator: Unsupported value: \"Equals\": supported values: \"In\", \"NotIn\"",
            ],
        ),
        (
            "c.lifecycle",
            json!({"preStop": {"sleep": {"seconds": 31}}}),
            &[
                "t.spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
            ],
        ),
        (
            "c.livenessProbe",
            json!({"httpGet": {"port": 80, "httpHeaders": [{"name": "a b", "value": ""}]}}),
            &[
                "t.spec.containers[0].livenessProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
            ],
        ),
        (
            "c.volumeDevices",
            json!([{"name": "v", "devicePath": "/d"}]),
            &[
                "t.spec.containers[0].volumeDevices[0].name: Invalid value: \"v\": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            ],
        ),
        (
            "spec.initContainers",
            json!([{"name": "x", "image": "i"}, {"name": "y", "image": "i", "ports": [
                {"containerPort": 1, "hostPort": 1}, {"containerPort": 1, "hostPort": 1}]}]),
            &["t.spec.initContainers[0].ports[1].hostPort: Duplicate value: \"TCP//1\""],
        ),
        (
            "spec.ephemeralContainers",
            json!([{"name": "a", "image": "i", "ports": [{"containerPort": 1}]}]),
            &[
                "t.spec.ephemeralContainers[0].name: Duplicate value: \"a\"",
                "t.spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
                "t.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template",
            ],
        ),
    ]);
}

#[test]
fn resources() {
    let at = "t.spec.containers[0].resources";
    expect(&[
        (
            "c.resources",
            json!({"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}}),
            &[&format!(
                "{at}.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi"
            )],
        ),
        (
            "c.resources",
            json!({"claims": [{"name": "c"}]}),
            &[&format!(
                "{at}.claims[0]: Not found: \"c\": must be one of the names in pod.spec.resourceClaims which is empty"
            )],
        ),
        (
            "spec.resources",
            json!({"limits": {"example.com/x": "1"}}),
            &[
                "t.spec.resources.limits[example.com/x]: Unsupported value: \"example.com/x\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
            ],
        ),
        (
            "spec.resourceClaims",
            json!([{"name": "c"}]),
            &[
                "t.spec.resourceClaims[0]: Invalid value: {\"Name\":\"c\",\"ResourceClaimName\":null,\"ResourceClaimTemplateName\":null}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            ],
        ),
    ]);
}

#[test]
fn security() {
    let at = "t.spec.securityContext";
    expect(&[
        (
            "spec.securityContext",
            json!({"seccompProfile": {"type": "Localhost"}}),
            &[&format!(
                "{at}.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"
            )],
        ),
        (
            "spec.securityContext",
            json!({"seccompProfile": {}, "appArmorProfile": {}}),
            &[
                &format!("{at}.seccompProfile.type: Required value: type is required when seccompProfile is set"),
                &format!("{at}.appArmorProfile.type: Required value: type is required when appArmorProfile is set"),
            ],
        ),
        (
            "spec.securityContext",
            json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": " x"}, "fsGroupChangePolicy": ""}),
            &[
                &format!(
                    "{at}.fsGroupChangePolicy: Unsupported value: \"\": supported values: \"Always\", \"OnRootMismatch\""
                ),
                &format!(
                    "{at}.appArmorProfile.localhostProfile: Invalid value: \" x\": must not be padded with whitespace"
                ),
            ],
        ),
        (
            "c.securityContext",
            json!({"procMount": "Unmasked"}),
            &[
                "t.spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
            ],
        ),
        (
            "spec",
            json!({"containers": [{"name": "a", "image": "i"}], "hostNetwork": true,
                "securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}}),
            &[&format!(
                "{at}.sysctls[0].name: Invalid value: \"net.core.somaxconn\": may not be specified when 'hostNetwork' is true"
            )],
        ),
        (
            "spec",
            json!({"containers": [{"name": "a", "image": "i"}], "hostUsers": false, "hostPID": true}),
            &["t.spec.HostPID: Forbidden: when `pod.Spec.HostUsers` is false"],
        ),
        (
            "spec",
            json!({"containers": [{"name": "a", "image": "i", "securityContext": {"privileged": true}}],
                "os": {"name": "windows"}, "securityContext": {"fsGroup": 1}}),
            &[
                &format!("{at}.fsGroup: Forbidden: cannot be set for a windows pod"),
                "t.spec.containers[0].securityContext.privileged: Forbidden: cannot be set for a windows pod",
            ],
        ),
        (
            "metadata.annotations",
            json!({"controller.kubernetes.io/pod-deletion-cost": "+1", "container.apparmor.security.beta.kubernetes.io/x": "y"}),
            &[
                "t.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"+1\": must be a 32bit integer",
                "t.annotations[container.apparmor.security.beta.kubernetes.io/x]: Invalid value: \"x\": container not found",
                "t.annotations[container.apparmor.security.beta.kubernetes.io/x]: Invalid value: \"y\": invalid AppArmor profile name: \"y\"",
            ],
        ),
    ]);
}

#[test]
fn scheduling() {
    let spread = |when: &str| json!({"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": when, "labelSelector": {}});
    let at = "t.spec.topologySpreadConstraints[0]";
    let affinity = "t.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]";
    expect(&[
        (
            "spec.topologySpreadConstraints",
            json!([spread("DoNotSchedule"), spread("DoNotSchedule")]),
            &[&format!("{at}.{{topologyKey, whenUnsatisfiable}}: Duplicate value: \"{{z, DoNotSchedule}}\"")],
        ),
        (
            "spec.topologySpreadConstraints",
            json!([{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 1, "matchLabelKeys": ["k"]}]),
            &[
                &format!(
                    "{at}.minDomains: Invalid value: 1: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"
                ),
                &format!("{at}.matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"),
            ],
        ),
        (
            "spec.affinity",
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "k", "operator": "In", "values": ["-"]}]}]}}}),
            &[&format!(
                "{affinity}.matchExpressions[0].values[0]: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            )],
        ),
        (
            "spec.affinity",
            json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "z", "matchLabelKeys": ["k"]}]}}),
            &[
                "t.spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
            ],
        ),
        ("spec.imagePullSecrets", json!([{}]), &[]),
    ]);
}

#[test]
fn volumes() {
    let at = "t.spec.volumes[0]";
    expect(&[
        (
            "v.iscsi",
            json!({"targetPortal": "p", "iqn": "x", "lun": 256}),
            &[
                &format!("{at}.iscsi.iqn: Invalid value: \"x\": must be valid format starting with iqn, eui, or naa"),
                &format!("{at}.iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive"),
            ],
        ),
        ("v.iscsi", json!({"targetPortal": "p", "iqn": "iqn.2001-04.com.example:disk", "lun": 0}), &[]),
        (
            "v.fc",
            json!({}),
            &[&format!("{at}.fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both")],
        ),
        (
            "v.nfs",
            json!({"server": "s"}),
            &[
                &format!("{at}.nfs.path: Required value"),
                &format!("{at}.nfs.path: Invalid value: \"\": must be an absolute path"),
            ],
        ),
        (
            "v.csi",
            json!({"driver": "a", "nodePublishSecretRef": {}}),
            &[&format!("{at}.csi.nodePublishSecretRef.name: Required value")],
        ),
        (
            "v.ephemeral",
            json!({"volumeClaimTemplate": {"metadata": {"name": "n"}, "spec": {}}}),
            &[
                &format!("{at}.ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set"),
                &format!(
                    "{at}.ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is required"
                ),
                &format!("{at}.ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value"),
            ],
        ),
        ("v.image", json!({}), &[]),
        (
            "v.projected",
            json!({"sources": [{"serviceAccountToken": {}}, {"configMap": {"name": "c", "items": [
                {"key": "k", "path": "p"}, {"key": "k", "path": "p"}]}}]}),
            &[
                &format!("{at}.projected.path: Required value"),
                &format!("{at}.projected: Invalid value: \"c\": conflicting duplicate paths"),
            ],
        ),
        (
            "v.configMap",
            json!({"name": "c", "items": [{"key": "k", "path": ".."}]}),
            &[
                &format!("{at}.configMap.items[0].path: Invalid value: \"..\": must not contain '..'"),
                &format!("{at}.configMap.items[0].path: Invalid value: \"..\": must not start with '..'"),
            ],
        ),
    ]);
}
