//! Which pods a `NoExecute` taint drives away, and when (R127, R128, A344).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Millis, Uid};
use crate::selector::{Effect, Taint, Toleration};

/// What a node's taints mean for a pod on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Stay,
    /// It goes at this time; a time in the past means now.
    GoAt(Millis),
}

/// R127: at once if any taint is untolerated, else when the shortest toleration in use has run out, else never.
#[must_use]
pub fn judge(taints: &[Taint], tolerations: &[Toleration], now: Millis) -> Verdict {
    let mut at: Option<Millis> = None;
    for taint in taints.iter().filter(|taint| taint.effect == Effect::NoExecute) {
        let Some(toleration) = tolerations.iter().find(|toleration| toleration.tolerates(taint)) else {
            return Verdict::GoAt(now);
        };
        if let Some(seconds) = toleration.seconds {
            let ends = taint.added.unwrap_or(now).plus(Millis::from_secs(seconds.max(0)));
            at = Some(at.map_or(ends, |before| before.min(ends)));
        }
    }
    at.map_or(Verdict::Stay, Verdict::GoAt)
}

/// Pods whose toleration runs.
#[derive(Debug, Default)]
pub struct Evictions {
    at: BTreeMap<Uid, Millis>,
    order: BTreeSet<(Millis, Uid)>,
}

impl Evictions {
    /// Files a verdict. Lengthening a toleration later does not postpone what is already set (T127). True when a pod that was
    /// to go may stay.
    pub fn file(&mut self, uid: &Uid, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Stay => self.remove(uid),
            Verdict::GoAt(at) => {
                let at = self.at.get(uid).map_or(at, |before| at.min(*before));
                self.remove(uid);
                self.at.insert(uid.clone(), at);
                self.order.insert((at, uid.clone()));
                false
            }
        }
    }

    /// The pod is gone, or free.
    pub fn remove(&mut self, uid: &Uid) -> bool {
        let Some(at) = self.at.remove(uid) else { return false };
        self.order.remove(&(at, uid.clone()));
        true
    }

    /// A pod whose time has come.
    pub fn next(&mut self, now: Millis) -> Option<Uid> {
        let (at, uid) = self.order.first()?.clone();
        if at > now {
            return None;
        }
        self.remove(&uid);
        Some(uid)
    }

    /// When the next pod's time comes.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        self.order.first().map(|(at, _)| *at)
    }
}
