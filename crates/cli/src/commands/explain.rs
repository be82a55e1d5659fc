//! `everynode explain`: the decision for every node, asked of the same engine that decides.

use std::path::PathBuf;

use clap::Args;
use everynode_control::explain::{Explanation, Key, Row, ask, parse_name};

use crate::client;
use crate::config::File;
use crate::exit::CommandError;
use crate::output::{say, table};

/// Says for every node why a DaemonSet's pod is there, or is not, and what happens next.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  everynode explain ds/node-exporter\n  everynode explain ds/node-exporter -n monitoring node-7"
)]
pub(crate) struct ExplainArgs {
    /// The DaemonSet, as ds/NAME
    set: String,
    /// Only this node
    node: Option<String>,
    /// The namespace [default: the kubeconfig's]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The kubeconfig to use [default: $KUBECONFIG, else DATA-DIR/admin.kubeconfig]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

pub(crate) fn run(args: ExplainArgs, file: &File) -> Result<(), CommandError> {
    let kubeconfig = args.kubeconfig.clone();
    client::block_on(kubeconfig.as_deref(), file, async |connection| {
        let namespace = args.namespace.clone().unwrap_or(connection.namespace);
        let key = parse_name(&args.set, &namespace)
            .ok_or_else(|| CommandError::usage(format!("{:?} is no DaemonSet; name one as ds/NAME", args.set)))?;
        let explanation = ask(connection.client, &key).await.map_err(|source| {
            let is_missing = source.is_not_found();
            let failed = CommandError::failed(format!("cannot explain the DaemonSet {key}"), source);
            if is_missing { failed.hint("name its namespace with -n") } else { failed }
        })?;
        print(&explanation, &key, args.node.as_deref())
    })
}

fn print(explanation: &Explanation, key: &Key, node: Option<&str>) -> Result<(), CommandError> {
    let wanted = |row: &&Row| node.is_none_or(|node| row.node.as_str() == node);
    let rows: Vec<&Row> = explanation.rows.iter().filter(wanted).collect();
    if let (Some(node), true) = (node, rows.is_empty()) {
        return Err(CommandError::plain(format!("there is no node {node}, and no pod of {key} is meant for one"))
            .hint("`kubectl get nodes` lists the nodes"));
    }
    if node.is_none() {
        for line in &explanation.summary {
            say(line);
        }
        say("");
    }
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let cells = rows.iter().map(|row| {
        let revision = row.hash.as_deref().map_or(String::new(), |hash| format!("{} ({hash})", row.revision));
        vec![
            row.node.to_string(),
            row.verdict.to_owned(),
            or_dash(row.pod.as_deref().unwrap_or_default()),
            or_dash(&revision),
            or_dash(&row.reason),
            or_dash(&row.next),
        ]
    });
    table(&["NODE", "VERDICT", "POD", "REVISION", "BECAUSE", "NEXT"], &cells.collect::<Vec<_>>());
    Ok(())
}
