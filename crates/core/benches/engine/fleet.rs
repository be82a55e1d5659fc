//! A pretend fleet: nodes, sets and their pods, made from numbers so that nothing of it has to be kept.

use std::sync::Arc;

use everynode_core::model::{
    Deletion, GENERATION_LABEL, HASH_LABEL, IntOrPercent, Key, Labels, Millis, Node, NodeCondition, NodeName, Owner,
    Phase, Pin, Pod, Ready, Revision, Scheduling, Set, Status, Strategy, Template, Tri, Uid, Version,
};
use everynode_core::selector::{Effect, LabelSelector, Resources, Taint, Toleration, TolerationOperator};

/// The label that every set wants of its nodes.
pub(crate) const POOL: &str = "pool";
/// How many nodes a rollout may have without a pod at a time.
pub(crate) const UNAVAILABLE: i32 = 10;

pub(crate) fn key(set: usize) -> Key {
    Key::new("kube-system", &format!("daemon-{set:02}"))
}

fn set_uid(set: usize) -> Uid {
    Uid::from(format!("5e700000-0000-4000-8000-{set:012}"))
}

pub(crate) fn node_name(node: usize) -> NodeName {
    NodeName::from(format!("node-{node:06}.region-a.example.net"))
}

/// The number of the node of this name.
pub(crate) fn node_number(name: &NodeName) -> usize {
    name.as_str().get(5..11).and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn node(number: usize) -> Node {
    let name = node_name(number);
    let condition = |kind: &str, status| NodeCondition {
        kind: kind.into(),
        status,
        reason: "KubeletSays".into(),
        heartbeat: Some(Millis(0)),
        since: Some(Millis(0)),
    };
    let conditions = vec![
        condition("MemoryPressure", Tri::False),
        condition("DiskPressure", Tri::False),
        condition("PIDPressure", Tri::False),
        condition("Ready", Tri::True),
    ];
    Node {
        uid: Uid::from(format!("0de00000-0000-4000-8000-{number:012}")),
        version: Version(1),
        created: Millis(0),
        labels: labels(&[
            ("kubernetes.io/arch", "amd64"),
            ("kubernetes.io/hostname", name.as_str()),
            ("kubernetes.io/os", "linux"),
            (POOL, "x"),
            ("topology.kubernetes.io/zone", "a"),
        ]),
        taints: Vec::new(),
        unschedulable: false,
        allocatable: Resources::default(),
        conditions,
        name,
    }
}

/// No set tolerates it, but a pod that is there may stay.
pub(crate) fn taint() -> Taint {
    Taint { key: "dedicated".into(), value: "other".into(), effect: Effect::NoSchedule, added: None }
}

fn template(number: usize) -> Template {
    let mut data = format!("template-{number:02} ").into_bytes();
    data.resize(4096, b'.');
    Template {
        data: data.into(),
        sum: u32::try_from(number).unwrap_or_default(),
        node_name: None,
        node_selector: labels(&[(POOL, "x"), ("kubernetes.io/os", "linux")]),
        required: None,
        tolerations: vec![Toleration {
            key: "node-role.kubernetes.io/control-plane".into(),
            operator: TolerationOperator::Exists,
            value: String::new(),
            effect: Some(Effect::NoSchedule),
            seconds: None,
        }],
        host_network: true,
    }
}

/// A set with the template of this number.
pub(crate) fn set(number: usize, template_number: usize, status: Status, version: u64) -> Set {
    let generation = i64::try_from(template_number).unwrap_or_default();
    let key = key(number);
    Set {
        uid: set_uid(number),
        version: Version(version),
        created: Millis(0),
        generation,
        terminating: false,
        template_generation: Some(generation),
        selector: Some(LabelSelector { labels: labels(&[("app", &key.name)]), expressions: Vec::new() }),
        strategy: Strategy::RollingUpdate {
            max_unavailable: Some(IntOrPercent::Int(UNAVAILABLE)),
            max_surge: Some(IntOrPercent::Int(0)),
        },
        min_ready_seconds: 0,
        history_limit: 10,
        template: template(template_number),
        status,
        collision_count: None,
        key,
    }
}

pub(crate) fn hash(template_number: usize) -> String {
    format!("7d9f8c6b{template_number:02}")
}

fn owner(set: usize) -> Option<Owner> {
    Some(Owner { kind: "DaemonSet".into(), name: key(set).name, uid: set_uid(set) })
}

pub(crate) fn revision(set: usize, template_number: usize, hash: &str, number: i64, version: u64) -> Revision {
    let key = key(set);
    Revision {
        key: Key::new(&key.namespace, &format!("{}-{hash}", key.name)),
        uid: Uid::from(format!("4e500000-0000-4000-{set:04}-{template_number:012}")),
        version: Version(version),
        created: Millis(0),
        terminating: false,
        labels: labels(&[("app", &key.name), (HASH_LABEL, hash)]),
        owner: owner(set),
        number,
        data: template(template_number).data,
        rewritten: None,
    }
}

/// What of a pod differs from the next one.
#[derive(Clone)]
pub(crate) struct Facts {
    pub(crate) set: usize,
    pub(crate) node: usize,
    pub(crate) name: Arc<str>,
    pub(crate) uid: Uid,
    pub(crate) hash: Arc<str>,
    pub(crate) template: usize,
}

impl Facts {
    /// The pod that was there from the start.
    pub(crate) fn first(set: usize, node: usize) -> Self {
        Self::new(set, node, format!("daemon-{set:02}-{node:06}").into(), 1, hash(1).into())
    }

    pub(crate) fn new(set: usize, node: usize, name: Arc<str>, template: usize, hash: Arc<str>) -> Self {
        let uid = Uid::from(format!("90d00000-{template:04}-4000-{set:04}-{node:012}"));
        Self { set, node, name, uid, hash, template }
    }

    fn pod(&self, version: u64) -> Pod {
        let set = key(self.set);
        let name = node_name(self.node);
        Pod {
            key: Key::new(&set.namespace, &self.name),
            uid: Uid::from(self.uid.as_str()),
            version: Version(version),
            created: Millis::from_secs(1),
            deletion: None,
            labels: labels(&[
                ("app", &set.name),
                (HASH_LABEL, &self.hash),
                (GENERATION_LABEL, &self.template.to_string()),
                ("app.kubernetes.io/part-of", "fleet"),
            ]),
            owner: owner(self.set),
            pin: Pin::To(NodeName::from(name.as_str())),
            node: Some(name),
            phase: Phase::Running,
            ready: Ready { is: true, since: Some(Millis(0)) },
            failures: 0,
            finalized: false,
            scheduling: Arc::new(Scheduling::default()),
        }
    }

    pub(crate) fn running(&self, is_ready: bool, version: u64) -> Arc<Pod> {
        Arc::new(Pod { ready: Ready { is: is_ready, since: Some(Millis(0)) }, ..self.pod(version) })
    }

    pub(crate) fn pending(&self, version: u64) -> Arc<Pod> {
        Arc::new(Pod { node: None, phase: Phase::Pending, ready: Ready::default(), ..self.pod(version) })
    }

    pub(crate) fn terminating(&self, version: u64) -> Arc<Pod> {
        let deletion = Some(Deletion { at: Millis(0), grace: Millis::from_secs(30) });
        Arc::new(Pod { deletion, ..self.pod(version) })
    }
}
