//! Objects as decisions see them, and how they come to be seen: the truth of the world, and every view of it, is made of these.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use everynode_api::project::{self, ProjectError};
use everynode_api::registry;
use everynode_api::resource::Resource;
use everynode_core::model::{Key, Node, NodeName, Pod, Revision, Set, Version};
use everynode_store::{Event, EventKind};
use serde_json::Value;

/// A DaemonSet: what decisions read, and the object, from which pods are made.
#[derive(Debug)]
pub(crate) struct SetItem {
    pub(crate) set: Set,
    pub(crate) object: Value,
}

/// The kinds that the world is made of, in the order of their lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Node,
    Set,
    Pod,
    Revision,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Node, Self::Set, Self::Pod, Self::Revision];

    pub(crate) fn row(self) -> Option<&'static Resource> {
        match self {
            Self::Node => registry::find("", "v1", "nodes"),
            Self::Set => registry::find("apps", "v1", "daemonsets"),
            Self::Pod => registry::find("", "v1", "pods"),
            Self::Revision => registry::find("apps", "v1", "controllerrevisions"),
        }
    }
}

/// One change of one object, projected.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Node(Arc<Node>),
    NodeGone(NodeName),
    Set(Arc<SetItem>),
    SetGone(Key),
    Pod(Arc<Pod>),
    PodGone(Key, Version),
    Revision(Arc<Revision>),
    RevisionGone(Key, Version),
}

impl Fact {
    /// What an event of the store says.
    pub(crate) fn of(kind: Kind, event: &Event) -> Result<Self, ProjectError> {
        let bytes = &event.entry.value;
        let is_gone = event.kind == EventKind::Delete;
        let version = Version(event.revision().0);
        Ok(match kind {
            Kind::Node => {
                let node = project::node(bytes)?;
                if is_gone { Self::NodeGone(node.name) } else { Self::Node(Arc::new(node)) }
            }
            Kind::Set => {
                let object: Value =
                    serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "DaemonSet", source })?;
                let set = project::daemon_set(&object)?;
                if is_gone { Self::SetGone(set.key) } else { Self::Set(Arc::new(SetItem { set, object })) }
            }
            Kind::Pod => {
                let pod = project::pod(bytes)?;
                if is_gone { Self::PodGone(pod.key, version) } else { Self::Pod(Arc::new(pod)) }
            }
            Kind::Revision => {
                let revision = project::revision(bytes)?;
                if is_gone { Self::RevisionGone(revision.key, version) } else { Self::Revision(Arc::new(revision)) }
            }
        })
    }

    /// The version that made it so; 0 where nobody asks.
    pub(crate) fn version(&self) -> Version {
        match self {
            Self::Node(node) => node.version,
            Self::Set(item) => item.set.version,
            Self::Pod(pod) => pod.version,
            Self::Revision(revision) => revision.version,
            Self::PodGone(_, version) | Self::RevisionGone(_, version) => *version,
            Self::NodeGone(_) | Self::SetGone(_) => Version(0),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Node(_) | Self::NodeGone(_) => Kind::Node,
            Self::Set(_) | Self::SetGone(_) => Kind::Set,
            Self::Pod(_) | Self::PodGone(..) => Kind::Pod,
            Self::Revision(_) | Self::RevisionGone(..) => Kind::Revision,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => {
                write!(f, "node {} @{} ready {:?}", node.name, node.version.0, node.ready())?;
                if node.unschedulable {
                    f.write_str(" cordoned")?;
                }
                node.taints.iter().try_for_each(|taint| write!(f, " {}:{}", taint.key, taint.effect.as_str()))
            }
            Self::NodeGone(name) => write!(f, "node {name} gone"),
            Self::Set(item) => {
                let set = &item.set;
                write!(f, "set {} @{} generation {} {:?}", set.key, set.version.0, set.generation, set.strategy)?;
                if set.terminating { f.write_str(" terminating") } else { Ok(()) }
            }
            Self::SetGone(key) => write!(f, "set {key} gone"),
            Self::Pod(pod) => {
                write!(f, "pod {} @{} {:?}", pod.key, pod.version.0, pod.phase)?;
                match (&pod.node, pod.target()) {
                    (Some(node), _) => write!(f, " on {node}")?,
                    (None, Some(node)) => write!(f, " for {node}")?,
                    (None, None) => {}
                }
                if pod.ready.is {
                    f.write_str(" ready")?;
                }
                if pod.owner.is_none() {
                    f.write_str(" orphan")?;
                }
                if pod.is_terminating() { f.write_str(" terminating") } else { Ok(()) }
            }
            Self::PodGone(key, version) => write!(f, "pod {key} gone @{}", version.0),
            Self::Revision(revision) => {
                write!(f, "revision {} @{} number {}", revision.key, revision.version.0, revision.number)
            }
            Self::RevisionGone(key, version) => write!(f, "revision {key} gone @{}", version.0),
        }
    }
}

/// All objects, at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) nodes: BTreeMap<NodeName, Arc<Node>>,
    pub(crate) sets: BTreeMap<Key, Arc<SetItem>>,
    pub(crate) pods: BTreeMap<Key, Arc<Pod>>,
    pub(crate) revisions: BTreeMap<Key, Arc<Revision>>,
}

impl State {
    pub(crate) fn take(&mut self, fact: &Fact) {
        match fact {
            Fact::Node(node) => drop(self.nodes.insert(node.name.clone(), Arc::clone(node))),
            Fact::NodeGone(name) => drop(self.nodes.remove(name)),
            Fact::Set(item) => drop(self.sets.insert(item.set.key.clone(), Arc::clone(item))),
            Fact::SetGone(key) => drop(self.sets.remove(key)),
            Fact::Pod(pod) => drop(self.pods.insert(pod.key.clone(), Arc::clone(pod))),
            Fact::PodGone(key, _) => drop(self.pods.remove(key)),
            Fact::Revision(revision) => drop(self.revisions.insert(revision.key.clone(), Arc::clone(revision))),
            Fact::RevisionGone(key, _) => drop(self.revisions.remove(key)),
        }
    }

    /// What a list of a kind shows, as changes to `view`: what is there, then what is not any more.
    pub(crate) fn list(&self, kind: Kind, view: &Self, at: Version) -> Vec<Fact> {
        fn gone<'v, K: Ord, V>(
            there: &'v BTreeMap<K, V>,
            view: &'v BTreeMap<K, V>,
        ) -> impl Iterator<Item = &'v K> + use<'v, K, V> {
            view.keys().filter(|key| !there.contains_key(key))
        }
        let mut facts: Vec<Fact> = Vec::new();
        match kind {
            Kind::Node => {
                facts.extend(self.nodes.values().cloned().map(Fact::Node));
                facts.extend(gone(&self.nodes, &view.nodes).cloned().map(Fact::NodeGone));
            }
            Kind::Set => {
                facts.extend(self.sets.values().cloned().map(Fact::Set));
                facts.extend(gone(&self.sets, &view.sets).cloned().map(Fact::SetGone));
            }
            Kind::Pod => {
                facts.extend(self.pods.values().cloned().map(Fact::Pod));
                facts.extend(gone(&self.pods, &view.pods).map(|key| Fact::PodGone(key.clone(), at)));
            }
            Kind::Revision => {
                facts.extend(self.revisions.values().cloned().map(Fact::Revision));
                facts.extend(gone(&self.revisions, &view.revisions).map(|key| Fact::RevisionGone(key.clone(), at)));
            }
        }
        facts
    }

    /// Pods that a set owns and selects.
    pub(crate) fn pods_of<'s>(&'s self, set: &'s Set) -> impl Iterator<Item = &'s Arc<Pod>> {
        self.pods.values().filter(move |pod| owns(set, pod))
    }
}

/// The set controls the pod and selects it.
pub(crate) fn owns(set: &Set, pod: &Pod) -> bool {
    pod.owner.as_ref().is_some_and(|owner| owner.uid == set.uid)
        && set.selector.as_ref().is_some_and(|selector| !selector.is_empty() && selector.matches(&pod.labels))
}
