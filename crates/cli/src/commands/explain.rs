//! `everynode explain`

use clap::Args;

use crate::config::File;
use crate::exit::CommandError;

/// Says for every node why a DaemonSet's pod is there, or is not.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// The DaemonSet, as ds/NAME
    set: String,
    /// Only this node
    node: Option<String>,
}

pub(crate) fn run(args: ExplainArgs, _file: &File) -> Result<(), CommandError> {
    Err(CommandError::plain(format!("cannot explain {} {:?} yet", args.set, args.node)))
}
