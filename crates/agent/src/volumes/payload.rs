//! What is in a projected volume: files from ConfigMaps, Secrets, the pod itself and tokens (N184, N189–N194).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapProjection, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, SecretProjection,
    ServiceAccountTokenProjection, Volume, VolumeProjection,
};
use kube::Api;
use kube::api::ResourceExt;

use crate::environment::fields;
use crate::kit::Kit;

const MODE_DEFAULT: i32 = 0o644;

/// Files by path in the volume.
pub(super) type Files = BTreeMap<String, File>;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) data: Vec<u8>,
    pub(super) mode: u32,
    pub(super) owner: Option<u32>,
}

/// Files of a volume; `None` when its kind has none.
pub(super) async fn collect(kit: &Kit, pod: &Pod, volume: &Volume) -> Result<Option<Files>, String> {
    let mut files = Files::new();
    if let Some(source) = &volume.config_map {
        let projection =
            ConfigMapProjection { items: source.items.clone(), name: source.name.clone(), optional: source.optional };
        config_map(kit, pod, &projection, source.default_mode, &mut files).await?;
    } else if let Some(source) = &volume.secret {
        let projection = SecretProjection {
            items: source.items.clone(),
            name: source.secret_name.clone().unwrap_or_default(),
            optional: source.optional,
        };
        secret(kit, pod, &projection, source.default_mode, &mut files).await?;
    } else if let Some(source) = &volume.downward_api {
        downward(kit, pod, source.items.as_deref().unwrap_or_default(), source.default_mode, &mut files)?;
    } else if let Some(source) = &volume.projected {
        for projection in source.sources.iter().flatten() {
            projected(kit, pod, projection, source.default_mode, &mut files).await?;
        }
    } else {
        return Ok(None);
    }
    Ok(Some(files))
}

async fn projected(
    kit: &Kit,
    pod: &Pod,
    projection: &VolumeProjection,
    mode: Option<i32>,
    files: &mut Files,
) -> Result<(), String> {
    if let Some(source) = &projection.config_map {
        config_map(kit, pod, source, mode, files).await?;
    }
    if let Some(source) = &projection.secret {
        secret(kit, pod, source, mode, files).await?;
    }
    if let Some(source) = &projection.downward_api {
        downward(kit, pod, source.items.as_deref().unwrap_or_default(), mode, files)?;
    }
    if let Some(source) = &projection.service_account_token {
        let file = token(kit, pod, source, mode).await?;
        files.insert(source.path.clone(), file);
    }
    Ok(())
}

async fn config_map(
    kit: &Kit,
    pod: &Pod,
    source: &ConfigMapProjection,
    mode: Option<i32>,
    files: &mut Files,
) -> Result<(), String> {
    let api: Api<ConfigMap> = Api::namespaced(kit.client.clone(), &pod.namespace().unwrap_or_default());
    let found = api.get_opt(&source.name).await.map_err(|error| error.to_string())?;
    let optional = source.optional == Some(true);
    let Some(map) = found else {
        return if optional { Ok(()) } else { Err(format!("configmap \"{}\" not found", source.name)) };
    };
    let texts = map.data.into_iter().flatten().map(|(key, text)| (key, text.into_bytes()));
    let values = texts.chain(map.binary_data.into_iter().flatten().map(|(key, data)| (key, data.0))).collect();
    choose(values, source.items.as_deref(), mode, optional, "references non-existent config key", files)
}

async fn secret(
    kit: &Kit,
    pod: &Pod,
    source: &SecretProjection,
    mode: Option<i32>,
    files: &mut Files,
) -> Result<(), String> {
    let api: Api<Secret> = Api::namespaced(kit.client.clone(), &pod.namespace().unwrap_or_default());
    let found = api.get_opt(&source.name).await.map_err(|error| error.to_string())?;
    let optional = source.optional == Some(true);
    let Some(secret) = found else {
        return if optional { Ok(()) } else { Err(format!("secret \"{}\" not found", source.name)) };
    };
    let values = secret.data.into_iter().flatten().map(|(key, data)| (key, data.0)).collect();
    choose(values, source.items.as_deref(), mode, optional, "references non-existent secret key", files)
}

/// All values under their keys, or the chosen ones under their paths.
fn choose(
    mut values: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
    optional: bool,
    missing: &str,
    files: &mut Files,
) -> Result<(), String> {
    let mode = mode.unwrap_or(MODE_DEFAULT);
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        files.extend(values.into_iter().map(|(key, data)| (key, file(data, mode))));
        return Ok(());
    };
    for item in items {
        match values.remove(&item.key) {
            Some(data) => {
                files.insert(item.path.clone(), file(data, item.mode.unwrap_or(mode)));
            }
            None if optional => {}
            None => return Err(format!("{missing}: {}", item.key)),
        }
    }
    Ok(())
}

fn file(data: Vec<u8>, mode: i32) -> File {
    File { data, mode: u32::try_from(mode).unwrap_or(0o644) & 0o777, owner: None }
}

fn downward(
    kit: &Kit,
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    mode: Option<i32>,
    files: &mut Files,
) -> Result<(), String> {
    for item in items {
        let text = if let Some(field) = &item.field_ref {
            fields::pod_field(pod, &[], &kit.facts.addresses, &field.field_path)
                .ok_or_else(|| format!("unsupported fieldPath: {}", field.field_path))?
        } else if let Some(resource) = &item.resource_field_ref {
            fields::resource(kit, pod, None, resource)?
        } else {
            continue;
        };
        let mode = item.mode.or(mode).unwrap_or(MODE_DEFAULT);
        files.insert(item.path.clone(), file(text.into_bytes(), mode));
    }
    Ok(())
}

/// A token, readable by whoever the pod runs as (N194).
async fn token(
    kit: &Kit,
    pod: &Pod,
    source: &ServiceAccountTokenProjection,
    mode: Option<i32>,
) -> Result<File, String> {
    let token = kit.tokens.get(&kit.client, pod, source.audience.as_deref(), source.expiration_seconds).await?;
    let spec = pod.spec.clone().unwrap_or_default();
    let group = super::ownership::fs_group(pod);
    let mut file = file(token.into_bytes(), mode.unwrap_or(MODE_DEFAULT));
    let owner = common_user(&spec);
    if group.is_some() || owner.is_some() {
        file.mode = 0o600;
        file.owner = owner;
    }
    Ok(file)
}

/// The user that all containers run as, when the pod says one.
fn common_user(spec: &k8s_openapi::api::core::v1::PodSpec) -> Option<u32> {
    let pod = spec.security_context.as_ref().and_then(|context| context.run_as_user);
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let mut users = containers.map(|container| {
        let own = container.security_context.as_ref().and_then(|context| context.run_as_user);
        own.or(pod)
    });
    let first = users.next().flatten()?;
    users.all(|user| user == Some(first)).then(|| u32::try_from(first).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_choose_and_rename_n189() {
        let values: BTreeMap<_, _> =
            [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())].into_iter().collect();
        let item = |key: &str, path: &str| KeyToPath {
            key: key.into(),
            path: path.into(),
            mode: Some(0o400),
            ..KeyToPath::default()
        };
        let mut files = Files::new();
        choose(values.clone(), None, None, false, "no", &mut files).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["a", "b"]);
        let mut files = Files::new();
        choose(values.clone(), Some(&[item("a", "x/y")]), None, false, "no", &mut files).unwrap();
        assert_eq!(files["x/y"].mode, 0o400);
        let missing = choose(values.clone(), Some(&[item("c", "x")]), None, false, "no key", &mut files);
        assert_eq!(missing, Err("no key: c".to_owned()), "N184");
        assert_eq!(choose(values, Some(&[item("c", "x")]), None, true, "no", &mut files), Ok(()));
    }
}
