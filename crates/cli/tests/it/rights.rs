//! The rights of `deploy/`, against all that the controller asks for: neither more nor less.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use everynode_control::leadership::{Election, Millis, Timing};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::world::{REVISIONS, Request, SETS, World, is_going, is_ready, pods, set_path, with_image};

/// Group, resource and verb.
pub(crate) type Right = (String, String, String);

/// Documents of a YAML file in `deploy/`.
pub(crate) fn manifests(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split("\n---\n").map(|one| serde_saphyr::from_str(one).expect("YAML")).collect()
}

/// The namespace and the rights of `deploy/`, with the collections in which they are created.
pub(crate) fn deployed() -> Vec<(String, Value)> {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let namespaced = |root: &str, plural: &str| format!("{root}/namespaces/everynode-system/{plural}");
    let objects = ["10-namespace.yaml", "20-rights.yaml"].into_iter().flat_map(manifests);
    let placed = objects.map(|object| {
        let path = match object["kind"].as_str() {
            Some("Namespace") => "/api/v1/namespaces".to_owned(),
            Some("ServiceAccount") => namespaced("/api/v1", "serviceaccounts"),
            Some("ClusterRole") => format!("{rbac}/clusterroles"),
            Some("ClusterRoleBinding") => format!("{rbac}/clusterrolebindings"),
            Some("Role") => namespaced(rbac, "roles"),
            Some("RoleBinding") => namespaced(rbac, "rolebindings"),
            kind => panic!("{kind:?} in deploy/"),
        };
        (path, object)
    });
    placed.collect()
}

/// What a role allows.
pub(crate) fn rights(role: &Value) -> BTreeSet<Right> {
    let mut all = BTreeSet::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        let words = |field: &str| -> Vec<String> { serde_json::from_value(rule[field].clone()).expect("words") };
        for group in words("apiGroups") {
            for resource in words("resources") {
                all.extend(words("verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    all
}

/// The right that a request asks for.
fn right_of(request: &Request) -> Right {
    let words: Vec<&str> = request.uri().path().trim_start_matches('/').split('/').collect();
    let (group, rest) = match words.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        other => panic!("no resource: {other:?}"),
    };
    let rest = match rest {
        ["namespaces", _, resource, rest @ ..] => [&[*resource], rest].concat(),
        rest => rest.to_vec(),
    };
    let resource = match rest.as_slice() {
        [resource, _, subresource] => format!("{resource}/{subresource}"),
        [resource, ..] => (*resource).to_owned(),
        [] => panic!("no resource: {words:?}"),
    };
    let is_watch = request.uri().query().unwrap_or_default().split('&').any(|pair| pair == "watch=true");
    let verb = match (request.method().as_str(), rest.len()) {
        ("GET", 1) if is_watch => "watch",
        ("GET", 1) => "list",
        ("GET", _) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", 1) => "deletecollection",
        ("DELETE", _) => "delete",
        other => panic!("{other:?}"),
    };
    (group.to_owned(), resource, verb.to_owned())
}

/// Makes a request for a streaming list one that is refused: older servers do that, and the controller lists instead.
fn without_streams(request: &mut Request) {
    let asked = request.uri().to_string();
    let refused = asked.replace("resourceVersionMatch=NotOlderThan", "resourceVersionMatch=Exact");
    *request.uri_mut() = refused.parse().expect("an address");
}

/// R171: a rollout, a way back, a history that is cut, an orphan, a revision's name that is taken, and events that repeat
/// themselves: with the account of `deploy/` all of it works, and takes each of its rights.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_right_in_deploy_is_used_and_no_other() {
    const NODES: usize = 12;
    let world = World::without(&["daemonset-controller"]).await.populated(NODES).await;
    let mut allowed = BTreeSet::new();
    for (path, object) in deployed() {
        if ["ClusterRole", "Role"].iter().any(|kind| object["kind"] == *kind) {
            allowed.extend(rights(&object));
        }
        world.create(&path, object).await;
    }
    let fleet: Value = serde_json::from_str(include_str!("upstream-fleet.json")).expect("JSON");
    let taken = json!({"metadata": {"name": "web-677bb487d5"}, "data": {"spec": {}}, "revision": 1});
    world.create(REVISIONS, taken).await;
    let orphan = json!({
        "metadata": {"name": "orphan", "labels": {"app": "web"}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "registry.example/agent:1.0"}]},
    });
    world.create(&pods("a"), orphan).await;
    let mut set = fleet["create"].clone();
    set["spec"]["revisionHistoryLimit"] = json!(1);
    set["spec"]["updateStrategy"] = json!({"rollingUpdate": {"maxUnavailable": "100%"}});
    world.create(SETS, set).await;

    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let note = Arc::clone(&asked);
    let client = world.account("everynode-system", "everynode-controller", move |request| {
        note.lock().expect("whole").insert(right_of(request));
        without_streams(request);
    });
    let timing = Timing { retry: Millis(200), ..Timing::default() };
    let (namespace, name) = ("everynode-system".to_owned(), "everynode-controller".to_owned());
    let election = Election { namespace, name, identity: "test".to_owned(), timing };
    let controllers = Some(BTreeSet::from(["daemonset-controller".to_owned()]));
    let config = everynode_control::Config { controllers, seed: 7, ..Default::default() };
    let (stop, stopped) = oneshot::channel::<()>();
    let controller = tokio::spawn(everynode_control::run_elected(client, config, election, async {
        let _ = stopped.await;
    }));
    for image in ["registry.example/agent:1.0", "b:1", "registry.example/agent:1.0", "b:2"] {
        world.patch(&set_path("web"), with_image(image)).await;
        world.until_counts("web", [12; 5]).await;
    }
    // Ours are two, beside the one whose name was taken.
    world.until_items(REVISIONS, |items| items.len() == 3).await;
    let is_whole = |items: &[Value]| items.len() == NODES && items.iter().all(|pod| is_ready(pod) && !is_going(pod));
    world.until_items(&pods("a"), is_whole).await;
    stop.send(()).expect("it runs");
    controller.await.expect("ends");

    let asked = asked.lock().expect("whole").clone();
    // Not a request: admission asks for it where an owner reference blocks the owner's deletion.
    let finalizers = ("apps".to_owned(), "daemonsets/finalizers".to_owned(), "update".to_owned());
    assert!(allowed.remove(&finalizers), "{allowed:?}");
    let (unused, missing): (Vec<_>, Vec<_>) =
        (allowed.difference(&asked).collect(), asked.difference(&allowed).collect());
    assert!(
        unused.is_empty() && missing.is_empty(),
        "never asked for: {unused:?}; asked for and not granted: {missing:?}"
    );
    world.stop().await;
}
