//! `everynode agent --beside DIR`: a further node on the machine of `everynode up --nodes`, in namespaces of its own.

use std::path::Path;

use everynode_server::tls::{Pki, ServingNames};
use jiff::Timestamp;

use crate::exit::CommandError;
use crate::isolated;
use crate::standalone::asked_to_end;

/// Runs the node until SIGTERM.
pub(super) async fn run(server_dir: &Path, name: &str) -> Result<(), CommandError> {
    let failed = |act: &str| format!("cannot {act} node {name} beside {}", server_dir.display());
    let folder = server_dir.join("pki");
    if !folder.join("ca.crt").is_file() {
        return Err(CommandError::plain(failed("run")).hint("is that the data directory of a server on this machine?"));
    }
    let plan = isolated::network(server_dir)?;
    let index = plan.free_index();
    let pki = Pki::load_or_create(&folder, ServingNames::default(), Timestamp::now())
        .map_err(|source| CommandError::failed(failed("open the keys for"), source))?;
    let mut process = isolated::start(&plan, &pki, port(server_dir)?, &plan.node(name, index), Vec::new())?;
    tokio::select! {
        () = asked_to_end() => {
            // Its death signal is tied to this process; waiting makes the end orderly.
            let _ = process.start_kill();
            let _ = process.wait().await;
            Ok(())
        }
        ended = process.wait() => match ended {
            Ok(status) => Err(CommandError::plain(format!("node {name} stopped: {status}"))),
            Err(source) => Err(CommandError::failed(failed("wait for"), source)),
        },
    }
}

/// The port of the server, from its admin's kubeconfig.
fn port(server_dir: &Path) -> Result<u16, CommandError> {
    let path = server_dir.join("admin.kubeconfig");
    let read = kube::config::Kubeconfig::read_from(&path)
        .map_err(|source| CommandError::failed(format!("cannot read {}", path.display()), source))?;
    let url = read.clusters.into_iter().find_map(|cluster| cluster.cluster?.server);
    let port = url.and_then(|url| url.rsplit(':').next()?.parse().ok());
    port.ok_or_else(|| CommandError::plain(format!("{} names no server", path.display())))
}
