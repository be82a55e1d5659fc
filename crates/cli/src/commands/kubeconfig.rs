//! `everynode kubeconfig`

use std::path::PathBuf;

use clap::Args;
use everynode_server::tls::{Pki, ServingNames};
use jiff::Timestamp;

use crate::config::{self, File};
use crate::exit::CommandError;
use crate::output::say;

/// Writes a kubeconfig for a user: a fresh client certificate, signed by the CA in this machine's data directory.
///
/// What the user may do is up to RBAC: `kubectl create clusterrolebinding jane --clusterrole=view --user=jane`.
#[derive(Args)]
#[command(after_help = "Examples:\n  everynode kubeconfig --user jane --group dev > jane.kubeconfig")]
pub(crate) struct KubeconfigArgs {
    /// Name of the user
    #[arg(long, value_name = "NAME")]
    user: String,
    /// A group of the user; may be repeated
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// URL of the server [default: the one in DATA-DIR/admin.kubeconfig]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The server's data directory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Prints it.
pub(crate) fn run(args: KubeconfigArgs, file: &File) -> Result<(), CommandError> {
    let data_dir = config::data_dir(args.data_dir, file)?;
    let folder = data_dir.join("pki");
    if !folder.join("ca.crt").is_file() {
        return Err(CommandError::plain(format!("there is no CA in {}", folder.display()))
            .hint("run this on the server's machine, with the server's --data-dir"));
    }
    let failed = |source| CommandError::failed(format!("cannot sign with the CA in {}", folder.display()), source);
    let url = match args.server {
        Some(url) => url,
        None => admin_url(&data_dir.join("admin.kubeconfig"))?,
    };
    let now = Timestamp::now();
    let pki = Pki::load_or_create(&folder, ServingNames::default(), now).map_err(failed)?;
    let groups: Vec<&str> = args.group.iter().map(String::as_str).collect();
    let text = everynode_server::kubeconfig::for_user(&pki, &url, &args.user, &groups, now).map_err(failed)?;
    say(text.trim_end());
    Ok(())
}

fn admin_url(path: &std::path::Path) -> Result<String, CommandError> {
    let read = kube::config::Kubeconfig::read_from(path).map_err(|source| {
        CommandError::failed(format!("cannot read {}", path.display()), source).hint("give --server")
    })?;
    let server = read.clusters.into_iter().find_map(|cluster| cluster.cluster?.server);
    server.ok_or_else(|| CommandError::plain(format!("{} names no server", path.display())).hint("give --server"))
}
