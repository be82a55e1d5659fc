//! From what was typed to what it means: flags over the config file over defaults, checked, typed.
//!
//! Only this module reads flags' values, the config file and the environment; nothing below `cli` knows that they exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::exit::CommandError;

mod election;

pub(crate) use election::ElectionFlags;

/// Where the server listens unless told otherwise.
const DEFAULT_LISTEN: &str = "127.0.0.1:6443";

/// The config file: every flag in camel case. Keys of other commands are allowed, unknown ones are not.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct File {
    data_dir: Option<PathBuf>,
    listen: Option<SocketAddr>,
    advertise_address: Option<IpAddr>,
    tls_san: Vec<String>,
    write_kubeconfig: Option<PathBuf>,
    store: Option<String>,
    controllers: Option<Vec<String>>,
    leader_elect: Option<bool>,
    leader_elect_resource_namespace: Option<String>,
    leader_elect_resource_name: Option<String>,
    leader_elect_lease_duration: Option<String>,
    leader_elect_renew_deadline: Option<String>,
    leader_elect_retry_period: Option<String>,
    nodes: Option<u8>,
    node_name: Option<String>,
    node_ip: Option<IpAddr>,
    node_labels: Option<BTreeMap<String, String>>,
    register_with_taints: Vec<String>,
    runtime: Option<RuntimeName>,
    cri_endpoint: Option<String>,
    server: Option<String>,
    token: Option<String>,
    ca_cert_hash: Option<String>,
}

impl File {
    /// Reads the file, or gives an empty one when none was named.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, CommandError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let name = path.display();
        let text = fs::read_to_string(path)
            .map_err(|source| CommandError::failed(format!("cannot read the config file {name}"), source))?;
        serde_saphyr::from_str(&text).map_err(|source| {
            CommandError::usage(format!("config file {name}: {source}; keys are the flags in camelCase"))
        })
    }
}

/// Flags of a server.
#[derive(Args, Debug, Default)]
pub(crate) struct ServerFlags {
    /// Directory of all state [default: /var/lib/everynode for root, else $XDG_STATE_HOME/everynode]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the API; port 0 picks a free one [default: 127.0.0.1:6443]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Address under which nodes and pods reach the API [default: the listen address; of 0.0.0.0: that of the default route]
    #[arg(long, value_name = "ADDRESS")]
    advertise_address: Option<IpAddr>,
    /// Further names and addresses for the serving certificate; may be repeated
    #[arg(long, value_name = "NAME")]
    tls_san: Vec<String>,
    /// Where to write the admin's kubeconfig [default: DATA-DIR/admin.kubeconfig]
    #[arg(long, value_name = "FILE")]
    write_kubeconfig: Option<PathBuf>,
    /// Where objects rest: sqlite://FILE or memory: [default: sqlite, below the data directory]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Controllers to run: names, -NAME to leave one out, * for all others [default: *]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', allow_hyphen_values = true)]
    controllers: Vec<String>,
}

/// What a server is to be, complete.
#[derive(Debug)]
pub(crate) struct ServerConfig {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) advertise: Option<IpAddr>,
    pub(crate) names: Vec<String>,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) store: Option<String>,
    /// The names of those that run; `None`: all.
    pub(crate) controllers: Option<BTreeSet<String>>,
}

impl ServerFlags {
    /// Flags over file over defaults.
    pub(crate) fn resolve(self, file: &File) -> Result<ServerConfig, CommandError> {
        let data_dir = data_dir(self.data_dir, file)?;
        let listen = match self.listen.or(file.listen) {
            Some(listen) => listen,
            None => DEFAULT_LISTEN.parse().map_err(|_| CommandError::usage("no listen address"))?,
        };
        let kubeconfig = self.write_kubeconfig.or_else(|| file.write_kubeconfig.clone());
        let own = || listen.ip().is_unspecified().then(everynode_agent::own_address).flatten();
        Ok(ServerConfig {
            listen,
            advertise: self.advertise_address.or(file.advertise_address).or_else(own),
            names: if self.tls_san.is_empty() { file.tls_san.clone() } else { self.tls_san },
            kubeconfig: kubeconfig.unwrap_or_else(|| data_dir.join("admin.kubeconfig")),
            store: self.store.or_else(|| file.store.clone()),
            controllers: controllers(self.controllers, file)?,
            data_dir,
        })
    }
}

fn controllers(flag: Vec<String>, file: &File) -> Result<Option<BTreeSet<String>>, CommandError> {
    let words = if flag.is_empty() { file.controllers.clone() } else { Some(flag) };
    let Some(words) = words else { return Ok(None) };
    let chosen = everynode_control::choose(words.iter().map(String::as_str));
    chosen.map(Some).map_err(|error| CommandError::usage(format!("--controllers: {error}")))
}

/// What runs the containers of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RuntimeName {
    /// `builtin` when that can work here (root), else an error that says how to go on.
    #[default]
    Auto,
    /// A runtime that speaks CRI, such as containerd.
    Cri,
    /// The runtime inside everynode.
    Builtin,
    /// Pretends to run containers; needs no rights.
    Hollow,
}

/// Flags of a node.
#[derive(Args, Debug, Default)]
pub(crate) struct NodeFlags {
    /// Name of the node [default: the host name, in lower case]
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// Address of the node [default: that of the default route]
    #[arg(long, value_name = "ADDRESS")]
    node_ip: Option<IpAddr>,
    /// Labels to register with: key=value, separated by commas
    #[arg(long, value_name = "LABELS", value_parser = labels)]
    node_labels: Option<BTreeMap<String, String>>,
    /// Taints to register with: key=value:Effect; may be repeated
    #[arg(long, value_name = "TAINT", value_delimiter = ',')]
    register_with_taints: Vec<String>,
    /// What runs the containers
    #[arg(long, value_enum)]
    runtime: Option<RuntimeName>,
    /// Socket of the CRI runtime
    #[arg(long, value_name = "unix:///PATH")]
    cri_endpoint: Option<String>,
}

/// What a node is to be, complete.
#[derive(Debug)]
pub(crate) struct NodeConfig {
    pub(crate) name: String,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<everynode_agent::Taint>,
    pub(crate) hollow: bool,
}

impl NodeFlags {
    /// Flags over file over defaults.
    pub(crate) fn resolve(self, file: &File) -> Result<NodeConfig, CommandError> {
        let taints = if self.register_with_taints.is_empty() {
            file.register_with_taints.clone()
        } else {
            self.register_with_taints
        };
        let name = match self.node_name.or_else(|| file.node_name.clone()) {
            Some(name) => name,
            None => host_name()?,
        };
        if self.cri_endpoint.or_else(|| file.cri_endpoint.clone()).is_some() {
            return Err(no_cri());
        }
        Ok(NodeConfig {
            name: name.to_lowercase(),
            ip: self.node_ip.or(file.node_ip),
            labels: self.node_labels.or_else(|| file.node_labels.clone()).unwrap_or_default(),
            taints: taints.iter().map(|text| taint(text)).collect::<Result<_, _>>()?,
            hollow: is_hollow(self.runtime.or(file.runtime).unwrap_or_default())?,
        })
    }
}

/// Flags that join a machine.
#[derive(Args, Debug, Default)]
pub(crate) struct JoinFlags {
    /// URL of the server, https://HOST:PORT
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Join token, from `everynode token create`
    #[arg(long, value_name = "TOKEN", env = "EVERYNODE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Hash of the server's CA, sha256:HEX, printed by `everynode token create`
    #[arg(long, value_name = "HASH")]
    ca_cert_hash: Option<String>,
    /// Directory of this node's state [default: /var/lib/everynode for root, else $XDG_STATE_HOME/everynode]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// How a machine joins, complete.
#[derive(Debug)]
pub(crate) struct JoinConfig {
    pub(crate) server: String,
    pub(crate) token: Option<String>,
    pub(crate) ca_cert_hash: Option<String>,
    pub(crate) data_dir: PathBuf,
}

impl JoinFlags {
    /// Flags over file over defaults.
    pub(crate) fn resolve(self, file: &File) -> Result<JoinConfig, CommandError> {
        let server = self.server.or_else(|| file.server.clone());
        let server = server.ok_or_else(|| CommandError::usage("--server is missing: the URL of the server to join"))?;
        Ok(JoinConfig {
            server,
            token: self.token.or_else(|| file.token.clone()),
            ca_cert_hash: self.ca_cert_hash.or_else(|| file.ca_cert_hash.clone()),
            data_dir: data_dir(self.data_dir, file)?,
        })
    }
}

/// How many nodes `up` runs.
pub(crate) fn nodes(flag: Option<u8>, file: &File) -> u8 {
    flag.or(file.nodes).unwrap_or(1)
}

/// The data directory by flag, file, or convention.
pub(crate) fn data_dir(flag: Option<PathBuf>, file: &File) -> Result<PathBuf, CommandError> {
    if let Some(dir) = flag.or_else(|| file.data_dir.clone()) {
        return std::path::absolute(&dir).map_err(|source| {
            CommandError::failed(format!("cannot use the data directory {}", dir.display()), source)
        });
    }
    if is_root() {
        return Ok(PathBuf::from("/var/lib/everynode"));
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")));
    let state = state.ok_or_else(|| CommandError::usage("neither HOME nor XDG_STATE_HOME is set: give --data-dir"))?;
    Ok(state.join("everynode"))
}

/// True when this process may do anything.
pub(crate) fn is_root() -> bool {
    // /proc/self belongs to the effective user.
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn is_hollow(name: RuntimeName) -> Result<bool, CommandError> {
    match name {
        RuntimeName::Hollow => Ok(true),
        RuntimeName::Builtin | RuntimeName::Auto if is_root() => Ok(false),
        RuntimeName::Builtin | RuntimeName::Auto => Err(CommandError::usage(
            "running containers needs root: run it with sudo, or pretend with --runtime hollow",
        )),
        RuntimeName::Cri => Err(no_cri()),
    }
}

fn no_cri() -> CommandError {
    CommandError::usage("the CRI runtime is not part of this version: use --runtime builtin or hollow")
}

fn host_name() -> Result<String, CommandError> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .map_err(|source| CommandError::failed("cannot read the host name", source).hint("give --node-name"))?;
    Ok(name.trim().to_owned())
}

fn labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(format!("{pair:?} is not key=value")),
        })
        .collect()
}

fn taint(text: &str) -> Result<everynode_agent::Taint, CommandError> {
    let wrong = || CommandError::usage(format!("taint {text:?} is not key=value:Effect or key:Effect"));
    let (term, effect) = text.rsplit_once(':').ok_or_else(wrong)?;
    if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) || term.is_empty() {
        return Err(wrong());
    }
    let (key, value) = term.split_once('=').unwrap_or((term, ""));
    Ok(everynode_agent::Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file: File = serde_saphyr::from_str("listen: 127.0.0.1:7000\ndataDir: /srv/x\nnodes: 3").expect("valid");
        let flags = ServerFlags { listen: "127.0.0.1:0".parse().ok(), ..ServerFlags::default() };
        let config = flags.resolve(&file).expect("resolves");
        assert_eq!(config.listen.port(), 0);
        assert_eq!(config.kubeconfig, Path::new("/srv/x/admin.kubeconfig"));
        assert_eq!(ServerFlags::default().resolve(&file).expect("resolves").listen.port(), 7000);
        assert_eq!((nodes(None, &file), nodes(Some(1), &file), nodes(None, &File::default())), (3, 1, 1));
    }

    /// Others cannot be told 0.0.0.0, nor can a certificate be good for it.
    #[test]
    fn a_server_that_listens_everywhere_tells_an_address_of_the_machine() {
        let advertised = |words: &str| {
            let file: File = serde_saphyr::from_str(words).expect("valid");
            ServerFlags::default().resolve(&file).expect("resolves").advertise
        };
        assert_eq!(advertised("listen: 127.0.0.1:7000"), None);
        assert_eq!(advertised("listen: 0.0.0.0:7000"), everynode_agent::own_address());
        let told = advertised("{listen: 0.0.0.0:7000, advertiseAddress: 192.0.2.7}");
        assert_eq!(told, "192.0.2.7".parse().ok());
    }

    /// kube-controller-manager's syntax, in flag and file.
    #[test]
    fn controllers_are_chosen_by_name() {
        let has = |flag: &[&str], file: &str| {
            let file: File = serde_saphyr::from_str(file).expect("valid");
            let flags =
                ServerFlags { controllers: flag.iter().map(ToString::to_string).collect(), ..Default::default() };
            let chosen = flags.resolve(&file).map(|config| config.controllers);
            chosen.map(|chosen| chosen.map(|chosen| chosen.contains("daemonset-controller")))
        };
        assert_eq!(has(&[], "nodes: 1").ok(), Some(None));
        assert_eq!(has(&["*", "-daemonset-controller"], "nodes: 1").ok(), Some(Some(false)));
        assert_eq!(has(&[], "controllers: ['*', '-daemonset']").ok(), Some(Some(false)));
        assert_eq!(has(&["daemonset"], "controllers: ['*', '-daemonset']").ok(), Some(Some(true)));
        let refused = has(&["*", "-nonsense"], "nodes: 1").expect_err("unknown");
        assert!(refused.to_string().contains("nonsense"), "{refused}");
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = serde_saphyr::from_str::<File>("datadir: /x").expect_err("refused").to_string();
        assert!(error.contains("datadir"), "{error}");
    }

    #[test]
    fn taints_and_labels_are_parsed_or_named() {
        let parsed = taint("a/b=c:NoExecute").expect("valid");
        assert_eq!((&*parsed.key, &*parsed.value, &*parsed.effect), ("a/b", "c", "NoExecute"));
        assert_eq!(taint("a:NoSchedule").expect("valid").value, "");
        for wrong in ["a", "a=b", "a=b:Sometimes", ":NoSchedule"] {
            assert!(taint(wrong).expect_err("refused").to_string().contains(wrong), "{wrong}");
        }
        assert_eq!(labels("a=b,c=").expect("valid").len(), 2);
        assert!(labels("a").is_err());
    }
}
