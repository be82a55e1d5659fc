//! How long pods of a fleet have taken to start.

use crate::model::{Millis, Pod};

/// A pod that got ready later than this after its creation did not start then: it was ready before, and again.
const START_MAX: Millis = Millis::from_secs(1800);

/// Objects tell time in whole seconds, so none is the same as less than one.
const START_MIN: Millis = Millis::from_secs(1);

/// How long pods took from their creation until they were ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Starts {
    /// How many pods tell.
    pub pods: usize,
    /// Half of them were quicker.
    pub median: Millis,
    /// Nine of ten were quicker.
    pub p90: Millis,
}

impl Starts {
    /// What these pods tell; nothing if none does.
    #[must_use]
    pub fn of<'a>(pods: impl Iterator<Item = &'a Pod>) -> Option<Self> {
        let took = |pod: &Pod| pod.ready.since.filter(|_| pod.ready.is).map(|since| since.since(pod.created));
        let is_start = |took: &Millis| (Millis(0)..=START_MAX).contains(took);
        let mut all: Vec<Millis> = pods.filter_map(took).filter(is_start).map(|took| took.max(START_MIN)).collect();
        all.sort_unstable();
        // The smallest value that so many per cent of all do not exceed.
        let rank = |percent: usize| all.get((all.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { pods: all.len(), median: rank(50)?, p90: rank(90)? })
    }
}
