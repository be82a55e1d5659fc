//! Users, operators and other programs: what they do, at random, as long as the trouble lasts.

use everynode_core::model::{Key, Millis, NodeName, Pod, Revision, Strategy, Tri};
use everynode_core::selector::{Effect, Taint};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::fleet::QUALITY;
use super::wire::pod_path;
use super::{Act, Event, World};
use crate::random::Random;

/// The one namespace.
pub(crate) const NAMESPACE: &str = "default";

/// Who meddles with what, and for how long.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    /// Names that nodes may have.
    pub(crate) nodes: Vec<String>,
    /// How many sets there may be.
    pub(crate) sets: usize,
    /// Until when they meddle.
    pub(crate) until: Millis,
    /// The longest pause between two operations.
    pub(crate) pause: i64,
    /// Counts templates: each is new.
    pub(crate) templates: u64,
}

type Deed = fn(&mut World);

/// What can be done, each with its weight.
const DEEDS: &[(u32, Deed)] = &[
    (8, World::edit_template),
    (4, World::roll_back),
    (4, World::edit_strategy),
    (3, World::edit_min_ready),
    (2, World::edit_history_limit),
    (2, World::delete_set),
    (4, World::create_set),
    (5, World::node_joins),
    (3, World::node_leaves),
    (6, World::node_flaps),
    (4, World::relabel_node),
    (4, World::taint_node),
    (2, World::cordon_node),
    (6, World::someone_deletes_pod),
    (4, World::pod_fails),
    (2, World::mislabel_pod),
    (2, World::relabel_back),
    (1, World::orphan_pod),
    (2, World::foreign_pod),
    (2, World::meddle_with_revision),
    (2, World::set_clock),
    (2, World::kill_controller),
];

fn name_of(at: usize) -> String {
    format!("set-{at}")
}

fn set_path(name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{name}")
}

fn strategy(random: &mut Random) -> Value {
    let rolling = |unavailable: Value, surge: Value| json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}});
    match random.weighed(&[6, 3, 2, 2, 1, 4, 2, 2, 2]) {
        0 => rolling(json!(1), json!(0)),
        1 => rolling(json!(2), json!(0)),
        2 => rolling(json!("30%"), json!(0)),
        3 => rolling(json!(3), json!(0)),
        4 => rolling(json!("100%"), json!(0)),
        5 => rolling(json!(0), json!(1)),
        6 => rolling(json!(0), json!(2)),
        7 => rolling(json!(0), json!("50%")),
        _ => json!({"type": "OnDelete"}),
    }
}

fn quality(random: &mut Random) -> Option<&'static str> {
    match random.weighed(&[8, 1, 1]) {
        0 => None,
        1 => Some("stuck"),
        _ => Some("failing"),
    }
}

fn template(app: &str, serial: u64, quality: Option<&str>, random: &mut Random) -> Value {
    let mut spec = json!({"containers": [{"name": "main", "image": format!("registry.example/app:{serial}")}]});
    if random.chance(150) {
        spec["nodeSelector"] = json!({"zone": if random.chance(500) { "a" } else { "b" }});
    }
    if random.chance(250) {
        spec["tolerations"] = json!([{"key": "dedicated", "operator": "Exists"}]);
    }
    let mut labels = json!({"app": app});
    if let Some(quality) = quality {
        labels[QUALITY] = json!(quality);
    }
    json!({"metadata": {"labels": labels}, "spec": spec})
}

impl World {
    /// People begin, and go on until then.
    pub(crate) fn begin(&mut self, operations: Operations) {
        let sets = operations.sets;
        self.operations = operations;
        for name in self.operations.nodes.clone() {
            if self.random.chance(850) {
                let labels = self.labels(&name);
                self.join(&name, &labels);
            }
        }
        (0..sets).for_each(|at| self.create(at));
        if self.now < self.operations.until {
            self.plan(Millis(5_000), Event::Operate);
        }
    }

    fn labels(&mut self, name: &str) -> Value {
        json!({"kubernetes.io/hostname": name, "zone": if self.random.chance(700) { "a" } else { "b" }})
    }

    pub(super) fn operate(&mut self) {
        if self.is_healed {
            return;
        }
        let weights: Vec<u32> = DEEDS.iter().map(|(weight, _)| *weight).collect();
        if let Some((_, deed)) = DEEDS.get(self.random.weighed(&weights)) {
            self.figures.operations += 1;
            deed(self);
        }
        let pause = Millis(self.random.between(50, self.operations.pause));
        if self.now.plus(pause) < self.operations.until {
            self.plan(pause, Event::Operate);
        }
    }

    fn create(&mut self, at: usize) {
        let name = name_of(at);
        self.operations.templates += 1;
        let template = template(&name, self.operations.templates, None, &mut self.random);
        let body = json!({
            "kind": "DaemonSet", "apiVersion": "apps/v1", "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": {"app": name}}, "template": template,
                "updateStrategy": strategy(&mut self.random),
                "minReadySeconds": if self.random.chance(300) { self.random.between(1, 20) } else { 0 },
                "revisionHistoryLimit": self.random.between(0, 3),
            },
        });
        // One that is there already stays.
        let _ = self.send("POST", &format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"), &body);
    }

    fn create_set(&mut self) {
        let at = self.random.below(u64::try_from(self.operations.sets).unwrap_or(0));
        self.create(usize::try_from(at).unwrap_or(0));
    }

    fn a_set(&mut self) -> Option<Key> {
        let keys: Vec<Key> = self.truth.sets.keys().cloned().collect();
        self.random.pick(&keys).cloned()
    }

    fn patch_set(&mut self, key: &Key, spec: &Value) {
        let request = everynode_api::daemonset::wire::Request {
            method: "PATCH",
            path: set_path(&key.name),
            content_type: "application/merge-patch+json",
            body: json!({"spec": spec}).to_string().into_bytes(),
        };
        let _ = self.ask(&request);
    }

    fn new_template(&mut self, key: &Key, quality: Option<&str>) {
        self.operations.templates += 1;
        let mut template = template(&key.name, self.operations.templates, quality, &mut self.random);
        // What the new one does not say must not stay from the old one.
        for member in ["nodeSelector", "tolerations"] {
            if template["spec"][member].is_null() {
                template["spec"][member] = Value::Null;
            }
        }
        if quality.is_none() {
            template["metadata"]["labels"][QUALITY] = Value::Null;
        }
        self.patch_set(key, &json!({"template": template}));
    }

    fn edit_template(&mut self) {
        let Some(key) = self.a_set() else { return };
        let quality = quality(&mut self.random);
        self.new_template(&key, quality);
    }

    /// As `kubectl rollout undo` does: the data of a revision is the patch.
    fn roll_back(&mut self) {
        let Some(key) = self.a_set() else { return };
        let Some(uid) = self.truth.sets.get(&key).map(|item| item.set.uid.clone()) else { return };
        let is_own = |revision: &&std::sync::Arc<Revision>| revision.owner.as_ref().is_some_and(|o| o.uid == uid);
        let own: Vec<Vec<u8>> = self.truth.revisions.values().filter(is_own).map(|r| r.data.to_vec()).collect();
        let Some(body) = self.random.pick(&own).cloned() else { return };
        let request = everynode_api::daemonset::wire::Request {
            method: "PATCH",
            path: set_path(&key.name),
            content_type: "application/strategic-merge-patch+json",
            body,
        };
        let _ = self.ask(&request);
    }

    fn edit_strategy(&mut self) {
        let Some(key) = self.a_set() else { return };
        let mut strategy = strategy(&mut self.random);
        if strategy["rollingUpdate"].is_null() {
            strategy["rollingUpdate"] = Value::Null;
        }
        self.patch_set(&key, &json!({"updateStrategy": strategy}));
    }

    fn edit_min_ready(&mut self) {
        let Some(key) = self.a_set() else { return };
        let seconds = if self.random.chance(400) { 0 } else { self.random.between(1, 30) };
        self.patch_set(&key, &json!({"minReadySeconds": seconds}));
    }

    fn edit_history_limit(&mut self) {
        let Some(key) = self.a_set() else { return };
        let limit = self.random.between(0, 4);
        self.patch_set(&key, &json!({"revisionHistoryLimit": limit}));
    }

    fn delete_set(&mut self) {
        let Some(key) = self.a_set() else { return };
        let policy = ["Background", "Orphan", "Foreground"];
        let policy = self.random.pick(&policy).copied().unwrap_or("Background");
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy});
        self.say(format_args!("a user deletes {key} ({policy})"));
        let _ = self.send("DELETE", &set_path(&key.name), &options);
    }

    fn a_node(&mut self) -> Option<NodeName> {
        let names: Vec<NodeName> = self.truth.nodes.keys().cloned().collect();
        self.random.pick(&names).cloned()
    }

    fn node_joins(&mut self) {
        let names = self.operations.nodes.clone();
        let Some(name) = self.random.pick(&names).filter(|name| !self.truth.nodes.contains_key(name.as_str())) else {
            return;
        };
        let labels = self.labels(name);
        self.join(name, &labels);
    }

    fn node_leaves(&mut self) {
        let Some(name) = self.a_node() else { return };
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
        let _ = self.send("DELETE", &format!("/api/v1/nodes/{name}"), &options);
        // At times it is a mistake, and it is back at once.
        if self.random.chance(400)
            && let Some(machine) = self.machines.get(&name).cloned()
        {
            self.join(name.as_str(), &machine.labels);
        }
    }

    fn node_flaps(&mut self) {
        let Some(name) = self.a_node() else { return };
        let is_up = self.machines.get(&name).is_some_and(|machine| machine.is_up);
        self.switch(&name, !is_up);
    }

    fn relabel_node(&mut self) {
        let Some(name) = self.a_node() else { return };
        let zone = if self.random.chance(600) { json!("a") } else { json!("b") };
        let patch = json!({"metadata": {"labels": {"zone": zone}}});
        let _ = self.send("PATCH", &format!("/api/v1/nodes/{name}"), &patch);
    }

    fn taint_node(&mut self) {
        let Some(name) = self.a_node() else { return };
        let Some(node) = self.truth.nodes.get(&name) else { return };
        let mut taints = node.taints.clone();
        let before = taints.len();
        taints.retain(|taint| taint.key != "dedicated");
        if taints.len() == before {
            let effect = if self.random.chance(600) { Effect::NoSchedule } else { Effect::NoExecute };
            taints.push(Taint { key: "dedicated".to_owned(), value: String::new(), effect, added: Some(self.now) });
        }
        self.set_taints(&name, &taints);
    }

    fn cordon_node(&mut self) {
        let Some(name) = self.a_node() else { return };
        let is_cordoned = self.truth.nodes.get(&name).is_some_and(|node| node.unschedulable);
        let patch = json!({"spec": {"unschedulable": !is_cordoned}});
        let _ = self.send("PATCH", &format!("/api/v1/nodes/{name}"), &patch);
        self.settle_taints(&name);
    }

    fn a_pod(&mut self) -> Option<Pod> {
        let keys: Vec<Key> = self.truth.pods.keys().cloned().collect();
        let key = self.random.pick(&keys)?;
        self.truth.pods.get(key).map(|pod| (**pod).clone())
    }

    fn someone_deletes_pod(&mut self) {
        let Some(pod) = self.a_pod() else { return };
        let grace = self.random.chance(200).then_some(0);
        self.delete_pod(&pod, grace);
    }

    /// The node refuses it, or runs out of something.
    fn pod_fails(&mut self) {
        let Some(pod) = self.a_pod() else { return };
        let ends_well = self.random.chance(150);
        self.kubelet(&pod.key, &pod.uid, Act::End(ends_well));
    }

    fn edit_pod(&mut self, pod: &Pod, meta: Value) {
        let mut meta = meta;
        meta["uid"] = json!(pod.uid.as_str());
        let request = everynode_api::daemonset::wire::Request {
            method: "PATCH",
            path: pod_path(&pod.key),
            content_type: "application/merge-patch+json",
            body: json!({"metadata": meta}).to_string().into_bytes(),
        };
        let _ = self.ask(&request);
    }

    fn mislabel_pod(&mut self) {
        let Some(pod) = self.a_pod() else { return };
        self.edit_pod(&pod, json!({"labels": {"app": "debug"}}));
    }

    fn relabel_back(&mut self) {
        let found = self.truth.pods.values().find(|pod| pod.labels.get("app").map(String::as_str) == Some("debug"));
        let Some(pod) = found.map(|pod| (**pod).clone()) else { return };
        let at = self.random.below(u64::try_from(self.operations.sets).unwrap_or(0));
        self.edit_pod(&pod, json!({"labels": {"app": name_of(usize::try_from(at).unwrap_or(0))}}));
    }

    fn orphan_pod(&mut self) {
        let Some(pod) = self.a_pod() else { return };
        self.edit_pod(&pod, json!({"ownerReferences": null}));
    }

    /// Somebody makes a pod by hand that a set selects.
    fn foreign_pod(&mut self) {
        let (Some(key), Some(node)) = (self.a_set(), self.a_node()) else { return };
        let name = format!("by-hand-{}", self.random.below(1_000_000));
        let body = json!({
            "kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": {"app": &*key.name}},
            "spec": {"nodeName": node.as_str(), "containers": [{"name": "main", "image": "registry.example/hand:1"}]},
        });
        let _ = self.send("POST", &format!("/api/v1/namespaces/{NAMESPACE}/pods"), &body);
    }

    fn meddle_with_revision(&mut self) {
        let keys: Vec<Key> = self.truth.revisions.keys().cloned().collect();
        let Some(key) = self.random.pick(&keys).cloned() else { return };
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/controllerrevisions/{}", key.name);
        match self.random.below(3) {
            0 => {
                let _ = self.send("DELETE", &path, &json!({"kind": "DeleteOptions", "apiVersion": "v1"}));
            }
            1 => {
                let number = self.random.between(1, 9);
                let _ = self.send("PATCH", &path, &json!({"revision": number}));
            }
            _ => {
                let request = everynode_api::daemonset::wire::Request {
                    method: "PATCH",
                    path,
                    content_type: "application/merge-patch+json",
                    body: json!({"metadata": {"ownerReferences": null}}).to_string().into_bytes(),
                };
                let _ = self.ask(&request);
            }
        }
    }

    fn set_clock(&mut self) {
        if self.faults.clock_jump > 0 {
            self.plan(Millis(0), Event::Clock);
        }
    }

    fn kill_controller(&mut self) {
        if self.faults.crash > 0 {
            self.crash();
        }
    }

    /// The trouble is over: machines work, and users see to it that what they want can be had.
    pub(crate) fn heal(&mut self) {
        self.is_healed = true;
        self.say(format_args!("nothing goes wrong any more"));
        self.heal_fleet();
        self.plan(Millis(0), Event::Clock);
        self.plan(Millis(0), Event::PodGc);
        if self.truth.sets.is_empty() {
            self.create(0);
        }
        for item in self.sets() {
            let is_bad = item.object["spec"]["template"]["metadata"]["labels"].get(QUALITY).is_some();
            if is_bad {
                self.new_template(&item.set.key, None);
            }
        }
        self.tend();
        debug_assert!(
            self.truth.nodes.values().all(|node| node.ready() == Tri::True),
            "every machine is up: {:?}",
            Timestamp::from_millisecond(self.now.0)
        );
    }

    /// Where nobody else replaces outdated pods, people take away those that can never work.
    pub(crate) fn tend(&mut self) {
        for item in self.sets().into_iter().filter(|item| item.set.strategy == Strategy::OnDelete) {
            let bad =
                self.truth.pods_of(&item.set).filter(|pod| pod.labels.contains_key(QUALITY) || self.is_homeless(pod));
            let bad: Vec<Pod> = bad.filter(|pod| !pod.is_terminating()).map(|pod| (**pod).clone()).collect();
            bad.iter().for_each(|pod| self.delete_pod(pod, None));
        }
    }
}
