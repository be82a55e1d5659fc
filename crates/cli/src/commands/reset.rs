//! `everynode reset`

use std::path::PathBuf;

use clap::Args;
use everynode_agent::{netns, runtime::builtin};

use crate::config::{self, File, is_root};
use crate::exit::CommandError;
use crate::output::say;
use crate::standalone::runtime;

/// Ends all containers of this machine's nodes and removes what they left: processes, mounts, cgroups, namespaces.
///
/// Objects, keys and images stay. Stop everynode first; a start afterwards begins every pod anew.
#[derive(Args)]
#[command(after_help = "\
Examples:
  everynode reset --yes                           after everynode has ended
  everynode reset --yes --data-dir /srv/everynode the nodes of another data directory")]
pub(crate) struct ResetArgs {
    /// Do it; without this flag nothing is done
    #[arg(long)]
    yes: bool,
    /// The data directory whose nodes are meant
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Does it.
pub(crate) fn run(args: ResetArgs, file: &File) -> Result<(), CommandError> {
    let data_dir = config::data_dir(args.data_dir, file)?;
    let dir = data_dir.display();
    if !args.yes {
        return Err(CommandError::usage(format!(
            "this ends every container of the nodes in {dir}; add --yes to do it"
        )));
    }
    if !is_root() {
        say(&format!("hollow nodes leave nothing behind: nothing to do in {dir}"));
        return Ok(());
    }
    let failed = || format!("cannot remove what the nodes in {dir} left");
    netns::remove_all(&data_dir).map_err(|source| CommandError::failed(failed(), source))?;
    let of_machine = everynode_agent::Config::of_machine("reset", data_dir.clone(), (String::new(), 0));
    if let everynode_agent::RuntimeChoice::Builtin(config) = of_machine.runtime {
        runtime()?.block_on(builtin::remove_all(config)).map_err(|source| CommandError::failed(failed(), source))?;
    }
    say(&format!("nothing of the nodes in {dir} is left on this machine"));
    Ok(())
}
