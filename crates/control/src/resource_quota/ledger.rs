//! The sums: what the objects of each namespace cost, per quota. Pure; a change costs one look at the quotas of its namespace.
//!
//! Invariant: an account's total is the sum of what its objects were last counted at, so that taking an object out takes
//! exactly what it put in, also after it has died in between.

use std::collections::{BTreeMap, BTreeSet};

use everynode_api::admission::quota::cost::{add, subtract};
use everynode_api::admission::quota::{Amounts, Charge, Quota, Resource};
use everynode_core::model::Key;
use jiff::Timestamp;

/// Group and plural.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) plural: String,
}

impl Kind {
    pub(super) fn resource(&self) -> Resource<'_> {
        Resource { group: &self.group, plural: &self.plural }
    }

    /// The kind that a bound of a quota is about.
    pub(super) fn bound_by(name: &str) -> Option<Self> {
        Resource::named(name).map(|of| Self { group: of.group.to_owned(), plural: of.plural.to_owned() })
    }
}

struct Counted {
    charge: Charge,
    amounts: Amounts,
}

struct Account {
    quota: Quota,
    total: Amounts,
}

/// All quotas, and all objects of the kinds that they count.
#[derive(Default)]
pub(super) struct Ledger {
    objects: BTreeMap<Kind, BTreeMap<Key, Counted>>,
    accounts: BTreeMap<Key, Account>,
}

impl Ledger {
    /// There is a new or changed quota.
    pub(super) fn quota(&mut self, key: Key, quota: Quota) {
        let total = match self.accounts.remove(&key) {
            Some(old) if old.quota.counts_like(&quota) => old.total,
            _ => self.sum(&key, &quota),
        };
        self.accounts.insert(key, Account { quota, total });
    }

    pub(super) fn quota_gone(&mut self, key: &Key) {
        self.accounts.remove(key);
    }

    /// There is a new or changed object, or (`None`) one that is gone. True when a quota may have changed.
    pub(super) fn object(&mut self, of: &Kind, key: &Key, charge: Option<Charge>, now: Timestamp) -> bool {
        let objects = self.objects.entry(of.clone()).or_default();
        let old = objects.remove(key);
        let new = charge.map(|charge| Counted { amounts: charge.at(now), charge });
        let is_same = match (&old, &new) {
            (Some(old), Some(new)) => old.charge == new.charge && old.amounts == new.amounts,
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            let of_namespace = self.accounts.range_mut(Key::new(&key.namespace, "")..);
            for (_, account) in of_namespace.take_while(|(quota, _)| quota.namespace == key.namespace) {
                if let Some(old) = old.as_ref().filter(|old| account.quota.covers(&old.charge)) {
                    subtract(&mut account.total, &old.amounts);
                }
                if let Some(new) = new.as_ref().filter(|new| account.quota.covers(&new.charge)) {
                    add(&mut account.total, &new.amounts);
                }
            }
        }
        if let Some(new) = new {
            objects.insert(key.clone(), new);
        }
        !is_same
    }

    /// Looks at every object again: some may have died of old age.
    pub(super) fn recount(&mut self, now: Timestamp) {
        for counted in self.objects.values_mut().flat_map(BTreeMap::values_mut) {
            counted.amounts = counted.charge.at(now);
        }
        for key in self.keys() {
            if let Some(account) = self.accounts.remove(&key) {
                let total = self.sum(&key, &account.quota);
                self.accounts.insert(key, Account { total, ..account });
            }
        }
    }

    fn sum(&self, key: &Key, quota: &Quota) -> Amounts {
        let mut total = Amounts::new();
        for objects in self.objects.values() {
            let of_namespace = objects.range(Key::new(&key.namespace, "")..);
            for (_, counted) in of_namespace.take_while(|(object, _)| object.namespace == key.namespace) {
                if quota.covers(&counted.charge) {
                    add(&mut total, &counted.amounts);
                }
            }
        }
        total
    }

    /// All quotas.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.accounts.keys().cloned().collect()
    }

    /// The quotas of a namespace.
    pub(super) fn keys_of(&self, namespace: &str) -> Vec<Key> {
        let from = self.accounts.range(Key::new(namespace, "")..);
        from.map(|(key, _)| key).take_while(|key| &*key.namespace == namespace).cloned().collect()
    }

    /// The kinds that some quota counts.
    pub(super) fn kinds(&self) -> BTreeSet<Kind> {
        let bounds = self.accounts.values().flat_map(|account| account.quota.hard.keys());
        bounds.filter_map(|name| Kind::bound_by(name)).collect()
    }

    /// A quota, and what `status.used` should be. `is_known`: whether objects of this kind are followed.
    pub(super) fn tally(&self, key: &Key, is_known: impl Fn(&Kind) -> bool) -> Option<(&Quota, Amounts)> {
        let account = self.accounts.get(key)?;
        let is_counted = |name: &str| Kind::bound_by(name).is_some_and(|kind| is_known(&kind));
        Some((&account.quota, account.quota.tally(&account.total, is_counted)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pods() -> Kind {
        Kind { group: String::new(), plural: "pods".to_owned() }
    }

    fn quota(hard: Value, scopes: Value) -> Quota {
        Quota::read(&json!({"metadata": {"name": "q"}, "spec": {"hard": hard, "scopes": scopes}}))
    }

    fn pod(cpu: &str, phase: &str) -> Charge {
        let pod = json!({
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}, "status": {"phase": phase},
        });
        Charge::of(&pods().resource(), &pod)
    }

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn used(ledger: &Ledger, name: &str) -> String {
        let (_, used) = ledger.tally(&Key::new("a", name), |_| true).expect("a quota");
        used.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(",")
    }

    /// A499: sums follow what comes, changes and goes, whichever came first, and only in their namespace and scope.
    #[test]
    fn sums_follow_their_objects() {
        let mut ledger = Ledger::default();
        let key = |name: &str| Key::new("a", name);
        assert!(ledger.object(&pods(), &key("early"), Some(pod("100m", "Running")), now()));
        ledger.quota(key("q"), quota(json!({"pods": "9", "requests.cpu": "9", "count/pods": "9"}), json!([])));
        ledger.quota(key("idle"), quota(json!({"pods": "9"}), json!(["BestEffort"])));
        assert_eq!(used(&ledger, "q"), "count/pods=1,pods=1,requests.cpu=100m");
        assert!(ledger.object(&pods(), &key("late"), Some(pod("200m", "Running")), now()));
        assert!(ledger.object(&pods(), &Key::new("b", "abroad"), Some(pod("1", "Running")), now()));
        assert_eq!(used(&ledger, "q"), "count/pods=2,pods=2,requests.cpu=300m");
        assert!(!ledger.object(&pods(), &key("late"), Some(pod("200m", "Running")), now()), "nothing has changed");
        assert!(ledger.object(&pods(), &key("late"), Some(pod("200m", "Failed")), now()));
        assert_eq!(used(&ledger, "q"), "count/pods=2,pods=1,requests.cpu=100m");
        assert!(ledger.object(&pods(), &key("late"), None, now()));
        assert!(ledger.object(&pods(), &key("early"), None, now()));
        assert_eq!(used(&ledger, "q"), "count/pods=0,pods=0,requests.cpu=0");
        assert_eq!(used(&ledger, "idle"), "pods=0");
        assert!(!ledger.object(&pods(), &key("early"), None, now()), "it was gone already");
    }

    /// A442: a pod that outlives its grace leaves the sum at the next recount, and not twice when it goes.
    #[test]
    fn the_dead_are_counted_out_once() {
        let mut ledger = Ledger::default();
        let key = Key::new("a", "q");
        ledger.quota(key.clone(), quota(json!({"pods": "9"}), json!([])));
        let pod = json!({"metadata": {"deletionTimestamp": "1970-01-01T00:01:00Z", "deletionGracePeriodSeconds": 60}});
        let charge = Charge::of(&pods().resource(), &pod);
        ledger.object(&pods(), &Key::new("a", "stuck"), Some(charge.clone()), now());
        ledger.object(&pods(), &Key::new("a", "well"), Some(self::pod("1", "Running")), now());
        assert_eq!(used(&ledger, "q"), "pods=2");
        let later = "1970-01-01T01:00:00Z".parse().expect("a time");
        ledger.recount(later);
        assert_eq!(used(&ledger, "q"), "pods=1");
        ledger.object(&pods(), &Key::new("a", "stuck"), None, later);
        assert_eq!(used(&ledger, "q"), "pods=1");
    }

    /// What nothing is known about is not called zero.
    #[test]
    fn an_unknown_kind_has_no_sum() {
        let mut ledger = Ledger::default();
        let key = Key::new("a", "q");
        ledger.quota(key.clone(), quota(json!({"count/widgets.example.com": "1", "pods": "1"}), json!([])));
        let kinds: Vec<String> = ledger.kinds().into_iter().map(|kind| kind.plural).collect();
        assert_eq!(kinds, ["pods", "widgets"]);
        let (_, used) = ledger.tally(&key, |kind| kind.plural == "pods").expect("a quota");
        assert_eq!(used.keys().collect::<Vec<_>>(), ["pods"]);
    }
}
