//! `everynode server`

use clap::Args;

use crate::config::{File, ServerFlags};
use crate::exit::CommandError;
use crate::standalone::{Standalone, asked_to_end, runtime};

/// Serves the API and runs the controllers, without a node of its own.
#[derive(Args)]
#[command(after_help = "\
Examples:
  everynode server                                the API on loopback
  everynode server --listen 0.0.0.0:6443          machines join it (see `everynode token create`)
  everynode server --controllers '*,-daemonset'   without its DaemonSet controller")]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    flags: ServerFlags,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(args: ServerArgs, file: &File) -> Result<(), CommandError> {
    let config = args.flags.resolve(file)?;
    runtime()?.block_on(async {
        let standalone = Standalone::start(&config, Vec::new()).await?;
        let asked = asked_to_end();
        standalone.announce();
        asked.await;
        standalone.stop().await
    })
}
