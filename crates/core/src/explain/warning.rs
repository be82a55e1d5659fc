//! What was said against a pod whose own status does not tell what keeps it from being ready: a volume that cannot be mounted, a
//! probe that fails.
//!
//! Not here: where warnings are kept, and how they are asked for (`everynode-control`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Trouble;
use crate::model::{Millis, Pod, Uid};

/// What was said longer ago is over: who still sees the cause says it again within this time.
const FRESH: Millis = Millis::from_secs(5 * 60);

/// A warning about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The pod.
    pub pod: Uid,
    /// When it was said last.
    pub at: Millis,
    /// `FailedMount`, `Unhealthy`, …
    pub reason: String,
    /// In the words of whoever found it.
    pub message: String,
}

/// The pods that are to be ready, are not, and do not tell why: warnings are asked for when there are any.
pub fn silent<'a>(pods: &'a [Pod], troubles: &BTreeMap<Arc<str>, Trouble>) -> impl Iterator<Item = &'a Pod> {
    let tells = |pod: &Pod| troubles.get(&pod.key.name).is_some_and(|trouble| !trouble.message.is_empty());
    pods.iter().filter(move |pod| !pod.ready.is && !pod.is_terminating() && !tells(pod))
}

/// Gives each silent pod the last fresh warning about it; how often it was started again is known from its status.
pub fn add(troubles: &mut BTreeMap<Arc<str>, Trouble>, pods: &[Pod], warnings: Vec<Warning>, now: Millis) {
    let mut latest = BTreeMap::<Uid, Warning>::new();
    for warning in warnings.into_iter().filter(|warning| now.since(warning.at) <= FRESH) {
        if latest.get(&warning.pod).is_none_or(|known| known.at < warning.at) {
            latest.insert(warning.pod.clone(), warning);
        }
    }
    let told: Vec<_> = silent(pods, troubles).filter_map(|pod| Some((pod, latest.remove(&pod.uid)?))).collect();
    for (pod, Warning { reason, message, .. }) in told {
        let trouble = troubles.entry(Arc::clone(&pod.key.name)).or_default();
        *trouble = Trouble { reason, message, restarts: trouble.restarts };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemonset::mk::{self, PodExt as _};

    const NOW: Millis = Millis::from_secs(10_000);

    fn trouble(reason: &str, message: &str, restarts: u32) -> Trouble {
        Trouble { reason: reason.to_owned(), message: message.to_owned(), restarts }
    }

    /// The last one that is not over, and only of a pod that is to be ready, is not, and is silent.
    #[test]
    fn the_last_fresh_warning_speaks_for_a_silent_pod() {
        let silent = || mk::pod("a", "n").unready();
        let creating = Some(trouble("ContainerCreating", "", 2));
        let told = Some(trouble("ImagePullBackOff", "no such image", 0));
        let mounted = || Some(trouble("FailedMount", "FailedMount!", 0));
        for (what, pod, known, said, expect) in [
            ("one", silent(), None, &[("FailedMount", 9)][..], mounted()),
            (
                "the last of several",
                silent(),
                None,
                &[("BackOff", 20), ("FailedMount", 9), ("Unhealthy", 30)],
                mounted(),
            ),
            ("just fresh", silent(), None, &[("FailedMount", 300)], mounted()),
            ("over", silent(), None, &[("FailedMount", 301)], None),
            ("by a clock ahead", silent(), None, &[("FailedMount", -9)], mounted()),
            ("it is known what, not why", silent(), creating, &[("FailedMount", 9)], {
                Some(Trouble { restarts: 2, ..mounted().unwrap_or_default() })
            }),
            ("it says why itself", silent(), told.clone(), &[("FailedMount", 9)], told),
            ("it is ready", mk::pod("a", "n"), None, &[("Unhealthy", 9)], None),
            ("it goes", silent().terminating(), None, &[("Unhealthy", 9)], None),
            ("about another", mk::pod("b", "n").unready(), None, &[("FailedMount", 9)], None),
        ] {
            let mut troubles: BTreeMap<_, _> =
                known.map(|known| (Arc::clone(&pod.key.name), known)).into_iter().collect();
            let warning = |(reason, ago): &(&str, i64)| Warning {
                pod: silent().uid,
                at: Millis(NOW.0 - ago * 1000),
                reason: (*reason).to_owned(),
                message: format!("{reason}!"),
            };
            add(&mut troubles, std::slice::from_ref(&pod), said.iter().map(warning).collect(), NOW);
            assert_eq!(troubles.get(&pod.key.name), expect.as_ref(), "{what}");
        }
    }
}
