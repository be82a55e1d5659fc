//! `everynode version`

use clap::{Args, ValueEnum};

use crate::exit::CommandError;
use crate::output::say;

/// The Kubernetes version whose API this is.
const KUBERNETES: &str = "1.36";

/// Prints the version of this program and of the Kubernetes API it serves.
#[derive(Args)]
#[command(after_help = "\
Examples:
  everynode version
  everynode version -o json")]
pub(crate) struct VersionArgs {
    /// The form of the answer.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Output {
    /// One line.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Prints it.
pub(crate) fn run(args: &VersionArgs) -> Result<(), CommandError> {
    let version = env!("CARGO_PKG_VERSION");
    match args.output {
        Output::Text => say(&format!("everynode v{version} (Kubernetes API {KUBERNETES})")),
        Output::Json => say(&serde_json::json!({"everynode": version, "kubernetes": KUBERNETES}).to_string()),
    }
    Ok(())
}
