//! Questions about identity and rights are answered as upstream does.

use everynode_store::backend::Memory;
use everynode_store::{Config, Store};

use super::*;
use crate::tls::{Pki, ServingNames};
use crate::tokens::Tokens;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn reviewer() -> Reviewer {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Box::new(Memory::default()), Config::standard(Box::new(|_, _| Vec::new()))).unwrap();
    let pki = Arc::new(Pki::load_or_create(folder.path(), ServingNames::default(), now()).unwrap());
    let tokens = Arc::new(Tokens::load_or_create(folder.path()).unwrap());
    let authenticator = Arc::new(Authenticator::new(pki, tokens, store.clone()));
    Reviewer::new(authenticator, Arc::new(Authorizer::new(store)))
}

/// A221, A222: what is asked wrongly.
#[tokio::test]
async fn a_review_that_asks_nothing_is_refused_in_the_known_words() {
    let reviewer = reviewer();
    let jane = Identity::known("jane".into(), String::new(), vec![]);
    let both = json!({"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"path": "/x", "verb": "get"}});
    let pods = json!({"verb": "get", "resource": "pods", "namespace": "other"});
    let table = [
        (
            "selfsubjectaccessreviews",
            json!({}),
            ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        (
            "selfsubjectaccessreviews",
            both,
            ".authorization.k8s.io \"\" is invalid: spec.nonResourceAttributes: Invalid value: {\"Path\":\"/x\",\"Verb\":\"get\"}: cannot be specified in combination with resourceAttributes",
        ),
        (
            "subjectaccessreviews",
            json!({"resourceAttributes": pods.clone()}),
            ".authorization.k8s.io \"\" is invalid: spec.user: Invalid value: \"\": at least one of user or group must be specified",
        ),
        (
            "localsubjectaccessreviews",
            json!({"user": "x", "resourceAttributes": pods}),
            ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: \"other\": must match metadata.namespace",
        ),
        ("selfsubjectrulesreviews", json!({}), "no namespace on request"),
        ("tokenreviews", json!({}), "token is required for TokenReview in authentication"),
    ];
    for (resource, spec, expect) in table {
        let answer = reviewer.create(&jane, resource, "ns", json!({"spec": spec}), now());
        assert_eq!(answer.unwrap_err().message(), expect);
    }
}

/// golden http/23, http/24.
#[tokio::test]
async fn reviews_answer_with_a_status() {
    let reviewer = reviewer();
    let admin = Identity::masters("kubernetes-admin");
    let ask = |who, resource, spec| reviewer.create(who, resource, "", json!({"spec": spec}), now()).unwrap();
    let all = json!({"resourceAttributes": {"verb": "*", "group": "*", "resource": "*"}});
    assert_eq!(ask(&admin, "selfsubjectaccessreviews", all.clone())["status"], json!({"allowed": true}));
    let jane = Identity::known("jane".into(), String::new(), vec!["dev".into()]);
    assert_eq!(ask(&jane, "selfsubjectaccessreviews", all)["status"], json!({"allowed": false}));
    assert_eq!(
        ask(&jane, "selfsubjectreviews", json!({}))["status"]["userInfo"],
        json!({"username": "jane", "groups": ["dev", "system:authenticated"]})
    );
    let nonsense = ask(&admin, "tokenreviews", json!({"token": "nonsense"}));
    assert_eq!(nonsense["status"], json!({"user": {}, "error": "invalid bearer token"}));
}
