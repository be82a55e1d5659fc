//! Tokens of service accounts, each bound to one pod and renewed in time (N193).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::Api;
use kube::api::{PostParams, ResourceExt};

const SECONDS_DEFAULT: i64 = 3600;
/// A token is renewed after a day, or when less than a fifth of its time is left.
const AGE_MAX_SECONDS: i64 = 24 * 3600;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    pod_uid: String,
    audience: String,
    seconds: i64,
}

#[derive(Clone)]
struct Held {
    token: String,
    issued: Timestamp,
    expires: Timestamp,
}

/// Tokens that the pods of this node hold.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<Key, Held>>);

impl Tokens {
    fn map(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the tokens of a pod.
    pub(crate) fn forget(&self, uid: &str) {
        self.map().retain(|key, _| key.pod_uid != uid);
    }

    /// A token for the pod's service account, fresh enough to be used.
    pub(crate) async fn get(
        &self,
        client: &kube::Client,
        pod: &Pod,
        audience: Option<&str>,
        seconds: Option<i64>,
    ) -> Result<String, String> {
        let seconds = seconds.unwrap_or(SECONDS_DEFAULT);
        let uid = pod.uid().unwrap_or_default();
        let key = Key { pod_uid: uid.clone(), audience: audience.unwrap_or_default().to_owned(), seconds };
        let held = self.map().get(&key).cloned();
        let now = Timestamp::now();
        if let Some(held) = held.as_ref().filter(|held| !is_stale(held, now)) {
            return Ok(held.token.clone());
        }
        match request(client, pod, audience, seconds).await {
            Ok(fresh) => {
                let token = fresh.token.clone();
                self.map().insert(key, fresh);
                Ok(token)
            }
            // An old token serves until it ends.
            Err(error) => match held.filter(|held| held.expires > now) {
                Some(held) => Ok(held.token),
                None => Err(format!("failed to fetch token: {error}")),
            },
        }
    }
}

fn is_stale(held: &Held, now: Timestamp) -> bool {
    let (age, life) = (now.as_second() - held.issued.as_second(), held.expires.as_second() - held.issued.as_second());
    age > AGE_MAX_SECONDS || age * 5 > life * 4
}

async fn request(client: &kube::Client, pod: &Pod, audience: Option<&str>, seconds: i64) -> Result<Held, kube::Error> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: audience.map(|audience| vec![audience.to_owned()]),
            expiration_seconds: Some(seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let account = account.unwrap_or_else(|| "default".to_owned());
    let answer = api.create_token_request(&account, &PostParams::default(), &request).await?;
    let issued = Timestamp::now();
    let status = answer.status.unwrap_or_default();
    let expires = status.expiration_timestamp.map_or(issued, |time| time.0);
    Ok(Held { token: status.token.unwrap_or_default(), issued, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_in_its_last_fifth_n193_t25() {
        let at = |seconds: i64| Timestamp::from_second(1_000_000 + seconds).unwrap();
        for (life, age, expect) in
            [(600, 479, false), (600, 481, true), (3607, 2885, false), (3607, 2887, true), (999_999, 86_401, true)]
        {
            let held = Held { token: String::new(), issued: at(0), expires: at(life) };
            assert_eq!(is_stale(&held, at(age)), expect, "{age} of {life}");
        }
    }
}
