//! Who is asking.

use std::collections::BTreeMap;

/// An authenticated caller. It travels as a request extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User name, for example `system:node:node-1`.
    pub user: String,
    /// Unique id of the user; empty if unknown.
    pub uid: String,
    /// Groups, `system:authenticated` included.
    pub groups: Vec<String>,
    /// Further facts of the authenticator.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// A member of `system:masters`: the server's own components.
    pub fn masters(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            uid: String::new(),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            extra: BTreeMap::new(),
        }
    }
}
