//! ResourceQuota (A243, A442): which quotas an object falls under, and whether they have room for it.
//!
//! Not here: what an object costs ([`cost`]), where quotas are kept and charged (`everynode_server::admission`), and the
//! recount (`everynode_control`'s `resourcequota-controller`).

pub mod cost;
mod scope;

use std::collections::BTreeMap;

use serde_json::Value;

pub use self::cost::{Charge, Resource};
use self::scope::Requirement;
use super::{Refusal, text};
use crate::quantity::Quantity;

/// Amounts by name: `pods`, `requests.cpu`, `count/daemonsets.apps`, …
pub type Amounts = BTreeMap<String, Quantity>;

/// A quota, as far as it is reckoned with.
#[derive(Debug, Clone)]
pub struct Quota {
    /// Its name.
    pub name: String,
    /// `spec.hard`: what a recount writes into the status.
    pub hard: Amounts,
    /// `status.hard`: the bounds in force.
    pub bounds: Amounts,
    /// `status.used`.
    pub used: Amounts,
    scopes: Vec<Requirement>,
}

impl Quota {
    /// Reads a ResourceQuota.
    #[must_use]
    pub fn read(quota: &Value) -> Self {
        let part = |half: &str, member: &str| amounts(quota.get(half).and_then(|half| half.get(member)));
        Self {
            name: quota.get("metadata").map(|meta| text(meta, "name")).unwrap_or_default().to_owned(),
            hard: part("spec", "hard"),
            bounds: part("status", "hard"),
            used: part("status", "used"),
            scopes: quota.get("spec").map(scope::requirements).unwrap_or_default(),
        }
    }

    /// Whether an object of this kind falls under its scopes. Without scopes all do; only pods fall under any.
    #[must_use]
    pub fn covers(&self, charge: &Charge) -> bool {
        self.scopes.iter().all(|scope| charge.pod().is_some_and(|pod| scope.holds(pod)))
    }

    /// Whether the same objects fall under both, so that their sum stays.
    #[must_use]
    pub fn counts_like(&self, other: &Self) -> bool {
        self.scopes == other.scopes
    }

    /// What a recount that came to `counted` makes of `status.used`: every bound that is known to be counted, zeroes too.
    #[must_use]
    pub fn tally(&self, counted: &Amounts, is_counted: impl Fn(&str) -> bool) -> Amounts {
        let of = |name: &String| counted.get(name).cloned().unwrap_or_else(|| Quantity::from_int(0));
        self.hard.keys().filter(|name| is_counted(name)).map(|name| (name.clone(), of(name))).collect()
    }
}

/// Reads a map of quantities; what is none is left out.
fn amounts(map: Option<&Value>) -> Amounts {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, amount)| Some((name.clone(), quantity(amount)?))).collect()
}

fn quantity(amount: &Value) -> Option<Quantity> {
    match amount {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// What a write asks of the quotas of its namespace.
#[derive(Debug)]
pub struct Request<'a> {
    /// Of which kind the object is.
    pub of: Resource<'a>,
    /// The object as it would be stored.
    pub object: &'a Value,
    /// The stored object of an update: only what it costs more is charged.
    pub old: Option<&'a Value>,
}

impl Request<'_> {
    /// Whether quotas are asked at all: creations, and updates of what can become dearer.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.old.is_none() || self.of.may_grow()
    }

    /// Asks all quotas; answers the new `status.used` of those that must be charged, by position.
    ///
    /// # Errors
    /// The words of the first quota that refuses.
    pub fn ask(&self, quotas: &[Quota]) -> Result<Vec<(usize, Amounts)>, Refusal> {
        let charge = Charge::of(&self.of, self.object);
        let mut concerned = Vec::new();
        for (at, quota) in quotas.iter().enumerate() {
            let bounds: Vec<&str> = quota.bounds.keys().map(String::as_str).filter(|n| self.of.is_bound(n)).collect();
            if bounds.is_empty() || !quota.covers(&charge) {
                continue;
            }
            if let Some(missing) = self.of.missing(self.object, &bounds) {
                return Err(format!("failed quota: {}: must specify {missing}", quota.name));
            }
            if bounds.iter().any(|bound| !quota.used.contains_key(*bound)) {
                return Err(format!("status unknown for quota: {}, resources: {}", quota.name, bounds.join(",")));
            }
            concerned.push(at);
        }
        let asked = self.asked(&charge)?;
        let mut charged = Vec::new();
        for at in concerned {
            let Some(quota) = quotas.get(at) else { continue };
            if let Some(used) = room(quota, &asked)? {
                charged.push((at, used));
            }
        }
        Ok(charged)
    }

    /// What is asked for, without zeroes.
    fn asked(&self, charge: &Charge) -> Result<Amounts, Refusal> {
        let mut asked = charge.all();
        let negative: Vec<&str> = asked.iter().filter(|(_, a)| a.sign() < 0).map(|(name, _)| name.as_str()).collect();
        if !negative.is_empty() {
            return Err(format!("quota usage is negative for resource(s): {}", negative.join(",")));
        }
        if let Some(old) = self.old {
            for (name, amount) in Charge::of(&self.of, old).all() {
                if let Some(new) = asked.get_mut(&name) {
                    *new = new.minus(&amount);
                }
            }
        }
        asked.retain(|_, amount| amount.sign() > 0);
        Ok(asked)
    }
}

/// What the quota has used with this on top; `None` when it bounds nothing of it.
fn room(quota: &Quota, asked: &Amounts) -> Result<Option<Amounts>, Refusal> {
    let mut used = quota.used.clone();
    let mut exceeded = Vec::new();
    let mut is_touched = false;
    for (name, amount) in asked {
        let Some(bound) = quota.bounds.get(name) else { continue };
        let before = used.get(name).cloned().unwrap_or_else(|| Quantity::from_int(0));
        let after = before.plus(amount);
        if after > *bound {
            exceeded.push((name, amount, before, bound));
        }
        used.insert(name.clone(), after);
        is_touched = true;
    }
    if exceeded.is_empty() {
        return Ok(is_touched.then_some(used));
    }
    let list = |pick: &dyn Fn(usize) -> String| (0..exceeded.len()).map(pick).collect::<Vec<_>>().join(",");
    let requested = list(&|i| exceeded.get(i).map(|(name, amount, ..)| format!("{name}={amount}")).unwrap_or_default());
    let had = list(&|i| exceeded.get(i).map(|(name, _, before, _)| format!("{name}={before}")).unwrap_or_default());
    let limited = list(&|i| exceeded.get(i).map(|(name, .., bound)| format!("{name}={bound}")).unwrap_or_default());
    Err(format!("exceeded quota: {}, requested: {requested}, used: {had}, limited: {limited}", quota.name))
}

#[cfg(test)]
mod tests;
