//! What can be typed. One file per command: its words (`Args`) and its `run`.

mod agent;
mod completions;
mod controller;
mod explain;
mod kubeconfig;
mod plan;
mod reset;
mod server;
pub(crate) mod shim;
mod sim;
mod token;
mod up;
mod version;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::File;
use crate::exit::CommandError;
use crate::logging::LogFormat;

/// One agent on every machine: a Kubernetes-compatible DaemonSet system in one binary.
#[derive(Parser)]
#[command(name = "everynode", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// A YAML file that sets what flags set (keys in camelCase); flags win
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERYWHERE)]
    config: Option<PathBuf>,
    /// The form of log lines on stderr; RUST_LOG chooses what is logged
    #[arg(long, global = true, value_enum, default_value_t, help_heading = EVERYWHERE)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Under this heading help shows the flags of all commands, after a command's own.
const EVERYWHERE: &str = "Options of every command";

const EXAMPLES: &str = "\
Examples:
  everynode up                               server, controllers and this machine as a node
  export KUBECONFIG=/var/lib/everynode/admin.kubeconfig
  kubectl apply -f node-exporter.yaml        one copy on every node
  everynode explain ds/node-exporter         why it is, or is not, on each node
  everynode plan -f node-exporter.yaml       what applying it would do to which nodes
  everynode sim -f node-exporter.yaml        plays its rollout on a pretend fleet
  everynode token create                     prints the command that joins another machine";

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Server, controllers and K nodes in one process tree, in the foreground.
    Up(Box<up::UpArgs>),
    /// Server and controllers, without a node.
    Server(Box<server::ServerArgs>),
    /// Joins this machine to a server as a node.
    Agent(Box<agent::AgentArgs>),
    /// The DaemonSet controller alone, for an existing Kubernetes cluster.
    Controller(Box<controller::ControllerArgs>),
    /// Creates, lists and deletes join tokens.
    Token(token::TokenArgs),
    /// Says for every node why a DaemonSet's pod is there, or is not.
    Explain(explain::ExplainArgs),
    /// Says what manifests would change, on which nodes, in which order, for how long; changes nothing.
    Plan(plan::PlanArgs),
    /// Plays a rollout on a pretend fleet and tells what happens.
    Sim(sim::SimArgs),
    /// Writes a kubeconfig for a user whose certificate this machine's server signs.
    Kubeconfig(kubeconfig::KubeconfigArgs),
    /// Ends all containers of this machine's nodes and removes what they left; objects and keys stay.
    Reset(reset::ResetArgs),
    /// Prints the version.
    Version(version::VersionArgs),
    /// Prints a completion script for a shell.
    Completions(completions::CompletionsArgs),
    /// The process around one container; started by the node agent only.
    #[command(hide = true, disable_help_flag = true)]
    Shim(shim::ShimArgs),
}

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> Result<(), CommandError> {
    let file = File::read(cli.config.as_deref())?;
    match cli.command {
        Command::Up(args) => up::run(*args, &file),
        Command::Server(args) => server::run(*args, &file),
        Command::Agent(args) => agent::run(*args, &file),
        Command::Controller(args) => controller::run(*args, &file),
        Command::Token(args) => token::run(args, &file),
        Command::Explain(args) => explain::run(args, &file),
        Command::Plan(args) => plan::run(&args, &file),
        Command::Sim(args) => sim::run(&args),
        Command::Kubeconfig(args) => kubeconfig::run(args, &file),
        Command::Reset(args) => reset::run(args, &file),
        Command::Version(args) => version::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Shim(args) => Err(CommandError::plain(format!("cannot run the shim here: {args:?}"))),
    }
}
