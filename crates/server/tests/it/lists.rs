//! Lists: pages, selectors, revisions, forms.

use serde_json::{Value, json};

use crate::harness::Harness;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn five(server: &Harness) {
    for (name, tier) in [("a", "x"), ("b", "y"), ("c", "x"), ("d", "y"), ("e", "x")] {
        let map = json!({"metadata": {"name": name, "labels": {"tier": tier, "own": "yes"}}});
        server.post(MAPS, &map).await.expect(201);
    }
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}

/// A58, A93, A94: pages in key order at one revision, the rest counted without a selector, items without kind.
#[tokio::test]
async fn a93_pages() {
    let server = Harness::start().await;
    five(&server).await;
    let first = server.get(&format!("{MAPS}?limit=2&labelSelector=own%3Dyes")).await.expect(200);
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["kind"], "ConfigMapList");
    assert!(first["items"][0].get("kind").is_none());
    assert!(first["metadata"].get("remainingItemCount").is_none());
    server.delete(&format!("{MAPS}/d")).await.expect(200);
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let second = server.get(&format!("{MAPS}?limit=2&continue={token}&labelSelector=own%3Dyes")).await.expect(200);
    assert_eq!(names(&second), ["c", "d"], "as of the first page");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let token = second["metadata"]["continue"].as_str().expect("a token");
    let last = server.get(&format!("{MAPS}?limit=2&continue={token}&labelSelector=own%3Dyes")).await.expect(200);
    assert_eq!(names(&last), ["e"]);
    assert!(last["metadata"].get("continue").is_none());
    let counted = server.get(&format!("{MAPS}?limit=1")).await.expect(200);
    assert!(counted["metadata"]["remainingItemCount"].as_u64() >= Some(3));
    let all = server.get(&format!("{MAPS}?limit=1&resourceVersion=0&labelSelector=own%3Dyes")).await.expect(200);
    assert_eq!(names(&all).len(), 4, "version 0 ignores the limit");
}

/// A93: a token whose revision is forgotten gets 410 with a token that goes on.
#[tokio::test]
async fn a93_an_old_token() {
    let server = Harness::start().await;
    five(&server).await;
    let first = server.get(&format!("{MAPS}?limit=2")).await.expect(200);
    let token = first["metadata"]["continue"].as_str().expect("a token");
    server.delete(&format!("{MAPS}/c")).await.expect(200);
    server.store.compact(server.store.revision());
    let gone = server.get(&format!("{MAPS}?limit=2&continue={token}")).await.expect(410);
    assert_eq!(gone["reason"], "Expired");
    let token = gone["metadata"]["continue"].as_str().expect("a fresh token");
    let rest = server.get(&format!("{MAPS}?limit=2&continue={token}")).await.expect(200);
    assert_eq!(names(&rest), ["d", "e"]);
}

/// A91, A92: which revisions a list may ask for.
#[tokio::test]
async fn a91_revisions() {
    let server = Harness::start().await;
    five(&server).await;
    let before = server.get(&format!("{MAPS}?labelSelector=own")).await.expect(200);
    let revision = before["metadata"]["resourceVersion"].as_str().expect("a revision").to_owned();
    server.delete(&format!("{MAPS}/a")).await.expect(200);
    let exact = format!("{MAPS}?labelSelector=own&resourceVersion={revision}&resourceVersionMatch=Exact");
    assert_eq!(names(&server.get(&exact).await.expect(200)).len(), 5);
    let newer = format!("{MAPS}?labelSelector=own&resourceVersion={revision}&resourceVersionMatch=NotOlderThan");
    assert_eq!(names(&server.get(&newer).await.expect(200)).len(), 4);
    server.store.compact(server.store.revision());
    assert_eq!(server.get(&exact).await.expect(410)["reason"], "Expired");
    let cases = [
        ("resourceVersionMatch=Exact", 422),
        ("resourceVersionMatch=Foo&resourceVersion=1", 422),
        ("resourceVersionMatch=Exact&resourceVersion=0", 422),
        ("sendInitialEvents=true", 422),
        ("resourceVersion=abc", 400),
        ("limit=many", 400),
        ("continue=garbage", 400),
        ("labelSelector=a%3D%3D%3Db", 400),
        ("fieldSelector=spec.nope%3Dx", 400),
    ];
    for (query, code) in cases {
        assert_eq!(server.get(&format!("{MAPS}?{query}")).await.code, code, "{query}");
    }
}

/// A97, A98: selectors narrow; over all namespaces too.
#[tokio::test]
async fn a97_selectors() {
    let server = Harness::start().await;
    five(&server).await;
    let cases = [
        ("labelSelector=tier%3Dx", vec!["a", "c", "e"]),
        ("labelSelector=tier+in+(y)", vec!["b", "d"]),
        ("labelSelector=own,tier!%3Dx", vec!["b", "d"]),
        ("labelSelector=own&fieldSelector=metadata.name%3Dc", vec!["c"]),
        ("labelSelector=own&fieldSelector=metadata.name!%3Dc", vec!["a", "b", "d", "e"]),
        ("labelSelector=tier%3Dnone", vec![]),
    ];
    for (query, expected) in cases {
        assert_eq!(names(&server.get(&format!("{MAPS}?{query}")).await.expect(200)), expected, "{query}");
    }
    let across = "/api/v1/configmaps?labelSelector=own&fieldSelector=metadata.namespace%3Ddefault";
    assert_eq!(names(&server.get(across).await.expect(200)).len(), 5);
}

/// A170, A173, A6: tables, partial metadata, YAML, and what is refused.
#[tokio::test]
async fn a170_forms() {
    let server = Harness::start().await;
    five(&server).await;
    let get = async |query: &str, accept: &str| {
        server.send("GET", &format!("{MAPS}{query}"), &[("accept", accept)], "").await
    };
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let found = get("?labelSelector=own", table).await.expect(200);
    assert_eq!((found["kind"].as_str(), found["rows"].as_array().map(Vec::len)), (Some("Table"), Some(5)));
    assert_eq!(found["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(found["rows"][0]["cells"][0], "a");
    let bare = get("?labelSelector=own&includeObject=None", table).await.expect(200);
    assert!(bare["rows"][0]["object"].is_null());
    assert_eq!(get("?includeObject=Half", table).await.code, 400);
    let list = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let found = get("?labelSelector=own", list).await.expect(200);
    assert_eq!(found["items"][4]["metadata"]["name"], "e");
    assert_eq!(get("/a", list).await.code, 406);
    assert_eq!(get("", &list.replace("List", "")).await.code, 406);
    let yaml = get("/a", "application/yaml").await;
    assert!(yaml.text().starts_with("apiVersion: v1\n"), "{}", yaml.text());
    assert_eq!(get("", "image/png").await.code, 406);
    let status = get("/none", table).await.expect(404);
    assert_eq!(status["kind"], "Status");
}

/// A8: large answers are gzipped for those who take it.
#[tokio::test]
async fn a8_gzip() {
    let server = Harness::start().await;
    let map = json!({"metadata": {"name": "big"}, "data": {"k": "v".repeat(200_000)}});
    server.post(MAPS, &map).await.expect(201);
    let packed = server.send("GET", &format!("{MAPS}/big"), &[("accept-encoding", "gzip")], "").await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(packed.bytes.len() < 20_000);
    assert!(server.get(&format!("{MAPS}/big")).await.headers.get("content-encoding").is_none());
}
