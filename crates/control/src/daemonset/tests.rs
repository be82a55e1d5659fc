//! The shell against a pretend server: what is sent for a plan, and what is made of the answers (T1, T5–T8, T16, T64–T67, T84,
//! T85, T139–T141).

use std::sync::{Arc, Mutex};

use everynode_api::project;
use everynode_core::daemonset::Step;
use everynode_core::daemonset::history;
use everynode_core::daemonset::plan::{CreateWhy, DeleteWhy, Outcome, Ref, TemplateId};
use everynode_core::model::Status;
use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::json;

use super::*;
use crate::api::Api;

/// One request: what, where, with which body.
type Asked = (Method, String, Value);

/// A server that answers by rule and remembers what it was asked.
#[derive(Clone)]
struct Server(Arc<Inner>);

struct Inner {
    asked: Mutex<Vec<Asked>>,
    /// Method, path, body and how many requests of that method and path came before: code and reason or object.
    rule: fn(&Method, &str, &Value, usize) -> (u16, Value),
}

impl Server {
    fn new(rule: fn(&Method, &str, &Value, usize) -> (u16, Value)) -> Self {
        Self(Arc::new(Inner { asked: Mutex::new(Vec::new()), rule }))
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> (u16, Value) {
        let mut asked = self.0.asked.lock().unwrap();
        let before = asked.iter().filter(|(of, at, _)| of == method && at == path).count();
        let answer = (self.0.rule)(method, path, &body, before);
        asked.push((method.clone(), path.to_owned(), body));
        answer
    }

    fn executor(&self) -> Executor {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap_or_default();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (code, answer) = server.answer(&parts.method, parts.uri.path(), body);
                let answer = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, std::convert::Infallible>(answer.unwrap())
            }
        });
        let api = Api::new(kube::Client::new(service, "default"));
        Executor::new(api.clone(), Recorder::start(api, "daemonset-controller"))
    }

    /// What was asked, but for events.
    fn asked(&self) -> Vec<Asked> {
        let asked = self.0.asked.lock().unwrap();
        asked.iter().filter(|(_, path, _)| !path.ends_with("/events")).cloned().collect()
    }

    fn count(&self, method: &Method, end: &str) -> usize {
        self.asked().iter().filter(|(of, path, _)| of == method && path.ends_with(end)).count()
    }
}

fn refusal(code: u16, reason: &str) -> (u16, Value) {
    (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}))
}

/// Everything works; objects are at version 7.
fn all_well(_: &Method, _: &str, _: &Value, _: usize) -> (u16, Value) {
    (200, json!({"metadata": {"resourceVersion": "7", "uid": "U"}}))
}

fn item() -> Arc<SetItem> {
    let text = include_str!("../../../api/src/daemonset/vectors/b1-set.json");
    let mut object: Value = serde_json::from_str(text).unwrap();
    object["metadata"]["uid"] = json!("U");
    object["metadata"]["resourceVersion"] = json!("5");
    Arc::new(set_item(object.to_string().as_bytes()).unwrap())
}

/// An engine that knows the set, its revision, and as many nodes.
fn engine(item: &SetItem, nodes: usize) -> Engine {
    let mut engine = Engine::new(1);
    for at in 0..nodes {
        let node = json!({"metadata": {"name": format!("n{at:03}")}, "status": {"conditions": [
            {"type": "Ready", "status": "True"}]}});
        engine.node(&project::node(node.to_string().as_bytes()).unwrap());
    }
    engine.set(item.set.clone());
    let hash = history::hash(item.set.template.sum, item.set.collision_count);
    let mut revision = everynode_api::daemonset::new_revision(&item.object, &hash, 1);
    revision["metadata"]["uid"] = json!("R");
    engine.revision(Arc::new(project::revision(revision.to_string().as_bytes()).unwrap()));
    engine
}

fn plan_of(steps: Vec<Step>) -> Plan {
    Plan { steps, hash: Some("h".into()), ..Plan::default() }
}

fn pod(name: &str) -> Ref {
    Ref { name: name.into(), uid: format!("uid-{name}").as_str().into() }
}

fn create() -> Step {
    let template = TemplateId(0);
    Step::Create { node: "node-1".into(), name: "a-xyz".into(), template, why: CreateWhy::Missing, failures: 2 }
}

fn delete() -> Step {
    Step::Delete { pod: pod("p"), node: "node-1".into(), version: None, why: DeleteWhy::Duplicate }
}

/// T1: a set that is gone, however that was learned, is looked at once more and forgotten.
#[tokio::test]
async fn t1_a_set_that_is_gone_is_looked_at() {
    let (server, item) = (Server::new(all_well), item());
    let executor = server.executor();
    let recorder = executor.recorder.clone();
    let mut shell = Shell {
        engine: Engine::new(1),
        objects: BTreeMap::new(),
        unsynced: 0,
        queue: Queue::new(Metrics::default().queue("daemonset")),
        metrics: Metrics::default(),
        health: Health::default(),
        executor,
        recorder,
    };
    let key = item.set.key.clone();
    shell.take(Message::Set(Delta::Put { old: None, new: Arc::clone(&item) }));
    shell.engine.take_changed();
    shell.take(Message::Set(Delta::Gone(item)));
    assert_eq!(shell.engine.take_changed().into_iter().collect::<Vec<_>>(), [key]);
    assert!(shell.objects.is_empty());
}

/// T5, T6, T7: the server takes ten pods of a hundred: few more are asked for, the rest is waited for by nobody, and the status is
/// written in the same pass.
#[tokio::test]
async fn t5_t6_t7_a_server_that_takes_ten_pods() {
    let server = Server::new(|method, path, body, before| match (method, path) {
        (&Method::POST, "/api/v1/namespaces/default/pods") if before >= 10 => refusal(403, "Forbidden"),
        _ => all_well(method, path, body, before),
    });
    let item = item();
    let mut engine = engine(&item, 100);
    let now = Millis::from_secs(1000);
    let plan = engine.decide(&item.set.key, now);
    assert_eq!(plan.steps.len(), 100);
    let report = server.executor().carry_out(&item, plan).await;
    assert!(server.count(&Method::POST, "/pods") <= 15, "T5: {} requests", server.count(&Method::POST, "/pods"));
    let status = report.status.expect("T7: in the same pass").0;
    assert_eq!((status.desired, status.current), (100, 0));
    assert_eq!(server.count(&Method::PUT, "/status"), 1, "T7");
    assert!(report.is_retried);

    for (step, outcome) in &report.outcomes {
        engine.settle(&item.set.key, step, *outcome, now);
    }
    for (_, path, body) in server.asked().iter().filter(|(_, path, _)| path.ends_with("/pods")).take(10) {
        let mut made = body.clone();
        made["metadata"]["uid"] = json!(format!("{path}/{}", body["metadata"]["name"]));
        engine.pod(Arc::new(project::pod(made.to_string().as_bytes()).unwrap()));
    }
    engine.pods_seen(Version(7));
    let later = now.plus(Millis::from_secs(5));
    let next = engine.decide(&item.set.key, later);
    let status = next.status.expect("pods have come");
    assert_eq!((status.desired, status.current, status.updated), (100, 10, 10), "T5");
    assert_eq!(next.steps.len(), 90, "T6: nothing is taken to be under way");
}

/// T8: what does not work is tried again, whichever of the two it was.
#[tokio::test]
async fn t8_what_fails_is_tried_again() {
    let status = Status { desired: 1, ..Status::default() };
    for (rule, is_retried) in [
        (all_well as fn(&Method, &str, &Value, usize) -> (u16, Value), false),
        (|m, p, b, n| if p.ends_with("/pods") { refusal(500, "InternalError") } else { all_well(m, p, b, n) }, true),
        (|m, p, b, n| if p.ends_with("/status") { refusal(500, "InternalError") } else { all_well(m, p, b, n) }, true),
        (|_, _, _, _| refusal(500, "InternalError"), true),
    ] {
        let plan = Plan { status: Some(status), ..plan_of(vec![create()]) };
        let report = Server::new(rule).executor().carry_out(&item(), plan).await;
        assert_eq!(report.is_retried, is_retried);
    }
}

/// T16, R75: the set is being deleted, which the cache does not know yet: nothing is adopted, and nothing else is done before
/// that is settled.
#[tokio::test]
async fn t16_nothing_is_adopted_for_a_set_that_goes() {
    let server = Server::new(|method, path, body, before| match *method {
        Method::GET => (200, json!({"metadata": {"uid": "U", "deletionTimestamp": "2026-01-01T00:00:00Z"}})),
        _ => all_well(method, path, body, before),
    });
    let report = server.executor().carry_out(&item(), plan_of(vec![Step::Adopt(pod("o"))])).await;
    assert_eq!(report.outcomes.into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>(), [Outcome::NotTried]);
    assert_eq!(server.asked().len(), 1, "one look at the set");
    assert!(report.is_retried);
}

/// T64–T67: how often a status is written, and read, and what comes of it.
#[tokio::test]
async fn t64_to_t67_a_status_is_written_twice_at_most() {
    type Rule = fn(&Method, &str, &Value, usize) -> (u16, Value);
    let first_fails: Rule =
        |m, p, b, n| if *m == Method::PUT && n == 0 { refusal(409, "Conflict") } else { all_well(m, p, b, n) };
    let writes_fail: Rule =
        |m, p, b, n| if *m == Method::PUT { refusal(409, "Conflict") } else { all_well(m, p, b, n) };
    let all_fails: Rule =
        |m, _, _, _| if *m == Method::PUT { refusal(409, "Conflict") } else { refusal(500, "InternalError") };
    // Written twice in vain, it is tried again later; a set that can not be read too.
    for (case, rule, puts, gets, expect) in [
        ("T64", all_well as Rule, 1, 0, (Some(Version(7)), false)),
        ("T65", first_fails, 2, 1, (Some(Version(7)), false)),
        ("T66", writes_fail, 2, 1, (None, true)),
        ("T67", all_fails, 1, 1, (None, true)),
    ] {
        let server = Server::new(rule);
        let plan = Plan { status: Some(Status::default()), ..Plan::default() };
        let report = server.executor().carry_out(&item(), plan).await;
        assert_eq!((report.status.expect("it was asked for").1, report.is_retried), expect, "{case}");
        let count = |method| server.asked().iter().filter(|(of, _, _)| of == method).count();
        assert_eq!((count(&Method::PUT), count(&Method::GET)), (puts, gets), "{case}");
    }
}

/// T84, T85: what adopting and releasing send: the incarnation that is meant, and the owner that comes or goes.
#[tokio::test]
async fn t84_t85_adoption_and_release_name_the_incarnation() {
    let server = Server::new(all_well);
    let steps = vec![Step::Adopt(pod("o")), Step::Release(pod("s"))];
    server.executor().carry_out(&item(), plan_of(steps)).await;
    let patches: Vec<Asked> = server.asked().into_iter().filter(|(method, _, _)| *method == Method::PATCH).collect();
    let owner = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "a", "uid": "U", "controller": true,
                       "blockOwnerDeletion": true});
    assert_eq!(patches[0].1, "/api/v1/namespaces/default/pods/o");
    assert_eq!(patches[0].2, json!({"metadata": {"uid": "uid-o", "ownerReferences": [owner]}}));
    assert_eq!(patches[1].1, "/api/v1/namespaces/default/pods/s");
    let going = json!({"$patch": "delete", "uid": "U"});
    assert_eq!(patches[1].2, json!({"metadata": {"uid": "uid-s", "ownerReferences": [going]}}));
}

/// T4, T139: one POST with the template's labels, the prefix and the name, the pinned spec and the one owner; and how many pods
/// ended before it.
#[tokio::test]
async fn t4_t139_a_create_is_one_post() {
    let server = Server::new(all_well);
    let report = server.executor().carry_out(&item(), plan_of(vec![create()])).await;
    assert_eq!(report.outcomes[0].1, Outcome::Done { version: Version(7) });
    let asked = server.asked();
    let [(Method::POST, path, body)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(path, "/api/v1/namespaces/default/pods");
    let meta = &body["metadata"];
    assert_eq!((&meta["generateName"], &meta["name"]), (&json!("a-"), &json!("a-xyz")));
    assert_eq!(meta["labels"], json!({"app": "x", "controller-revision-hash": "h", "pod-template-generation": "1"}));
    assert_eq!(meta["annotations"], json!({"everynode.io/failed-attempts": "2"}));
    assert_eq!(meta["ownerReferences"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["spec"]["nodeName"], Value::Null, "T4");
    let terms =
        body.pointer("/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms");
    let pin = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]);
    assert_eq!(terms, Some(&pin), "T4");
}

/// T140, T141: what is not there any more is neither waited for nor complained of; other refusals are.
#[tokio::test]
async fn t140_t141_what_is_gone_is_no_fault() {
    for (step, code, reason, expect, is_retried) in [
        (delete(), 404, "NotFound", Outcome::Gone, false),
        (delete(), 409, "Conflict", Outcome::Conflict, true),
        (delete(), 403, "Forbidden", Outcome::Refused, true),
        (Step::Release(pod("s")), 404, "NotFound", Outcome::Gone, false),
        (Step::Release(pod("s")), 422, "Invalid", Outcome::Done { version: Version(0) }, false),
    ] {
        let answer = refusal(code, reason);
        let rule: fn(&Method, &str, &Value, usize) -> (u16, Value) = match code {
            404 => |_, _, _, _| refusal(404, "NotFound"),
            409 => |_, _, _, _| refusal(409, "Conflict"),
            403 => |_, _, _, _| refusal(403, "Forbidden"),
            _ => |_, _, _, _| refusal(422, "Invalid"),
        };
        assert_eq!(rule(&Method::GET, "", &Value::Null, 0), answer);
        let report = Server::new(rule).executor().carry_out(&item(), plan_of(vec![step])).await;
        assert_eq!((report.outcomes[0].1, report.is_retried), (expect, is_retried), "{reason}");
    }
}

/// A name that is taken: by the pod of an earlier try, whose answer was lost, or by somebody else's.
#[tokio::test]
async fn a_create_asked_for_twice_makes_one_pod() {
    fn ours(method: &Method, _: &str, _: &Value, _: usize) -> (u16, Value) {
        if *method == Method::POST {
            return refusal(409, "AlreadyExists");
        }
        let owner = json!({"kind": "DaemonSet", "name": "a", "uid": "U", "controller": true});
        let meta = json!({"name": "a-xyz", "namespace": "default", "uid": "P", "resourceVersion": "6",
                          "ownerReferences": [owner]});
        (200, json!({"items": [{"metadata": meta, "spec": {"nodeName": "node-1"}}]}))
    }
    fn theirs(method: &Method, path: &str, body: &Value, before: usize) -> (u16, Value) {
        let (code, mut answer) = ours(method, path, body, before);
        if *method == Method::POST {
            return (code, answer);
        }
        answer["items"][0]["metadata"]["ownerReferences"] = json!([]);
        (code, answer)
    }
    for (rule, expect) in [
        (ours as fn(&Method, &str, &Value, usize) -> (u16, Value), Outcome::Done { version: Version(6) }),
        (theirs, Outcome::NameTaken),
    ] {
        let report = Server::new(rule).executor().carry_out(&item(), plan_of(vec![create()])).await;
        assert_eq!(report.outcomes[0].1, expect);
    }
}
