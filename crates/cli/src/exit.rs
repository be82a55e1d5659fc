//! How a command ends: exit code 0 for success, 1 for failure, 2 for wrong usage; and what is printed then, once.

use std::error::Error;
use std::process::ExitCode;

use crate::output;

/// Why a command failed, in words for the person who typed it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The words or the config file do not make sense together.
    #[error("{message}")]
    Usage {
        /// What is wrong and how to mend it.
        message: String,
    },
    /// The work failed.
    #[error("{act}")]
    Failed {
        /// What could not be done, as a fragment: `cannot …`.
        act: String,
        /// What to do about it, when that is known.
        hint: Option<String>,
        /// Why.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl CommandError {
    /// Wrong usage.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into() }
    }

    /// A failure of `act` because of `source`.
    pub(crate) fn failed(act: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed { act: act.into(), hint: None, source: Some(Box::new(source)) }
    }

    /// A failure that needs no further cause.
    pub(crate) fn plain(act: impl Into<String>) -> Self {
        Self::Failed { act: act.into(), hint: None, source: None }
    }

    /// Adds the mend.
    pub(crate) fn hint(self, mend: impl Into<String>) -> Self {
        match self {
            Self::Failed { act, source, .. } => Self::Failed { act, hint: Some(mend.into()), source },
            usage @ Self::Usage { .. } => usage,
        }
    }
}

/// Prints what clap found (help and version are no errors) and gives its exit code.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Prints a failure with its whole chain of causes and its mend.
pub(crate) fn failure(error: &CommandError) -> ExitCode {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    output::complain(&text);
    match error {
        CommandError::Usage { .. } => ExitCode::from(2),
        CommandError::Failed { hint, .. } => {
            if let Some(hint) = hint {
                output::complain(&format!("hint: {hint}"));
            }
            ExitCode::from(1)
        }
    }
}
