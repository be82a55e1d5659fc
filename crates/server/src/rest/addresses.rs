//! Cluster addresses and node ports of Services, drawn between validation and commit (A386).
//!
//! What is taken is read off the stored Services under one lock, which the caller holds until its write is committed: nothing else has
//! to be kept or repaired. Not here: defaults and what an update keeps (`api::kinds::service`).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use everynode_api::Object;
use everynode_api::field::{Error, Path};
use everynode_api::kinds::service;
use everynode_api::resource::Resource;
use everynode_api::value::{Read, set};
use serde_json::Value;
use tokio::sync::MutexGuard;

use crate::Shared;
use crate::stored;

/// First address of the service range; its network is 10.96.0.0/12.
const NETWORK: u32 = u32::from_be_bytes([10, 96, 0, 0]);
/// Addresses in the range.
const SIZE: u32 = 1 << 20;
/// Addresses at the start of the range that are never drawn, only asked for.
const STATIC: u32 = 256;

/// What the stored Services have.
#[derive(Default)]
struct Taken {
    addresses: BTreeSet<Ipv4Addr>,
    ports: BTreeSet<i64>,
}

/// Draws what a Service lacks and checks what it asks for. The guard must be held until the write is committed.
pub(super) async fn draw<'a>(
    shared: &'a Shared,
    row: &Resource,
    subresource: &str,
    object: &mut Object,
) -> Result<Option<MutexGuard<'a, ()>>, Vec<Error>> {
    if row.kind != "Service" || !row.group.is_empty() || !subresource.is_empty() {
        return Ok(None);
    }
    let guard = shared.service_addresses.lock().await;
    let key = row.key(object.text_or_empty("metadata.namespace"), object.text_or_empty("metadata.name"));
    let taken = taken(shared, row, &key);
    let mut errors = Vec::new();
    asked_address(object, &taken, &mut errors);
    asked_ports(object, &taken, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    if service::wants_address(object) {
        match free_address(&taken) {
            Some(address) => service::set_address(object, &address.to_string()),
            None => return Err(vec![full("clusterIPs", "failed to allocate a serviceIP: range is full")]),
        }
    }
    let mut ports = taken.ports;
    ports.extend(object.list("spec.ports").iter().filter_map(|p| p.int("nodePort")));
    for index in service::wants_node_ports(object) {
        let Some(port) = free_port(&ports) else {
            return Err(vec![full("ports", "failed to allocate a nodePort: range is full")]);
        };
        ports.insert(port);
        if let Some(slot) = object.pointer_mut(&format!("/spec/ports/{index}")) {
            set(slot, "nodePort", port);
        }
    }
    Ok(Some(guard))
}

fn full(member: &str, why: &str) -> Error {
    Error::internal(&Path::new("spec").child(member), why)
}

fn taken(shared: &Shared, row: &Resource, own_key: &str) -> Taken {
    let mut taken = Taken::default();
    let Ok(page) = shared.store.list(&row.prefix(None), None, 0, None) else { return taken };
    for entry in page.entries.iter().filter(|e| &*e.key != own_key) {
        let service = stored::parse(&entry.value);
        let addresses = service.list("spec.clusterIPs").iter().filter_map(Value::as_str);
        taken.addresses.extend(addresses.filter_map(|a| a.parse::<Ipv4Addr>().ok()));
        taken.ports.extend(service.list("spec.ports").iter().filter_map(|p| p.int("nodePort")));
    }
    taken
}

fn in_range(address: Ipv4Addr) -> bool {
    let offset = u32::from(address).wrapping_sub(NETWORK);
    offset > 0 && offset < SIZE - 1
}

fn asked_address(object: &Object, taken: &Taken, errors: &mut Vec<Error>) {
    let asked = object.text_or_empty("spec.clusterIP");
    let Ok(address) = asked.parse::<Ipv4Addr>() else { return };
    let why = if !in_range(address) {
        "the provided network does not match the current range"
    } else if taken.addresses.contains(&address) {
        "provided IP is already allocated"
    } else {
        return;
    };
    let detail = format!("failed to allocate IP {address}: {why}");
    errors.push(Error::invalid(&Path::new("spec.clusterIPs"), Value::from(vec![asked]), detail));
}

fn asked_ports(object: &Object, taken: &Taken, errors: &mut Vec<Error>) {
    for (i, port) in object.list("spec.ports").iter().enumerate() {
        let Some(number) = port.int("nodePort").filter(|n| *n != 0) else { continue };
        let range = service::NODE_PORTS;
        let why = if !range.contains(&u16::try_from(number).unwrap_or(0)) {
            format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                range.start(),
                range.end()
            )
        } else if taken.ports.contains(&number) {
            "provided port is already allocated".to_owned()
        } else {
            continue;
        };
        errors.push(Error::invalid(&Path::new("spec.ports").index(i).child("nodePort"), number, why));
    }
}

/// A free address of the upper part, starting somewhere at random.
fn free_address(taken: &Taken) -> Option<Ipv4Addr> {
    let span = SIZE - 1 - STATIC;
    let start = rand::random_range(0..span);
    (0..span)
        .map(|step| Ipv4Addr::from(NETWORK + STATIC + (start + step) % span))
        .find(|address| in_range(*address) && !taken.addresses.contains(address))
}

fn free_port(taken: &BTreeSet<i64>) -> Option<i64> {
    let (first, last) = (i64::from(*service::NODE_PORTS.start()), i64::from(*service::NODE_PORTS.end()));
    let span = last - first + 1;
    let start = rand::random_range(0..span);
    (0..span).map(|step| first + (start + step) % span).find(|port| !taken.contains(port))
}
