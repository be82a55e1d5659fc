//! The configuration of an image: what runs when nothing else is said.

use serde::{Deserialize, Serialize};

/// The parts of an image configuration that we act on (OCI image spec, also Docker's form of it).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// Architecture in Go's words.
    pub architecture: String,
    /// Defaults of the process.
    pub config: ProcessDefaults,
    /// Layers.
    pub rootfs: RootFs,
}

/// Defaults of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ProcessDefaults {
    /// `user[:group]`, names or numbers.
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    /// `NAME=value`.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// Entry point.
    #[serde(deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// Default arguments.
    #[serde(deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    /// Working directory.
    #[serde(deserialize_with = "or_default")]
    pub working_dir: String,
    /// Stop signal, name or number.
    #[serde(deserialize_with = "or_default")]
    pub stop_signal: String,
}

/// Layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Digests of the uncompressed layers, lowest first.
    #[serde(deserialize_with = "or_default")]
    pub diff_ids: Vec<String>,
}

/// Docker writes `null` where nothing is set.
fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

impl ImageConfig {
    /// Program and arguments, given what the pod says (N125): a command replaces both, arguments replace the default ones.
    #[must_use]
    pub fn command_line(&self, command: &[String], args: &[String]) -> Vec<String> {
        let (entry, rest): (&[String], &[String]) = match (command.is_empty(), args.is_empty()) {
            (true, true) => (&self.config.entrypoint, &self.config.cmd),
            (true, false) => (&self.config.entrypoint, args),
            (false, _) => (command, args),
        };
        entry.iter().chain(rest).cloned().collect()
    }

    /// The numeric user if there is one, else its name (N213).
    #[must_use]
    pub fn user(&self) -> (Option<u32>, String) {
        let name = self.config.user.split(':').next().unwrap_or_default();
        match name.parse() {
            Ok(uid) => (Some(uid), String::new()),
            Err(_) if name.is_empty() => (None, String::new()),
            Err(_) => (None, name.to_owned()),
        }
    }

    /// The number of the stop signal, SIGTERM if none or an unknown one is set.
    #[must_use]
    pub fn stop_signal(&self) -> i32 {
        signal_number(&self.config.stop_signal).unwrap_or(15)
    }
}

/// `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` as a number.
#[must_use]
pub fn signal_number(name: &str) -> Option<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let upper = name.trim().to_ascii_uppercase();
    if let Ok(number) = upper.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(offset) = short.strip_prefix("RTMIN") {
        let offset: i32 = if offset.is_empty() { 0 } else { offset.strip_prefix('+')?.parse().ok()? };
        return Some(34 + offset).filter(|n| *n <= 64);
    }
    NAMES.iter().zip(1..).find_map(|(known, number)| (*known == short).then_some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// N125.
    #[test]
    fn the_command_of_the_pod_hides_the_defaults_of_the_image() {
        let image = ImageConfig {
            config: ProcessDefaults { entrypoint: words("/entry -e"), cmd: words("-c"), ..Default::default() },
            ..Default::default()
        };
        for (command, args, expect) in
            [("", "", "/entry -e -c"), ("", "-a", "/entry -e -a"), ("/x", "", "/x"), ("/x", "-a", "/x -a")]
        {
            assert_eq!(image.command_line(&words(command), &words(args)), words(expect), "{command:?} {args:?}");
        }
    }

    #[test]
    fn docker_writes_null_for_nothing() {
        let text = r#"{"architecture":"amd64","config":{"User":"","Env":null,"Cmd":["sh"],"Entrypoint":null},"rootfs":{"diff_ids":null}}"#;
        let image: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(image.config.cmd, ["sh"]);
        assert!(image.config.entrypoint.is_empty() && image.rootfs.diff_ids.is_empty());
    }

    #[test]
    fn users_and_signals() {
        let of = |user: &str| {
            ImageConfig { config: ProcessDefaults { user: user.into(), ..Default::default() }, ..Default::default() }
                .user()
        };
        assert_eq!(of(""), (None, String::new()));
        assert_eq!(of("65534:65534"), (Some(65534), String::new()));
        assert_eq!(of("nobody:nogroup"), (None, "nobody".into()));
        for (name, expect) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("", None),
            ("SIGNOPE", None),
            ("99", None),
        ] {
            assert_eq!(signal_number(name), expect, "{name}");
        }
    }
}
