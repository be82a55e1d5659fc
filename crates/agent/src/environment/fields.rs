//! What a pod may know of itself: fields of the object and amounts of its resources (N171–N173).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use everynode_core::selector::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use kube::api::ResourceExt;

use crate::kit::Kit;

/// A field by its path; `None` when pods have no such field.
pub(crate) fn pod_field(pod: &Pod, ips: &[IpAddr], node: &[IpAddr], path: &str) -> Option<String> {
    let spec = pod.spec.as_ref();
    let pod_ips = if spec.is_some_and(|spec| spec.host_network == Some(true)) { node } else { ips };
    let first = |ips: &[IpAddr]| ips.first().map(ToString::to_string).unwrap_or_default();
    let all = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    Some(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "metadata.labels" => map_text(pod.labels()),
        "metadata.annotations" => map_text(pod.annotations()),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default(),
        "status.hostIP" => first(node),
        "status.hostIPs" => all(node),
        "status.podIP" => first(pod_ips),
        "status.podIPs" => all(pod_ips),
        _ => {
            let (map, key) = path.strip_suffix("']")?.split_once("['")?;
            let map = match map {
                "metadata.labels" => pod.labels(),
                "metadata.annotations" => pod.annotations(),
                _ => return None,
            };
            map.get(key).cloned().unwrap_or_default()
        }
    })
}

/// One `key="value"` a line, sorted, without a last line break (N172).
fn map_text(map: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    for (key, value) in map {
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = write!(out, "{key}={value:?}");
    }
    out
}

/// An amount of a container, divided and rounded up (N173).
pub(crate) fn resource(
    kit: &Kit,
    pod: &Pod,
    of: Option<&Container>,
    selector: &ResourceFieldSelector,
) -> Result<String, String> {
    let container = match (&selector.container_name, of) {
        (Some(name), own) if own.is_none_or(|own| own.name != *name) => {
            crate::manifest::container(pod, name).ok_or_else(|| format!("container {name} not found"))?
        }
        (_, Some(own)) => own,
        _ => return Err("containerName is required".to_owned()),
    };
    let (side, name) = selector.resource.split_once('.').ok_or_else(|| unsupported(&selector.resource))?;
    let resources = container.resources.clone().unwrap_or_default();
    let amount = match side {
        "limits" => {
            let own = resources.limits.unwrap_or_default().get(name).map(|quantity| quantity.0.clone());
            own.or_else(|| kit.facts.allocatable.get(name).cloned())
        }
        "requests" => resources.requests.unwrap_or_default().get(name).map(|quantity| quantity.0.clone()),
        _ => return Err(unsupported(&selector.resource)),
    };
    let divisor = selector.divisor.as_ref().map(|divisor| divisor.0.as_str()).filter(|text| *text != "0");
    Ok(divide(amount.as_deref().unwrap_or("0"), divisor.unwrap_or("1"), name == "cpu").to_string())
}

fn unsupported(resource: &str) -> String {
    format!("unsupported container resource : {resource}")
}

fn divide(amount: &str, divisor: &str, fine: bool) -> i64 {
    let read = |text: &str| Quantity::parse(text).map_or(0, |q| if fine { q.millis() } else { q.units() });
    let (amount, divisor) = (read(amount), read(divisor).max(1));
    amount / divisor + i64::from(amount % divisor != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"b": "2", "a": "x\"y"}},
            "spec": {"containers": [], "nodeName": "node", "serviceAccountName": "sa"},
        }))
        .unwrap()
    }

    #[test]
    fn fields_are_known_n171_n172() {
        let (pod_ips, node) = (["10.1.0.2".parse().unwrap()], ["192.0.2.1".parse().unwrap()]);
        for (path, expect) in [
            ("metadata.name", Some("p")),
            ("metadata.namespace", Some("n")),
            ("metadata.uid", Some("u")),
            ("metadata.labels", Some("a=\"x\\\"y\"\nb=\"2\"")),
            ("metadata.labels['b']", Some("2")),
            ("metadata.annotations['none']", Some("")),
            ("spec.nodeName", Some("node")),
            ("spec.serviceAccountName", Some("sa")),
            ("status.hostIP", Some("192.0.2.1")),
            ("status.podIP", Some("10.1.0.2")),
            ("spec.volumes", None),
        ] {
            assert_eq!(pod_field(&pod(), &pod_ips, &node, path).as_deref(), expect, "{path}");
        }
    }

    #[test]
    fn amounts_are_divided_and_rounded_up_n173_t30() {
        for (amount, divisor, cpu, expect) in [
            ("250m", "1", true, 1),
            ("250m", "1m", true, 250),
            ("1500m", "1", true, 2),
            ("64Mi", "1Mi", false, 64),
            ("65M", "1Mi", false, 62),
            ("0", "1", false, 0),
        ] {
            assert_eq!(divide(amount, divisor, cpu), expect, "{amount} / {divisor}");
        }
    }
}
