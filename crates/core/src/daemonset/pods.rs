//! The pods of a cell: nearly always one, which lies in the cell itself.

use std::ops::{Deref, DerefMut};

use super::cell::PodCell;

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
}
