//! A plan's way to a pretend server.

use everynode_core::daemonset::plan::{CreateWhy, DeleteWhy, Ref, TemplateId};
use serde_json::json;

use super::*;
use crate::project;

/// What a pretend server says to a request: an object, or a code and a reason.
type Rule = fn(&str) -> Result<Value, (u16, &'static str)>;

const DONE: Outcome = Outcome::Done { version: Version(7) };

fn object() -> Value {
    let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"app": "x"}}, "template": template});
    json!({"metadata": {"name": "a", "namespace": "ns", "uid": "U", "resourceVersion": "5"}, "spec": spec})
}

fn create(node: &str) -> Step {
    let (name, template) = (format!("a-{node}").as_str().into(), TemplateId(0));
    Step::Create { node: node.into(), name, template, why: CreateWhy::Missing, failures: 0 }
}

fn delete() -> Step {
    Step::Delete { pod: pod(), node: "n".into(), version: None, why: DeleteWhy::Duplicate }
}

fn pod() -> Ref {
    Ref { name: "p".into(), uid: "u".into() }
}

/// What was asked, round by round; what was said; what became of it.
fn play(object: &Value, plan: Plan, rule: Rule) -> (Vec<Vec<String>>, Vec<&'static str>, Report) {
    let set = project::daemon_set(object).unwrap();
    let mut errand = Errand::new(&set, object, plan);
    let (mut rounds, mut said) = (Vec::new(), Vec::new());
    loop {
        let asks = errand.asks();
        if asks.is_empty() {
            return (rounds, said, errand.end());
        }
        let texts: Vec<String> =
            asks.iter().map(|ask| format!("{} {}", ask.request.method, ask.request.path)).collect();
        let short =
            |text: &String| text.replace("/api/v1/namespaces/ns", "").replace("/apis/apps/v1/namespaces/ns", "");
        rounds.push(texts.iter().map(short).collect());
        let answers: Vec<_> =
            texts.iter().map(|text| rule(text)).map(|answer| answer.map(|body| body.to_string())).collect();
        let answers = answers.iter().map(|answer| match answer {
            Ok(body) => Answer::Done(body.as_bytes()),
            Err((code, reason)) => {
                let namespace_going = *reason == "Going";
                Answer::Refused(Refusal { code: *code, reason, namespace_going, words: reason })
            }
        });
        said.extend(errand.told(answers).iter().map(|said| said.reason));
    }
}

fn steps(steps: Vec<Step>) -> Plan {
    Plan { steps, hash: Some("h".into()), ..Plan::default() }
}

fn well(_: &str) -> Result<Value, (u16, &'static str)> {
    Ok(json!({"metadata": {"uid": "U", "resourceVersion": "7"}}))
}

/// R68, R171: what is asked after a create goes together with its batch, and the next batch waits for it.
#[test]
fn a_name_that_is_taken_is_asked_about_before_the_next_batch() {
    let plan = || steps(vec![create("n1"), create("n2"), create("n3")]);
    let rule: Rule = |text| match text {
        "POST /api/v1/namespaces/ns/pods" => Err((409, "AlreadyExists")),
        _ => well(text),
    };
    let (rounds, said, report) = play(&object(), plan(), rule);
    let expect = [&["POST /pods"][..], &["GET /pods?fieldSelector=metadata.name%3Da-n1"]];
    assert_eq!(rounds, expect, "the first failed, so the others wait for another plan");
    assert_eq!((said, report.outcomes[0].1, report.outcomes[1].1), (vec![], Outcome::NameTaken, Outcome::NotTried));
    let (rounds, said, report) = play(&object(), plan(), well);
    assert_eq!(rounds, [vec!["POST /pods"], vec!["POST /pods"; 2]]);
    assert_eq!((said, report.is_retried), (vec!["SuccessfulCreate"; 3], false));
}

#[test]
fn a_taken_name_is_ours_or_somebody_elses() {
    fn taken(text: &str, list: Result<Value, (u16, &'static str)>) -> Result<Value, (u16, &'static str)> {
        if text.starts_with("POST") { Err((409, "AlreadyExists")) } else { list }
    }
    fn list(uid: &str, node: &str) -> Result<Value, (u16, &'static str)> {
        let owner = json!({"kind": "DaemonSet", "name": "a", "uid": uid, "controller": true});
        let meta =
            json!({"name": "a-n", "namespace": "ns", "uid": "P", "resourceVersion": "7", "ownerReferences": [owner]});
        Ok(json!({"items": [{"metadata": meta, "spec": {"nodeName": node}}]}))
    }
    for (what, rule, expect) in [
        ("an earlier try", (|text| taken(text, list("U", "n"))) as Rule, DONE),
        ("ours for another node", |text| taken(text, list("U", "m")), Outcome::NameTaken),
        ("another set's", |text| taken(text, list("V", "n")), Outcome::NameTaken),
        ("gone meanwhile", |text| taken(text, Ok(json!({"items": []}))), Outcome::NameTaken),
        ("not told", |text| taken(text, Err((500, "InternalError"))), Outcome::Unknown),
    ] {
        assert_eq!(play(&object(), steps(vec![create("n")]), rule).2.outcomes[0].1, expect, "{what}");
    }
}

/// R86: the same template's, or a collision of hashes, which is counted once.
#[test]
fn a_taken_revision_is_the_same_or_a_collision() {
    const GET: &str = "GET /controllerrevisions/a-h";
    const LIVE: &str = "GET /daemonsets/a";
    const COUNT: &str = "PUT /daemonsets/a/status";
    fn rule(text: &str, same: bool, live: Value) -> Result<Value, (u16, &'static str)> {
        let data = if same { crate::daemonset::revision_data(&object()["spec"]["template"]) } else { Vec::new() };
        let data: Value = serde_json::from_slice(&data).unwrap_or(json!({}));
        let meta = json!({"name": "a-h", "namespace": "ns", "uid": "R", "resourceVersion": "7"});
        match text.split_once(' ').unwrap() {
            ("POST", _) => Err((409, "AlreadyExists")),
            ("GET", path) if path.ends_with("/a-h") => Ok(json!({"metadata": meta, "revision": 1, "data": data})),
            ("GET", _) => Ok(live),
            _ => well(text),
        }
    }
    for (what, case, follows, expect) in [
        ("the same", (|text| rule(text, true, json!({}))) as Rule, &[GET][..], DONE),
        ("another", |text| rule(text, false, object()), &[GET, LIVE, COUNT], Outcome::Refused),
        (
            "counted already",
            |text| {
                let mut live = object();
                live["status"]["collisionCount"] = json!(1);
                rule(text, false, live)
            },
            &[GET, LIVE],
            Outcome::Refused,
        ),
        ("another set", |text| rule(text, false, json!({"metadata": {"uid": "V"}})), &[GET, LIVE], Outcome::Refused),
    ] {
        let step = Step::CreateRevision { hash: "h".into(), number: 1 };
        let (rounds, _, report) = play(&object(), steps(vec![step]), case);
        assert_eq!(rounds[1..].concat(), follows, "{what}");
        assert_eq!((report.outcomes[0].1, report.is_retried), (expect, expect != DONE), "{what}");
    }
}

/// R75, R113: first a look at the set, last the status; once more into the live set if that is the same one.
#[test]
fn the_set_is_looked_at_first_and_its_status_comes_last() {
    let plan = || Plan { status: Some(Status::default()), ..steps(vec![Step::Adopt(pod()), create("n"), delete()]) };
    let (rounds, said, report) = play(&object(), plan(), well);
    let put = "PUT /daemonsets/a/status";
    let expect = ["GET /daemonsets/a", "PATCH /pods/p", "POST /pods", "DELETE /pods/p", put];
    assert_eq!(rounds.concat(), expect);
    assert_eq!((said, report.is_retried), (vec!["SuccessfulCreate", "SuccessfulDelete"], false));
    assert_eq!(report.status.unwrap().1, Some(Version(7)));

    let (rounds, _, report) = play(&object(), plan(), |text| match text.split_once(' ').unwrap() {
        ("GET" | "PUT", _) => Err((404, "NotFound")),
        _ => well(text),
    });
    let expect = ["GET /daemonsets/a", "POST /pods", "DELETE /pods/p", put, "GET /daemonsets/a"];
    assert_eq!(rounds.concat(), expect, "nothing is adopted for a set that may go, and none is written to");
    assert_eq!((report.outcomes[0].1, report.status.unwrap().1), (Outcome::NotTried, None));

    let status = || Plan { status: Some(Status::default()), ..Plan::default() };
    for (what, rule, count, is_retried) in [
        ("gone", (|_| Err((404, "NotFound"))) as Rule, 2, false),
        (
            "another of its name",
            |text| if text.starts_with("GET") { Ok(json!({})) } else { Err((409, "Conflict")) },
            2,
            true,
        ),
        ("not to be read", |_| Err((500, "InternalError")), 2, true),
        (
            "not to be written",
            |text| if text.starts_with("GET") { well(text) } else { Err((409, "Conflict")) },
            3,
            true,
        ),
    ] {
        let (rounds, _, report) = play(&object(), status(), rule);
        assert_eq!((rounds.len(), report.status.unwrap().1, report.is_retried), (count, None, is_retried), "{what}");
    }
}

/// R53, R69, R116: what cannot be made, and what users hear of it.
#[test]
fn what_fails_is_said_once_and_in_the_servers_words() {
    let mut bare = object();
    bare["spec"]["template"]["metadata"] = json!({});
    let (rounds, said, report) = play(&bare, steps(vec![create("n"), delete()]), well);
    assert_eq!((rounds.concat(), said), (vec!["DELETE /pods/p".to_owned()], vec!["SuccessfulDelete"]));
    assert!(report.unmade.is_some() && report.is_retried);
    for (rule, step, expect) in [
        ((|_| Err((403, "Forbidden"))) as Rule, create("n"), &["FailedCreate"][..]),
        (|_| Err((504, "Timeout")), create("n"), &["FailedCreate"]),
        (|_| Err((403, "Going")), create("n"), &[]),
        (|_| Err((403, "Forbidden")), delete(), &["FailedDelete"]),
        (|_| Err((404, "NotFound")), delete(), &[]),
        (|_| Err((409, "Conflict")), delete(), &[]),
        (|_| Err((403, "Forbidden")), Step::Release(pod()), &[]),
    ] {
        assert_eq!(play(&object(), steps(vec![step.clone()]), rule).1, expect, "{step:?}");
    }
}
