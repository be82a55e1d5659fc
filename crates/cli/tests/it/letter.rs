//! kubectl on DaemonSets to the letter (section 23, T120–T124), with a real `kubectl` against a server in this process. The
//! recorded sessions `kubectl/*` judge many more lines.

use std::path::Path;

use everynode_e2e::skip;
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::kubectl::{Kubectl, Ran};
use crate::world::{REVISIONS, SETS, World, daemon_set, hash_of, is_going, node_path, pods, set_path, with_spec};

fn run(kubectl: &Kubectl, words: &str) -> Ran {
    block_in_place(|| kubectl.run(words))
}

fn must(kubectl: &Kubectl, words: &str) -> String {
    block_in_place(|| kubectl.must(words))
}

fn refused(kubectl: &Kubectl, words: &str, why: &str) {
    let ran = run(kubectl, words);
    assert_ne!(ran.code, Some(0), "{words}: {ran:?}");
    assert!(ran.err.contains(why), "{words}: {ran:?}");
}

/// One node, one set, kubelets, and kubectl.
async fn world_with_set() -> (World, Option<Kubectl>) {
    let mut world = World::start().await;
    world.namespace("a").await;
    world.node("node-1", "1").await;
    world.play_kubelets();
    world.create(SETS, daemon_set("d")).await;
    world.until_counts("d", [1; 5]).await;
    let kubectl = Kubectl::at(world.kubeconfig());
    (world, kubectl)
}

/// A world in which only a test writes what controllers would.
async fn quiet_world() -> (World, Option<Kubectl>) {
    let mut world = World::without(&["daemonset-controller", "garbage-collector-controller"]).await;
    world.namespace("a").await;
    world.play_kubelets();
    let kubectl = Kubectl::at(world.kubeconfig());
    (world, kubectl)
}

/// R162.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn t120_what_rollout_status_says() {
    let (world, kubectl) = quiet_world().await;
    let Some(kubectl) = kubectl else { return world.stop().await };
    world.create(SETS, daemon_set("d")).await;
    let waiting = |what: &str| format!("Waiting for daemon set \"d\" rollout to finish: {what}...\n");
    for (observed, updated, desired, available, expect) in [
        (0, 2, 2, 2, "Waiting for daemon set spec update to be observed...\n".to_owned()),
        (1, 0, 1, 0, waiting("0 out of 1 new pods have been updated")),
        (1, 2, 2, 1, waiting("1 of 2 updated pods are available")),
        (1, 2, 2, 2, "daemon set \"d\" successfully rolled out\n".to_owned()),
    ] {
        let status = json!({"status": {"observedGeneration": observed, "updatedNumberScheduled": updated,
            "desiredNumberScheduled": desired, "numberAvailable": available}});
        world.patch(&format!("{}/status", set_path("d")), status).await;
        assert_eq!(must(&kubectl, "-n a rollout status ds/d --watch=false"), expect);
    }
    refused(&kubectl, "-n a rollout status ds/d --revision=-1", "revision must be a positive integer: -1");
    let manual = json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}});
    world.patch(&set_path("d"), manual).await;
    let why = "rollout status is only available for RollingUpdate strategy type";
    refused(&kubectl, "-n a rollout status ds/d", why);
    for act in ["paus", "resum"] {
        let why = format!("error: daemonsets.apps \"d\" {act}ing is not supported");
        refused(&kubectl, &format!("-n a rollout {act}e ds/d"), &why);
    }
    world.stop().await;
}

/// R163, R164: a revision says what it was, and takes the whole template back: what was added goes, what was removed returns.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn t121_history_and_the_way_back() {
    let (world, kubectl) = world_with_set().await;
    let Some(kubectl) = kubectl else { return world.stop().await };
    let table = "daemonset.apps/d \nREVISION  CHANGE-CAUSE\n1         <none>\n\n";
    assert_eq!(must(&kubectl, "-n a rollout history ds/d"), table);
    let one = must(&kubectl, "-n a rollout history ds/d --revision=1");
    let words = "daemonset.apps/d with revision #1\nPod Template:\n  Labels:\tapp=d\n  Containers:\n   main:\n    Image:\texample.org/logger:1\n";
    assert!(one.starts_with(words), "{one}");
    refused(&kubectl, "-n a rollout history ds/d --revision=7", "unable to find the specified revision");
    let template = world.get(&set_path("d")).await.expect("a set")["spec"]["template"].clone();
    let other = json!([{"name": "other", "image": "example.org/other:1", "env": [{"name": "A", "value": "b"}]}]);
    let changed = json!({"containers": other, "terminationGracePeriodSeconds": 0, "hostPID": true});
    world.patch(&set_path("d"), with_spec(changed)).await;
    world.until_counts("d", [1; 5]).await;
    assert_eq!(must(&kubectl, "-n a rollout undo ds/d --to-revision=1"), "daemonset.apps/d rolled back\n");
    let back = world.until_counts("d", [1; 5]).await;
    assert_eq!(back["spec"]["template"], template);
    world.stop().await;
}

/// R166, R168: what counts as a change of the template, and what does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn t122_generations_follow_kubectls_verbs() {
    let (world, kubectl) = world_with_set().await;
    let Some(kubectl) = kubectl else { return world.stop().await };
    let manifest = daemon_set("b").to_string();
    let apply = || block_in_place(|| kubectl.must_feed("-n a apply -f -", &manifest));
    let generation = || must(&kubectl, "-n a get ds b -o jsonpath={.metadata.generation}");
    assert_eq!(apply(), "daemonset.apps/b created\n");
    assert_eq!(apply(), "daemonset.apps/b unchanged\n");
    assert_eq!(generation(), "1");
    for (verb, expect) in [
        ("set image ds/b *=example.org/logger:2", "image updated"),
        ("set env ds/b foo=bar", "env updated"),
        ("set resources ds/b --limits=cpu=200m,memory=512Mi", "resource requirements updated"),
        ("rollout restart ds/b", "restarted"),
    ] {
        let before: i64 = generation().parse().expect("a number");
        assert_eq!(must(&kubectl, &format!("-n a {verb}")), format!("daemonset.apps/b {expect}\n"));
        assert_eq!(generation(), (before + 1).to_string(), "{verb}");
    }
    assert_eq!(generation(), "5");
    let stamp = "{.spec.template.metadata.annotations.kubectl\\.kubernetes\\.io/restartedAt}";
    let stamp = must(&kubectl, &format!("-n a get ds b -o jsonpath={stamp}"));
    assert!(stamp.parse::<jiff::Timestamp>().is_ok(), "{stamp}");
    let all = must(&kubectl, "-n a describe ds --chunk-size=1");
    assert!(all.contains("Name:           b\n") && all.contains("Name:           d\n"), "{all}");
    world.stop().await;
}

/// R163–R165.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn t123_history_with_causes_and_back_and_forth() {
    let (world, kubectl) = world_with_set().await;
    let Some(kubectl) = kubectl else { return world.stop().await };
    let settled = async || world.until_counts("d", [1; 5]).await;
    let listed = || {
        let table = must(&kubectl, "-n a rollout history ds/d");
        let lines = table.lines().skip(2).filter(|line| !line.is_empty());
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    refused(&kubectl, "-n a rollout undo ds/d", "no last revision to roll back to");
    // Before 1.34 kubectl wrote `creationTimestamp: null` into what it compares, so that it sees a difference that is none.
    let skipped = "daemonset.apps/d skipped rollback (current template already matches revision 1)\n";
    let printed = must(&kubectl, "-n a rollout undo ds/d --to-revision=1");
    assert!(printed == skipped || printed == "daemonset.apps/d rolled back\n", "{printed}");
    assert_eq!(settled().await["metadata"]["generation"], 1, "nothing has changed");
    // A revision takes the annotations of its set when it is made.
    must(&kubectl, "-n a annotate ds d kubernetes.io/change-cause=second");
    must(&kubectl, "-n a set image ds/d main=example.org/logger:2");
    settled().await;
    assert_eq!(listed(), ["1 <none>", "2 second"]);
    for (dry, suffix) in [("client", "(dry run)"), ("server", "(server dry run)")] {
        let printed = must(&kubectl, &format!("-n a rollout undo ds/d --to-revision=1 --dry-run={dry}"));
        assert!(printed.contains("will roll back to Pod Template") || printed.contains(suffix), "{printed}");
        assert_eq!(listed(), ["1 <none>", "2 second"], "{dry}");
    }
    assert_eq!(must(&kubectl, "-n a rollout undo ds/d --to-revision=1"), "daemonset.apps/d rolled back\n");
    settled().await;
    let numbers =
        || listed().iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    assert_eq!(numbers(), ["2", "3"]);
    refused(
        &kubectl,
        "-n a rollout undo ds/d --to-revision=1000000",
        "unable to find specified revision 1000000 in history",
    );
    assert_eq!(numbers(), ["2", "3"]);
    must(&kubectl, "-n a rollout undo ds/d");
    settled().await;
    assert_eq!(numbers(), ["3", "4"]);
    world.stop().await;
}

fn pod_of(owner: &Value, name: &str, node: &str, volumes: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "d"}, "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "DaemonSet", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
            "controller": true, "blockOwnerDeletion": true,
        }]},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "volumes": volumes,
            "containers": [{"name": "main", "image": "x"}]},
    })
}

/// R170.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn t124_what_a_drain_takes_and_leaves() {
    let (world, kubectl) = quiet_world().await;
    let Some(kubectl) = kubectl else { return world.stop().await };
    let set = world.create(SETS, daemon_set("d")).await;
    let lost = json!({"metadata": {"name": "lost", "uid": "11111111-1111-1111-1111-111111111111"}});
    for (node, owner, volumes) in [
        ("plain", &set, json!([])),
        ("ended", &set, json!([])),
        ("orphan", &lost, json!([])),
        ("scratch", &set, json!([{"name": "v", "emptyDir": {}}])),
    ] {
        world.node(node, "1").await;
        world.create(&pods("a"), pod_of(owner, node, node, volumes)).await;
    }
    let path = |name: &str| format!("{}/{name}", pods("a"));
    world.until_items(&pods("a"), |items| items.iter().all(crate::world::is_ready)).await;
    world.patch(&format!("{}/status", path("ended")), json!({"status": {"phase": "Succeeded"}})).await;
    let ignored = |name: &str| format!("ignoring DaemonSet-managed Pods: a/{name}");
    refused(&kubectl, "drain plain", "DaemonSet-managed Pods (use --ignore-daemonsets to ignore): a/plain");
    for name in ["plain", "scratch"] {
        let ran = run(&kubectl, &format!("drain {name} --ignore-daemonsets"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.err.contains(&format!("Warning: {}", ignored(name))), "{ran:?}");
        assert!(ran.out.contains(&format!("node/{name} drained")), "{ran:?}");
        assert!(world.get(&path(name)).await.is_some_and(|pod| !is_going(&pod)), "{name} stays");
        assert_eq!(world.get(&node_path(name)).await.expect("a node")["spec"]["unschedulable"], true);
    }
    let ran = run(&kubectl, "drain ended");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(world.get(&path("ended")).await.is_none(), "it had ended");
    refused(&kubectl, "drain orphan", "daemonsets.apps \"lost\" not found: a/orphan");
    assert!(world.get(&path("orphan")).await.is_some());
    let ran = run(&kubectl, "drain orphan --force");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // Its warning is kubectl's own affair: 1.32 loses it on the way.
    assert!(world.get(&path("orphan")).await.is_none());
    world.stop().await;
}

/// R150, R153, R157–R159, R169: tables and the description, line for line.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_set_is_listed_and_described() {
    let (world, kubectl) = quiet_world().await;
    let Some(kubectl) = kubectl else { return world.stop().await };
    let spec = json!({
        "serviceAccountName": "sa", "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "containers": [{
            "name": "c", "image": "i:latest", "ports": [{"containerPort": 80}],
            "resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
            "livenessProbe": {"httpGet": {"port": 8080, "path": "/"}},
            "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            "volumeMounts": [{"name": "h", "mountPath": "/h"}],
        }],
        "volumes": [{"name": "h", "hostPath": {"path": "/var"}}],
    });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "b", "labels": {"l1": "v1", "l2": "v2"}},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {
            "metadata": {"labels": {"app": "x", "z": "1"}, "annotations": {"k": "<v>&"}}, "spec": spec}},
    });
    let set = world.create(SETS, set).await;
    let status = json!({"status": {"desiredNumberScheduled": 3, "currentNumberScheduled": 3, "updatedNumberScheduled": 3,
        "numberAvailable": 2, "numberReady": 2}});
    world.patch(&format!("{}/status", set_path("b")), status).await;
    // A pod of a node that does not exist would be collected some time.
    world.node("node-1", "1").await;
    let mut pod = pod_of(&set, "b-x", "node-1", json!([]));
    pod["metadata"]["labels"] = json!({"app": "x"});
    world.create(&pods("a"), pod).await;
    world.patch(&format!("{}/b-x/status", pods("a")), json!({"status": {"phase": "Running"}})).await;
    let ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 9 + 1);
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "b.1"}, "reason": "SuccessfulCreate", "type": "Normal",
        "message": "Created pod: b-x", "source": {"component": "daemonset-controller"}, "count": 1,
        "involvedObject": {"kind": "DaemonSet", "namespace": "a", "name": "b", "uid": set["metadata"]["uid"], "apiVersion": "apps/v1"},
        "firstTimestamp": format!("{ago:.0}"), "lastTimestamp": format!("{ago:.0}"),
    });
    world.create("/api/v1/namespaces/a/events", event).await;
    // Newer ones print the namespace as well.
    let described = must(&kubectl, "-n a describe ds b").replace("Namespace:      a\n", "");
    assert_eq!(described, DESCRIBED);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let table = must(&kubectl, "-n a get ds -o wide");
    let mut lines = table.lines().map(words);
    let heads = "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE CONTAINERS IMAGES SELECTOR";
    assert_eq!(lines.next().as_deref(), Some(heads));
    let row = lines.next().unwrap_or_default();
    assert!(row.starts_with("b 3 3 2 3 2 kubernetes.io/os=linux ") && row.ends_with(" c i:latest app=x"), "{row}");
    let revision = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "b-1", "labels": {"app": "x"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "b", "uid": set["metadata"]["uid"],
            "controller": true}]}, "data": {}, "revision": 4});
    assert_eq!(hash_of(&world.create(REVISIONS, revision).await), "");
    let rows = words(&must(&kubectl, "-n a get controllerrevisions"));
    assert!(rows.starts_with("NAME CONTROLLER REVISION AGE b-1 daemonset.apps/b 4 "), "{rows}");
    let all = must(&kubectl, "-n a get all");
    assert!(
        all.contains("daemonset.apps/b ") && all.contains("pod/b-x ") && !all.contains("controllerrevision"),
        "{all}"
    );
    // The garbage collector, which would let it go, is not here.
    let deleted = must(&kubectl, "-n a delete ds b --cascade=orphan --wait=false");
    assert!(deleted.starts_with("daemonset.apps \"b\" deleted"), "{deleted}");
    world.stop().await;
}

/// R158; the age of the event is ours.
const DESCRIBED: &str = "Name:           b
Selector:       app=x
Node-Selector:  kubernetes.io/os=linux
Labels:         l1=v1
                l2=v2
Annotations:    deprecated.daemonset.template.generation: 1
Desired Number of Nodes Scheduled: 3
Current Number of Nodes Scheduled: 3
Number of Nodes Scheduled with Up-to-date Pods: 3
Number of Nodes Scheduled with Available Pods: 2
Number of Nodes Misscheduled: 0
Pods Status:  1 Running / 0 Waiting / 0 Succeeded / 0 Failed
Pod Template:
  Labels:           app=x
                    z=1
  Annotations:      k: <v>&
  Service Account:  sa
  Containers:
   c:
    Image:      i:latest
    Port:       80/TCP
    Host Port:  0/TCP
    Limits:
      memory:  512Mi
    Requests:
      cpu:     100m
      memory:  64Mi
    Liveness:  http-get http://:8080/ delay=0s timeout=1s period=10s #success=1 #failure=3
    Environment:
      N:   (v1:spec.nodeName)
    Mounts:
      /h from h (rw)
  Volumes:
   h:
    Type:          HostPath (bare host directory volume)
    Path:          /var
    HostPathType:  
  Node-Selectors:  kubernetes.io/os=linux
  Tolerations:     k op=Exists
Events:
  Type    Reason            Age   From                  Message
  ----    ------            ----  ----                  -------
  Normal  SuccessfulCreate  9d    daemonset-controller  Created pod: b-x
";

/// Field names, types, enumerations and required marks of `explain` are Kubernetes'; the sentences are ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn explain_has_the_facts_that_were_recorded() {
    let recorded =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/kubectl/07-explain-create-wait.jsonl");
    let Ok(text) = std::fs::read_to_string(&recorded) else {
        return skip("the recorded sessions are not here (../shared/golden)");
    };
    let (world, kubectl) = quiet_world().await;
    let Some(kubectl) = kubectl else { return world.stop().await };
    let mut compared = 0;
    for record in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let argv: Vec<&str> = record["argv"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if argv.first() != Some(&"explain") || record["exit"] != 0 {
            continue;
        }
        let ours = must(&kubectl, &argv.join(" "));
        assert_eq!(facts(&ours), facts(record["stdout"].as_str().unwrap_or_default()), "{argv:?}");
        compared += 1;
    }
    assert!(compared >= 3, "{compared}");
    world.stop().await;
}

/// The lines of an explanation that are no sentences.
fn facts(text: &str) -> Vec<String> {
    let is_fact = |line: &str| {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("GROUP:" | "KIND:" | "VERSION:" | "FIELD:" | "FIELDS:" | "enum:"), _) => true,
            (Some(_), Some(second)) => second.starts_with('<') && second.ends_with('>'),
            _ => false,
        }
    };
    text.lines()
        .filter(|line| is_fact(line))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}
