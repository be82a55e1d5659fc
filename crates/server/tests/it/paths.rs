//! What is no object: discovery, OpenAPI, health, version, refusals.

use serde_json::json;

use crate::harness::Harness;

/// A2, A3, A121, A122: what nobody serves, and what a resource does not do.
#[tokio::test]
async fn a3_refusals() {
    let server = Harness::start().await;
    let cases = [
        ("GET", "/nowhere", 404, "text/plain"),
        ("GET", "/apis/foo", 404, "text/plain"),
        ("GET", "/apis/foo/v1/things", 404, "text/plain"),
        ("GET", "/api/v1//pods", 404, "text/plain"),
        ("GET", "/apis/apps/v2/daemonsets", 404, "application/json"),
        ("GET", "/api/v1/gizmos", 404, "application/json"),
        ("GET", "/apis/apps/v1/namespaces/default/daemonsets/d/scale", 404, "application/json"),
        ("GET", "/api/v1/namespaces/default/nodes", 404, "application/json"),
        ("PUT", "/api/v1/namespaces/default/configmaps", 405, "application/json"),
        ("POST", "/api/v1/namespaces/default/configmaps/a", 405, "application/json"),
        ("POST", "/api/v1/configmaps", 405, "application/json"),
        ("OPTIONS", "/api/v1/nodes", 405, "application/json"),
        ("POST", "/version", 405, "application/json"),
        ("GET", "/api/v1/pods/", 200, "application/json"),
        ("GET", "/version/", 200, "application/json"),
    ];
    for (method, path, code, media_type) in cases {
        let answer = server.send(method, path, &[], "").await;
        assert_eq!(answer.code, code, "{method} {path}: {}", answer.text());
        let found = answer.headers["content-type"].to_str().expect("text");
        assert!(found.starts_with(media_type), "{method} {path}: {found}");
    }
}

/// A9: every answer has an audit id, the client's own if it sent one.
#[tokio::test]
async fn a9_headers() {
    let server = Harness::start().await;
    let answer = server.send("GET", "/api/v1/nodes", &[("audit-id", &"x".repeat(80))], "").await;
    assert_eq!(answer.headers["audit-id"].len(), 64);
    assert_eq!(answer.headers["cache-control"], "no-cache, private");
    assert_eq!(server.get("/version").await.headers["audit-id"].len(), 36);
}

/// A25–A30: both discoveries list what is served; the aggregated one has a tag.
#[tokio::test]
async fn a29_discovery() {
    let server = Harness::start().await;
    assert_eq!(server.get("/api").await.expect(200)["versions"], json!(["v1"]));
    let groups = server.get("/apis").await.expect(200);
    assert_eq!(groups["kind"], "APIGroupList");
    let resources = server.get("/apis/apps/v1").await.expect(200);
    let names: Vec<_> = resources["resources"].as_array().expect("a list").iter().map(|r| r["name"].clone()).collect();
    assert!(names.contains(&json!("daemonsets")) && names.contains(&json!("daemonsets/status")));
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let aggregated = server.send("GET", "/apis", &[("accept", accept)], "").await;
    assert_eq!(aggregated.headers["content-type"], accept.trim_end_matches(",application/json"));
    let tag = aggregated.headers["etag"].to_str().expect("a tag").to_owned();
    assert_eq!(aggregated.expect(200)["kind"], "APIGroupDiscoveryList");
    let again = server.send("GET", "/apis", &[("accept", accept), ("if-none-match", &tag)], "").await;
    assert_eq!((again.code, again.bytes.len()), (304, 0));
}

/// A32, A33–A35: every group version of discovery has its document, with patch operations that know fieldValidation.
#[tokio::test]
async fn a33_openapi() {
    let server = Harness::start().await;
    let index = server.get("/openapi/v3").await.expect(200);
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().expect("a url").to_owned();
    let answer = server.get(&url).await;
    assert_eq!(answer.headers["cache-control"], "public, immutable");
    let document = answer.expect(200);
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "DaemonSet");
    let parameters = patch["parameters"].as_array().expect("parameters");
    assert!(parameters.iter().any(|p| p["name"] == "fieldValidation" && p["in"] == "query"));
    let wrong = server.get("/openapi/v3/apis/apps/v1?hash=00").await;
    assert_eq!((wrong.code, wrong.headers["location"].to_str().ok()), (301, Some(url.as_str())));
    assert_eq!(server.get("/openapi/v3/apis/none/v1").await.code, 404);
    assert_eq!(server.get("/openapi/v2").await.expect(200)["swagger"], "2.0");
    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    assert_eq!(server.send("GET", "/openapi/v2", &[("accept", accept)], "").await.code, 200);
}

/// A84, A85: bounds of body and time.
#[tokio::test]
async fn a84_bounds() {
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    let server = Harness::start().await;
    let large = server.send("POST", MAPS, &[], vec![b'x'; (3 << 20) + 1]).await;
    assert_eq!(large.expect(413)["message"], "Request entity too large: limit is 3145728");
    assert_eq!(server.get(&format!("{MAPS}?timeout=abc")).await.code, 400);
}
