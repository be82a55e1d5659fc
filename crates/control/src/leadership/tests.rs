//! Electors over a lease that a pretend server keeps, as their shells see it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::clock::ByHand;
use crate::gate::Passage;

/// One lease, and who cannot reach it.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    lease: Option<Value>,
    version: u64,
    cut_off: BTreeSet<&'static str>,
    /// The next write is done, and its answer lost.
    loses_an_answer: bool,
}

impl Server {
    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spec(&self) -> Value {
        self.lock().lease.as_ref().map_or(Value::Null, |lease| lease["spec"].clone())
    }

    fn answer(&self, method: &Method, body: &[u8]) -> (u16, Value) {
        let mut kept = self.lock();
        let version = kept.version.to_string();
        let refusal = |code: u16, reason: &str| (code, json!({"kind": "Status", "reason": reason, "message": reason}));
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method, &kept.lease) {
            (&Method::GET, Some(lease)) => return (200, lease.clone()),
            (&Method::GET, None) => return refusal(404, "NotFound"),
            (&Method::POST, Some(_)) => return refusal(409, "AlreadyExists"),
            (&Method::PUT, Some(_)) if sent["metadata"]["resourceVersion"] != version => {
                return refusal(409, "Conflict");
            }
            _ => {}
        }
        kept.version += 1;
        let mut lease = sent;
        lease["metadata"]["resourceVersion"] = json!(kept.version.to_string());
        kept.lease = Some(lease.clone());
        (200, lease)
    }

    /// The API as this one sees it.
    fn api(&self, who: &'static str) -> Api {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                if server.lock().cut_off.contains(who) {
                    return std::future::pending().await;
                }
                if parts.uri.path().ends_with("/events") {
                    return Ok(Response::new(Full::new(body)));
                }
                let (code, answer) = server.answer(&parts.method, &body);
                if parts.method == Method::PUT && std::mem::take(&mut server.lock().loses_an_answer) {
                    return std::future::pending().await;
                }
                let body = Full::new(bytes::Bytes::from(answer.to_string()));
                Ok::<_, Infallible>(Response::builder().status(code).body(body).expect("a response"))
            }
        });
        Api::new(kube::Client::new(service, "default"))
    }
}

/// A running elector: its terms' gates as they begin, and how to end it.
struct Replica {
    gates: mpsc::UnboundedReceiver<Gate>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn stand(server: &Server, time: &ByHand, who: &'static str, (lease, renew): (i64, i64)) -> Replica {
    let timing = Timing { lease: Millis(lease), renew: Millis(renew), retry: Millis(100) }.check().expect("safe");
    let election = Election { namespace: "kube-system".into(), name: "x".into(), identity: who.to_owned(), timing };
    let api = server.api(who);
    let recorder = Recorder::start(api.clone(), "test");
    let (metrics, health) = (Metrics::default(), Health::default());
    let elector = Elector { api, recorder, metrics, health, election, clock: time.clock() };
    let (tell, gates) = mpsc::unbounded_channel();
    let (end, ended) = oneshot::channel::<()>();
    let work = move |gate: Gate| {
        tell.send(gate).expect("the test listens");
        std::future::pending()
    };
    let task = tokio::spawn(elector.run(work, async {
        let _ = ended.await;
    }));
    Replica { gates, end, task }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("in time")
}

/// Lets time pass until `what` has come, and no longer.
async fn as_time_passes<T>(time: &ByHand, what: impl Future<Output = T>) -> T {
    let mut what = pin!(what);
    let passing = async {
        loop {
            match timeout(Duration::from_millis(5), &mut what).await {
                Ok(done) => return done,
                Err(_) => time.passes(Millis(50)),
            }
        }
    };
    in_time(passing).await
}

/// A leader that is cut off has stopped writing when the next one begins; and it stands for election again.
#[tokio::test]
async fn no_two_terms_overlap() {
    const HASTY: (i64, i64) = (2000, 1500);
    let (server, time) = (Server::default(), ByHand::default());
    let mut first = stand(&server, &time, "first", HASTY);
    let gate = in_time(first.gates.recv()).await.expect("a term");
    assert_eq!(gate.pass(async {}).await, Passage::Done(()));
    let mut second = stand(&server, &time, "second", HASTY);
    // Longer than a term without renewals.
    for _ in 0..6 {
        let before = server.lock().version;
        time.passes(Millis(400));
        in_time(async {
            while server.lock().version == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
    assert_eq!(gate.pass(async {}).await, Passage::Done(()));
    assert!(second.gates.try_recv().is_err(), "one leads");

    server.lock().cut_off.insert("first");
    let begun = gate.pass(std::future::pending::<()>());
    let (next, passage) = as_time_passes(&time, async { tokio::join!(second.gates.recv(), begun) }).await;
    assert_eq!(passage, Passage::GivenUp);
    assert_eq!(gate.pass(async {}).await, Passage::Refused);
    assert_eq!(next.expect("a term").pass(async {}).await, Passage::Done(()));
    let spec = server.spec();
    assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!("second"), &json!(1)));

    server.lock().cut_off.clear();
    server.lock().cut_off.insert("second");
    as_time_passes(&time, first.gates.recv()).await.expect("it leads again");
    assert_eq!(gate.pass(async {}).await, Passage::Refused, "the gate of its first term stays shut");
}

/// A leader that is asked to end lets its writes end, gives the lease up, and the next one need not wait for it to run out.
#[tokio::test]
async fn a_leader_that_ends_hands_over() {
    const LONG: (i64, i64) = (60_000, 30_000);
    // Time stands still: nobody sees the lease run out.
    let (server, time) = (Server::default(), ByHand::default());
    let mut first = stand(&server, &time, "first", LONG);
    let gate = in_time(first.gates.recv()).await.expect("a term");
    let mut second = stand(&server, &time, "second", LONG);
    let (tell, told) = oneshot::channel::<()>();
    let write = tokio::spawn({
        let gate = gate.clone();
        async move { gate.pass(told).await }
    });
    tokio::task::yield_now().await;
    first.end.send(()).expect("it runs");
    in_time(async {
        while gate.pass(async {}).await != Passage::Refused {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.spec()["holderIdentity"], "first", "a write is under way");
    tell.send(()).expect("it waits");
    in_time(first.task).await.expect("ends");
    assert_eq!(write.await.expect("ends"), Passage::Done(Ok(())));
    in_time(second.gates.recv()).await.expect("a term");
    assert_eq!(server.spec()["leaseTransitions"], 1);
}

/// The word to end comes between a renewal and its answer: the lease is given up all the same.
#[tokio::test]
async fn a_leader_that_ends_while_it_renews_hands_over() {
    let (server, time) = (Server::default(), ByHand::default());
    let mut first = stand(&server, &time, "first", (60_000, 30_000));
    in_time(first.gates.recv()).await.expect("a term");
    let before = server.lock().version;
    server.lock().loses_an_answer = true;
    time.passes(Millis(100));
    in_time(async {
        while server.lock().version == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    first.end.send(()).expect("it runs");
    in_time(first.task).await.expect("ends");
    assert_eq!(server.spec()["holderIdentity"], "");
}
