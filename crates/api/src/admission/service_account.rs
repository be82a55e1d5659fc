//! ServiceAccount (A240): every pod runs as an account, and gets its token as a projected volume.

use serde_json::{Value, json};

use super::{Refusal, containers, items, text};
use crate::value;

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// Seconds that a pod's token says it lives (A372).
const TOKEN_SECONDS: i64 = 3607;
const MIRROR: &str = "kubernetes.io/config.mirror";
const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";

/// Whether a node made this pod to show a static one.
pub fn is_mirror(pod: &Value) -> bool {
    pod.pointer("/metadata/annotations").is_some_and(|annotations| annotations.get(MIRROR).is_some())
}

/// What a mirror pod may not have.
pub fn check_mirror(pod: &Value) -> Result<(), Refusal> {
    let Some(spec) = pod.get("spec") else { return Ok(()) };
    if !text(spec, "serviceAccountName").is_empty() {
        return Err("a mirror pod may not reference service accounts".into());
    }
    let secret = |(kind, _): &(crate::node_access::Reference, String)| *kind == crate::node_access::Reference::Secret;
    if crate::node_access::references(pod).iter().any(secret) {
        return Err("a mirror pod may not reference secrets".into());
    }
    let mut sources = items(spec, "volumes").filter_map(|volume| volume.get("projected"));
    if sources.any(|projected| items(projected, "sources").any(|source| source.get("serviceAccountToken").is_some())) {
        return Err("a mirror pod may not use ServiceAccountToken volume projections".into());
    }
    Ok(())
}

/// The account's name, filled in if the pod names none.
pub fn fill_name(pod: &mut Value) -> String {
    let given = pod.pointer("/spec/serviceAccountName").and_then(Value::as_str).unwrap_or_default();
    let name = if given.is_empty() { "default" } else { given }.to_owned();
    value::set(pod, "spec.serviceAccountName", name.as_str());
    value::set(pod, "spec.serviceAccount", name.as_str());
    name
}

/// Gives the pod its account's token, if it wants it, and its pull secrets. `suffix` are five random characters.
pub fn admit(pod: &mut Value, account: &Value, suffix: &str) -> Result<(), Refusal> {
    check_mountable(pod, account)?;
    if wants_token(pod, account) {
        mount(pod, suffix);
    }
    let secrets =
        account.get("imagePullSecrets").filter(|secrets| secrets.as_array().is_some_and(|all| !all.is_empty()));
    let own = pod.pointer("/spec/imagePullSecrets").and_then(Value::as_array);
    if let Some(secrets) = secrets
        && own.is_none_or(Vec::is_empty)
    {
        value::set(pod, "spec.imagePullSecrets", secrets.clone());
    }
    Ok(())
}

fn wants_token(pod: &Value, account: &Value) -> bool {
    let said = |value: Option<&Value>| value.and_then(Value::as_bool);
    said(pod.pointer("/spec/automountServiceAccountToken"))
        .or_else(|| said(account.get("automountServiceAccountToken")))
        .unwrap_or(true)
}

fn mount(pod: &mut Value, suffix: &str) {
    let Some(spec) = pod.get("spec") else { return };
    let lists = ["initContainers", "containers"];
    let needs = |container: &Value| !items(container, "volumeMounts").any(|own| text(own, "mountPath") == MOUNT_PATH);
    if !lists.iter().any(|list| items(spec, list).any(needs)) {
        return;
    }
    let wanted = volume_source();
    let there = items(spec, "volumes")
        .find(|volume| text(volume, "name").starts_with(VOLUME_PREFIX) && volume.get("projected") == Some(&wanted))
        .map(|volume| text(volume, "name").to_owned());
    let name = there.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{suffix}"));
    if there.is_none() {
        value::list_mut(pod, "spec.volumes").push(json!({ "name": name, "projected": wanted }));
    }
    for list in lists {
        if pod.pointer("/spec").and_then(|spec| spec.get(list)).is_none() {
            continue;
        }
        for container in value::list_mut(pod, &format!("spec.{list}")) {
            if needs(container) {
                let mounts = value::list_mut(container, "volumeMounts");
                mounts.push(json!({ "name": name, "readOnly": true, "mountPath": MOUNT_PATH }));
            }
        }
    }
}

/// The content of the token volume, exactly.
fn volume_source() -> Value {
    json!({
        "defaultMode": 420,
        "sources": [
            { "serviceAccountToken": { "expirationSeconds": TOKEN_SECONDS, "path": "token" } },
            { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
            { "downwardAPI": { "items": [
                { "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } },
            ] } },
        ],
    })
}

/// Only listed secrets, for accounts that demand it.
fn check_mountable(pod: &Value, account: &Value) -> Result<(), Refusal> {
    let enforced = account.pointer("/metadata/annotations").and_then(|all| all.get(ENFORCE)).and_then(Value::as_str);
    if enforced != Some("true") {
        return Ok(());
    }
    let Some(spec) = pod.get("spec") else { return Ok(()) };
    let name = account.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let listed = |member: &str, secret: &str| items(account, member).any(|own| text(own, "name") == secret);
    let refuse =
        |what: String| format!("{what} is not allowed because service account {name} does not reference that secret");
    for volume in items(spec, "volumes") {
        if let Some(secret) = volume.pointer("/secret/secretName").and_then(Value::as_str)
            && !listed("secrets", secret)
        {
            return Err(refuse(format!("volume with secret.secretName={secret:?}")));
        }
    }
    for (list, container) in containers(spec) {
        let kind = match list {
            "initContainers" => "init container",
            "containers" => "container",
            _ => "ephemeral container",
        };
        for variable in items(container, "env") {
            if let Some(secret) = variable.pointer("/valueFrom/secretKeyRef/name").and_then(Value::as_str)
                && !listed("secrets", secret)
            {
                let (of, variable) = (text(container, "name"), text(variable, "name"));
                let what = format!("{kind} {of} with envVar {variable} referencing secret.secretName={secret:?}");
                return Err(refuse(what));
            }
        }
    }
    for secret in items(spec, "imagePullSecrets").map(|secret| text(secret, "name")) {
        if !listed("imagePullSecrets", secret) {
            return Err(format!(
                "imagePullSecret {secret:?} is not allowed because service account {name} does not reference that \
                 imagePullSecret"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(mut pod: Value, account: Value) -> Value {
        fill_name(&mut pod);
        admit(&mut pod, &account, "abcde").unwrap();
        pod["spec"].clone()
    }

    /// A240, golden http/06.
    #[test]
    fn a_pod_gets_its_accounts_token() {
        let spec = admitted(
            json!({"spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "i"}],
                            "ephemeralContainers": [{"name": "e"}]}}),
            json!({"imagePullSecrets": [{"name": "pull"}]}),
        );
        let mount = json!([{"name": "kube-api-access-abcde", "readOnly": true, "mountPath": MOUNT_PATH}]);
        assert_eq!(spec["containers"][0]["volumeMounts"], mount);
        assert_eq!(spec["initContainers"][0]["volumeMounts"], mount);
        assert_eq!(spec["ephemeralContainers"][0].get("volumeMounts"), None);
        assert_eq!(spec["volumes"], json!([{"name": "kube-api-access-abcde", "projected": volume_source()}]));
        assert_eq!(spec["serviceAccountName"], "default");
        assert_eq!(spec["serviceAccount"], "default");
        assert_eq!(spec["imagePullSecrets"], json!([{"name": "pull"}]));
    }

    #[test]
    fn no_token_where_none_is_wanted() {
        let pod = |spec: Value| json!({ "spec": spec });
        let bare = json!({"containers": [{"name": "a"}]});
        let refusing = json!({"containers": [{"name": "a"}], "automountServiceAccountToken": false});
        let asking = json!({"containers": [{"name": "a"}], "automountServiceAccountToken": true});
        let mounted = json!({"containers": [{"name": "a", "volumeMounts": [{"name": "x", "mountPath": MOUNT_PATH}]}]});
        let off = json!({"automountServiceAccountToken": false});
        for (spec, account, expect) in [
            (&bare, json!({}), true),
            (&bare, off.clone(), false),
            (&refusing, json!({}), false),
            (&asking, off, true),
            (&mounted, json!({}), false),
        ] {
            let spec = admitted(pod(spec.clone()), account);
            assert_eq!(spec.get("volumes").is_some(), expect, "{spec}");
        }
    }

    #[test]
    fn a_token_volume_that_is_there_is_used() {
        let volume = json!({"name": "kube-api-access-old", "projected": volume_source()});
        let spec = admitted(json!({"spec": {"containers": [{"name": "a"}], "volumes": [volume]}}), json!({}));
        assert_eq!(spec["volumes"].as_array().unwrap().len(), 1);
        assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], "kube-api-access-old");
    }

    #[test]
    fn mirror_pods_and_strict_accounts_are_held_to_their_rules() {
        let refused = |spec: Value| check_mirror(&json!({ "spec": spec })).unwrap_err();
        assert_eq!(refused(json!({"serviceAccountName": "x"})), "a mirror pod may not reference service accounts");
        assert_eq!(
            refused(json!({"volumes": [{"secret": {"secretName": "x"}}]})),
            "a mirror pod may not reference secrets"
        );
        let strict = json!({"metadata": {"name": "sa", "annotations": {ENFORCE: "true"}}, "secrets": [{"name": "ok"}]});
        let pod = |secret: &str| json!({"spec": {"volumes": [{"secret": {"secretName": secret}}]}});
        assert!(admit(&mut pod("ok"), &strict, "x").is_ok());
        assert_eq!(
            admit(&mut pod("s"), &strict, "x").unwrap_err(),
            "volume with secret.secretName=\"s\" is not allowed because service account sa does not reference that secret"
        );
    }
}
