//! A connection to a server, for the commands that are clients.
//!
//! HTTP/2 where the server speaks it: all watches and the bursts of writes of a controller share one connection, and pings tell
//! when it is dead. (`kube`'s own client would open one connection per request under way.)

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
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

/// Which server, and as whom.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ClientFlags {
    /// The kubeconfig to use [default: $KUBECONFIG, else the pod's account, DATA-DIR/admin.kubeconfig or ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
}

/// Where it is written how to connect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In kubeconfigs; of what several say, the first one counts.
    Kubeconfig(Vec<PathBuf>),
    /// In the files and variables that Kubernetes gives every pod.
    Pod,
}

impl ClientFlags {
    /// Connects as the flags (or `$KUBECONFIG`, …) say and runs `work`.
    pub(crate) fn block_on<T>(
        &self,
        file: &File,
        work: impl AsyncFnOnce(Connection) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let place = self.place(&Surroundings::of_process(), || {
            let admin = admin(file)?;
            let own = std::env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config"));
            let own = own.filter(|own| !admin.exists() && own.exists());
            Ok(own.unwrap_or(admin))
        })?;
        runtime()?.block_on(async {
            let connection = self.connect(&place).await?;
            work(connection).await
        })
    }

    /// Where a program that changes a cluster by itself finds how to connect: never where people leave things.
    pub(crate) fn place_of_controller(&self, file: &File) -> Result<Place, CommandError> {
        self.place(&Surroundings::of_process(), || admin(file))
    }

    /// What stands otherwise is asked for last: a pod has no home to look in.
    fn place(
        &self,
        surroundings: &Surroundings,
        otherwise: impl FnOnce() -> Result<PathBuf, CommandError>,
    ) -> Result<Place, CommandError> {
        Ok(match (&self.kubeconfig, surroundings.kubeconfigs.as_slice()) {
            (Some(path), _) => Place::Kubeconfig(vec![path.clone()]),
            (None, [_, ..]) => Place::Kubeconfig(surroundings.kubeconfigs.clone()),
            // A context is one of a kubeconfig.
            (None, []) if surroundings.is_pod && self.context.is_none() => Place::Pod,
            (None, []) => Place::Kubeconfig(vec![otherwise()?]),
        })
    }

    /// Makes the client. Nothing is sent yet.
    pub(crate) async fn connect(&self, place: &Place) -> Result<Connection, CommandError> {
        let (act, config) = match place {
            Place::Kubeconfig(paths) => {
                let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
                let act = format!("cannot connect with the kubeconfig {}", names.join(" and "));
                let merged = merged(paths).map_err(|source| {
                    CommandError::failed(act.clone(), source)
                        .hint("start a server with `everynode up`, or name a file with --kubeconfig")
                })?;
                check_context(&merged, self.context.as_deref(), &act)?;
                let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
                let config = Config::from_custom_kubeconfig(merged, &options).await;
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
}

/// The kubeconfig that this machine's own server writes.
fn admin(file: &File) -> Result<PathBuf, CommandError> {
    Ok(config::data_dir(None, file)?.join("admin.kubeconfig"))
}

/// What the environment of a process says of servers.
#[derive(Default)]
struct Surroundings {
    kubeconfigs: Vec<PathBuf>,
    is_pod: bool,
}

impl Surroundings {
    fn of_process() -> Self {
        let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
        let is_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some_and(|value| !value.is_empty());
        Self { kubeconfigs: listed_in(&listed), is_pod }
    }
}

/// The files of a `$KUBECONFIG`. As kubectl does, those that are not there are left out, as long as one is.
fn listed_in(list: &OsStr) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect();
    let there: Vec<PathBuf> = paths.iter().filter(|path| path.exists()).cloned().collect();
    if there.is_empty() { paths } else { there }
}

fn merged(paths: &[PathBuf]) -> Result<Kubeconfig, KubeconfigError> {
    paths.iter().try_fold(Kubeconfig::default(), |merged, path| merged.merge(Kubeconfig::read_from(path)?))
}

fn check_context(kubeconfig: &Kubeconfig, wanted: Option<&str>, act: &str) -> Result<(), CommandError> {
    let Some(wanted) = wanted.or(kubeconfig.current_context.as_deref()) else { return Ok(()) };
    let names: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    if names.contains(&wanted) {
        return Ok(());
    }
    let hint = if names.is_empty() { "it has none".to_owned() } else { format!("it has: {}", names.join(", ")) };
    Err(CommandError::plain(format!("{act}: it has no context {wanted}")).hint(hint))
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

    /// A file that was named is used, in a pod too; a pod's account before a file that nobody named.
    #[test]
    fn what_is_named_comes_before_what_is_found() {
        let otherwise = || PathBuf::from("/var/lib/everynode/admin.kubeconfig");
        let flags = |kubeconfig: Option<&str>, context: Option<&str>| ClientFlags {
            kubeconfig: kubeconfig.map(PathBuf::from),
            context: context.map(str::to_owned),
        };
        let files = |names: &[&str]| Place::Kubeconfig(names.iter().map(PathBuf::from).collect());
        let around = |listed: &str, is_pod| Surroundings { kubeconfigs: listed_in(listed.as_ref()), is_pod };
        for (flags, around, expect) in [
            (flags(Some("/x"), None), around("/none/a", true), files(&["/x"])),
            (flags(None, None), around("/none/a::/none/b", true), files(&["/none/a", "/none/b"])),
            (flags(None, None), around("/none/a:/dev/null", false), files(&["/dev/null"])),
            (flags(None, None), around("", true), Place::Pod),
            (flags(None, Some("edge")), around(":", true), Place::Kubeconfig(vec![otherwise()])),
            (flags(None, None), around("", false), Place::Kubeconfig(vec![otherwise()])),
        ] {
            assert_eq!(flags.place(&around, || Ok(otherwise())).expect("known"), expect);
        }
        // A pod has no home, and needs none.
        let homeless = || Err(CommandError::plain("HOME is not set".to_owned()));
        let place = flags(None, None).place(&around("", true), homeless);
        assert_eq!(place.expect("no home is asked for"), Place::Pod);
    }
}
