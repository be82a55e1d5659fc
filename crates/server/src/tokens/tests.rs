//! Service-account tokens: what is signed, and what is believed.

use super::*;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn claims(change: &[(&str, Value)]) -> Value {
    let mut claims = json!({"iss": ISSUER, "exp": now().as_second() + 60, "nbf": now().as_second(), "aud": [ISSUER]});
    for (name, value) in change {
        claims[*name] = value.clone();
    }
    claims
}

/// A203.
#[test]
fn a_token_holds_only_signed_by_us_and_in_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::load_or_create(folder.path()).unwrap();
    let good = tokens.sign(&claims(&[])).unwrap();
    assert_eq!(tokens.verify(&good, now()).unwrap()["aud"][0], ISSUER);
    assert!(Tokens::load_or_create(folder.path()).unwrap().verify(&good, now()).is_some(), "after a restart");
    for (what, token) in [
        ("a broken signature", format!("{good}x")),
        ("no signature", good.rsplit_once('.').unwrap().0.to_owned() + "."),
        ("nothing", String::new()),
        ("another issuer", tokens.sign(&claims(&[("iss", json!("x"))])).unwrap()),
        ("its end", tokens.sign(&claims(&[("exp", json!(now().as_second()))])).unwrap()),
        ("no end", tokens.sign(&claims(&[("exp", Value::Null)])).unwrap()),
        ("the future", tokens.sign(&claims(&[("nbf", json!(now().as_second() + 1))])).unwrap()),
    ] {
        assert!(tokens.verify(&token, now()).is_none(), "{what}");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Tokens::load_or_create(elsewhere.path()).unwrap();
    assert!(foreign.verify(&good, now()).is_none());
    // An unsigned token, and one that names our key but another algorithm.
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "HS256", "RS256"] {
        let header = part(&json!({"alg": alg, "kid": tokens.key_id}));
        let (_, rest) = good.split_once('.').unwrap();
        assert!(tokens.verify(&format!("{header}.{rest}"), now()).is_none(), "{alg}");
    }
}

#[test]
fn the_published_key_is_the_public_half_only() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::load_or_create(folder.path()).unwrap();
    let key = &tokens.key_set()["keys"][0];
    assert_eq!(key["kid"], tokens.key_id.as_str());
    for coordinate in ["x", "y"] {
        assert_eq!(URL_SAFE_NO_PAD.decode(key[coordinate].as_str().unwrap()).unwrap().len(), 32);
    }
    assert!(key.get("d").is_none());
}
