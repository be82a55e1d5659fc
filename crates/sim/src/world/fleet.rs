//! The machines: nodes that come and go, a scheduler that binds, and a pretend kubelet per node.

use everynode_core::lifecycle::eviction::{self, Verdict};
use everynode_core::lifecycle::taints::{self, Execution};
use everynode_core::model::{Key, Millis, Node, NodeName, Phase, Pod, Tri, Uid};
use everynode_core::selector::{Effect, Taint, untolerated};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::wire::pod_path;
use super::{Event, World};
use crate::facts::Fact;

/// How long things take, as ranges of milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Until the scheduler binds a pod.
    pub(crate) bind: (i64, i64),
    /// From bound to running.
    pub(crate) run: (i64, i64),
    /// From running to ready.
    pub(crate) ready: (i64, i64),
    /// From asked to stop to gone.
    pub(crate) stop: (i64, i64),
    /// Of a thousand starts, so many fail.
    pub(crate) failing_start: u32,
}

/// One machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    /// Its kubelet works and is heard.
    pub(crate) is_up: bool,
    /// What it is, for when it comes back.
    pub(crate) labels: Value,
}

/// What its kubelet has set in motion for a pod.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Life {
    is_seen: bool,
    is_starting: bool,
    is_stopping: bool,
}

/// What a kubelet does with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The containers run.
    Run,
    /// It is ready.
    Ready,
    /// It is not ready any more, for a while.
    Unready,
    /// It cannot start.
    Fail,
    /// It ends while it runs: badly, or (`true`) well, which a daemon must not.
    End(bool),
    /// It has stopped: the object goes.
    Stop,
}

/// The label of templates whose pods cannot become ready.
pub(crate) const QUALITY: &str = "quality";

fn conditions(is_ready: bool, now: Millis) -> Value {
    let at = Timestamp::from_millisecond(now.0).unwrap_or_default();
    let status = if is_ready { "True" } else { "False" };
    json!([{"type": "Ready", "status": status, "lastTransitionTime": everynode_api::time::format(at)}])
}

pub(super) fn wire_taints(list: &[Taint]) -> Value {
    let wire = |taint: &Taint| {
        let mut wire = json!({"key": taint.key, "effect": taint.effect.as_str()});
        if !taint.value.is_empty() {
            wire["value"] = json!(taint.value);
        }
        if let Some(added) = taint.added {
            let at = Timestamp::from_millisecond(added.0).unwrap_or_default();
            wire["timeAdded"] = json!(everynode_api::time::format(at));
        }
        wire
    };
    list.iter().map(wire).collect()
}

fn fits(pod: &Pod, node: &Node) -> bool {
    untolerated(&node.taints, &pod.scheduling.tolerations, &[Effect::NoSchedule, Effect::NoExecute]).is_none()
}

impl World {
    fn within(&mut self, (low, high): (i64, i64)) -> Millis {
        Millis(self.random.between(low, high))
    }

    /// Scheduler and kubelets hear of everything at once; what they do about it takes its time.
    pub(super) fn fleet_sees(&mut self, fact: &Fact) {
        match fact {
            Fact::Pod(pod) => self.pod_seen(pod),
            Fact::NodeGone(_) => self.plan(Millis(6_000), Event::PodGc),
            Fact::Node(node) if node.taints.iter().any(|taint| taint.effect == Effect::NoExecute) => {
                self.plan(Millis(500), Event::Evict(node.name.clone()));
            }
            _ => {}
        }
    }

    fn pod_seen(&mut self, pod: &Pod) {
        let (key, uid) = (pod.key.clone(), pod.uid.clone());
        let mut life = self.lives.get(&uid).copied().unwrap_or_default();
        if pod.node.is_none() {
            if !std::mem::replace(&mut life.is_seen, true) {
                let delay = self.within(self.pace.bind);
                self.plan(delay, Event::Bind(key, uid.clone()));
            }
        } else if pod.is_terminating() {
            if !std::mem::replace(&mut life.is_stopping, true) {
                let hangs = !self.is_healed && self.random.chance(self.faults.hanging_stop);
                let delay =
                    if hangs { Millis(self.random.between(60_000, 900_000)) } else { self.within(self.pace.stop) };
                self.plan(delay, Event::Kubelet(key, uid.clone(), Act::Stop));
            }
        } else if pod.phase == Phase::Pending && !std::mem::replace(&mut life.is_starting, true) {
            let delay = self.within(self.pace.run);
            self.plan(delay, Event::Kubelet(key, uid.clone(), Act::Run));
        }
        self.lives.insert(uid, life);
    }

    /// The pod, if it is still that one.
    fn same(&self, key: &Key, uid: &Uid) -> Option<Pod> {
        self.truth.pods.get(key).filter(|pod| pod.uid == *uid).map(|pod| (**pod).clone())
    }

    /// The scheduler looks at a pinned pod.
    pub(super) fn bind(&mut self, key: &Key, uid: &Uid) {
        let Some(pod) = self.same(key, uid) else { return };
        if pod.node.is_some() || pod.is_terminating() {
            return;
        }
        let target = pod.target().and_then(|name| self.truth.nodes.get(name)).filter(|node| fits(&pod, node));
        let Some(node) = target.map(|node| node.name.clone()) else {
            self.plan(Millis(2_000), Event::Bind(key.clone(), uid.clone()));
            return;
        };
        let body = json!({
            "kind": "Binding", "apiVersion": "v1", "metadata": {"name": &*key.name},
            "target": {"kind": "Node", "name": node.as_str()},
        });
        // A pod that is gone meanwhile needs no node.
        let _ = self.send("POST", &format!("{}/binding", pod_path(key)), &body);
    }

    /// No scheduler finds a node for this pod, whatever it was made for.
    pub(super) fn is_homeless(&self, pod: &Pod) -> bool {
        let target = pod.target().and_then(|name| self.truth.nodes.get(name));
        pod.node.is_none() && target.is_some_and(|node| !fits(pod, node))
    }

    /// A kubelet does what it had in mind with a pod, if the machine is up.
    pub(super) fn kubelet(&mut self, key: &Key, uid: &Uid, act: Act) {
        let Some(pod) = self.same(key, uid) else {
            self.lives.remove(uid);
            return;
        };
        let Some(name) = pod.node.clone() else { return };
        let is_up = self.truth.nodes.contains_key(&name) && self.machines.get(&name).is_some_and(|m| m.is_up);
        if !is_up {
            self.plan(Millis(3_000), Event::Kubelet(key.clone(), uid.clone(), act));
            return;
        }
        if act == Act::Stop {
            let options = json!({
                "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "preconditions": {"uid": uid.as_str()},
            });
            let _ = self.send("DELETE", &pod_path(key), &options);
            return;
        }
        // What was to go wrong later does not, once nothing goes wrong any more.
        if pod.is_terminal() || (self.is_healed && matches!(act, Act::End(_) | Act::Unready)) {
            return;
        }
        let is_running = pod.phase == Phase::Running;
        match act {
            Act::Run if !is_running => self.run(&pod),
            Act::Ready if is_running && !pod.ready.is && !pod.is_terminating() => self.becomes_ready(&pod),
            Act::Unready if pod.ready.is && !pod.is_terminating() => {
                self.pod_status(&pod, json!({"conditions": conditions(false, self.now)}));
                let delay = Millis(self.random.between(500, 30_000));
                self.plan(delay, Event::Kubelet(key.clone(), uid.clone(), Act::Ready));
            }
            Act::Fail | Act::End(_) => {
                let phase = if act == Act::End(true) { "Succeeded" } else { "Failed" };
                self.pod_status(&pod, json!({"phase": phase, "conditions": conditions(false, self.now)}));
            }
            _ => {}
        }
    }

    fn run(&mut self, pod: &Pod) {
        self.pod_status(pod, json!({"phase": "Running", "conditions": conditions(false, self.now)}));
        let (key, uid) = (pod.key.clone(), pod.uid.clone());
        let quality = pod.labels.get(QUALITY).map_or("", String::as_str);
        let fails = quality == "failing" || self.random.chance(self.pace.failing_start);
        if fails {
            let delay = self.within(self.pace.ready);
            self.plan(delay, Event::Kubelet(key, uid, Act::Fail));
        } else if quality != "stuck" {
            let delay = self.within(self.pace.ready);
            self.plan(delay, Event::Kubelet(key, uid, Act::Ready));
        }
    }

    fn becomes_ready(&mut self, pod: &Pod) {
        self.pod_status(pod, json!({"conditions": conditions(true, self.now)}));
        if self.is_healed {
            return;
        }
        let (key, uid) = (pod.key.clone(), pod.uid.clone());
        let delay = Millis(self.random.between(500, 200_000));
        if self.random.chance(self.faults.failing_pod) {
            let ends_well = self.random.chance(100);
            self.plan(delay, Event::Kubelet(key, uid, Act::End(ends_well)));
        } else if self.random.chance(self.faults.unready_pod) {
            self.plan(delay, Event::Kubelet(key, uid, Act::Unready));
        }
    }

    fn pod_status(&mut self, pod: &Pod, status: Value) {
        let patch = json!({"metadata": {"uid": pod.uid.as_str()}, "status": status});
        let _ = self.send("PATCH", &format!("{}/status", pod_path(&pod.key)), &patch);
    }

    /// A machine joins, perhaps one that was there before.
    pub(crate) fn join(&mut self, name: &str, labels: &Value) {
        let node = NodeName::from(name);
        let at = Timestamp::from_millisecond(self.now.0).unwrap_or_default();
        let at = everynode_api::time::format(at);
        let body = json!({
            "kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "labels": labels},
            "status": {
                "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
                    "lastHeartbeatTime": at, "lastTransitionTime": at}],
            },
        });
        self.machines.insert(node, Machine { is_up: true, labels: labels.clone() });
        let _ = self.send("POST", "/api/v1/nodes", &body);
    }

    /// A machine's kubelet falls silent, or is heard again.
    pub(super) fn switch(&mut self, name: &NodeName, is_up: bool) {
        let Some(machine) = self.machines.get_mut(name).filter(|machine| machine.is_up != is_up) else { return };
        machine.is_up = is_up;
        self.say(format_args!("machine {name} is {}", if is_up { "up" } else { "down" }));
        if !is_up {
            let delay = Millis(self.random.between(5_000, 60_000));
            self.plan(delay, Event::Silence(name.clone()));
            return;
        }
        self.node_ready(name, "True", "KubeletReady");
        let here: Vec<Pod> =
            self.truth.pods.values().filter(|pod| pod.node.as_ref() == Some(name)).map(|p| (**p).clone()).collect();
        for pod in here.iter().filter(|pod| pod.phase == Phase::Running && !pod.labels.contains_key(QUALITY)) {
            let delay = Millis(self.random.between(500, 5_000));
            self.plan(delay, Event::Kubelet(pod.key.clone(), pod.uid.clone(), Act::Ready));
        }
    }

    /// R124, R126: a silent node is unknown, and its pods are not ready.
    pub(super) fn silence(&mut self, name: &NodeName) {
        if self.machines.get(name).is_none_or(|machine| machine.is_up) {
            return;
        }
        self.node_ready(name, "Unknown", "NodeStatusUnknown");
        let here: Vec<Pod> =
            self.truth.pods.values().filter(|pod| pod.node.as_ref() == Some(name)).map(|p| (**p).clone()).collect();
        for pod in here.iter().filter(|pod| pod.ready.is) {
            self.pod_status(pod, json!({"conditions": conditions(false, self.now)}));
        }
    }

    fn node_ready(&mut self, name: &NodeName, status: &str, reason: &str) {
        let Some(node) = self.truth.nodes.get(name) else { return };
        if node.ready() == Tri::True && status == "True" {
            return;
        }
        let at = everynode_api::time::format(Timestamp::from_millisecond(self.now.0).unwrap_or_default());
        let condition = json!({"type": "Ready", "status": status, "reason": reason,
            "lastHeartbeatTime": at, "lastTransitionTime": at});
        let _ = self.send(
            "PATCH",
            &format!("/api/v1/nodes/{name}/status"),
            &json!({"status": {"conditions": [condition]}}),
        );
        self.settle_taints(name);
    }

    /// R125: the taints that follow from a node's conditions.
    pub(super) fn settle_taints(&mut self, name: &NodeName) {
        let Some(node) = self.truth.nodes.get(name) else { return };
        if let Some(wanted) = taints::wanted(node, Execution::Turn, self.now) {
            self.set_taints(name, &wanted);
        }
    }

    pub(super) fn set_taints(&mut self, name: &NodeName, taints: &[Taint]) {
        let list = wire_taints(taints);
        let patch = json!({"spec": {"taints": if taints.is_empty() { Value::Null } else { list }}});
        let request = everynode_api::daemonset::wire::Request {
            method: "PATCH",
            path: format!("/api/v1/nodes/{name}"),
            // Not the strategic one: taints are merged by key there.
            content_type: "application/merge-patch+json",
            body: patch.to_string().into_bytes(),
        };
        let _ = self.ask(&request);
    }

    /// R127: pods that do not tolerate a `NoExecute` taint of their node are deleted.
    pub(super) fn evict(&mut self, name: &NodeName) {
        let Some(node) = self.truth.nodes.get(name).cloned() else { return };
        let goes = |pod: &Pod| {
            pod.node.as_ref() == Some(name)
                && !pod.is_terminating()
                && matches!(eviction::judge(&node.taints, &pod.scheduling.tolerations, self.now), Verdict::GoAt(at) if at <= self.now)
        };
        let gone: Vec<Pod> = self.truth.pods.values().filter(|pod| goes(pod)).map(|pod| (**pod).clone()).collect();
        for pod in gone {
            self.delete_pod(&pod, None);
        }
    }

    /// Somebody deletes a pod.
    pub(super) fn delete_pod(&mut self, pod: &Pod, grace: Option<i64>) {
        let mut options = json!({
            "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": pod.uid.as_str()},
        });
        if let Some(grace) = grace {
            options["gracePeriodSeconds"] = json!(grace);
        }
        let _ = self.send("DELETE", &pod_path(&pod.key), &options);
    }

    /// Nothing goes wrong from now on: every machine is up, and what hangs goes on.
    pub(super) fn heal_fleet(&mut self) {
        self.pace.failing_start = 0;
        for name in self.machines.keys().cloned().collect::<Vec<_>>() {
            if self.truth.nodes.contains_key(&name) {
                self.switch(&name, true);
                self.node_ready(&name, "True", "KubeletReady");
                self.settle_taints(&name);
            }
        }
        let pods: Vec<Pod> = self.truth.pods.values().map(|pod| (**pod).clone()).collect();
        for pod in pods {
            let delay = Millis(self.random.between(500, 5_000));
            let act = match (pod.is_terminating(), pod.phase) {
                (true, _) => Act::Stop,
                (false, Phase::Running) if !pod.labels.contains_key(QUALITY) => Act::Ready,
                _ => continue,
            };
            self.plan(delay, Event::Kubelet(pod.key.clone(), pod.uid.clone(), act));
        }
    }
}
