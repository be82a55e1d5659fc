//! Join (bootstrap) tokens: `abcdef.0123456789abcdef`, kept as Secrets in `kube-system` (A197).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everynode_store::Store;
use jiff::Timestamp;
use serde_json::Value;

use super::{Identity, same_secret};

const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;
const GROUP: &str = "system:bootstrappers";
const EXTRA_GROUP_TAIL_MAX: usize = 256;

/// The two halves, if this looks like a join token.
pub(super) fn parse(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (id.len() == ID_LENGTH && secret.len() == SECRET_LENGTH && plain(id) && plain(secret)).then_some((id, secret))
}

/// Who a join token stands for.
pub(super) fn authenticate(store: &Store, id: &str, secret: &str, now: Timestamp) -> Option<Identity> {
    let entry = store.get(&format!("/registry/secrets/kube-system/bootstrap-token-{id}"))?;
    let object: Value = serde_json::from_slice(&entry.value).ok()?;
    judge(&object, id, secret, now)
}

fn judge(object: &Value, id: &str, secret: &str, now: Timestamp) -> Option<Identity> {
    let of_type = object.get("type").and_then(Value::as_str) == Some("bootstrap.kubernetes.io/token");
    if !of_type || object.pointer("/metadata/deletionTimestamp").is_some() {
        return None;
    }
    if !same_secret(datum(object, "token-secret")?.as_bytes(), secret.as_bytes()) || datum(object, "token-id")? != id {
        return None;
    }
    if datum(object, "usage-bootstrap-authentication").as_deref() != Some("true") {
        return None;
    }
    if let Some(expiration) = datum(object, "expiration") {
        let until: Timestamp = expiration.parse().ok()?;
        if until <= now {
            return None;
        }
    }
    let mut groups = vec![GROUP.to_owned()];
    let extra = datum(object, "auth-extra-groups").unwrap_or_default();
    for group in extra.split(',').map(str::trim).filter(|group| !group.is_empty()) {
        if !is_extra_group(group) {
            return None;
        }
        groups.push(group.to_owned());
    }
    groups.sort();
    groups.dedup();
    Some(Identity::known(format!("system:bootstrap:{id}"), String::new(), groups))
}

/// `system:bootstrappers:` and then letters, digits, `:` and `-`, the last a letter or digit.
fn is_extra_group(group: &str) -> bool {
    let Some(tail) = group.strip_prefix("system:bootstrappers:") else { return false };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    tail.len() <= EXTRA_GROUP_TAIL_MAX
        && tail.bytes().last().is_some_and(plain)
        && tail.bytes().all(|b| plain(b) || b == b':' || b == b'-')
}

fn datum(object: &Value, key: &str) -> Option<String> {
    let encoded = object.get("data")?.get(key)?.as_str()?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(change: &[(&str, Option<&str>)]) -> Value {
        let mut data: std::collections::BTreeMap<&str, &str> = [
            ("token-id", "abcdef"),
            ("token-secret", "0123456789abcdef"),
            ("usage-bootstrap-authentication", "true"),
            ("expiration", "2026-11-22T00:00:00Z"),
            ("auth-extra-groups", "system:bootstrappers:everynode:default"),
        ]
        .into();
        for (key, value) in change {
            match value {
                Some(value) => data.insert(key, value),
                None => data.remove(key),
            };
        }
        let data: serde_json::Map<String, Value> =
            data.into_iter().map(|(key, value)| (key.to_owned(), json!(STANDARD.encode(value)))).collect();
        json!({ "type": "bootstrap.kubernetes.io/token", "metadata": {}, "data": data })
    }

    /// A197.
    #[test]
    fn a_join_token_holds_only_as_its_secret_says() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let good = "0123456789abcdef";
        let table = [
            (secret(&[]), good, true),
            (secret(&[("expiration", None)]), good, true),
            (secret(&[]), "0123456789abcdeX", false),
            (secret(&[]), "", false),
            (secret(&[("expiration", Some("2026-11-21T12:00:00Z"))]), good, false),
            (secret(&[("expiration", Some("soon"))]), good, false),
            (secret(&[("usage-bootstrap-authentication", Some("false"))]), good, false),
            (secret(&[("token-id", Some("zzzzzz"))]), good, false),
            (secret(&[("auth-extra-groups", Some("system:masters"))]), good, false),
            (secret(&[("auth-extra-groups", Some("system:bootstrappers:a-"))]), good, false),
        ];
        for (object, shown, expect) in table {
            assert_eq!(judge(&object, "abcdef", shown, now).is_some(), expect, "{object} {shown}");
        }
        let identity = judge(&secret(&[]), "abcdef", good, now).unwrap();
        assert_eq!(identity.user, "system:bootstrap:abcdef");
        assert_eq!(
            identity.groups,
            ["system:bootstrappers", "system:bootstrappers:everynode:default", "system:authenticated"]
        );
        let mut going = secret(&[]);
        going["metadata"]["deletionTimestamp"] = json!("2026-11-21T11:00:00Z");
        assert!(judge(&going, "abcdef", good, now).is_none());
    }

    #[test]
    fn only_the_form_of_a_join_token_is_taken_for_one() {
        assert_eq!(parse("abcdef.0123456789abcdef"), Some(("abcdef", "0123456789abcdef")));
        for other in ["abcdef.0123456789abcde", "ABCDEF.0123456789abcdef", "abcdef", "a.b.c", ""] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
