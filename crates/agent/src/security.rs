//! Who a container runs as and what it may do (section 15 of the rules).

use k8s_openapi::api::core::v1::{Container, PodSpec, SeccompProfile as ApiProfile};

use crate::kit::Kit;
use crate::runtime::{Capabilities, ContainerSpec, ImageInfo, SeccompProfile, UserSpec};

/// User and groups; an error text when they break `runAsNonRoot` (N208, N212, N213).
pub(crate) fn user(spec: &PodSpec, container: &Container, image: &ImageInfo) -> Result<UserSpec, String> {
    let pod = spec.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let id = |id: i64| u32::try_from(id).ok();
    let uid = own.run_as_user.or(pod.run_as_user).and_then(id);
    let gid = own.run_as_group.or(pod.run_as_group).and_then(id);
    if own.run_as_non_root.or(pod.run_as_non_root) == Some(true) {
        let about = format!("(container: {}, pod: see spec)", container.name);
        match (uid, image.uid, image.username.as_str()) {
            (Some(0), ..) => return Err(format!("container's runAsUser breaks non-root policy {about}")),
            (Some(_), ..) => {}
            (None, Some(0), _) | (None, None, "") => {
                return Err(format!("container has runAsNonRoot and image will run as root {about}"));
            }
            (None, Some(_), _) => {}
            (None, None, name) => {
                return Err(format!(
                    "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {about}"
                ));
            }
        }
    }
    let further = pod.supplemental_groups.into_iter().flatten();
    let supplemental_groups = pod.fs_group.into_iter().chain(further).filter_map(id).collect();
    Ok(UserSpec { uid, gid, supplemental_groups })
}

/// Everything else of the security context.
pub(crate) fn apply(kit: &Kit, spec: &PodSpec, container: &Container, out: &mut ContainerSpec) {
    let own = container.security_context.clone().unwrap_or_default();
    let pod_profile = spec.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    out.privileged = own.privileged == Some(true);
    out.no_new_privs = own.allow_privilege_escalation == Some(false);
    out.readonly_rootfs = own.read_only_root_filesystem == Some(true);
    if let Some(capabilities) = own.capabilities {
        out.capabilities =
            Capabilities { add: capabilities.add.unwrap_or_default(), drop: capabilities.drop.unwrap_or_default() };
    }
    if own.proc_mount.as_deref() == Some("Unmasked") {
        (out.masked_paths, out.readonly_paths) = (Some(Vec::new()), Some(Vec::new()));
    }
    out.seccomp =
        own.seccomp_profile.as_ref().or(pod_profile).map_or_else(SeccompProfile::default, |p| profile(kit, p));
}

fn profile(kit: &Kit, profile: &ApiProfile) -> SeccompProfile {
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("RuntimeDefault", _) => SeccompProfile::RuntimeDefault,
        ("Localhost", Some(path)) => SeccompProfile::Localhost(kit.config.kubelet_dir.join("seccomp").join(path)),
        _ => SeccompProfile::Unconfined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_refused_where_it_is_forbidden_n213() {
        for (pod, own, image_uid, image_name, fails) in [
            (None, None, None, "", true),
            (None, Some(1000), None, "", false),
            (Some(1000), Some(0), None, "", true),
            (Some(1000), None, Some(0), "", false),
            (None, None, Some(65534), "", false),
            (None, None, None, "nobody", true),
        ] {
            let spec: PodSpec = serde_json::from_value(serde_json::json!({
                "securityContext": {"runAsNonRoot": true, "runAsUser": pod}, "containers": [],
            }))
            .unwrap();
            let container: Container =
                serde_json::from_value(serde_json::json!({"name": "a", "securityContext": {"runAsUser": own}}))
                    .unwrap();
            let image = ImageInfo { uid: image_uid, username: image_name.into(), ..ImageInfo::default() };
            assert_eq!(user(&spec, &container, &image).is_err(), fails, "{pod:?} {own:?} {image_uid:?} {image_name}");
        }
    }
}
