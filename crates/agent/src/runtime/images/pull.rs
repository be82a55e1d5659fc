//! Pulls images from OCI registries.

use std::{error::Error, time::Duration};

use futures::StreamExt;
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciErrorCode},
    manifest::{OciDescriptor, OciImageManifest},
    secrets::RegistryAuth,
};
use tokio::io::AsyncWriteExt;

use super::{NewImage, Store, ingest::IngestError, ingest::chain, reference};
use crate::runtime::{Credential, ImageInfo, PullFailure, PullRequest, RuntimeError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Most bytes of an image configuration.
const CONFIG_BYTES_MAX: usize = 8 << 20;

/// Pulls an image and makes it known under its tag and digest.
pub async fn pull(store: &Store, request: &PullRequest) -> Result<ImageInfo, RuntimeError> {
    let reference = reference::parse(&request.image)?;
    let anonymous = [RegistryAuth::Anonymous];
    let given: Vec<RegistryAuth> = request.credentials.iter().map(auth).collect();
    let tries: &[RegistryAuth] = if given.is_empty() { &anonymous } else { &given };
    let mut failures: Vec<Failed> = Vec::new();
    for auth in tries {
        match pull_with(store, &reference, auth).await {
            Ok(image) => return Ok(image),
            Err(failure) => failures.push(failure),
        }
    }
    let failure = failures.last().map_or(PullFailure::Other, |f| f.failure);
    let message = failures.into_iter().map(|f| f.message).collect::<Vec<_>>().join("; ");
    Err(RuntimeError::PullImage { reference: request.image.clone(), failure, message })
}

struct Failed {
    failure: PullFailure,
    message: String,
}

fn auth(credential: &Credential) -> RegistryAuth {
    match credential {
        Credential::Basic { username, password } => RegistryAuth::Basic(username.clone(), password.clone()),
        Credential::Bearer(token) => RegistryAuth::Bearer(token.clone()),
    }
}

async fn pull_with(store: &Store, reference: &Reference, auth: &RegistryAuth) -> Result<ImageInfo, Failed> {
    let plain = reference::is_plain_http(reference.registry());
    let proxy = |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok()).filter(|_| !plain);
    let client = Client::new(ClientConfig {
        protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
        connect_timeout: Some(CONNECT_TIMEOUT),
        read_timeout: Some(READ_TIMEOUT),
        user_agent: concat!("everynode/", env!("CARGO_PKG_VERSION")),
        https_proxy: proxy(["HTTPS_PROXY", "https_proxy"]),
        no_proxy: proxy(["NO_PROXY", "no_proxy"]),
        ..ClientConfig::default()
    });
    let name = reference::full(reference);
    let registry = |e: OciDistributionError| describe(&name, &e);
    let (manifest, digest, list_digest) =
        client.pull_image_manifest_and_list_digest(reference, auth).await.map_err(registry)?;
    let config = blob(&client, reference, &manifest.config).await.map_err(|e| unpacking(&name, &e))?;
    let id = fetch_layers(store, &client, reference, &manifest, config, list_digest.unwrap_or(digest))
        .await
        .map_err(|e| unpacking(&name, &e))?;
    store.status(&id).ok().flatten().ok_or_else(|| Failed {
        failure: PullFailure::Other,
        message: format!("{name} was removed while it was pulled"),
    })
}

async fn fetch_layers(
    store: &Store,
    client: &Client,
    reference: &Reference,
    manifest: &OciImageManifest,
    config: Vec<u8>,
    digest: String,
) -> Result<String, IngestError> {
    // Downloads go to files first, without the store's turn; unpacking then is one blocking piece.
    let staging = tempfile_dir(store)?;
    let present = present_layers(store, &config);
    for (position, layer) in manifest.layers.iter().enumerate().skip(present) {
        download(client, reference, layer, &staging.path(position)).await?;
    }
    let (store, manifest, reference) = (store.clone(), manifest.clone(), reference.clone());
    let unpack = move || -> Result<String, IngestError> {
        let mut image = NewImage::begin(&store, &config, Some(&manifest.config.digest))?;
        for (position, layer) in manifest.layers.iter().enumerate() {
            if !image.take_present()? {
                let path = staging.path(position);
                let blob = std::fs::File::open(&path)
                    .map_err(|source| IngestError::Io { act: format!("read {}", path.display()), source })?;
                image.add(blob, Some(&layer.digest))?;
                let _ = std::fs::remove_file(path);
            }
        }
        let name = format!("{}/{}", reference.registry(), reference.repository());
        let tag = reference.digest().is_none().then(|| reference::full(&reference));
        // A reference by digest may name the list or the manifest; both must find the image again.
        let by_digest =
            reference.digest().map_or_else(|| format!("{name}@{digest}"), |given| format!("{name}@{given}"));
        image.commit(tag.as_slice(), Some(by_digest), false)
    };
    tokio::task::spawn_blocking(unpack)
        .await
        .unwrap_or_else(|e| Err(IngestError::Malformed(format!("unpacking was interrupted: {e}"))))
}

/// A directory for downloads that goes away with this value.
struct Staging(std::path::PathBuf);

impl Staging {
    fn path(&self, position: usize) -> std::path::PathBuf {
        self.0.join(position.to_string())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tempfile_dir(store: &Store) -> Result<Staging, IngestError> {
    let dir = store.root.join("staging").join(format!("pull-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&dir)
        .map_err(|source| IngestError::Io { act: format!("create {}", dir.display()), source })?;
    Ok(Staging(dir))
}

/// How many of the lowest layers are there already. Only a hint: unpacking looks again.
fn present_layers(store: &Store, config: &[u8]) -> usize {
    let Ok(config) = serde_json::from_slice::<super::config::ImageConfig>(config) else { return 0 };
    let mut chain: Option<String> = None;
    config
        .rootfs
        .diff_ids
        .iter()
        .take_while(|diff_id| {
            let next = match &chain {
                None => (*diff_id).clone(),
                Some(below) => super::Digest::of(format!("{below} {diff_id}").as_bytes()),
            };
            let there = super::config_name(&next)
                .get(..32)
                .is_some_and(|name| store.layers_dir().join(name).join("size").exists());
            chain = Some(next);
            there
        })
        .count()
}

async fn download(
    client: &Client,
    reference: &Reference,
    layer: &OciDescriptor,
    path: &std::path::Path,
) -> Result<(), IngestError> {
    let failed = |source| IngestError::Io { act: format!("write {}", path.display()), source };
    let mut stream = client.pull_blob_stream(reference, layer).await.map_err(|e| fetch(&layer.digest, &e))?;
    let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|e| fetch(&layer.digest, &e))?;
        file.write_all(&bytes).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

async fn blob(client: &Client, reference: &Reference, descriptor: &OciDescriptor) -> Result<Vec<u8>, IngestError> {
    let mut stream = client.pull_blob_stream(reference, descriptor).await.map_err(|e| fetch(&descriptor.digest, &e))?;
    let mut content = Vec::new();
    while let Some(bytes) = stream.next().await {
        content.extend_from_slice(&bytes.map_err(|e| fetch(&descriptor.digest, &e))?);
        if content.len() > CONFIG_BYTES_MAX {
            return Err(IngestError::Malformed(format!("the configuration has more than {CONFIG_BYTES_MAX} bytes")));
        }
    }
    Ok(content)
}

fn fetch(digest: &str, error: &dyn Error) -> IngestError {
    IngestError::Io { act: format!("fetch {digest}"), source: std::io::Error::other(chain(error)) }
}

fn unpacking(name: &str, error: &IngestError) -> Failed {
    let failure = match error {
        IngestError::Digest { .. } | IngestError::Malformed(_) | IngestError::Layer { .. } => PullFailure::Corrupt,
        IngestError::Io { .. } | IngestError::Store(_) => PullFailure::Other,
    };
    Failed { failure, message: format!("failed to pull and unpack image {name:?}: {error}") }
}

/// The words users know from other runtimes.
fn describe(name: &str, error: &OciDistributionError) -> Failed {
    let (failure, cause) = match error {
        OciDistributionError::ImageManifestNotFoundError(_) => (PullFailure::NotFound, format!("{name}: not found")),
        OciDistributionError::RegistryError { envelope, .. } => {
            let has = |codes: &[OciErrorCode]| envelope.errors.iter().any(|e| codes.contains(&e.code));
            if has(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]) {
                (PullFailure::NotFound, format!("{name}: not found"))
            } else if has(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
                (PullFailure::Unauthorized, denied(error))
            } else {
                (PullFailure::Other, error.to_string())
            }
        }
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            (PullFailure::Unauthorized, denied(error))
        }
        OciDistributionError::ServerError { code: 404, .. } => (PullFailure::NotFound, format!("{name}: not found")),
        OciDistributionError::ServerError { code: 401 | 403, .. } => (PullFailure::Unauthorized, denied(error)),
        OciDistributionError::RequestError(_) => (PullFailure::Unreachable, chain(error)),
        OciDistributionError::ImageIndexParsingNoPlatformResolverError => (PullFailure::NotFound, error.to_string()),
        _ => (PullFailure::Other, chain(error)),
    };
    Failed {
        failure,
        message: format!("failed to pull and unpack image {name:?}: failed to resolve reference {name:?}: {cause}"),
    }
}

fn denied(error: &OciDistributionError) -> String {
    format!("pull access denied, repository does not exist or may require authorization: {}", chain(error))
}
