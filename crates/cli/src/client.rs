//! A connection to a server, for the commands that are clients.

use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::config::{self, File};
use crate::exit::CommandError;
use crate::standalone::runtime;

/// A client and what is worth knowing about its server.
pub(crate) struct Connection {
    pub(crate) client: kube::Client,
    /// `https://HOST:PORT`
    pub(crate) url: String,
    /// `sha256:…` of the CA in the kubeconfig, when it holds one.
    pub(crate) ca_hash: Option<String>,
    /// The namespace of the kubeconfig's context.
    pub(crate) namespace: String,
}

/// Connects as `kubeconfig` (or `$KUBECONFIG`, or the admin of the data directory) says and runs `work`.
pub(crate) fn block_on<T>(
    kubeconfig: Option<&Path>,
    file: &File,
    work: impl AsyncFnOnce(Connection) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let path = path(kubeconfig, file)?;
    runtime()?.block_on(async {
        let connection = connect(&path).await?;
        work(connection).await
    })
}

fn path(kubeconfig: Option<&Path>, file: &File) -> Result<PathBuf, CommandError> {
    if let Some(path) = kubeconfig {
        return Ok(path.to_owned());
    }
    let from_environment = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
    match from_environment {
        Some(path) => Ok(path),
        None => Ok(config::data_dir(None, file)?.join("admin.kubeconfig")),
    }
}

async fn connect(path: &Path) -> Result<Connection, CommandError> {
    let act = || format!("cannot connect with the kubeconfig {}", path.display());
    let read = Kubeconfig::read_from(path).map_err(|source| {
        CommandError::failed(act(), source).hint("start a server with `everynode up`, or name a file with --kubeconfig")
    })?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(read, &options).await;
    let config = config.map_err(|source| CommandError::failed(act(), source))?;
    let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let ca = config.root_cert.as_ref().and_then(|certificates| certificates.first());
    let ca_hash = ca.and_then(|der| everynode_server::tls::public_key_hash(der));
    let namespace = config.default_namespace.clone();
    let client = kube::Client::try_from(config).map_err(|source| CommandError::failed(act(), source))?;
    Ok(Connection { client, url, ca_hash, namespace })
}
