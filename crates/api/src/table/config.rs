//! Tables of configuration, accounts, roles, services and events.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{AGE, Column, NAME, Printer, age, ages, first_three, flag, labels, name, number, or_none, text, wide};
use crate::Object;
use crate::value::Read;

fn entries(object: &Object, member: &str) -> usize {
    object.map(member).map_or(0, Map::len)
}

/// ConfigMaps.
pub static CONFIG_MAPS: Printer = Printer::new(
    &[
        NAME,
        text(
            "Data",
            "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must not overlap with the keys in the BinaryData field, this is enforced during validation process.",
        ),
        AGE,
    ],
    |object, now| vec![name(object), json!(entries(object, "data") + entries(object, "binaryData")), age(object, now)],
);

/// Secrets.
pub static SECRETS: Printer = Printer::new(
    &[
        NAME,
        text(
            "Type",
            "Used to facilitate programmatic handling of secret data. More info: https://kubernetes.io/docs/concepts/configuration/secret/#secret-types",
        ),
        text(
            "Data",
            "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'. The serialized form of the secret data is a base64 encoded string, representing the arbitrary (possibly non-string) data value here. Described in https://tools.ietf.org/html/rfc4648#section-4",
        ),
        AGE,
    ],
    |object, now| {
        vec![name(object), json!(object.text_or_empty("type")), json!(entries(object, "data")), age(object, now)]
    },
);

/// ServiceAccounts.
pub static SERVICE_ACCOUNTS: Printer = Printer::new(&[NAME, AGE], |object, now| vec![name(object), age(object, now)]);

/// Role bindings of both scopes.
pub static BINDINGS: Printer = Printer::new(
    &[
        NAME,
        text("Role", "What is granted."),
        AGE,
        wide(text("Users", "Users that get it.")),
        wide(text("Groups", "Groups that get it.")),
        wide(text("ServiceAccounts", "Service accounts that get it.")),
    ],
    |object, now| {
        let of = |kind: &str| {
            let subjects = object.list("subjects").iter().filter(|s| s.text("kind") == Some(kind));
            let names: Vec<String> = subjects
                .map(|s| match kind {
                    "ServiceAccount" => format!("{}/{}", s.text_or_empty("namespace"), s.text_or_empty("name")),
                    _ => s.text_or_empty("name").to_owned(),
                })
                .collect();
            json!(names.join(", "))
        };
        let role = format!("{}/{}", object.text_or_empty("roleRef.kind"), object.text_or_empty("roleRef.name"));
        vec![name(object), json!(role), age(object, now), of("User"), of("Group"), of("ServiceAccount")]
    },
);

/// Services.
pub static SERVICES: Printer = Printer::new(
    &[
        NAME,
        text("Type", "How it is reached."),
        text("Cluster-IP", "Its address inside the cluster."),
        text("External-IP", "Its addresses outside."),
        text("Port(s)", "Its ports."),
        AGE,
        wide(text("Selector", "Which pods serve it.")),
    ],
    |service, now| {
        let address = service.list("spec.clusterIPs").first().and_then(Value::as_str);
        vec![
            name(service),
            json!(service.text_or_empty("spec.type")),
            or_none(address.or_else(|| service.text("spec.clusterIP")).unwrap_or_default()),
            json!(external(service)),
            or_none(&ports(service)),
            age(service, now),
            json!(labels(service.map("spec.selector"))),
        ]
    },
);

/// A186.
fn external(service: &Object) -> String {
    let own = service.list("spec.externalIPs").iter().filter_map(Value::as_str).map(str::to_owned);
    match service.text_or_empty("spec.type") {
        "ClusterIP" | "NodePort" => {
            let ips: Vec<String> = own.collect();
            if ips.is_empty() { "<none>".to_owned() } else { ips.join(",") }
        }
        "LoadBalancer" => {
            let ingress = service.list("status.loadBalancer.ingress").iter();
            let mut found: Vec<String> = ingress
                .map(|i| i.text("ip").unwrap_or_else(|| i.text_or_empty("hostname")).to_owned())
                .filter(|t| !t.is_empty())
                .collect();
            found.sort_unstable();
            found.extend(own);
            if found.is_empty() { "<pending>".to_owned() } else { found.join(",") }
        }
        "ExternalName" => service.text_or_empty("spec.externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn ports(service: &Object) -> String {
    let ports = service.list("spec.ports").iter().map(|p| {
        let (port, protocol) = (p.int("port").unwrap_or(0), p.text_or_empty("protocol"));
        match p.int("nodePort").unwrap_or(0) {
            0 => format!("{port}/{protocol}"),
            node => format!("{port}:{node}/{protocol}"),
        }
    });
    ports.collect::<Vec<_>>().join(",")
}

/// Endpoints.
pub static ENDPOINTS: Printer =
    Printer::new(&[NAME, text("Endpoints", "Addresses that serve."), AGE], |object, now| {
        let mut found = Vec::new();
        for subset in object.list("subsets") {
            for address in subset.list("addresses") {
                let ip = address.text_or_empty("ip");
                if subset.list("ports").is_empty() {
                    found.push(ip.to_owned());
                }
                found.extend(subset.list("ports").iter().map(|p| format!("{ip}:{}", p.int("port").unwrap_or(0))));
            }
        }
        vec![name(object), json!(first_three(&found, "<none>")), age(object, now)]
    });

/// EndpointSlices.
pub static ENDPOINT_SLICES: Printer = Printer::new(
    &[
        NAME,
        text("AddressType", "Sort of addresses."),
        text("Ports", "Ports that serve."),
        text("Endpoints", "Addresses that serve."),
        AGE,
    ],
    |object, now| {
        let port = |p: &Value| match (p.int("port"), p.text_or_empty("name")) {
            (Some(number), _) => number.to_string(),
            (None, "") => "*".to_owned(),
            (None, name) => name.to_owned(),
        };
        let ports: Vec<String> = object.list("ports").iter().map(port).collect();
        let addresses = object.list("endpoints").iter().flat_map(|e| e.list("addresses"));
        let addresses: Vec<String> = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
        vec![
            name(object),
            json!(object.text_or_empty("addressType")),
            json!(first_three(&ports, "<unset>")),
            json!(first_three(&addresses, "<unset>")),
            age(object, now),
        ]
    },
);

/// Events, of stored (core) form.
pub static EVENTS: Printer = Printer::new(
    &[
        text("Last Seen", "The time at which the most recent occurrence of this event was recorded."),
        text("Type", "Type of this event (Normal, Warning), new types could be added in the future"),
        text(
            "Reason",
            "This should be a short, machine understandable string that gives the reason for the transition into the object's current status.",
        ),
        text("Object", "The object that this event is about."),
        wide(text(
            "Subobject",
            "If referring to a piece of an object instead of an entire object, this string should contain a valid JSON/Go field access statement, such as desiredState.manifest.containers[2]. For example, if the object reference is to a container within a pod, this would take on a value like: \"spec.containers{name}\" (where \"name\" refers to the name of the container that triggered the event) or if no container name is specified \"spec.containers[2]\" (container with index 2 in this pod). This syntax is chosen only to have some well-defined way of referencing a part of an object.",
        )),
        wide(text("Source", "The component reporting this event. Should be a short machine understandable string.")),
        text("Message", "A human-readable description of the status of this operation."),
        wide(text(
            "First Seen",
            "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)",
        )),
        wide(text("Count", "The number of times this event has occurred.")),
        Column { priority: 1, ..NAME },
    ],
    event,
);

fn event(event: &Object, now: Timestamp) -> Vec<Value> {
    // Both spellings are printed alike (A180).
    let text = |core: &str, new: &str| event.text(core).or_else(|| event.text(new)).unwrap_or_default();
    let stamp = |core: &str, new: &str| event.text(core).or_else(|| event.text(new));
    let first_stamp = stamp("firstTimestamp", "deprecatedFirstTimestamp").or_else(|| event.text("eventTime"));
    let first = ages::since(first_stamp, now);
    let last = match stamp("lastTimestamp", "deprecatedLastTimestamp") {
        Some(last) => ages::since(Some(last), now),
        None => first.clone(),
    };
    let single = event.int("count").or_else(|| event.int("deprecatedCount")).unwrap_or(0).max(1);
    let (last, count) = match event.at("series") {
        Some(series) => (ages::since(series.text("lastObservedTime"), now), series.int("count").unwrap_or(0)),
        None => (last, single),
    };
    let involved = if event.at("involvedObject").is_some() { "involvedObject" } else { "regarding" };
    let part = |member: &str| event.text_or_empty(&format!("{involved}.{member}")).to_owned();
    let kind = part("kind").to_lowercase();
    let object = if part("name").is_empty() { kind } else { format!("{kind}/{}", part("name")) };
    vec![
        json!(last),
        json!(event.text_or_empty("type")),
        json!(event.text_or_empty("reason")),
        json!(object),
        json!(part("fieldPath")),
        json!(source(event)),
        json!(text("message", "note").trim()),
        json!(first),
        json!(count),
        name(event),
    ]
}

fn source(event: &Object) -> String {
    let first = |paths: &[&str]| {
        paths.iter().map(|p| event.text_or_empty(p)).find(|t| !t.is_empty()).unwrap_or_default().to_owned()
    };
    let component =
        first(&["source.component", "deprecatedSource.component", "reportingComponent", "reportingController"]);
    let host = first(&["source.host", "deprecatedSource.host", "reportingInstance"]);
    if host.is_empty() { component } else { format!("{component}, {host}") }
}

/// Leases.
pub static LEASES: Printer = Printer::new(&[NAME, text("Holder", "Who holds it."), AGE], |lease, now| {
    vec![name(lease), json!(lease.text_or_empty("spec.holderIdentity")), age(lease, now)]
});

/// NetworkPolicies.
pub static NETWORK_POLICIES: Printer =
    Printer::new(&[NAME, text("Pod-Selector", "Which pods it is about."), AGE], |object, now| {
        vec![name(object), json!(super::selector(object.at("spec.podSelector"))), age(object, now)]
    });

/// Ingresses.
pub static INGRESSES: Printer = Printer::new(
    &[
        NAME,
        text("Class", "Which controller serves it."),
        text("Hosts", "Hosts that it serves."),
        text("Address", "Where it is reached."),
        text("Ports", "Ports that it serves."),
        AGE,
    ],
    |object, now| {
        let hosts: Vec<String> = object
            .list("spec.rules")
            .iter()
            .map(|r| r.text_or_empty("host").to_owned())
            .filter(|h| !h.is_empty())
            .collect();
        let mut addresses: Vec<&str> = object
            .list("status.loadBalancer.ingress")
            .iter()
            .map(|i| i.text("ip").unwrap_or_else(|| i.text_or_empty("hostname")))
            .collect();
        addresses.sort_unstable();
        let ports = if object.list("spec.tls").is_empty() { "80" } else { "80, 443" };
        vec![
            name(object),
            or_none(object.text_or_empty("spec.ingressClassName")),
            json!(first_three(&hosts, "*")),
            json!(addresses.join(",")),
            json!(ports),
            age(object, now),
        ]
    },
);

/// Webhook configurations of both sorts.
pub static WEBHOOKS: Printer =
    Printer::new(&[NAME, number("Webhooks", "How many webhooks it has."), AGE], |object, now| {
        vec![name(object), json!(object.list("webhooks").len()), age(object, now)]
    });

/// PriorityClasses.
pub static PRIORITY_CLASSES: Printer = Printer::new(
    &[
        NAME,
        number("Value", "The priority that pods get."),
        flag("Global-Default", "Whether pods without a class get it."),
        AGE,
        text("PreemptionPolicy", "Whether others make room."),
    ],
    |object, now| {
        vec![
            name(object),
            json!(object.int("value").unwrap_or(0)),
            json!(object.is_true("globalDefault")),
            age(object, now),
            json!(object.text_or_empty("preemptionPolicy")),
        ]
    },
);
