//! Keeps `status.used` of ResourceQuotas true (A442, A499).
//!
//! The server charges quotas when it admits; this shell corrects what those charges become: objects that went, writes that
//! failed after they were charged, quotas that changed. Only kinds that some quota counts are followed.
//!
//! Invariant: a sum that would lower `used` waits until the quota was found left alone for [`SETTLE_LOOKS`] looks: a charge comes
//! before the object that it is for, and must not be taken back because that object is not there yet.
//!
//! Not here: costs and scopes (`everynode_api::admission::quota`), refusals (the server's).

mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use everynode_api::admission::quota::{Amounts, Charge, Quota, Resource};
use everynode_api::project::ProjectError;
use everynode_core::model::{Key, Millis, Version};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::ledger::{Kind, Ledger};
use crate::api::{Api, Failure, collection};
use crate::cache::{Cached, Delta, Feed};
use crate::chain::Chain;
use crate::discovery::{self, Discovered, DiscoveryError, ResourceType};
use crate::inbox::Inbox;
use crate::{Context, ControllerError, clock, meta};

/// How often a quota must be found left alone before its sum is lowered, and how long that is between two looks. Looks and not just
/// a span: when this process did not run for a while, those whose objects are on the way may not have run either.
const SETTLE_LOOKS: u32 = 20;
const SETTLE_EVERY: Millis = Millis(50);
/// How often all objects are looked at again, for those that died of old age.
const RECOUNT_PERIOD: Millis = Millis::from_secs(300);
/// How often discovery is asked again while a quota counts a kind that is not known.
const DISCOVERY_PERIOD: Duration = Duration::from_secs(30);
/// How long to wait after a failed write.
const AGAIN: Millis = Millis::from_secs(1);
/// How long to wait after somebody else was quicker.
const BEATEN: Millis = Millis(20);

/// A quota: the object for writing, the rest for reckoning.
struct QuotaItem {
    key: Key,
    version: Version,
    quota: Quota,
    object: Value,
}

impl Cached for QuotaItem {
    fn key(&self) -> Key {
        self.key.clone()
    }
    fn version(&self) -> Version {
        self.version
    }
}

fn quota_item(bytes: &[u8]) -> Result<QuotaItem, ProjectError> {
    let meta = meta::project(bytes)?;
    let object: Value =
        serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "ResourceQuota", source })?;
    Ok(QuotaItem { key: meta.key, version: meta.version, quota: Quota::read(&object), object })
}

/// An object that costs something; without a charge of its own it costs its number.
struct Item {
    key: Key,
    version: Version,
    charge: Option<Charge>,
}

impl Cached for Item {
    fn key(&self) -> Key {
        self.key.clone()
    }
    fn version(&self) -> Version {
        self.version
    }
}

fn numbered(bytes: &[u8]) -> Result<Item, ProjectError> {
    let meta = meta::project(bytes)?;
    Ok(Item { key: meta.key, version: meta.version, charge: None })
}

fn priced(plural: &'static str, bytes: &[u8]) -> Result<Item, ProjectError> {
    let object: Value =
        serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "object", source })?;
    let charge = Charge::of(&Resource { group: "", plural }, &object);
    Ok(Item { charge: Some(charge), ..numbered(bytes)? })
}

fn reader(of: &Kind) -> crate::cache::Project<Item> {
    match (of.group.as_str(), of.plural.as_str()) {
        ("", "pods") => |bytes| priced("pods", bytes),
        ("", "services") => |bytes| priced("services", bytes),
        ("", "persistentvolumeclaims") => |bytes| priced("persistentvolumeclaims", bytes),
        _ => numbered,
    }
}

enum Message {
    Quota(Delta<QuotaItem>),
    Object(Arc<Kind>, Delta<Item>),
    Kinds(Result<Discovered, DiscoveryError>),
    Written(Key, Result<(), Failure>),
}

/// Runs until it is dropped.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let api = context.clients.api("resourcequota-controller");
    let quotas = context.feeds.open("quotas", "/api/v1/resourcequotas", quota_item);
    let mut inbox = Inbox::new();
    inbox.follow(&quotas, Message::Quota);
    let recount_at = clock::now().plus(RECOUNT_PERIOD);
    let mut shell = Shell {
        context: Arc::clone(&context),
        api,
        quotas,
        inbox,
        ledger: Ledger::default(),
        types: BTreeMap::new(),
        followed: BTreeMap::new(),
        is_discovering: false,
        pace: BTreeMap::new(),
        due: BTreeMap::new(),
        recount_at,
    };
    shell.discover(Duration::ZERO);
    loop {
        let wake_at = shell.due.values().min().copied().unwrap_or(shell.recount_at).min(shell.recount_at);
        let mut next = shell.inbox.next(Some(wake_at)).await;
        while let Some(message) = next {
            shell.take(message);
            next = shell.inbox.try_next();
        }
        shell.look();
    }
}

/// What is known of the writes to one quota.
#[derive(Default)]
struct Pace {
    /// How often it was found left alone since somebody else changed its sums.
    looks: u32,
    /// When the next look counts.
    look_at: Millis,
    /// What was last written from here.
    written: Option<Amounts>,
    is_writing: bool,
}

impl Pace {
    /// Somebody else changed the sums.
    fn charged(&mut self, now: Millis) {
        self.looks = 0;
        self.look_at = now.plus(SETTLE_EVERY);
    }

    /// A look at a quota that was left alone since the last one: when to look again, or none when that was often enough.
    fn look(&mut self, now: Millis) -> Option<Millis> {
        if self.looks < SETTLE_LOOKS && now >= self.look_at {
            self.looks += 1;
            self.look_at = now.plus(SETTLE_EVERY);
        }
        (self.looks < SETTLE_LOOKS).then_some(self.look_at)
    }
}

struct Followed {
    _feed: Feed<Item>,
    is_synced: bool,
}

struct Shell {
    context: Arc<Context>,
    api: Api,
    quotas: Feed<QuotaItem>,
    inbox: Inbox<Message>,
    ledger: Ledger,
    types: BTreeMap<Kind, ResourceType>,
    followed: BTreeMap<Kind, Followed>,
    is_discovering: bool,
    pace: BTreeMap<Key, Pace>,
    /// Quotas to be looked at, and when.
    due: BTreeMap<Key, Millis>,
    recount_at: Millis,
}

impl Shell {
    fn take(&mut self, message: Message) {
        let now = clock::now();
        match message {
            Message::Quota(Delta::Put { old, new }) => {
                let pace = self.pace.entry(new.key.clone()).or_default();
                let is_charged = old.is_none_or(|old| old.quota.used != new.quota.used);
                if is_charged && pace.written.as_ref() != Some(&new.quota.used) {
                    pace.charged(now);
                }
                self.ledger.quota(new.key.clone(), new.quota.clone());
                self.follow_all();
                self.wake(&new.key, now);
            }
            Message::Quota(Delta::Gone(gone)) => {
                self.ledger.quota_gone(&gone.key);
                self.pace.remove(&gone.key);
                self.due.remove(&gone.key);
            }
            Message::Quota(Delta::Synced) => {}
            Message::Object(of, Delta::Put { new, .. }) => {
                let charge = new.charge.clone().unwrap_or_else(|| Charge::of(&of.resource(), &Value::Null));
                self.count(&of, &new.key, Some(charge), now);
            }
            Message::Object(of, Delta::Gone(gone)) => self.count(&of, &gone.key, None, now),
            Message::Object(of, Delta::Synced) => {
                if let Some(followed) = self.followed.get_mut(&*of) {
                    followed.is_synced = true;
                }
                self.wake_all(now);
            }
            Message::Kinds(result) => self.learn(result),
            Message::Written(key, result) => self.written(&key, result, now),
        }
    }

    fn count(&mut self, of: &Kind, key: &Key, charge: Option<Charge>, now: Millis) {
        if self.ledger.object(of, key, charge, Timestamp::now()) {
            for quota in self.ledger.keys_of(&key.namespace) {
                self.wake(&quota, now);
            }
        }
    }

    fn written(&mut self, key: &Key, result: Result<(), Failure>, now: Millis) {
        let Some(pace) = self.pace.get_mut(key) else { return };
        pace.is_writing = false;
        // What came while the write was on its way has not been looked at.
        let delay = match result {
            Ok(()) => Millis(0),
            // The event of whoever was quicker is on its way, or was here already.
            Err(failure) if failure.is_conflict() => BEATEN,
            Err(failure) if failure.is_not_found() => return,
            Err(failure) => {
                tracing::debug!(quota = %key, error = %Chain(&failure), "the sums are not written; trying again");
                AGAIN
            }
        };
        self.wake(key, now.plus(delay));
    }

    fn wake(&mut self, key: &Key, at: Millis) {
        let due = self.due.entry(key.clone()).or_insert(at);
        *due = at.min(*due);
    }

    fn wake_all(&mut self, now: Millis) {
        for key in self.ledger.keys() {
            self.wake(&key, now);
        }
    }

    fn discover(&mut self, delay: Duration) {
        if std::mem::replace(&mut self.is_discovering, true) {
            return;
        }
        let api = self.api.clone();
        self.inbox.act(async move {
            tokio::time::sleep(delay).await;
            Message::Kinds(discovery::discover(&api).await)
        });
    }

    fn learn(&mut self, result: Result<Discovered, DiscoveryError>) {
        self.is_discovering = false;
        match result {
            Ok(discovered) => {
                for of in discovered.resources.into_iter().filter(|of| of.namespaced && of.allows(&["list", "watch"])) {
                    self.types.insert(Kind { group: of.group.clone(), plural: of.plural.clone() }, of);
                }
            }
            Err(error) => tracing::debug!(error = %Chain(&error), "cannot learn the server's kinds; trying again"),
        }
        self.follow_all();
        self.wake_all(clock::now());
    }

    /// Follows what is counted and not yet followed.
    fn follow_all(&mut self) {
        let missing: BTreeSet<Kind> =
            self.ledger.kinds().into_iter().filter(|of| !self.followed.contains_key(of)).collect();
        for of in missing {
            let Some(found) = self.types.get(&of) else {
                self.discover(DISCOVERY_PERIOD);
                continue;
            };
            let feed = self.context.feeds.open("objects for quotas", &found.collection(""), reader(&of));
            let shared = Arc::new(of.clone());
            self.inbox.follow(&feed, move |delta| Message::Object(Arc::clone(&shared), delta));
            self.followed.insert(of, Followed { _feed: feed, is_synced: false });
        }
    }

    /// Looks at all quotas that are due.
    fn look(&mut self) {
        let now = clock::now();
        if now >= self.recount_at {
            self.recount_at = now.plus(RECOUNT_PERIOD);
            self.ledger.recount(Timestamp::now());
            self.wake_all(now);
        }
        let due: Vec<Key> = self.due.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.due.remove(&key);
            self.correct(&key, now);
        }
    }

    /// Writes the sums of one quota if they are not what they should be.
    fn correct(&mut self, key: &Key, now: Millis) {
        let again = self.pace.get_mut(key).and_then(|pace| pace.look(now));
        if let Some(at) = again {
            self.wake(key, at);
        }
        // An unknown kind is not waited for; one whose first list is on its way is.
        if self.types.is_empty() || self.ledger.kinds().iter().any(|of| !self.is_ready(of)) {
            return;
        }
        let Some(item) = self.quotas.get(key) else { return };
        let Some((_, used)) = self.ledger.tally(key, |of| self.followed.contains_key(of)) else { return };
        let quota = &item.quota;
        if quota.bounds == quota.hard && quota.used == used {
            return;
        }
        let Some(pace) = self.pace.get_mut(key).filter(|pace| !pace.is_writing) else { return };
        let is_lower = quota.used.iter().any(|(name, amount)| used.get(name).is_some_and(|sum| sum < amount));
        if is_lower && again.is_some() {
            return;
        }
        pace.is_writing = true;
        pace.written = Some(used.clone());
        self.inbox.act(write(self.api.clone(), item, used));
    }

    fn is_ready(&self, of: &Kind) -> bool {
        match self.followed.get(of) {
            Some(followed) => followed.is_synced,
            None => !self.types.contains_key(of),
        }
    }
}

async fn write(api: Api, item: Arc<QuotaItem>, used: Amounts) -> Message {
    let key = item.key.clone();
    let path = format!("{}/{}/status", collection("", "v1", &key.namespace, "resourcequotas"), key.name);
    let text = |amounts: &Amounts| -> BTreeMap<String, String> {
        amounts.iter().map(|(name, amount)| (name.clone(), amount.to_string())).collect()
    };
    let mut object = item.object.clone();
    object["status"] = json!({"hard": text(&item.quota.hard), "used": text(&used)});
    let result = api.replace(&path, &object).await.map(drop);
    Message::Written(key, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that did not run for a while has not seen that a quota was left alone.
    #[test]
    fn a_quota_settles_by_looks_and_not_by_time_alone() {
        let mut pace = Pace::default();
        pace.charged(Millis(0));
        assert_eq!(pace.look(Millis(10)), Some(Millis(50)), "too soon to count");
        let mut now = Millis::from_secs(100);
        for _ in 1..SETTLE_LOOKS {
            let next = pace.look(now);
            assert_eq!(next, Some(now.plus(SETTLE_EVERY)));
            now = now.plus(SETTLE_EVERY);
        }
        assert_eq!(pace.look(now), None);
        assert_eq!(pace.look(now), None, "it stays so");
        pace.charged(now);
        assert!(pace.look(now.plus(SETTLE_EVERY)).is_some());
    }
}
