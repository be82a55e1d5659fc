//! Requests and limits as the kernel takes them: shares, quotas, memory, OOM scores, and the pod's cgroup (section 17).

use everynode_core::selector::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use kube::api::ResourceExt;

use crate::kit::Kit;
use crate::runtime::Resources;

const PERIOD_US: u64 = 100_000;
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;
/// OOM scores of N238.
const SCORE_GUARANTEED: i32 = -997;
const SCORE_BEST_EFFORT: i32 = 1000;

/// Quality of service of a pod (N230).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qos {
    Guaranteed,
    Burstable,
    BestEffort,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Limit,
}

/// An amount of a container: thousandths for cpu, else whole units.
fn amount(resources: Option<&ResourceRequirements>, side: Side, name: &str) -> Option<u64> {
    let resources = resources?;
    let amounts = match side {
        Side::Request => resources.requests.as_ref(),
        Side::Limit => resources.limits.as_ref(),
    };
    let quantity = Quantity::parse(&amounts?.get(name)?.0)?;
    u64::try_from(if name == "cpu" { quantity.millis() } else { quantity.units() }).ok()
}

fn all(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

/// The quality of service of a pod (N230).
pub(crate) fn qos(spec: &PodSpec) -> Qos {
    let names = ["cpu", "memory"];
    let of = |container: &Container, side, name| {
        amount(container.resources.as_ref(), side, name).filter(|amount| *amount > 0)
    };
    let any = all(spec).any(|container| {
        names.iter().any(|name| of(container, Side::Request, name).or(of(container, Side::Limit, name)).is_some())
    });
    let guaranteed = all(spec).all(|container| {
        names.iter().all(|name| {
            let limit = of(container, Side::Limit, name);
            limit.is_some() && of(container, Side::Request, name).or(limit) == limit
        })
    });
    match (any, guaranteed) {
        (false, _) => Qos::BestEffort,
        (true, true) => Qos::Guaranteed,
        (true, false) => Qos::Burstable,
    }
}

/// The pod's cgroup below the root (N231).
pub(crate) fn cgroup_parent(pod: &Pod) -> String {
    let uid = pod.uid().unwrap_or_default();
    match qos(&pod.spec.clone().unwrap_or_default()) {
        Qos::Guaranteed => format!("/kubepods/pod{uid}"),
        Qos::Burstable => format!("/kubepods/burstable/pod{uid}"),
        Qos::BestEffort => format!("/kubepods/besteffort/pod{uid}"),
    }
}

/// CPU weight of so many thousandths (N233).
fn shares(millis: u64) -> u64 {
    (millis * 1024 / 1000).clamp(SHARES_MIN, SHARES_MAX)
}

/// CPU time per period of so many thousandths (N233).
fn quota(millis: u64) -> i64 {
    i64::try_from((millis * PERIOD_US / 1000).max(1000)).unwrap_or(i64::MAX)
}

/// Limits of the pod's cgroup (N236): quota and memory only where every container has one.
pub(crate) fn of_pod(spec: &PodSpec) -> Resources {
    let sum = |side, name| -> (u64, bool) {
        let app: Vec<_> = spec.containers.iter().map(|c| amount(c.resources.as_ref(), side, name)).collect();
        let init = spec.init_containers.iter().flatten();
        let init: Vec<_> = init.map(|c| amount(c.resources.as_ref(), side, name)).collect();
        let total: u64 = app.iter().map(|amount| amount.unwrap_or(0)).sum();
        let peak = init.iter().map(|amount| amount.unwrap_or(0)).max().unwrap_or(0);
        let complete = app.iter().chain(&init).all(|amount| amount.is_some_and(|amount| amount > 0));
        (total.max(peak), complete && !app.is_empty())
    };
    let (request, _) = sum(Side::Request, "cpu");
    let (cpu, cpu_everywhere) = sum(Side::Limit, "cpu");
    let (memory, memory_everywhere) = sum(Side::Limit, "memory");
    let weight = if request == 0 && cpu_everywhere { cpu } else { request };
    Resources {
        cpu_shares: Some(shares(weight)),
        cpu_quota_us: cpu_everywhere.then(|| quota(cpu)),
        cpu_period_us: cpu_everywhere.then_some(PERIOD_US),
        memory_limit_bytes: memory_everywhere.then_some(memory),
        ..Resources::default()
    }
}

/// Limits of one container (N237, N238).
pub(crate) fn of_container(kit: &Kit, spec: &PodSpec, container: &Container) -> Resources {
    let of = |side, name| amount(container.resources.as_ref(), side, name).filter(|amount| *amount > 0);
    let cpu_limit = of(Side::Limit, "cpu");
    let capacity = kit.facts.capacity.get("memory").and_then(|text| Quantity::parse(text)).map_or(0, Quantity::units);
    let request = of(Side::Request, "memory").or(of(Side::Limit, "memory")).unwrap_or(0);
    Resources {
        cpu_shares: Some(shares(of(Side::Request, "cpu").or(cpu_limit).unwrap_or(0))),
        cpu_quota_us: cpu_limit.map(quota),
        cpu_period_us: cpu_limit.map(|_| PERIOD_US),
        memory_limit_bytes: of(Side::Limit, "memory"),
        pids_limit: None,
        oom_score_adj: Some(oom_score(spec, request, capacity)),
    }
}

fn oom_score(spec: &PodSpec, request: u64, capacity: i64) -> i32 {
    if spec.priority_class_name.as_deref() == Some("system-node-critical") {
        return SCORE_GUARANTEED;
    }
    match qos(spec) {
        Qos::Guaranteed => SCORE_GUARANTEED,
        Qos::BestEffort => SCORE_BEST_EFFORT,
        Qos::Burstable => {
            let share = u128::from(request) * 1000 / u128::try_from(capacity.max(1)).unwrap_or(1);
            (1000 - i32::try_from(share.min(1000)).unwrap_or(1000)).clamp(3, 999)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(containers: serde_json::Value) -> PodSpec {
        serde_json::from_value(serde_json::json!({ "containers": containers })).unwrap()
    }

    #[test]
    fn quality_of_service_follows_requests_and_limits_n230() {
        let both = serde_json::json!({"cpu": "1", "memory": "1Gi"});
        for (resources, expect) in [
            (serde_json::json!({}), Qos::BestEffort),
            (serde_json::json!({"requests": {"cpu": "1"}}), Qos::Burstable),
            (serde_json::json!({"limits": both, "requests": both}), Qos::Guaranteed),
            (serde_json::json!({"limits": both}), Qos::Guaranteed),
            (serde_json::json!({"limits": both, "requests": {"cpu": "500m", "memory": "1Gi"}}), Qos::Burstable),
        ] {
            let spec = pod(serde_json::json!([{"name": "a", "resources": resources}]));
            assert_eq!(qos(&spec), expect, "{resources}");
        }
    }

    #[test]
    fn cpu_becomes_shares_and_quota_n233() {
        assert_eq!([shares(0), shares(1), shares(100), shares(1_000_000)], [2, 2, 102, 262_144]);
        assert_eq!([quota(5), quota(250), quota(2000)], [1000, 25_000, 200_000]);
    }

    #[test]
    fn the_pod_is_limited_where_every_container_is_n236() {
        let with = serde_json::json!({"limits": {"memory": "64Mi"}});
        let spec = pod(serde_json::json!([{"name": "a", "resources": with}, {"name": "b", "resources": with}]));
        assert_eq!(of_pod(&spec).memory_limit_bytes, Some(128 << 20));
        let spec = pod(serde_json::json!([{"name": "a", "resources": with}, {"name": "b"}]));
        assert_eq!(of_pod(&spec).memory_limit_bytes, None);
    }

    #[test]
    fn the_kernel_kills_the_least_important_first_n238() {
        let spec = |requests| pod(serde_json::json!([{"name": "a", "resources": {"requests": requests}}]));
        let burstable = spec(serde_json::json!({"memory": "1Gi"}));
        assert_eq!(oom_score(&burstable, 1 << 30, 4 << 30), 750);
        assert_eq!(oom_score(&spec(serde_json::json!({})), 0, 4 << 30), 1000);
    }
}
