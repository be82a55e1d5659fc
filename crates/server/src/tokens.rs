//! Service-account tokens: the signing key, signing and checking signatures, and the `token` subresource (A203, A223,
//! A361–A372).
//!
//! One algorithm only (ES256 with the server's own key), so nothing in a token chooses how it is checked.
//!
//! Not here: whether account and bound objects still live (`identity`).

mod request;

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rcgen::PublicKeyData as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::remember::Remembered;
use crate::tls::{self, PkiError};

pub use request::request;

/// The issuer, and the audience of this server (A368).
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Bytes of an uncompressed point on P-256: a tag and two coordinates.
const POINT_BYTES: usize = 65;

/// Signs and checks. Cheap to share behind an `Arc`.
pub struct Tokens {
    key: EcdsaKeyPair,
    key_id: String,
    audiences: Vec<String>,
    random: SystemRandom,
    checked: Remembered<Value>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Reads the signing key `sa.key` of the certificate folder, or makes it.
    pub fn load_or_create(folder: &Path) -> Result<Self, PkiError> {
        let path = folder.join("sa.key");
        let damaged = |problem: String| PkiError::Damaged { path: path.clone(), problem };
        let pair = match tls::read_file(&path)? {
            Some(pem) => rcgen::KeyPair::from_pem(&pem).map_err(|e| damaged(e.to_string()))?,
            None => {
                let made = rcgen::KeyPair::generate()
                    .map_err(|source| PkiError::Issue { name: "the token key".into(), source: source.into() })?;
                tls::write_private(&path, made.serialize_pem().as_bytes())?;
                made
            }
        };
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.subject_public_key_info()));
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.serialized_der())
            .map_err(|e| damaged(e.to_string()))?;
        Ok(Self {
            key,
            key_id,
            audiences: vec![ISSUER.to_owned()],
            random: SystemRandom::new(),
            checked: Remembered::default(),
        })
    }

    /// What this server calls itself.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// A signed token with these claims; `None` if the system has no randomness.
    pub fn sign(&self, claims: &Value) -> Option<String> {
        let header = json!({ "alg": "ES256", "kid": self.key_id });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(claims));
        let signature = self.key.sign(&self.random, text.as_bytes()).ok()?;
        Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a token that this server signed and that holds now.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Arc<Value>> {
        let claims = self.checked.of(token.as_bytes(), || self.signed_claims(token))?;
        let at = |claim: &str| claims.get(claim).and_then(Value::as_i64);
        let holds = claims.get("iss").and_then(Value::as_str) == Some(ISSUER)
            && at("exp").is_some_and(|end| end > now.as_second())
            && at("nbf").is_none_or(|start| start <= now.as_second());
        holds.then_some(claims)
    }

    /// The claims of a token that this server signed, whenever that was.
    fn signed_claims(&self, token: &str) -> Option<Value> {
        let (text, signature) = token.rsplit_once('.')?;
        let (header, claims) = text.split_once('.')?;
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header.get("alg")? != "ES256" || header.get("kid")? != self.key_id.as_str() {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key());
        key.verify(text.as_bytes(), &signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// `/openid/v1/jwks` (A204).
    pub fn key_set(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let half = |from: usize, to: usize| point.get(from..to).map(|half| URL_SAFE_NO_PAD.encode(half));
        let middle = POINT_BYTES / 2 + 1;
        json!({ "keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": half(1, middle), "y": half(middle, POINT_BYTES),
        }] })
    }

    /// `/.well-known/openid-configuration` (A204); `server` is the URL under which clients reach us.
    pub fn discovery(&self, server: &str) -> Value {
        json!({
            "issuer": ISSUER,
            "jwks_uri": format!("{server}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }
}

#[cfg(test)]
mod tests;
