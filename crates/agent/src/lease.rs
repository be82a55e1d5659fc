//! The heartbeat: one small write every ten seconds, in a task of its own so that nothing on the node can hold it up (N52–N54).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

/// How long a lease holds.
const DURATION_SECONDS: i32 = 40;
/// Time between renewals.
const PERIOD: Duration = Duration::from_secs(10);
/// Tries in a row before the lease is read again.
const TRIES: u32 = 5;
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_CAP: Duration = Duration::from_secs(7);

/// Renews the lease of `node` until it is dropped; `node_uid` makes the Node its owner (N53).
pub(crate) async fn keep(client: kube::Client, node: String, node_uid: String) {
    let api: Api<Lease> = Api::namespaced(client, "kube-node-lease");
    let mut held: Option<Lease> = None;
    loop {
        let lease = match held.take() {
            Some(lease) => renew(&api, &node, lease).await,
            None => Some(get_or_create(&api, &node, &node_uid).await),
        };
        held = lease;
        if held.is_some() {
            // Spread by up to 4 %, so that nodes started together do not stay together (N13).
            tokio::time::sleep(PERIOD + PERIOD.mul_f64(0.04 * rand::random::<f64>())).await;
        }
    }
}

async fn renew(api: &Api<Lease>, node: &str, mut lease: Lease) -> Option<Lease> {
    for _ in 0..TRIES {
        lease.spec.get_or_insert_default().renew_time = Some(MicroTime(Timestamp::now()));
        match api.replace(node, &PostParams::default(), &lease).await {
            Ok(lease) => return Some(lease),
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => return None,
            Err(error) => {
                tracing::debug!(node, error = &error as &dyn std::error::Error, "lease not renewed");
                tokio::time::sleep(RETRY_FIRST).await;
            }
        }
    }
    None
}

async fn get_or_create(api: &Api<Lease>, node: &str, node_uid: &str) -> Lease {
    let mut wait = RETRY_FIRST;
    loop {
        let result = match api.get_opt(node).await {
            Ok(Some(lease)) => match renew(api, node, lease).await {
                Some(lease) => return lease,
                None => continue,
            },
            Ok(None) => api.create(&PostParams::default(), &fresh(node, node_uid)).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(lease) => return lease,
            Err(error) => {
                tracing::warn!(node, error = &error as &dyn std::error::Error, "no lease yet");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_CAP);
            }
        }
    }
}

fn fresh(node: &str, node_uid: &str) -> Lease {
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.to_owned(),
        uid: node_uid.to_owned(),
        ..OwnerReference::default()
    };
    Lease {
        metadata: ObjectMeta {
            name: Some(node.to_owned()),
            namespace: Some("kube-node-lease".to_owned()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(node.to_owned()),
            lease_duration_seconds: Some(DURATION_SECONDS),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }),
    }
}
