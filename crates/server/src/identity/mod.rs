//! Who is asking (A195–A205): a client certificate, a service account's token, a join token, or nobody.
//!
//! A credential that is shown and does not hold is refused with 401, never taken as anonymous; a certificate that does
//! not hold counts as none if a token follows. Everything is read from the store as of the request, so a deleted
//! account, pod or token stops counting at once.
//!
//! Not here: what an identity may do (`authz`), signing tokens (`tokens`).

mod account;
mod impersonate;
mod join_token;

use std::collections::BTreeMap;
use std::sync::Arc;

use everynode_api::status::Status;
use everynode_store::Store;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use crate::tls::Pki;
use crate::tokens::Tokens;

pub use impersonate::impersonate;

/// Who has shown a credential.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Who has not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user name of nobody.
pub const ANONYMOUS: &str = "system:anonymous";
/// Key of the extra that names the credential itself.
pub(crate) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
/// A longer bearer token is not one of ours.
const TOKEN_BYTES_MAX: usize = 16 << 10;

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
            groups: vec!["system:masters".to_owned(), AUTHENTICATED.to_owned()],
            extra: BTreeMap::new(),
        }
    }

    /// An authenticated user in `groups`; `system:authenticated` is added.
    pub fn member(user: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().copied().chain([AUTHENTICATED]).map(str::to_owned).collect();
        Self { user: user.to_owned(), uid: String::new(), groups, extra: BTreeMap::new() }
    }

    /// A service account, whether or not its object exists.
    pub fn account(namespace: &str, name: &str) -> Self {
        Self::known(account::user_name(namespace, name), String::new(), account::groups(namespace))
    }

    /// Nobody (A201).
    pub fn anonymous() -> Self {
        Self {
            user: ANONYMOUS.to_owned(),
            uid: String::new(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            extra: BTreeMap::new(),
        }
    }

    /// Somebody known, with `system:authenticated` added (A202).
    pub(crate) fn known(user: String, uid: String, mut groups: Vec<String>) -> Self {
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self { user, uid, groups, extra: BTreeMap::new() }
    }
}

/// The certificates that the peer of a TLS connection has shown, put into the extensions of its requests. They are
/// verified here, not during the handshake.
#[derive(Clone, Debug)]
pub struct PeerCertificates(pub Arc<Vec<CertificateDer<'static>>>);

/// Finds out who asks. Cheap to share behind an `Arc`.
pub struct Authenticator {
    pki: Arc<Pki>,
    tokens: Arc<Tokens>,
    store: Store,
}

impl Authenticator {
    /// Believes certificates of `pki`'s CA and tokens that `tokens` has signed.
    pub fn new(pki: Arc<Pki>, tokens: Arc<Tokens>, store: Store) -> Self {
        Self { pki, tokens, store }
    }

    /// Who sent this request; anonymous if it shows no credential.
    pub fn authenticate(&self, parts: &Parts, now: Timestamp) -> Result<Identity, Status> {
        let shown = parts.extensions.get::<PeerCertificates>().filter(|certificates| !certificates.0.is_empty());
        if let Some(certificates) = shown
            && let Some(identity) = self.by_certificate(&certificates.0, now)
        {
            return Ok(identity);
        }
        match bearer(parts) {
            Some(token) => self.by_token(token, now).map(|(identity, _)| identity).ok_or_else(Status::unauthorized),
            None if shown.is_some() => Err(Status::unauthorized()),
            None => Ok(Identity::anonymous()),
        }
    }

    /// Who a token stands for and the audiences that it is meant for, for TokenReview; `None` if it does not hold.
    pub fn by_token(&self, token: &str, now: Timestamp) -> Option<(Identity, Vec<String>)> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let own = self.tokens.audiences();
        self.by_token_for(token, own, now)
    }

    /// As [`Authenticator::by_token`], for a token that may be meant for other audiences.
    pub fn by_token_for(&self, token: &str, audiences: &[String], now: Timestamp) -> Option<(Identity, Vec<String>)> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        match join_token::parse(token) {
            Some((id, secret)) => {
                let identity = join_token::authenticate(&self.store, id, secret, now)?;
                // A join token is meant for this server only.
                let meant: Vec<String> =
                    audiences.iter().filter(|audience| self.tokens.audiences().contains(audience)).cloned().collect();
                (!meant.is_empty()).then_some((identity, meant))
            }
            None => account::authenticate(&self.store, &self.tokens, token, audiences, now),
        }
    }

    fn by_certificate(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Option<Identity> {
        let peer = self.pki.peer(chain, now)?;
        let mut identity =
            Identity::known(peer.user.clone(), peer.uid.clone().unwrap_or_default(), peer.groups.clone());
        identity.extra.insert(CREDENTIAL_ID.to_owned(), vec![peer.credential_id.clone()]);
        Some(identity)
    }
}

/// The bearer token of a request. Other schemes and a bare `Bearer` are no credential (A202).
fn bearer(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, rest) = header.split_once(' ')?;
    let token = rest.trim_start().split(' ').next()?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
pub(crate) fn same_secret(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

#[cfg(test)]
mod tests;
