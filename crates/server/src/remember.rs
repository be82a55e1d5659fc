//! What a costly check of a credential has shown, kept by the credential's hash. Bounded: when full it forgets all, which
//! costs time and nothing else. Only what does not depend on the moment is kept; times are checked at every use.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};

/// More credentials than a busy cluster shows between two of its heartbeats.
const ENTRIES_MAX: usize = 8192;

/// Values by the hash of what they were made from.
pub(crate) struct Remembered<V>(RwLock<HashMap<[u8; 32], Arc<V>>>);

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Self(RwLock::new(HashMap::new()))
    }
}

impl<V> Remembered<V> {
    /// What is known of a credential; if nothing, what `check` finds out. Failures are not kept.
    pub(crate) fn of(&self, credential: &[u8], check: impl FnOnce() -> Option<V>) -> Option<Arc<V>> {
        let key: [u8; 32] = Sha256::digest(credential).into();
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Some(Arc::clone(known));
        }
        let found = Arc::new(check()?);
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ENTRIES_MAX {
            all.clear();
        }
        all.insert(key, Arc::clone(&found));
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_checked_once_and_a_failure_each_time() {
        let remembered = Remembered::default();
        let mut checks = 0;
        for _ in 0..2 {
            let value = remembered.of(b"good", || {
                checks += 1;
                Some(7)
            });
            assert_eq!(value.as_deref(), Some(&7));
            assert!(remembered.of(b"bad", || None).is_none());
        }
        assert_eq!(checks, 1);
    }
}
