//! The parts that make the server safe, opened together and shared by all requests.

use std::net::IpAddr;
use std::sync::Arc;

use everynode_store::Store;
use jiff::Timestamp;

use crate::Config;
use crate::admission::Admission;
use crate::authz::Authorizer;
use crate::identity::Authenticator;
use crate::reviews::Reviewer;
use crate::tls::{Pki, PkiError, ServingNames};
use crate::tokens::Tokens;

/// The first address of the range of service addresses, which is the API's own (A390).
pub const SERVICE_ADDRESS: &str = "10.96.0.1";

/// Certificates, tokens, authentication, authorization, admission and the reviews about them.
#[derive(Clone)]
pub struct Security {
    /// The CA and what it signs.
    pub pki: Arc<Pki>,
    /// Service-account tokens.
    pub tokens: Arc<Tokens>,
    /// Who asks.
    pub authenticator: Arc<Authenticator>,
    /// Who may.
    pub authorizer: Arc<Authorizer>,
    /// What is added or refused.
    pub admission: Arc<Admission>,
    /// Questions about all of it.
    pub reviewer: Arc<Reviewer>,
}

impl Security {
    /// Opens or makes keys and certificates under the data directory.
    pub fn open(config: &Config, store: &Store, now: Timestamp) -> Result<Self, PkiError> {
        let folder = config.data_dir.join("pki");
        let pki = Arc::new(Pki::load_or_create(&folder, serving_names(config), now)?);
        let tokens = Arc::new(Tokens::load_or_create(&folder)?);
        let authorizer = Arc::new(Authorizer::new(store.clone()));
        let authenticator = Arc::new(Authenticator::new(Arc::clone(&pki), Arc::clone(&tokens), store.clone()));
        let admission = Arc::new(Admission::new(store.clone(), Arc::clone(&authorizer)));
        let reviewer = Arc::new(Reviewer::new(Arc::clone(&authenticator), Arc::clone(&authorizer)));
        Ok(Self { pki, tokens, authenticator, authorizer, admission, reviewer })
    }
}

fn serving_names(config: &Config) -> ServingNames {
    let mut names = ServingNames::default();
    names.addresses.push(config.listen.ip());
    names.addresses.extend(config.also_listen.iter().map(std::net::SocketAddr::ip));
    names.addresses.extend(config.advertise);
    names.addresses.extend(SERVICE_ADDRESS.parse::<IpAddr>());
    for name in &config.names {
        match name.parse() {
            Ok(address) => names.addresses.push(address),
            Err(_) => names.hosts.push(name.clone()),
        }
    }
    names
}
