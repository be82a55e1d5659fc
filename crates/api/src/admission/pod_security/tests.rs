//! What each level of pod security allows and refuses.

use serde_json::json;

use super::*;

fn judge(level: Level, spec: Value) -> String {
    sentence(&evaluate(level, &json!({ "spec": spec })))
}

/// A242, golden http/28.
#[test]
fn a_bad_pod_is_told_all_that_is_bad() {
    let spec = json!({
        "hostNetwork": true,
        "volumes": [{"name": "h", "hostPath": {"path": "/"}}],
        "containers": [{"name": "c", "ports": [{"hostPort": 80}], "securityContext": {"privileged": true}}],
    });
    assert_eq!(
        judge(Level::Baseline, spec.clone()),
        "host namespaces (hostNetwork=true), hostPath volumes (volume \"h\"), hostPort (container \"c\" uses hostPort 80), \
         privileged (container \"c\" must not set securityContext.privileged=true)"
    );
    assert_eq!(
        judge(Level::Restricted, spec.clone()),
        "host namespaces (hostNetwork=true), hostPort (container \"c\" uses hostPort 80), privileged (container \"c\" must \
         not set securityContext.privileged=true), allowPrivilegeEscalation != false (container \"c\" must set \
         securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set \
         securityContext.capabilities.drop=[\"ALL\"]), restricted volume types (volume \"h\" uses restricted volume type \
         \"hostPath\"), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
         \"Localhost\")"
    );
    assert_eq!(judge(Level::Privileged, spec), "");
}

#[test]
fn a_hardened_pod_passes() {
    let spec = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "t", "projected": {}}],
        "containers": [{"name": "c", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}],
    });
    assert_eq!(judge(Level::Restricted, spec), "");
    let added = json!({"containers": [{"name": "c", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]});
    assert_eq!(
        judge(Level::Baseline, added),
        "non-default capabilities (container \"c\" must not include \"NET_ADMIN\" in securityContext.capabilities.add)"
    );
}

#[test]
fn a_namespace_says_its_level_or_is_told_how() {
    let labels = json!({"pod-security.kubernetes.io/enforce": "foo", "pod-security.kubernetes.io/warn-version": "v2"});
    let bad = bad_labels(labels.as_object());
    assert_eq!(bad[0].2, "must be one of privileged, baseline, restricted");
    assert_eq!(bad.len(), 2);
    let namespace = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}});
    assert_eq!(demand(&namespace, "enforce").to_string(), "baseline:latest");
    assert_eq!(demand(&namespace, "warn").level, Level::Privileged);
}

#[test]
fn a_stricter_level_names_the_pods_that_are_there() {
    let namespace = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}});
    let pod = |name: &str| (name.to_owned(), json!({"spec": {"hostNetwork": true}}));
    let pods = [pod("a"), pod("b"), ("c".to_owned(), json!({}))];
    assert_eq!(
        warn_about_existing("ns", &demand(&namespace, "enforce"), &pods),
        [
            "existing pods in namespace \"ns\" violate the new PodSecurity enforce level \"baseline:latest\"",
            "a (and 1 other pod): host namespaces"
        ]
    );
}
