//! `explain` and `plan` of small fleets as text, asked of a server and controllers in this process. What the words are for each case
//! has its tables in `everynode-core`; here is what comes from a server: lists, statuses, events, dry runs, refusals.

use std::collections::BTreeMap;

use everynode_control::api::Patch;
use everynode_control::explain::{ExplainError, Key, ask, fold};
use everynode_control::plan::{Fate, Options, Planned, manifest, plan};
use serde_json::{Value, json};

use crate::world::{World, pods};

const SETS: &str = "/apis/apps/v1/namespaces/ops/daemonsets";

fn set(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "logger", "namespace": "ops"},
        "spec": {
            "selector": {"matchLabels": {"app": "logger"}},
            "template": {
                "metadata": {"labels": {"app": "logger"}},
                "spec": {"terminationGracePeriodSeconds": 7, "containers": [{"name": "main", "image": image}]},
            },
        },
    })
}

/// A world with the namespace `ops` and these nodes.
async fn world(nodes: &[&str]) -> World {
    let world = World::start().await;
    world.namespace("ops").await;
    for node in nodes {
        world.node(node, "1").await;
    }
    world
}

/// The pods of `ops` by node, once there are so many and all are on their nodes.
async fn placed(world: &World, count: usize) -> BTreeMap<String, String> {
    let is_placed = |list: &Value| {
        let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        items.len() == count && items.iter().all(|pod| pod["spec"]["nodeName"].is_string())
    };
    let list = world.until(&pods("ops"), is_placed).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = list["items"].as_array().into_iter().flatten();
    items.map(|pod| (text(&pod["spec"]["nodeName"]), text(&pod["metadata"]["name"]))).collect()
}

async fn status(world: &World, pod: &str, status: Value) {
    let path = format!("{}/{pod}/status", pods("ops"));
    world.api.patch(&path, Patch::Merge, &json!({"status": status})).await.expect("the status is written");
}

fn ready() -> Value {
    let now = jiff::Timestamp::now().to_string();
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]})
}

/// Without what differs from run to run: the random part of names, and spans of time.
fn steady(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let is_number = words.last().is_some_and(|last| last.parse::<u32>().is_ok());
        let unit = word.trim_end_matches([',', ';', ':', ')']);
        if is_number && matches!(unit, "s" | "min" | "h") {
            words.pop();
            words.push(format!("T{}", &word[unit.len()..]));
        } else if let Some(rest) = word.strip_prefix("logger-").filter(|rest| rest.len() == 5) {
            words.push(format!("logger-{}", "*".repeat(rest.len())));
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

async fn explained(world: &World) -> Vec<String> {
    let key = Key::new("ops", "logger");
    let explanation = ask(world.api.client().clone(), &key).await.expect("it is explained");
    let mut lines = explanation.summary.lines(explanation.now);
    lines.extend(fold(&explanation.rows, 10, explanation.now).into_iter().map(|line| {
        let cells = [&line.who, line.verdict, &line.pod, &line.revision, &line.health, &line.because, &line.next];
        cells.join(" | ")
    }));
    lines.iter().map(|line| steady(line)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_fleet_is_explained() {
    let world = world(&["a", "b"]).await;
    // Tainted from the first: a controller that saw it without its taint would put a pod there, which stays.
    world.node_with("c", "1", json!({}), json!([{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])).await;
    world.create(SETS, set("example.org/logger:1")).await;
    let by_node = placed(&world, 2).await;
    status(&world, &by_node["a"], ready()).await;
    let waiting = json!({"phase": "Pending", "containerStatuses": [{
        "name": "main", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
    }]});
    status(&world, &by_node["b"], waiting).await;
    world.until(&format!("{SETS}/logger"), |set| set["status"]["numberAvailable"] == 1).await;
    assert_eq!(
        explained(&world).await,
        [
            "DaemonSet ops/logger: 2 of 3 nodes to have a pod, 1 with an available one",
            "  desired 2, current 2, ready 1, up to date 2, available 1",
            "  revision 1 (logger-7fd8b9bbdf): no pod is outdated",
            "  budget: 1 node may lack an available pod at a time (maxUnavailable 1), 1 in use",
            "a | run | logger-***** | current (7fd8b9bbdf) | available |  | ",
            "b | run | logger-***** | current (7fd8b9bbdf) | starting for T: ImagePullBackOff (no such image); the revision \
             answers for it |  | waits for the pod to get ready",
            "c | keep |  |  |  | the taint gpu=yes:NoSchedule is not tolerated | ",
        ]
    );

    // The status says less than the events: a volume that cannot be mounted.
    let pod = world.get(&format!("{}/{}", pods("ops"), by_node["b"])).await.expect("is there");
    let creating = json!({"containerStatuses": [{
        "name": "main", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ContainerCreating"}},
    }]});
    status(&world, &by_node["b"], creating).await;
    let involved = json!({
        "kind": "Pod", "namespace": "ops", "name": by_node["b"], "uid": pod["metadata"]["uid"], "apiVersion": "v1",
    });
    let event = json!({
        "metadata": {"name": "said"}, "involvedObject": involved, "type": "Warning", "reason": "FailedMount",
        "message": "secret \"keys\" not found", "lastTimestamp": jiff::Timestamp::now().to_string(), "count": 3,
    });
    world.create("/api/v1/namespaces/ops/events", event).await;
    let lines = explained(&world).await;
    let of_b = lines.iter().find(|line| line.starts_with("b | ")).expect("a line");
    assert!(of_b.contains("starting for T: FailedMount (secret \"keys\" not found)"), "{of_b}");

    let missing = ask(world.api.client().clone(), &Key::new("default", "logger")).await;
    let Err(ExplainError::NotFound { elsewhere, .. }) = missing else { panic!("it is not there: {missing:?}") };
    assert_eq!(elsewhere, ["ops"]);
    world.stop().await;
}

/// What the engine cannot know, because the server told the controller: a quota.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_explained() {
    let world = world(&["a", "b"]).await;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}},
    });
    world.create("/api/v1/namespaces/ops/resourcequotas", quota).await;
    let counted = |quota: &Value| quota["status"]["hard"]["pods"] == "1";
    world.until("/api/v1/namespaces/ops/resourcequotas/few", counted).await;
    world.create(SETS, set("example.org/logger:1")).await;
    placed(&world, 1).await;
    let is_told =
        |list: &Value| list["items"].as_array().into_iter().flatten().any(|event| event["reason"] == "FailedCreate");
    world.until("/api/v1/namespaces/ops/events", is_told).await;
    let lines = explained(&world).await;
    let refused =
        lines.iter().find(|line| line.starts_with("  refused: a pod")).unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(refused.contains("exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1"), "{refused}");
    let bare = lines.iter().find(|line| line.contains("the server refused the last try"));
    assert!(bare.is_some_and(|line| line.contains("| run |")), "{lines:#?}");
    world.stop().await;
}

async fn planned(world: &World, manifest: &str) -> Vec<Planned> {
    let options = Options { namespace: "ops".to_owned(), ..Options::default() };
    let documents = manifest::read(manifest).expect("it can be read");
    plan(world.api.client().clone(), &documents, &options).await.expect("it is planned")
}

fn told(planned: &[Planned]) -> Vec<String> {
    let mut lines = Vec::new();
    for object in planned {
        let name = format!("{} {}", object.kind, object.key);
        match &object.fate {
            Fate::Skipped => lines.push(format!("{name} skipped")),
            Fate::Refused { message, mend } => {
                lines.push(format!("{name} refused: {message} [{}]", mend.as_deref().unwrap_or("-")))
            }
            Fate::Set(set) => {
                lines.push(format!("{name} {}", set.class.words()));
                lines.extend(set.changes.iter().map(|change| format!("  {}", change.in_words())));
                lines.extend(set.outlook.lines().iter().chain(&set.notes).map(|line| format!("  {line}")));
            }
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_are_planned_and_nothing_is_written() {
    let world = world(&["a", "b", "c"]).await;
    world.create(SETS, set("example.org/logger:1")).await;
    for pod in placed(&world, 3).await.values() {
        status(&world, pod, ready()).await;
    }
    let at_rest = |set: &Value| set["status"]["numberAvailable"] == 3 && set["status"]["updatedNumberScheduled"] == 3;
    let before = world.until(&format!("{SETS}/logger"), at_rest).await;

    let same = told(&planned(&world, &set("example.org/logger:1").to_string()).await);
    assert_eq!(same, ["DaemonSet ops/logger does not change", "  no pod is touched; 3 nodes to have one"]);

    let next = planned(&world, &set("example.org/logger:2").to_string()).await;
    let lines = told(&next);
    assert_eq!(
        lines[..4],
        [
            "DaemonSet ops/logger gets another template",
            "  spec.template.spec.containers[main].image: example.org/logger:1 → example.org/logger:2",
            "  3 nodes to have the pod replaced; 3 nodes to have one",
            "  budget: 1 node may lack an available pod at a time (maxUnavailable 1), 0 in use",
        ]
    );
    assert!(lines[5].ends_with(", stop within 7 s") && lines[5].contains("half of its 3 pods"), "{lines:#?}");
    let [Planned { fate: Fate::Set(set), .. }] = next.as_slice() else { panic!("one set: {next:?}") };
    let waves: Vec<&str> = set.outlook.forecast.waves.iter().map(|wave| wave.nodes[0].0.as_str()).collect();
    assert_eq!(waves, ["a", "b", "c"]);

    let after = world.get(&format!("{SETS}/logger")).await.expect("it is there");
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"], "nothing was written");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_object_is_planned_or_says_why_not() {
    let world = world(&["a", "b"]).await;
    world.create(SETS, set("example.org/logger:1")).await;
    let mut other_selector = set("example.org/logger:1");
    other_selector["spec"]["selector"]["matchLabels"]["app"] = json!("other");
    other_selector["spec"]["template"]["metadata"]["labels"]["app"] = json!("other");
    let in_namespace = |namespace: &str, name: &str| {
        let mut set = set("example.org/logger:1");
        set["metadata"] = json!({"namespace": namespace, "name": name});
        set
    };
    let mut unknown = in_namespace("ops", "typo");
    unknown["spec"]["template"]["spec"]["nodeSelektor"] = json!({});
    let mut generated = set("example.org/logger:1");
    generated["metadata"] = json!({"generateName": "logger-"});
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let objects = [
        namespace("later"),
        in_namespace("later", "fresh"),
        in_namespace("nowhere", "lost"),
        other_selector,
        unknown,
        generated,
    ];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let lines = told(&planned(&world, &list.to_string()).await);
    let starts = [
        "Namespace ops/later skipped",
        "DaemonSet later/fresh is new",
        "  2 nodes to get a pod; 2 nodes to have one",
        "  time: about 10 s in 1 wave",
        "  no history: assuming that pods start in 10 s",
        "  the namespace later is not there yet, so the server's admission was not asked",
        "DaemonSet nowhere/lost refused: namespaces \"nowhere\" not found [`kubectl create namespace nowhere`, or put it into \
         the manifests]",
        "DaemonSet ops/logger refused: DaemonSet.apps \"logger\" is invalid: spec.selector: ",
        "DaemonSet ops/typo refused: ",
        "DaemonSet ops/ refused: it has generateName and no name",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\nis not\n{start}");
    }
    assert!(lines[7].contains("a selector cannot change") && lines[8].contains("nodeSelektor"), "{lines:#?}");
    world.stop().await;
}
