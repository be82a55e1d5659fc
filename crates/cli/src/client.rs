//! A connection to a server, for the commands that are clients.
//!
//! HTTP/2 where the server speaks it: all watches and the bursts of writes of a controller share one connection, and pings tell
//! when it is dead. (`kube`'s own client would open one connection per request under way.)

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tower::ServiceBuilder;

use crate::config::{self, File};
use crate::exit::CommandError;
use crate::standalone::runtime;

/// Time between two pings on a connection, and for the answer to one: client-go's.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_PATIENCE: Duration = Duration::from_secs(15);

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

impl Connection {
    /// `HOST:PORT`
    pub(crate) fn host(&self) -> &str {
        self.url.split_once("://").map_or(&*self.url, |(_, host)| host)
    }
}

/// Where it is written how to connect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a kubeconfig.
    Kubeconfig(PathBuf),
    /// In the files and variables that Kubernetes gives every pod.
    Pod,
}

/// Connects as `kubeconfig` (or `$KUBECONFIG`, or the admin of the data directory) says and runs `work`.
pub(crate) fn block_on<T>(
    kubeconfig: Option<&Path>,
    file: &File,
    work: impl AsyncFnOnce(Connection) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let place = place(kubeconfig, file, false)?;
    runtime()?.block_on(async {
        let connection = connect(&place).await?;
        work(connection).await
    })
}

/// Where a process that may run in a pod finds how to connect.
pub(crate) fn place_in_cluster(kubeconfig: Option<&Path>, file: &File) -> Result<Place, CommandError> {
    let is_in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some_and(|value| !value.is_empty());
    place(kubeconfig, file, is_in_pod)
}

fn place(kubeconfig: Option<&Path>, file: &File, is_in_pod: bool) -> Result<Place, CommandError> {
    if let Some(path) = kubeconfig {
        return Ok(Place::Kubeconfig(path.to_owned()));
    }
    let from_environment = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
    match from_environment {
        Some(path) => Ok(Place::Kubeconfig(path)),
        None if is_in_pod => Ok(Place::Pod),
        None => Ok(Place::Kubeconfig(config::data_dir(None, file)?.join("admin.kubeconfig"))),
    }
}

/// Makes the client. Nothing is sent yet.
pub(crate) async fn connect(place: &Place) -> Result<Connection, CommandError> {
    let (act, config) = match place {
        Place::Kubeconfig(path) => {
            let act = format!("cannot connect with the kubeconfig {}", path.display());
            let read = Kubeconfig::read_from(path).map_err(|source| {
                CommandError::failed(act.clone(), source)
                    .hint("start a server with `everynode up`, or name a file with --kubeconfig")
            })?;
            let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
            let config = config.map_err(|source| CommandError::failed(act.clone(), source))?;
            (act, config)
        }
        Place::Pod => {
            let act = "cannot connect with this pod's service account".to_owned();
            let config = Config::incluster_env().map_err(|source| CommandError::failed(act.clone(), source))?;
            (act, config)
        }
    };
    let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let ca = config.root_cert.as_ref().and_then(|certificates| certificates.first());
    let ca_hash = ca.and_then(|der| everynode_server::tls::public_key_hash(der));
    let namespace = config.default_namespace.clone();
    let client = client(config).map_err(|source| CommandError::failed(act, source))?;
    Ok(Connection { client, url, ca_hash, namespace })
}

fn client(config: Config) -> Result<kube::Client, kube::Error> {
    if config.proxy_url.is_some() {
        // `kube` knows which proxies it can do.
        return kube::Client::try_from(config);
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(config.connect_timeout);
    tcp.set_nodelay(true);
    let tls = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    let name = config.tls_server_name.as_ref().and_then(|name| name.clone().try_into().ok());
    let tls = match name {
        Some(name) => tls.with_server_name_resolver(FixedServerNameResolver::new(name)),
        None => tls,
    };
    let http = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_PATIENCE)
        .http2_keep_alive_while_idle(true)
        .build::<_, Body>(tls.enable_all_versions().wrap_connector(tcp));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(http);
    Ok(kube::Client::new(service, config.default_namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that was named is used, in a pod too; a pod's account before a data directory that is not there.
    #[test]
    fn a_named_file_comes_before_the_pods_account() {
        let named = place(Some(Path::new("/x")), &File::default(), true).expect("a place");
        assert_eq!(named, Place::Kubeconfig("/x".into()));
        if std::env::var_os("KUBECONFIG").is_none() {
            assert_eq!(place(None, &File::default(), true).expect("a place"), Place::Pod);
        }
    }
}
