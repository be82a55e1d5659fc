//! The pods that wait for a node (R138, A519b).
//!
//! ```text
//!   add ──> ready ──next()──> (the shell tries) ──place found──> remove
//!             ^                        │
//!             │                      park
//!     wake (a change that may help)    v
//!     or the longest wait is over   parked, under the node it is pinned to
//! ```
//! A pod that names its node is tried at once when that node changes, since that costs little; others wait out a back-off
//! from 1 s to 10 s, since each try looks at every node.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Millis, NodeName, Pin, Pod, Uid};

/// First back-off.
const BACKOFF_MIN: Millis = Millis::from_secs(1);
/// Longest back-off.
const BACKOFF_MAX: Millis = Millis::from_secs(10);
/// A parked pod is tried again after this long even if nothing changed.
const PARKED_MAX: Millis = Millis::from_secs(300);

type Order = (Reverse<i32>, u64);

#[derive(Debug)]
struct Waiting {
    order: Order,
    pin: Option<NodeName>,
    attempts: u32,
    /// When it was last tried.
    tried: Option<Millis>,
    /// When a timer makes it ready, if it is not.
    due: Option<Millis>,
}

/// Pods that wait for a node, in order of priority and age in the queue.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<Uid, Waiting>,
    ready: BTreeSet<(Order, Uid)>,
    parked: BTreeMap<Option<NodeName>, BTreeSet<Uid>>,
    timers: BTreeSet<(Millis, Uid)>,
    sequence: u64,
}

impl Queue {
    /// A pod waits. Known pods keep their place.
    pub fn add(&mut self, pod: &Pod) {
        if self.waiting.contains_key(&pod.uid) {
            return;
        }
        self.sequence += 1;
        let order = (Reverse(pod.scheduling.priority), self.sequence);
        let pin = match &pod.pin {
            Pin::To(node) => Some(node.clone()),
            Pin::None | Pin::Ambiguous => None,
        };
        self.ready.insert((order, pod.uid.clone()));
        self.waiting.insert(pod.uid.clone(), Waiting { order, pin, attempts: 0, tried: None, due: None });
    }

    /// A pod no longer waits.
    pub fn remove(&mut self, uid: &Uid) {
        if let Some(waiting) = self.waiting.remove(uid) {
            self.unpark(uid, &waiting);
            self.ready.remove(&(waiting.order, uid.clone()));
        }
    }

    /// The next pod to try. It stays known until it is removed or parked.
    pub fn next(&mut self, now: Millis) -> Option<Uid> {
        while let Some((due, uid)) = self.timers.first().cloned()
            && due <= now
        {
            self.timers.pop_first();
            self.make_ready(&uid);
        }
        let (_, uid) = self.ready.pop_first()?;
        if let Some(waiting) = self.waiting.get_mut(&uid) {
            waiting.attempts += 1;
            waiting.tried = Some(now);
        }
        Some(uid)
    }

    /// The pod was tried in vain.
    pub fn park(&mut self, uid: &Uid, now: Millis) {
        if let Some(waiting) = self.waiting.get_mut(uid) {
            let due = now.plus(PARKED_MAX);
            if let Some(before) = waiting.due.replace(due) {
                self.timers.remove(&(before, uid.clone()));
            }
            self.parked.entry(waiting.pin.clone()).or_default().insert(uid.clone());
            self.timers.insert((due, uid.clone()));
        }
    }

    /// The pod will be tried after its back-off, whatever happens: the attempt failed for a reason outside.
    pub fn retry(&mut self, uid: &Uid, now: Millis) {
        self.park(uid, now);
        self.wake_one(uid, now);
    }

    /// Something changed on this node: pods that it may help are tried again.
    pub fn wake(&mut self, node: &NodeName, now: Millis) {
        let pinned = self.parked.get(&Some(node.clone())).cloned().unwrap_or_default();
        for uid in pinned {
            self.make_ready(&uid);
        }
        let others = self.parked.get(&None).cloned().unwrap_or_default();
        for uid in others {
            self.wake_one(&uid, now);
        }
    }

    /// When [`Queue::next`] will have something, if nothing else happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// How many pods wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Ready when its back-off is over.
    fn wake_one(&mut self, uid: &Uid, now: Millis) {
        let Some(waiting) = self.waiting.get_mut(uid) else {
            return;
        };
        let due = waiting.tried.map_or(now, |tried| tried.plus(backoff(waiting.attempts)));
        if due <= now {
            self.make_ready(uid);
        } else if waiting.due.is_some_and(|before| due < before) {
            if let Some(before) = waiting.due.replace(due) {
                self.timers.remove(&(before, uid.clone()));
            }
            self.timers.insert((due, uid.clone()));
        }
    }

    fn make_ready(&mut self, uid: &Uid) {
        let Some(mut waiting) = self.waiting.remove(uid) else {
            return;
        };
        self.unpark(uid, &waiting);
        waiting.due = None;
        self.ready.insert((waiting.order, uid.clone()));
        self.waiting.insert(uid.clone(), waiting);
    }

    fn unpark(&mut self, uid: &Uid, waiting: &Waiting) {
        if let Some(due) = waiting.due {
            self.timers.remove(&(due, uid.clone()));
        }
        if let Some(parked) = self.parked.get_mut(&waiting.pin) {
            parked.remove(uid);
            if parked.is_empty() {
                self.parked.remove(&waiting.pin);
            }
        }
    }
}

/// 1 s, 2 s, 4 s, … at most 10 s.
fn backoff(attempts: u32) -> Millis {
    let doublings = attempts.saturating_sub(1).min(4);
    Millis((BACKOFF_MIN.0 << doublings).min(BACKOFF_MAX.0))
}
