//! Leader election, in the flags of kube-controller-manager.

use clap::Args;
use everynode_control::leadership::{Election, Millis, Timing};
use jiff::SignedDuration;

use super::{File, host_name};
use crate::exit::CommandError;

/// Flags of an election.
#[derive(Args, Debug, Default)]
pub(crate) struct ElectionFlags {
    /// Run only while this process holds a lease, so that several can stand by
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    leader_elect: Option<bool>,
    /// Namespace of the lease [default: kube-system]
    #[arg(long, alias = "leader-elect-namespace", value_name = "NAMESPACE")]
    leader_elect_resource_namespace: Option<String>,
    /// Name of the lease [default: everynode-controller]
    #[arg(long, value_name = "NAME")]
    leader_elect_resource_name: Option<String>,
    /// How long others leave a lease alone that is not renewed [default: 15s]
    #[arg(long, value_name = "DURATION")]
    leader_elect_lease_duration: Option<String>,
    /// How long a leader acts without having renewed its lease [default: 10s]
    #[arg(long, value_name = "DURATION")]
    leader_elect_renew_deadline: Option<String>,
    /// Time between two tries [default: 2s]
    #[arg(long, value_name = "DURATION")]
    leader_elect_retry_period: Option<String>,
}

impl ElectionFlags {
    /// Flags over file over defaults; `None` when there is no election.
    pub(crate) fn resolve(self, file: &File) -> Result<Option<Election>, CommandError> {
        if !self.leader_elect.or(file.leader_elect).unwrap_or(false) {
            return Ok(None);
        }
        let text = |flag: Option<String>, file: &Option<String>, default: &str| {
            flag.or_else(|| file.clone()).unwrap_or_else(|| default.to_owned())
        };
        let lease = text(self.leader_elect_lease_duration, &file.leader_elect_lease_duration, "15s");
        let renew = text(self.leader_elect_renew_deadline, &file.leader_elect_renew_deadline, "10s");
        let retry = text(self.leader_elect_retry_period, &file.leader_elect_retry_period, "2s");
        let timing = Timing { lease: duration(&lease)?, renew: duration(&renew)?, retry: duration(&retry)? };
        let timing = timing.check().map_err(|error| CommandError::usage(format!("leader election: {error}")))?;
        let namespace =
            text(self.leader_elect_resource_namespace, &file.leader_elect_resource_namespace, "kube-system");
        let name = text(self.leader_elect_resource_name, &file.leader_elect_resource_name, "everynode-controller");
        // As client-go has it: the host for people, the rest so that no two processes are the same.
        let identity = format!("{}_{}", host_name()?, uuid::Uuid::new_v4());
        Ok(Some(Election { namespace, name, identity, timing }))
    }
}

fn duration(text: &str) -> Result<Millis, CommandError> {
    let wrong = || CommandError::usage(format!("{text:?} is no duration such as 15s"));
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    i64::try_from(duration.as_millis()).map(Millis).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_election_has_upstreams_defaults_and_a_name_of_its_own() {
        let elect = || ElectionFlags { leader_elect: Some(true), ..ElectionFlags::default() };
        assert!(ElectionFlags::default().resolve(&File::default()).expect("resolves").is_none());
        let one = elect().resolve(&File::default()).expect("resolves").expect("elects");
        let other = elect().resolve(&File::default()).expect("resolves").expect("elects");
        assert_eq!(one.timing, Timing::default());
        assert_eq!((&*one.namespace, &*one.name), ("kube-system", "everynode-controller"));
        assert!(one.identity.contains('_') && one.identity != other.identity, "{}", one.identity);
    }

    #[test]
    fn flags_win_over_the_file_and_unsafe_spans_are_refused() {
        let file = "leaderElect: true\nleaderElectLeaseDuration: 1m\nleaderElectResourceName: x";
        let file: File = serde_saphyr::from_str(file).expect("valid");
        let flags = ElectionFlags { leader_elect_resource_name: Some("y".into()), ..ElectionFlags::default() };
        let election = flags.resolve(&file).expect("resolves").expect("elects");
        assert_eq!((&*election.name, election.timing.lease), ("y", Millis::from_secs(60)));
        let flags = ElectionFlags { leader_elect: Some(false), ..ElectionFlags::default() };
        assert!(flags.resolve(&file).expect("resolves").is_none());
        for wrong in ["5s", "soon"] {
            let flags = ElectionFlags { leader_elect_lease_duration: Some(wrong.into()), ..ElectionFlags::default() };
            assert!(matches!(flags.resolve(&file), Err(CommandError::Usage { .. })), "{wrong}");
        }
    }
}
