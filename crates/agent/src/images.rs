//! Getting a container's image onto the node: pull policy, credentials, events, reasons (section 12 of the rules).

use everynode_core::pod::StartError;
use k8s_openapi::api::core::v1::{Container, Pod, Secret};
use kube::Api;
use kube::api::ResourceExt;

use crate::kit::Kit;
use crate::runtime::{Credential, ImageInfo, PullRequest, RuntimeError};

/// Whether a waiting reason is about an image, not about a container (N165).
pub(crate) fn is_image_reason(reason: &str) -> bool {
    matches!(
        reason,
        "ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName" | "ImageInspectError" | "RegistryUnavailable"
    )
}

/// The image, present now.
pub(crate) async fn ensure(kit: &Kit, pod: &Pod, container: &Container) -> Result<ImageInfo, StartError> {
    let image = container.image.clone().unwrap_or_default();
    let tell = |warning, reason: &str, text| kit.events.pod(pod, Some(&container.name), warning, reason, text);
    let policy = container.image_pull_policy.as_deref().unwrap_or(default_policy(&image));
    if policy != "Always" {
        match kit.runtime.image_status(&image).await {
            Ok(Some(present)) => {
                tell(false, "Pulled", format!("Container image \"{image}\" already present on machine"));
                return Ok(present);
            }
            Ok(None) if policy == "Never" => {
                let text = format!("Container image \"{image}\" is not present with pull policy of Never");
                tell(true, "ErrImageNeverPull", text.clone());
                return Err(failed("ErrImageNeverPull", text));
            }
            Ok(None) => {}
            Err(error) => {
                let text = format!("Failed to inspect image \"{image}\": {error}");
                let invalid = matches!(error, RuntimeError::InvalidImageName { .. });
                let reason = if invalid { "InvalidImageName" } else { "ImageInspectError" };
                tell(true, "InspectFailed", text.clone());
                return Err(failed(reason, text));
            }
        }
    }
    tell(false, "Pulling", format!("Pulling image \"{image}\""));
    let asked = tokio::time::Instant::now();
    let turn = kit.pulls.acquire().await;
    let begun = tokio::time::Instant::now();
    let credentials = credentials(kit, pod, &image).await;
    let pulled = kit.runtime.pull_image(PullRequest { image: image.clone(), credentials }).await;
    drop(turn);
    match pulled {
        Ok(info) => {
            let (took, waited) = (seconds(begun.elapsed()), seconds(asked.elapsed()));
            let size = info.size_bytes;
            tell(
                false,
                "Pulled",
                format!(
                    "Successfully pulled image \"{image}\" in {took} ({waited} including waiting). Image size: {size} bytes."
                ),
            );
            Ok(info)
        }
        Err(error) => {
            let (reason, words) = told(&error);
            tell(true, "Failed", format!("Failed to pull image \"{image}\": {words}"));
            Err(failed(reason, words))
        }
    }
}

/// Reason and words of a failed pull; the name of the image comes before them anyway (N165).
fn told(error: &RuntimeError) -> (&'static str, String) {
    match error {
        RuntimeError::InvalidImageName { .. } => ("InvalidImageName", error.to_string()),
        RuntimeError::PullImage { message, .. } => ("ErrImagePull", message.clone()),
        _ => ("ErrImagePull", error.to_string()),
    }
}

fn failed(reason: &str, message: String) -> StartError {
    StartError { reason: reason.to_owned(), message, ..StartError::default() }
}

/// What the API defaults to: the tag `latest` is always pulled (N160).
fn default_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or(image);
    let tagged = name.contains('@') || name.split_once(':').is_some_and(|(_, tag)| tag != "latest");
    if tagged { "IfNotPresent" } else { "Always" }
}

/// The name that the status shows: what was asked for, in full, when the runtime knows it.
pub(crate) fn shown_name(container: &Container, image: &ImageInfo) -> String {
    let asked = container.image.clone().unwrap_or_default();
    let full = image.repo_tags.iter().find(|tag| tag.ends_with(&asked));
    full.or(image.repo_tags.first()).cloned().unwrap_or(asked)
}

fn seconds(time: std::time::Duration) -> String {
    if time.as_secs() == 0 { format!("{}ms", time.as_millis()) } else { format!("{:.3}s", time.as_secs_f64()) }
}

/// Credentials of the pod's pull secrets that match the image's registry, most specific first (N161).
async fn credentials(kit: &Kit, pod: &Pod, image: &str) -> Vec<Credential> {
    let names = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let api: Api<Secret> = Api::namespaced(kit.client.clone(), &pod.namespace().unwrap_or_default());
    let mut matching: Vec<(usize, Credential)> = Vec::new();
    for reference in names {
        match api.get(&reference.name).await {
            Ok(secret) => matching.extend(from_secret(&secret, image)),
            Err(_) => {
                let text = format!(
                    "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                    reference.name
                );
                kit.events.pod(pod, None, true, "FailedToRetrieveImagePullSecret", text);
            }
        }
    }
    matching.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    matching.into_iter().map(|(_, credential)| credential).collect()
}

fn from_secret(secret: &Secret, image: &str) -> Vec<(usize, Credential)> {
    let data = secret.data.clone().unwrap_or_default();
    let auths = match (data.get(".dockerconfigjson"), data.get(".dockercfg")) {
        (Some(config), _) => serde_json::from_slice::<serde_json::Value>(&config.0).ok().map(|mut v| v["auths"].take()),
        (None, Some(config)) => serde_json::from_slice(&config.0).ok(),
        (None, None) => None,
    };
    let entries = auths.as_ref().and_then(|auths| auths.as_object()).into_iter().flatten();
    entries.filter_map(|(registry, auth)| Some((matches(registry, image)?, credential(auth)?))).collect()
}

/// How much of the image's name a registry key covers; `None` when it is about another registry.
fn matches(key: &str, image: &str) -> Option<usize> {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    let first = image.split('/').next().unwrap_or_default();
    let named = image.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let full = if named { image.to_owned() } else { format!("docker.io/{image}") };
    let key = if key == "index.docker.io" { "docker.io" } else { key };
    let covers = full.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '@']));
    let wild = key.strip_prefix("*.").is_some_and(|domain| {
        let host = full.split('/').next().unwrap_or_default();
        host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    });
    (covers || wild).then_some(key.len())
}

fn credential(auth: &serde_json::Value) -> Option<Credential> {
    use base64::Engine as _;
    let text = |key: &str| auth.get(key).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
    if let Some(token) = text("registrytoken") {
        return Some(Credential::Bearer(token.to_owned()));
    }
    if let (Some(username), Some(password)) = (text("username"), text("password")) {
        return Some(Credential::Basic { username: username.to_owned(), password: password.to_owned() });
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(text("auth")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(Credential::Basic { username: username.to_owned(), password: password.trim_end_matches('\0').to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_decides_the_default_policy_n160() {
        for (image, policy) in [
            ("busybox", "Always"),
            ("busybox:latest", "Always"),
            ("busybox:1.36", "IfNotPresent"),
            ("reg:5000/busybox", "Always"),
            ("reg:5000/busybox@sha256:00", "IfNotPresent"),
        ] {
            assert_eq!(default_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn registries_match_by_prefix_and_wildcard_n161() {
        for (key, image, expect) in [
            ("https://index.docker.io/v1/", "busybox", true),
            ("docker.io", "library/busybox:1", true),
            ("reg.example.com", "reg.example.com/a/b:1", true),
            ("reg.example.com/a", "reg.example.com/a/b:1", true),
            ("reg.example.com/a", "reg.example.com/ab:1", false),
            ("*.example.com", "reg.example.com/b", true),
            ("*.example.com", "example.org/b", false),
            ("other.com", "busybox", false),
        ] {
            assert_eq!(matches(key, image).is_some(), expect, "{key} {image}");
        }
    }
}
