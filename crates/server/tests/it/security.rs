//! Who may do what, through the whole pipeline.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use everynode_server::Identity;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::harness::{Answer, Harness};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

fn identity(user: &str, groups: &[&str]) -> Identity {
    let mut all: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    all.push("system:authenticated".to_owned());
    Identity { groups: all, ..Identity::masters(user) }
}

async fn send_as(server: &Harness, who: &Identity, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path).body(Full::new(body)).expect("a request");
    let (parts, body) = server.running.service(who.clone()).oneshot(request).await.expect("never fails").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Answer { code: parts.status.as_u16(), headers: parts.headers, bytes }
}

/// A351, A390, A405, A413, A414: what is there before anybody asks.
#[tokio::test]
async fn a_fresh_server_has_its_own_objects() {
    let server = Harness::start().await;
    for path in [
        "/api/v1/namespaces/kube-node-lease",
        "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical",
        "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/cluster-admin",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles/extension-apiserver-authentication-reader",
    ] {
        server.get(path).await.expect(200);
    }
    let service = server.get("/api/v1/namespaces/default/services/kubernetes").await.expect(200);
    assert_eq!(service["spec"]["clusterIP"], everynode_server::security::SERVICE_ADDRESS);
    let admin = server.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/admin").await.expect(200);
    assert!(admin["rules"].as_array().unwrap().len() > 10, "aggregated before the server is ready");
}

/// A210, A219, A241, golden http/25: refused by rights, by the node authorizer, by admission.
#[tokio::test]
async fn refusals_come_from_the_first_that_objects() {
    let server = Harness::start().await;
    let jane = identity("jane", &["dev"]);
    let node = identity("system:node:a", &["system:nodes"]);
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": "a", "containers": [{"name": "c", "image": "i"}]}});
    server
        .post("/api/v1/namespaces/default/serviceaccounts", &json!({"metadata": {"name": "default"}}))
        .await
        .expect(201);
    for (who, method, path, body, expect) in [
        (
            &jane,
            "GET",
            "/api/v1/nodes",
            Value::Null,
            "nodes is forbidden: User \"jane\" cannot list resource \"nodes\"",
        ),
        (&node, "GET", "/api/v1/nodes/b", Value::Null, "only its own Node object"),
        (&node, "POST", "/api/v1/nodes", json!({"metadata": {"name": "b"}}), "is not allowed to modify node \"b\""),
        (&node, "POST", "/api/v1/namespaces/default/pods", pod, "can only create mirror pods"),
        (&node, "GET", "/api/v1/namespaces/default/secrets/x", Value::Null, "no relationship found"),
    ] {
        let answer = send_as(&server, who, method, path, &body).await.expect(403);
        assert!(answer["message"].as_str().unwrap().contains(expect), "{answer}");
    }
    send_as(&server, &node, "POST", "/api/v1/nodes", &json!({"metadata": {"name": "a"}})).await.expect(201);
}

/// A445–A450: a machine with a join token becomes a node.
#[tokio::test]
async fn a_join_token_buys_a_node_certificate_and_nothing_else() {
    let server = Harness::start().await;
    let joining = identity("system:bootstrap:abcdef", &["system:bootstrappers"]);
    send_as(&server, &joining, "GET", "/api/v1/nodes", &Value::Null).await.expect(403);
    let key = rcgen::KeyPair::generate().unwrap();
    let request = |name: &str, group: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, group);
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("system:node:{name}"));
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        json!({
            "metadata": {"name": format!("{name}-{}", group.replace(':', "-"))},
            "spec": {
                "request": STANDARD.encode(pem), "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
                "usages": ["digital signature", "client auth"], "username": "system:admin",
            },
        })
    };
    let mut watch = server.watch(&format!("{REQUESTS}?watch=1")).await;
    // The first asks for too much and is never approved; the second is what a node may have.
    send_as(&server, &joining, "POST", REQUESTS, &request("n1", "system:masters")).await.expect(201);
    let made = send_as(&server, &joining, "POST", REQUESTS, &request("n1", "system:nodes")).await.expect(201);
    assert_eq!(made["spec"]["username"], "system:bootstrap:abcdef", "stamped, whatever was sent");
    let issued = loop {
        let event = watch.next().await.unwrap();
        let object = &event["object"];
        if let Some(certificate) = object["status"]["certificate"].as_str() {
            assert_eq!(object["metadata"]["name"], "n1-system-nodes");
            break STANDARD.decode(certificate).unwrap();
        }
    };
    let (_, pem) = x509_parser::pem::parse_x509_pem(&issued).unwrap();
    let certificate = pem.parse_x509().unwrap();
    assert_eq!(certificate.subject().iter_common_name().next().unwrap().as_str().unwrap(), "system:node:n1");
    let other = server.get(&format!("{REQUESTS}/n1-system-masters")).await.expect(200);
    assert_eq!(other["status"].get("conditions"), None);
}

/// A196, A203, A223: a token holds as long as its account.
#[tokio::test]
async fn a_token_ends_with_its_account() {
    let server = Harness::start().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    server.post(accounts, &json!({"metadata": {"name": "robot"}})).await.expect(201);
    let answer = server.post(&format!("{accounts}/robot/token"), &json!({"spec": {}})).await.expect(201);
    let token = answer["status"]["token"].as_str().unwrap().to_owned();
    let review = || async {
        let review = json!({"spec": {"token": token}});
        server.post("/apis/authentication.k8s.io/v1/tokenreviews", &review).await.expect(201)["status"].clone()
    };
    assert_eq!(review().await["user"]["username"], "system:serviceaccount:default:robot");
    server.delete(&format!("{accounts}/robot")).await.expect(200);
    assert_eq!(review().await.get("authenticated"), None);
}
