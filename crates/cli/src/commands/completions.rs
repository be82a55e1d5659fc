//! `everynode completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::commands::Cli;
use crate::exit::CommandError;

/// Prints a completion script: `everynode completions bash > /etc/bash_completion.d/everynode`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  source <(everynode completions bash)
  everynode completions zsh > ~/.zfunc/_everynode")]
pub(crate) struct CompletionsArgs {
    /// The shell to print it for.
    shell: Shell,
}

/// Prints it.
pub(crate) fn run(args: &CompletionsArgs) -> Result<(), CommandError> {
    clap_complete::generate(args.shell, &mut Cli::command(), "everynode", &mut std::io::stdout());
    Ok(())
}
