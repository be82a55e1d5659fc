//! Nodes in namespaces of their own: `everynode agent` as a child process, told what it must know of its neighbours.

use std::ffi::OsString;
use std::path::Path;

use everynode_agent::netns::{NodePlan, Plan};
use everynode_server::kubeconfig;
use everynode_server::tls::Pki;
use jiff::Timestamp;

use crate::exit::CommandError;

/// The network of this data directory's nodes, with its bridge up.
pub(crate) fn network(data_dir: &Path) -> Result<Plan, CommandError> {
    let failed = |source| {
        CommandError::failed("cannot give each node namespaces of its own", source)
            .hint("run it as root, or pretend with --runtime hollow")
    };
    let plan = Plan::new(data_dir.to_owned()).map_err(failed)?;
    plan.up().map_err(failed)?;
    Ok(plan)
}

/// Starts the agent of a node, with a certificate of its own; `further` words are added to its command line.
///
/// The server is on this machine, so the certificate is signed right here and no token is needed.
pub(crate) fn start(
    plan: &Plan,
    pki: &Pki,
    port: u16,
    place: &NodePlan,
    further: Vec<OsString>,
) -> Result<tokio::process::Child, CommandError> {
    let failed = |act: &str| format!("cannot {act} node {}", place.name);
    let url = format!("https://{}:{port}", plan.gateway);
    let user = format!("system:node:{}", place.name);
    let text = kubeconfig::for_user(pki, &url, &user, &["system:nodes"], Timestamp::now())
        .map_err(|source| CommandError::failed(failed("sign the certificate of"), source))?;
    std::fs::create_dir_all(&place.dir)
        .map_err(|source| CommandError::failed(failed("make the directory of"), source))?;
    let path = place.dir.join("node.kubeconfig");
    kubeconfig::write(&path, &text)
        .map_err(|source| CommandError::failed(failed("write the kubeconfig of"), source))?;
    let shim = ["/proc/self/exe".into(), "shim".into()];
    let words = [words(place, &url, &path, &plan.data_dir.join("images")), further].concat();
    plan.spawn(place, &shim, &words).map_err(|source| CommandError::failed(failed("start"), source))
}

fn words(place: &NodePlan, url: &str, kubeconfig: &Path, images: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["/proc/self/exe".into(), "agent".into(), "--server".into(), url.into()];
    words.extend(["--kubeconfig".into(), kubeconfig.into(), "--node-name".into(), place.name.clone().into()]);
    words.extend(["--data-dir".into(), place.dir.clone().into()]);
    words.extend(["--node-ip".into(), place.address.to_string().into()]);
    words.extend(["--cgroup-root".into(), place.cgroup_root.clone().into()]);
    words.extend(["--pod-base".into(), place.pod_base.to_string().into()]);
    words.extend(["--images".into(), images.into()]);
    words
}
