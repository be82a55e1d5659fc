//! Tables of what is charged and in which words it is refused.

use serde_json::json;

use super::*;

const PODS: Resource<'_> = Resource { group: "", plural: "pods" };

fn quota(hard: Value, used: Value, extra: Value) -> Quota {
    let mut spec = json!({"hard": hard});
    for (name, value) in extra.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    let status = if used.is_null() { json!({}) } else { json!({"hard": spec["hard"], "used": used}) };
    Quota::read(&json!({"metadata": {"name": "q"}, "spec": spec, "status": status}))
}

fn pod(requests: Value, limits: Value) -> Value {
    json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests, "limits": limits}}]}})
}

fn shown(amounts: &Amounts) -> String {
    amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(",")
}

fn asked(of: Resource<'_>, object: &Value, quota: &Quota) -> Result<String, String> {
    let charged = Request { of, object, old: None }.ask(std::slice::from_ref(quota))?;
    Ok(charged.first().map(|(_, used)| shown(used)).unwrap_or_default())
}

/// A243, A442, golden http/28: the words of each refusal.
#[test]
fn a_quota_says_why() {
    let two = || json!({"pods": "2"});
    let cases = [
        (two(), json!({"pods": "1"}), pod(json!({}), json!({})), Ok("pods=2")),
        (
            two(),
            json!({"pods": "2"}),
            pod(json!({}), json!({})),
            Err("exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"),
        ),
        (two(), Value::Null, pod(json!({}), json!({})), Ok("")),
        (
            json!({"requests.cpu": "1", "limits.memory": "1Gi"}),
            json!({"requests.cpu": "0", "limits.memory": "0"}),
            pod(json!({}), json!({})),
            Err("failed quota: q: must specify limits.memory for: c; requests.cpu for: c"),
        ),
        (
            json!({"requests.cpu": "1", "limits.memory": "1Gi"}),
            json!({"requests.cpu": "900m", "limits.memory": "1000Mi"}),
            pod(json!({"cpu": "200m"}), json!({"memory": "64Mi"})),
            Err("exceeded quota: q, requested: limits.memory=64Mi,requests.cpu=200m, \
                 used: limits.memory=1000Mi,requests.cpu=900m, limited: limits.memory=1Gi,requests.cpu=1"),
        ),
        (
            json!({"requests.cpu": "1"}),
            json!({"requests.cpu": "0"}),
            pod(json!({"cpu": "600m"}), json!({})),
            Ok("requests.cpu=600m"),
        ),
        (
            json!({"requests.example.com/gpu": "1"}),
            json!({"requests.example.com/gpu": "1"}),
            pod(json!({"example.com/gpu": "1"}), json!({})),
            Err("exceeded quota: q, requested: requests.example.com/gpu=1, used: requests.example.com/gpu=1, \
                 limited: requests.example.com/gpu=1"),
        ),
    ];
    for (hard, used, pod, expect) in cases {
        let seen = asked(PODS, &pod, &quota(hard.clone(), used, json!({})));
        assert_eq!(seen.as_deref().map_err(String::as_str), expect, "{hard}");
    }
}

/// A442: bounds that are in force and not yet counted refuse.
#[test]
fn a_quota_that_is_not_counted_refuses() {
    let counted = json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1", "secrets": "1"}},
        "status": {"hard": {"pods": "1", "secrets": "1"}, "used": {"secrets": "0"}}});
    let seen = asked(PODS, &pod(json!({}), json!({})), &Quota::read(&counted));
    assert_eq!(seen.unwrap_err(), "status unknown for quota: q, resources: pods");
}

/// A442: scopes say which pods a quota is about; nothing else falls under a scope.
#[test]
fn scopes_choose_pods() {
    let best_effort = pod(json!({}), json!({}));
    let burstable = pod(json!({"cpu": "1"}), json!({}));
    let mut hurried = best_effort.clone();
    hurried["spec"]["activeDeadlineSeconds"] = json!(5);
    let mut critical = best_effort.clone();
    critical["spec"]["priorityClassName"] = json!("high");
    let mut abroad = best_effort.clone();
    abroad["spec"]["affinity"] = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "zone", "namespaceSelector": {}}]}});
    let class = |operator: &str, values: Value| {
        json!({"scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": operator, "values": values}]}})
    };
    let pods = [&best_effort, &burstable, &hurried, &critical, &abroad];
    for (extra, expect) in [
        (json!({}), [true; 5]),
        (json!({"scopes": ["BestEffort"]}), [true, false, true, true, true]),
        (json!({"scopes": ["NotBestEffort"]}), [false, true, false, false, false]),
        (json!({"scopes": ["Terminating"]}), [false, false, true, false, false]),
        (json!({"scopes": ["NotTerminating", "BestEffort"]}), [true, false, false, true, true]),
        (json!({"scopes": ["PriorityClass"]}), [false, false, false, true, false]),
        (json!({"scopes": ["CrossNamespacePodAffinity"]}), [false, false, false, false, true]),
        (class("In", json!(["high"])), [false, false, false, true, false]),
        (class("NotIn", json!(["high"])), [true, true, true, false, true]),
        (class("DoesNotExist", json!([])), [true, true, true, false, true]),
    ] {
        let quota = quota(json!({"pods": "0"}), json!({"pods": "0"}), extra.clone());
        let seen = pods.map(|pod| asked(PODS, pod, &quota).is_err());
        assert_eq!(seen, expect, "{extra}");
    }
    let secrets = Resource { group: "", plural: "secrets" };
    let scoped = quota(json!({"secrets": "0"}), json!({"secrets": "0"}), json!({"scopes": ["BestEffort"]}));
    assert!(asked(secrets, &json!({}), &scoped).is_ok());
}

/// A442: what each kind costs.
#[test]
fn objects_cost_by_kind() {
    let init = json!({"name": "i", "resources": {"requests": {"cpu": "3"}}});
    let sidecar = json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}});
    let main =
        json!({"name": "m", "resources": {"requests": {"cpu": "2", "hugepages-2Mi": "2Mi"}, "limits": {"cpu": "2"}}});
    let heavy = json!({"spec": {"initContainers": [sidecar, init], "containers": [main], "overhead": {"cpu": "100m"}}});
    let mut ended = heavy.clone();
    ended["status"] = json!({"phase": "Failed"});
    let service = |spec: Value| json!({"spec": spec});
    let ports = json!([{"port": 1}, {"port": 2, "nodePort": 30000}]);
    for (group, plural, object, expect) in [
        (
            "",
            "pods",
            heavy,
            "count/pods=1,cpu=4100m,hugepages-2Mi=2Mi,limits.cpu=2100m,pods=1,requests.cpu=4100m,requests.hugepages-2Mi=2Mi",
        ),
        ("", "pods", ended, "count/pods=1"),
        (
            "",
            "services",
            service(json!({"type": "ClusterIP", "ports": ports})),
            "count/services=1,services=1,services.loadbalancers=0,services.nodeports=0",
        ),
        (
            "",
            "services",
            service(json!({"type": "NodePort", "ports": ports})),
            "count/services=1,services=1,services.loadbalancers=0,services.nodeports=2",
        ),
        (
            "",
            "services",
            service(json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": ports})),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=1",
        ),
        (
            "",
            "persistentvolumeclaims",
            json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}}),
            "count/persistentvolumeclaims=1,fast.storageclass.storage.k8s.io/persistentvolumeclaims=1,\
             fast.storageclass.storage.k8s.io/requests.storage=1Gi,persistentvolumeclaims=1,requests.storage=1Gi",
        ),
        ("", "secrets", json!({}), "count/secrets=1,secrets=1"),
        ("apps", "daemonsets", json!({}), "count/daemonsets.apps=1"),
    ] {
        let charge = Charge::of(&Resource { group, plural }, &object);
        assert_eq!(shown(&charge.all()), expect, "{plural}");
        for name in charge.all().keys() {
            assert!(Resource { group, plural }.is_bound(name), "{name} bounds {plural}");
            assert_eq!(Resource::named(name), Some(Resource { group, plural }), "{name}");
        }
    }
}

/// A442: a pod whose grace ran out long ago costs its number only.
#[test]
fn a_pod_that_never_ends_is_not_charged_for_ever() {
    let mut pod = pod(json!({"cpu": "1"}), json!({}));
    pod["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": 30});
    let charge = Charge::of(&PODS, &pod);
    let at = |text: &str| shown(&charge.at(text.parse().expect("a time")));
    assert_eq!(at("2026-01-01T00:01:00Z"), "count/pods=1,cpu=1,pods=1,requests.cpu=1");
    assert_eq!(at("2026-01-01T00:01:01Z"), "count/pods=1");
}

/// A442: an update is charged for what it adds; most kinds never grow.
#[test]
fn updates_cost_the_difference() {
    let claims = Resource { group: "", plural: "persistentvolumeclaims" };
    let claim = |storage: &str| json!({"spec": {"resources": {"requests": {"storage": storage}}}});
    let quota = quota(json!({"requests.storage": "3Gi"}), json!({"requests.storage": "2Gi"}), json!({}));
    let (old, new) = (claim("1Gi"), claim("2Gi"));
    let ask = |object: &Value, old: &Value| {
        let request = Request { of: claims, object, old: Some(old) };
        assert!(request.counts());
        request.ask(std::slice::from_ref(&quota)).map(|charged| charged.first().map(|(_, used)| shown(used)))
    };
    assert_eq!(ask(&new, &old), Ok(Some("requests.storage=3Gi".to_owned())));
    assert_eq!(ask(&old, &new), Ok(None));
    let words = "exceeded quota: q, requested: requests.storage=2Gi, used: requests.storage=2Gi, \
                 limited: requests.storage=3Gi";
    assert_eq!(ask(&claim("3Gi"), &old), Err(words.to_owned()));
    let secrets = Resource { group: "", plural: "secrets" };
    assert!(!Request { of: secrets, object: &old, old: Some(&old) }.counts());
}
