//! Which pods must make room for one of higher priority (R139, A518, A519a).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::filter::{self, Refusal, available};
use super::ledger::Ledger;
use super::seat::{Held, Seat};
use crate::model::{Node, NodeName, Pod, Uid};

/// Pods to delete so that another fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victims {
    /// Where.
    pub node: NodeName,
    /// Whom, the most important first.
    pub pods: Vec<(Uid, Held)>,
}

/// What preemption comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preemption {
    /// These must go.
    Evict(Victims),
    /// Nothing to do, for this reason (words for the message).
    No(String),
}

impl Ledger {
    /// Looks for the node where the least important pods suffer.
    #[must_use]
    pub fn preempt(&self, pod: &Pod, refusal: &Refusal) -> Preemption {
        if pod.scheduling.never_preempts {
            return Preemption::No("not eligible due to preemptionPolicy=Never".to_owned());
        }
        if self.is_room_being_made(pod) {
            return Preemption::No("not eligible due to a terminating pod on the nominated node".to_owned());
        }
        let mut best: Option<(_, Victims)> = None;
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for name in &refusal.preemptable {
            let Some((node, seat)) = self.node(name) else {
                continue;
            };
            match victims_on(pod, node, seat) {
                Ok(pods) => {
                    let cost = (
                        pods.iter().map(|(_, held)| held.scheduling.priority).max(),
                        pods.iter().map(|(_, held)| i64::from(held.scheduling.priority)).sum::<i64>(),
                        pods.len(),
                    );
                    if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                        best = Some((cost, Victims { node: name.clone(), pods }));
                    }
                }
                Err(words) => {
                    for word in words {
                        *reasons.entry(word).or_default() += 1;
                    }
                }
            }
        }
        if let Some((_, victims)) = best {
            return Preemption::Evict(victims);
        }
        let helpless = refusal.nodes - refusal.preemptable.len();
        if helpless > 0 {
            reasons.insert("Preemption is not helpful for scheduling".to_owned(), helpless);
        }
        Preemption::No(available(refusal.nodes, &reasons))
    }

    /// Victims of an earlier round are still on their way out.
    fn is_room_being_made(&self, pod: &Pod) -> bool {
        let seat = self.nominated(&pod.uid).and_then(|node| self.seats.get(node));
        seat.is_some_and(|seat| {
            seat.pods.values().any(|held| held.terminating && held.scheduling.priority < pod.scheduling.priority)
        })
    }
}

/// All pods of lower priority leave; then the most important come back as long as the pod still fits.
fn victims_on(pod: &Pod, node: &Node, seat: &Seat) -> Result<Vec<(Uid, Held)>, Vec<String>> {
    let mut seat = seat.clone();
    let lower: Vec<Uid> = seat
        .pods
        .iter()
        .filter(|(_, held)| held.scheduling.priority < pod.scheduling.priority)
        .map(|(uid, _)| uid.clone())
        .collect();
    if lower.is_empty() {
        return Err(vec!["No preemption victims found for incoming pod".to_owned()]);
    }
    let mut out: Vec<(Uid, Held)> = Vec::with_capacity(lower.len());
    for uid in lower {
        out.extend(seat.take(&uid).map(|held| (uid, held)));
    }
    let judgement = filter::judge(pod, node, &seat);
    if !judgement.reasons.is_empty() {
        return Err(judgement.reasons.iter().map(ToString::to_string).collect());
    }
    out.sort_by_key(|(_, held)| (Reverse(held.scheduling.priority), held.created));
    let mut victims = Vec::new();
    for (uid, held) in out {
        seat.put(uid.clone(), held.clone());
        if !filter::judge(pod, node, &seat).reasons.is_empty() {
            seat.take(&uid);
            victims.push((uid, held));
        }
    }
    Ok(victims)
}
