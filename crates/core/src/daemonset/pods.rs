//! The pods of a cell, with what of each is looked at: nearly always one, which lies in the cell itself.

use std::cmp::Ordering;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::plan::Ref;
use super::policy::Policy;
use super::text::Text;
use crate::model::{GENERATION_LABEL, Millis, Phase, Pod, Ready, Uid, Version};

/// When a deletion was asked for that is known to be done: it is waited for until it is seen, whatever the clock says.
pub(crate) const DONE: Millis = Millis(i64::MAX);

/// A pod in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodCell {
    pub(crate) name: Text,
    pub(crate) uid: Text,
    pub(crate) version: Version,
    pub(crate) created: Millis,
    pub(crate) is_bound: bool,
    pub(crate) phase: Phase,
    pub(crate) is_terminating: bool,
    pub(crate) ready: Ready,
    pub(crate) hash: Option<Arc<str>>,
    pub(crate) generation: Option<i64>,
    /// How many pods ended here before it was made.
    pub(crate) failures: u32,
    /// When its deletion was asked for.
    pub(crate) asked: Option<Millis>,
}

impl PodCell {
    pub(crate) fn new(pod: &Pod, hash: Option<Arc<str>>) -> Self {
        let label = pod.labels.get(GENERATION_LABEL);
        let generation = label.filter(|text| is_plain(text)).and_then(|text| text.parse().ok());
        Self {
            name: Text::new(&pod.key.name),
            uid: Text::new(pod.uid.shared()),
            version: pod.version,
            created: pod.created,
            is_bound: pod.node.is_some(),
            phase: pod.phase,
            is_terminating: pod.is_terminating(),
            ready: pod.ready,
            hash,
            generation,
            failures: pod.failures,
            asked: None,
        }
    }

    /// As steps name it.
    pub(crate) fn reference(&self) -> Ref {
        Ref { name: self.name.shared(), uid: Uid::from(self.uid.shared()) }
    }

    /// R62: bound before unbound, then older, then by name.
    pub(crate) fn precedes(&self, other: &Self) -> Ordering {
        (!self.is_bound, self.created, &self.name).cmp(&(!other.is_bound, other.created, &other.name))
    }

    /// R56: neither there nor in the way.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_terminating && self.has_ended()
    }

    /// It failed, or ended as a daemon must not.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Failed | Phase::Succeeded)
    }

    /// Not on its way out.
    pub(crate) fn stays(&self) -> bool {
        !self.is_terminating && self.asked.is_none()
    }

    /// R96, but the generation speaks only for pods of this very set (mends R190).
    pub(crate) fn is_updated(&self, policy: &Policy) -> bool {
        (policy.hash.is_some() && self.hash == policy.hash)
            || (policy.generation.is_some() && self.generation == policy.generation && self.created > policy.born)
    }

    /// R66
    pub(crate) fn is_available(&self, policy: &Policy, now: Millis) -> bool {
        self.ready.is
            && (policy.min_ready.0 <= 0 || self.ready.since.is_some_and(|since| since.plus(policy.min_ready) <= now))
    }

    /// When it becomes available by mere waiting.
    pub(super) fn available_at(&self, policy: &Policy, now: Millis) -> Option<Millis> {
        let at = self.ready.since.filter(|_| self.ready.is)?.plus(policy.min_ready);
        (now < at).then_some(at)
    }
}

/// A text that is a number is its plain spelling (R96 compares decimal texts).
fn is_plain(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|digit: char| ('1'..='9').contains(&digit)) || text == "0"
}

/// A short list, in the order of R62.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pods {
    #[default]
    None,
    One(PodCell),
    /// Two or more.
    Many(Vec<PodCell>),
}

impl Pods {
    /// Puts a pod where the order wants it.
    pub(crate) fn insert(&mut self, pod: PodCell) {
        let at = self.partition_point(|other| other.precedes(&pod).is_lt());
        *self = match std::mem::take(self) {
            Self::None => Self::One(pod),
            Self::One(other) => Self::Many(if at == 0 { vec![pod, other] } else { vec![other, pod] }),
            Self::Many(mut pods) => {
                pods.insert(at.min(pods.len()), pod);
                Self::Many(pods)
            }
        };
    }

    /// Takes the pod of this name out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<PodCell> {
        let at = self.iter().position(|pod| pod.name.is(name))?;
        let gone;
        (gone, *self) = match std::mem::take(self) {
            Self::None => (None, Self::None),
            Self::One(pod) => (Some(pod), Self::None),
            Self::Many(mut pods) => {
                let gone = pods.remove(at);
                let last = if pods.len() == 1 { pods.pop() } else { None };
                (Some(gone), last.map_or(Self::Many(pods), Self::One))
            }
        };
        gone
    }
}

impl Deref for Pods {
    type Target = [PodCell];

    fn deref(&self) -> &[PodCell] {
        match self {
            Self::None => &[],
            Self::One(pod) => std::slice::from_ref(pod),
            Self::Many(pods) => pods,
        }
    }
}

impl DerefMut for Pods {
    fn deref_mut(&mut self) -> &mut [PodCell] {
        match self {
            Self::None => &mut [],
            Self::One(pod) => std::slice::from_mut(pod),
            Self::Many(pods) => pods,
        }
    }
}

impl<'a> IntoIterator for &'a Pods {
    type Item = &'a PodCell;
    type IntoIter = std::slice::Iter<'a, PodCell>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Pods {
    type Item = &'a mut PodCell;
    type IntoIter = std::slice::IterMut<'a, PodCell>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemonset::mk::{self, PodExt as _};

    /// R62: in whatever order they come and go.
    #[test]
    fn pods_are_kept_in_order() {
        let pod = |name: &str, secs| PodCell::new(&mk::pod(name, "n").created(secs), None);
        let names = |pods: &Pods| pods.iter().map(|pod| pod.name.as_str().to_owned()).collect::<Vec<_>>();
        let mut pods = Pods::default();
        for (name, secs, expect) in
            [("c", 3, &["c"][..]), ("a", 1, &["a", "c"]), ("b", 2, &["a", "b", "c"]), ("d", 9, &["a", "b", "c", "d"])]
        {
            pods.insert(pod(name, secs));
            assert_eq!(names(&pods), expect);
        }
        assert_eq!(pods.remove("x"), None);
        for (name, expect) in [("b", &["a", "c", "d"][..]), ("a", &["c", "d"]), ("d", &["c"]), ("c", &[])] {
            assert_eq!(pods.remove(name).as_ref().map(|pod| pod.name.as_str()), Some(name));
            assert_eq!(names(&pods), expect);
        }
        assert_eq!(pods, Pods::None);
    }

    /// R96 compares decimal texts, so other spellings of a number do not count.
    #[test]
    fn numbers_are_written_in_one_way() {
        for (text, expect) in [
            ("0", true),
            ("7", true),
            ("10", true),
            ("-3", true),
            ("", false),
            ("+7", false),
            ("07", false),
            ("-0", false),
        ] {
            assert_eq!(is_plain(text), expect, "{text}");
        }
    }
}
