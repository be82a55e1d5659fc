//! Builders for tests: short to write, plain to read.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    Deletion, HASH_LABEL, IntOrPercent, Key, Labels, Millis, Node, NodeCondition, NodeName, Owner, Phase, Pin, Pod,
    Ready, Revision, Scheduling, Set, Status, Strategy, Template, Tri, Uid, Version,
};
use crate::selector::{Effect, LabelSelector, Resources, Taint};

/// `k=v,k2=v2`
pub(crate) fn labels(text: &str) -> Labels {
    text.split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// `key=value:Effect` or `key:Effect`
pub(crate) fn taint(text: &str) -> Taint {
    let (rest, effect) = text.rsplit_once(':').unwrap_or((text, "NoSchedule"));
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    Taint { key: key.into(), value: value.into(), effect: Effect::parse(effect), added: None }
}

pub(crate) fn node(name: &str) -> Node {
    Node {
        name: NodeName::from(name),
        uid: Uid::from(format!("node-{name}")),
        version: Version(1),
        created: Millis(0),
        labels: Labels::new(),
        taints: Vec::new(),
        unschedulable: false,
        allocatable: Resources::default(),
        conditions: vec![NodeCondition {
            kind: "Ready".into(),
            status: Tri::True,
            reason: "".into(),
            heartbeat: None,
            since: None,
        }],
    }
}

/// A template that differs by its number alone.
pub(crate) fn template(number: u32) -> Template {
    Template {
        data: format!("template-{number}").into_bytes().into(),
        sum: number,
        node_name: None,
        node_selector: Labels::new(),
        required: None,
        tolerations: Vec::new(),
        host_network: false,
    }
}

/// Set `web` in namespace `ns`, of template 1.
pub(crate) fn set() -> Set {
    Set {
        key: Key::new("ns", "web"),
        uid: Uid::from("set"),
        version: Version(1),
        created: Millis(-1),
        generation: 1,
        terminating: false,
        template_generation: Some(1),
        selector: Some(LabelSelector { labels: labels("app=web"), expressions: Vec::new() }),
        strategy: rolling(1, 0),
        min_ready_seconds: 0,
        history_limit: 10,
        template: template(1),
        status: Status::default(),
        collision_count: None,
    }
}

pub(crate) fn rolling(unavailable: i32, surge: i32) -> Strategy {
    Strategy::RollingUpdate {
        max_unavailable: Some(IntOrPercent::Int(unavailable)),
        max_surge: Some(IntOrPercent::Int(surge)),
    }
}

/// A bound, ready pod of [`set`], of no particular template.
pub(crate) fn pod(name: &str, node: &str) -> Pod {
    Pod {
        key: Key::new("ns", name),
        uid: Uid::from(format!("pod-{name}")),
        version: Version(1),
        created: Millis(0),
        deletion: None,
        labels: labels("app=web"),
        owner: Some(Owner { kind: "DaemonSet".into(), name: "web".into(), uid: Uid::from("set") }),
        node: Some(NodeName::from(node)),
        pin: Pin::To(NodeName::from(node)),
        phase: Phase::Running,
        ready: Ready { is: true, since: Some(Millis(0)) },
        failures: 0,
        finalized: false,
        scheduling: Arc::new(Scheduling::default()),
    }
}

pub(crate) trait PodExt: Sized {
    fn with(self, change: impl FnOnce(&mut Pod)) -> Self;
    fn hash(self, hash: &str) -> Self;
    fn unready(self) -> Self;
    fn phase(self, phase: Phase) -> Self;
    fn terminating(self) -> Self;
    fn unbound(self) -> Self;
    fn created(self, secs: i64) -> Self;
}

impl PodExt for Pod {
    fn with(mut self, change: impl FnOnce(&mut Pod)) -> Self {
        change(&mut self);
        self
    }
    fn hash(self, hash: &str) -> Self {
        self.with(|pod| {
            pod.labels.insert(HASH_LABEL.to_owned(), hash.to_owned());
        })
    }
    fn unready(self) -> Self {
        self.with(|pod| pod.ready.is = false)
    }
    fn phase(self, phase: Phase) -> Self {
        self.with(|pod| {
            pod.phase = phase;
            pod.ready.is = false;
        })
    }
    fn terminating(self) -> Self {
        self.with(|pod| pod.deletion = Some(Deletion { at: Millis(0), grace: Millis(0) }))
    }
    fn unbound(self) -> Self {
        self.with(|pod| pod.node = None)
    }
    fn created(self, secs: i64) -> Self {
        self.with(|pod| pod.created = Millis::from_secs(secs))
    }
}

/// The revision of a template of [`set`].
pub(crate) fn revision(template_number: u32, hash: &str, number: i64) -> Revision {
    let mut all = labels("app=web");
    all.insert(HASH_LABEL.to_owned(), hash.to_owned());
    Revision {
        key: Key::new("ns", &format!("web-{hash}")),
        uid: Uid::from(format!("revision-{hash}")),
        version: Version(1),
        created: Millis(0),
        terminating: false,
        labels: all,
        owner: Some(Owner { kind: "DaemonSet".into(), name: "web".into(), uid: Uid::from("set") }),
        number,
        data: template(template_number).data,
        rewritten: None,
    }
}

pub(crate) fn nodes(names: &[&str]) -> BTreeMap<NodeName, Node> {
    names.iter().map(|name| (NodeName::from(*name), node(name))).collect()
}
