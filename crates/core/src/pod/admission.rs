//! May this pod run on this node? Asked once per pod, before anything of it is made (N89–N92).
//!
//! Not here: pressure (N94) and preemption for critical pods (N93), which need an eviction loop first.

use super::Verdict;
use crate::model::{HostPort, Node, Pod};

use crate::selector::{Effect, node_selector_matches, untolerated};

/// The words of a refusal, or `None` when the pod may run beside `others`, which were let in before.
pub fn refusal<'p>(node: &Node, pod: &Pod, others: impl Iterator<Item = &'p Pod> + Clone) -> Option<Verdict> {
    lacks_resource(node, pod, others.clone()).or_else(|| fails_predicate(node, pod, others))
}

fn lacks_resource<'p>(node: &Node, pod: &Pod, others: impl Iterator<Item = &'p Pod> + Clone) -> Option<Verdict> {
    let pods = i64::try_from(others.clone().count()).unwrap_or(i64::MAX);
    let wanted = pod.scheduling.requests.0.iter().filter(|(_, amount)| **amount > 0);
    let used = |name: &str| others.clone().map(|other| other.scheduling.requests.get(name)).sum::<i64>();
    let mut lacking = wanted
        .filter(|(name, _)| node.allocatable.0.contains_key(*name))
        .map(|(name, amount)| (name.as_str(), *amount, used(name), node.allocatable.get(name)));
    let slots = ("pods", 1, pods, node.allocatable.get("pods"));
    let too_much = |(_, requested, used, capacity): &(&str, i64, i64, i64)| used.saturating_add(*requested) > *capacity;
    let (name, requested, used, capacity) = Some(slots).filter(too_much).or_else(|| lacking.find(too_much))?;
    Some(rejected(
        format!("OutOf{name}"),
        &format!(
            "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
        ),
    ))
}

fn fails_predicate<'p>(node: &Node, pod: &Pod, mut others: impl Iterator<Item = &'p Pod>) -> Option<Verdict> {
    let wants = &pod.scheduling;
    let elsewhere = pod.node.as_ref().is_some_and(|name| *name != node.name);
    let unmatched = !node_selector_matches(&wants.node_selector, &node.labels)
        || wants.required.as_ref().is_some_and(|required| !required.matches(&node.name, &node.labels));
    let (predicate, words) = if elsewhere {
        ("NodeName", "node(s) didn't match the requested node name")
    } else if unmatched {
        ("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    } else if others.any(|other| share_port(&wants.host_ports, &other.scheduling.host_ports)) {
        ("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    } else if untolerated(&node.taints, &wants.tolerations, &[Effect::NoExecute]).is_some() {
        ("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    } else {
        return None;
    };
    Some(rejected(predicate.to_owned(), &format!("Predicate {predicate} failed: {words}")))
}

fn share_port(mine: &[HostPort], theirs: &[HostPort]) -> bool {
    let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
    mine.iter().any(|a| {
        theirs
            .iter()
            .any(|b| a.port == b.port && a.protocol == b.protocol && (any(&a.ip) || any(&b.ip) || a.ip == b.ip))
    })
}

fn rejected(reason: String, message: &str) -> Verdict {
    Verdict { reason, message: format!("Pod was rejected: {message}") }
}
