//! Names: a pod's hostname, its resolver, its /etc/hosts (section 16 of the rules).

use std::fmt::Write as _;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::api::ResourceExt;

use crate::kit::Kit;
use crate::runtime::DnsConfig;

const HOSTNAME_MAX: usize = 63;
const SERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
/// Where a machine with systemd-resolved keeps its real resolver (N221).
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Host name of a pod with an own network (N225).
pub(crate) fn hostname(pod: &Pod) -> String {
    let own = pod.spec.as_ref().and_then(|spec| spec.hostname.clone()).filter(|name| !name.is_empty());
    let mut name = own.unwrap_or_else(|| pod.name_any());
    name.truncate(HOSTNAME_MAX);
    name.trim_end_matches(['-', '.']).to_owned()
}

/// The resolver of a pod; `None` leaves that of the node (N220–N223).
pub(crate) fn config(kit: &Kit, pod: &Pod) -> Option<DnsConfig> {
    let spec = pod.spec.clone().unwrap_or_default();
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let clustered = match policy {
        "ClusterFirst" => spec.host_network != Some(true),
        "ClusterFirstWithHostNet" => true,
        _ => false,
    };
    let base = match policy {
        "None" => DnsConfig::default(),
        _ if clustered && !kit.config.cluster_dns.is_empty() => {
            let (namespace, domain) = (pod.namespace().unwrap_or_default(), &kit.config.cluster_domain);
            let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
            searches.extend(host_config().searches);
            DnsConfig {
                servers: kit.config.cluster_dns.iter().map(ToString::to_string).collect(),
                searches,
                options: vec!["ndots:5".to_owned()],
            }
        }
        _ if spec.dns_config.is_none() => return None,
        _ => host_config(),
    };
    Some(with_own(base, &spec))
}

/// Adds the pod's own `dnsConfig` and keeps within the limits (N222, N223).
fn with_own(mut base: DnsConfig, spec: &PodSpec) -> DnsConfig {
    let own = spec.dns_config.clone().unwrap_or_default();
    base.servers.extend(own.nameservers.into_iter().flatten());
    base.searches.extend(own.searches.into_iter().flatten());
    for option in own.options.into_iter().flatten() {
        let Some(name) = option.name else { continue };
        base.options.retain(|present| present.split(':').next() != Some(&name));
        base.options.push(option.value.map_or_else(|| name.clone(), |value| format!("{name}:{value}")));
    }
    unique(&mut base.servers, SERVERS_MAX);
    unique(&mut base.searches, SEARCHES_MAX);
    base
}

fn unique(list: &mut Vec<String>, max: usize) {
    let mut seen = std::collections::BTreeSet::new();
    list.retain(|item| seen.insert(item.clone()));
    list.truncate(max);
}

fn host_config() -> DnsConfig {
    let text = std::fs::read_to_string(RESOLVED).or_else(|_| std::fs::read_to_string(RESOLV_CONF));
    parse(&text.unwrap_or_default())
}

fn parse(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().map(str::to_owned)),
            Some("search") => {
                let names = words.map(|name| name.trim_end_matches('.').to_owned()).filter(|name| !name.is_empty());
                config.searches = names.collect();
            }
            Some("options") => config.options = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    config
}

/// Content of the pod's /etc/hosts (N226, N227).
pub(crate) fn hosts_file(kit: &Kit, pod: &Pod, ips: &[IpAddr]) -> String {
    let spec = pod.spec.clone().unwrap_or_default();
    let mut out = String::new();
    if spec.host_network == Some(true) {
        out.push_str("# Kubernetes-managed hosts file (host network).\n");
        out.push_str(&std::fs::read_to_string("/etc/hosts").unwrap_or_default());
    } else {
        out.push_str("# Kubernetes-managed hosts file.\n");
        for (ip, names) in [
            ("127.0.0.1", "localhost"),
            ("::1", "localhost ip6-localhost ip6-loopback"),
            ("fe00::0", "ip6-localnet"),
            ("fe00::0", "ip6-mcastprefix"),
            ("fe00::1", "ip6-allnodes"),
            ("fe00::2", "ip6-allrouters"),
        ] {
            let _ = writeln!(out, "{ip}\t{names}");
        }
        let host = hostname(pod);
        let domain = spec.subdomain.as_ref().filter(|subdomain| !subdomain.is_empty()).map(|subdomain| {
            let namespace = pod.namespace().unwrap_or_default();
            format!("{host}.{subdomain}.{namespace}.svc.{}\t", kit.config.cluster_domain)
        });
        for ip in ips {
            let _ = writeln!(out, "{ip}\t{}{host}", domain.as_deref().unwrap_or_default());
        }
    }
    let aliases: Vec<_> = spec.host_aliases.into_iter().flatten().collect();
    if !aliases.is_empty() {
        out.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let _ = writeln!(out, "{}\t{}", alias.ip, alias.hostnames.unwrap_or_default().join("\t"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_file_is_read_n221_n223() {
        let config = parse("# x\nnameserver 10.0.0.1\nsearch a.example. b . \noptions ndots:2 rotate\n");
        assert_eq!(config.servers, ["10.0.0.1"]);
        assert_eq!(config.searches, ["a.example", "b"]);
        assert_eq!(config.options, ["ndots:2", "rotate"]);
    }

    #[test]
    fn the_pods_own_resolver_settings_win_n222() {
        let spec = serde_json::json!({"containers": [], "dnsConfig": {
            "nameservers": ["1.1.1.1", "10.0.0.1"], "searches": ["b", "c"],
            "options": [{"name": "ndots", "value": "1"}, {"name": "edns0"}]}});
        let base = parse("nameserver 10.0.0.1\nsearch a b\noptions ndots:5\n");
        let config = with_own(base, &serde_json::from_value(spec).unwrap());
        assert_eq!(config.servers, ["10.0.0.1", "1.1.1.1"]);
        assert_eq!(config.searches, ["a", "b", "c"]);
        assert_eq!(config.options, ["ndots:1", "edns0"]);
    }

    #[test]
    fn host_names_are_cut_n225() {
        let name = format!("{}-x", "a".repeat(62));
        let pod = Pod { metadata: kube::api::ObjectMeta { name: Some(name), ..Default::default() }, ..Pod::default() };
        assert_eq!(hostname(&pod), "a".repeat(62));
    }
}
