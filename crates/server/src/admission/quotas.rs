//! ResourceQuota (A243): asks the quotas of a namespace and charges them before the object is stored.
//!
//! A charge is a compare-and-swap on the quota's status. It is made before the write that it is for: when that write then
//! fails, the quota is charged too much until the `resourcequota-controller` counts again, never too little.
//!
//! Not here: costs, scopes and words (`everynode_api::admission::quota`).

use std::collections::BTreeSet;

use everynode_api::Object;
use everynode_api::admission::quota::{Amounts, Quota, Request, Resource};
use everynode_api::registry;
use everynode_api::status::Status;
use everynode_api::value;
use everynode_store::{Change, CommitError, Durability, Entry, Expect, Store, Write};

use super::{Context, Operation};
use crate::stored::{self, Unsealed};
use crate::{failure, forms};

/// How often a charge is tried against fresh reads. Each try that fails is somebody else's that did not.
const TRIES_MAX: usize = 50;
/// What quotas never count (A398).
const UNCOUNTED: &str = "events";

/// Charges the quotas of the namespace for an object that is about to be stored.
pub(super) async fn charge(
    store: &Store,
    context: &Context<'_>,
    operation: Operation,
    old: Option<&Object>,
    object: &Object,
) -> Result<(), Status> {
    let writes = matches!(operation, Operation::Create | Operation::Update);
    if !writes || context.namespace.is_empty() || !context.subresource.is_empty() || context.resource == UNCOUNTED {
        return Ok(());
    }
    let request = Request {
        of: Resource { group: context.group, plural: context.resource },
        object,
        old: old.filter(|_| operation == Operation::Update),
    };
    if !request.counts() {
        return Ok(());
    }
    // What is charged stays so while the others are tried again.
    let mut charged = BTreeSet::new();
    for _ in 0..TRIES_MAX {
        let (entries, quotas) = quotas(store, context.namespace, &charged);
        let due = request.ask(&quotas).map_err(|why| context.forbidden(why))?;
        if due.is_empty() || context.dry_run {
            return Ok(());
        }
        let mut is_beaten = false;
        for (at, used) in due {
            let (Some(entry), Some(quota)) = (entries.get(at), quotas.get(at)) else { continue };
            if put_used(store, entry, &used).await? {
                charged.insert(quota.name.clone());
            } else {
                is_beaten = true;
            }
        }
        if !is_beaten {
            return Ok(());
        }
    }
    Err(context.forbidden("the quotas of this namespace change too quickly; please try again"))
}

/// The quotas of a namespace but those already charged, and their entries in the same order.
fn quotas(store: &Store, namespace: &str, charged: &BTreeSet<String>) -> (Vec<Entry>, Vec<Quota>) {
    let page = store.list(&format!("/registry/resourcequotas/{namespace}/"), None, 0, None);
    let entries = page.map(|page| page.entries).unwrap_or_default();
    entries
        .into_iter()
        .map(|entry| (Quota::read(&stored::parse(&entry.value)), entry))
        .filter(|(quota, _)| !charged.contains(&quota.name))
        .map(|(quota, entry)| (entry, quota))
        .unzip()
}

/// Writes `status.used`. False when somebody else was quicker.
async fn put_used(store: &Store, entry: &Entry, used: &Amounts) -> Result<bool, Status> {
    let Some(row) = registry::find("", "v1", "resourcequotas") else {
        return Err(Status::internal("there is no row for resourcequotas"));
    };
    let mut quota = forms::normal(row, entry)?;
    let used: serde_json::Map<_, _> =
        used.iter().map(|(name, amount)| (name.clone(), amount.to_string().into())).collect();
    value::set(&mut quota, "status.used", used);
    let unsealed = Unsealed::new(&mut quota, forms::shape(row)?);
    let change = Change::Put(Box::new(move |revision| unsealed.seal(revision)));
    // After a crash all quotas are counted again, so nothing is lost with it.
    let durability = Durability::Lazy;
    let write = Write { key: entry.key.to_string(), expect: Expect::At(entry.modified), change, durability };
    match store.commit(write).await {
        Ok(_) => Ok(true),
        Err(CommitError::Conflict { .. }) => Ok(false),
        Err(error) => Err(failure::commit(&error)),
    }
}
