//! Leader election by a Lease, as Kubernetes' own components do it: the requests and the sleeps.
//!
//! Who stands for election reads the lease every now and then; who holds it renews it, and works behind a [`Gate`] that shuts by
//! itself when no renewal was granted in time. A leader that is asked to end lets its writes end, stops, and only then gives
//! the lease up.
//!
//! Not here: the rules (`everynode_core::leadership`). The leases by which nodes show signs of life are `heartbeat`.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

pub use everynode_core::leadership::Timing;
use everynode_core::leadership::{Candidate, Move, Record};
pub use everynode_core::model::Millis;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::api::{Api, Failure, collection};
use crate::chain::Chain;
use crate::clock::{self, Steady};
use crate::events::{About, Kind, Note, Recorder};
use crate::gate::Gate;
use crate::health::Health;
use crate::metrics::Metrics;

/// How a process stands for election.
#[derive(Clone, Debug)]
pub struct Election {
    /// The lease's namespace.
    pub namespace: String,
    /// The lease's name.
    pub name: String,
    /// Our name in it; no two processes may have the same.
    pub identity: String,
    /// The spans, checked.
    pub timing: Timing,
}

/// Retries of those who wait are spread over the retry period and this much of it more.
const JITTER: f64 = 1.2;
/// The least time for one request.
const REQUEST_MIN: Millis = Millis::from_secs(1);
/// How long a wait may trust a clock that stands still while the machine sleeps.
const LOOK: Millis = Millis(500);

/// Why the lease could not be got or kept this time.
#[derive(Debug, thiserror::Error)]
enum TryError {
    #[error("cannot read the lease")]
    Read(#[source] Failure),
    #[error("cannot read what the lease says")]
    Shape(#[source] serde_json::Error),
    #[error("cannot write the lease")]
    Write(#[source] Failure),
    #[error("no answer in time")]
    Late,
}

/// How a term ended.
#[derive(PartialEq, Eq)]
enum End {
    Lost,
    Asked,
}

/// One process that stands for election.
pub(crate) struct Elector {
    pub(crate) api: Api,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) election: Election,
    pub(crate) clock: Arc<Steady>,
}

impl Elector {
    /// Does `work` whenever this process leads, until `shutdown` resolves. `work` gets the gate of its term and is dropped at
    /// its end; it must not end by itself.
    pub(crate) async fn run<W: Future<Output = ()>>(
        self,
        mut work: impl FnMut(Gate) -> W,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = pin!(shutdown);
        let clock = Arc::clone(&self.clock);
        let identity = Arc::from(self.election.identity.as_str());
        let candidate = Candidate::new(identity, self.election.timing);
        let mut holder = Holder { elector: &self, clock, candidate, lease: None, last_seen: String::new() };
        self.metrics.leads(&self.election.name, false);
        loop {
            let gate = tokio::select! {
                gate = holder.acquire() => gate,
                () = &mut shutdown => return,
            };
            self.metrics.leads(&self.election.name, true);
            holder.announce("became leader");
            let end = holder.term(&gate, work(gate.clone()), shutdown.as_mut()).await;
            gate.shut();
            holder.candidate.resign();
            self.metrics.leads(&self.election.name, false);
            self.health.standing_by();
            holder.announce("stopped leading");
            if end == End::Asked {
                return;
            }
        }
    }
}

/// An elector with what it knows of the lease.
struct Holder<'e> {
    elector: &'e Elector,
    clock: Arc<Steady>,
    candidate: Candidate,
    /// The object as last read or written.
    lease: Option<Value>,
    /// Who was last seen to hold it, for the log.
    last_seen: String,
}

impl Holder<'_> {
    fn path(&self) -> String {
        collection("coordination.k8s.io", "v1", &self.elector.election.namespace, "leases")
    }

    fn timing(&self) -> Timing {
        self.elector.election.timing
    }

    /// Tries until it is leader.
    async fn acquire(&mut self) -> Gate {
        loop {
            let patience = Millis(self.timing().renew.0 / 2).max(REQUEST_MIN);
            match timeout(span(patience), self.look_and_try()).await.unwrap_or(Err(TryError::Late)) {
                Ok(true) => {
                    if let Some(until) = self.candidate.leads_until() {
                        self.elector.health.leading(&self.clock, until);
                        return Gate::open(Arc::clone(&self.clock), until);
                    }
                }
                Ok(false) => self.elector.health.standing_by(),
                Err(error) => tracing::warn!(error = %Chain(&error), "cannot stand for election; trying again"),
            }
            let stretch = 1.0 + JITTER * rand::random::<f64>();
            tokio::time::sleep(span(self.timing().retry).mul_f64(stretch)).await;
        }
    }

    /// One term: works and renews.
    async fn term(
        &mut self,
        gate: &Gate,
        work: impl Future<Output = ()>,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> End {
        let mut work = pin!(work);
        tokio::select! {
            () = self.keep(gate) => {
                // Before the work is dropped: nothing of it may write any more.
                gate.shut();
                return End::Lost;
            }
            () = &mut work => {
                tracing::error!("the controllers ended by themselves");
                return End::Lost;
            }
            () = &mut shutdown => {}
        }
        // The work goes on, so that what it has begun can end.
        let drained = tokio::select! {
            drained = gate.drain() => drained,
            () = &mut work => true,
        };
        if drained {
            self.give_up().await;
        } else {
            tracing::warn!("writes were still under way; the lease is left to run out");
        }
        End::Asked
    }

    /// Renews until that fails for too long, or another holds the lease.
    async fn keep(&mut self, gate: &Gate) {
        let mut renewed = self.clock.now().latest;
        loop {
            let next = renewed.plus(self.timing().retry);
            loop {
                let now = self.clock.now();
                if !self.candidate.leads(now) {
                    return;
                }
                let left = next.since(now.latest);
                if left.0 <= 0 {
                    break;
                }
                tokio::time::sleep(span(left.min(LOOK))).await;
            }
            renewed = self.clock.now().latest;
            let Some(until) = self.candidate.leads_until() else { return };
            let left = until.since(renewed).min(Millis(self.timing().renew.0 / 2).max(REQUEST_MIN));
            match timeout(span(left), self.renew()).await.unwrap_or(Err(TryError::Late)) {
                Ok(()) => {}
                Err(error) => tracing::warn!(error = %Chain(&error), "cannot renew the lease; trying again"),
            }
            if let Some(until) = self.candidate.leads_until() {
                gate.extend(until);
                self.elector.health.leading(&self.clock, until);
            }
        }
    }

    /// Writes a new time into the lease as last seen; if that is not what is there, looks again.
    async fn renew(&mut self) -> Result<(), TryError> {
        let asked = self.clock.now();
        if let Some(mut lease) = self.lease.clone() {
            lease["spec"]["renewTime"] = json!(clock::micro_time(clock::now()));
            match self.put(lease).await {
                Ok(()) => {
                    self.candidate.granted(asked);
                    return Ok(());
                }
                Err(error) => tracing::info!(error = %Chain(&error), "the lease is not as last seen; reading it"),
            }
        }
        self.look_and_try().await.map(|_| ())
    }

    /// Reads the lease and takes it if that may be: true when it is ours now.
    async fn look_and_try(&mut self) -> Result<bool, TryError> {
        let found = self.read().await?;
        let record = found.as_ref().map(record);
        self.tell(record.as_ref());
        // The time after the answer: what it says held at some time before.
        let asked = self.clock.now();
        let next = self.candidate.look(record, asked);
        self.lease = found;
        match next {
            Move::Wait => return Ok(false),
            Move::Create => self.create().await?,
            Move::Take { transitions } => self.write(Some(transitions)).await?,
            Move::Renew => self.write(None).await?,
        }
        self.candidate.granted(asked);
        Ok(true)
    }

    fn tell(&mut self, record: Option<&Record>) {
        let holder = record.map_or("", |record| &*record.holder);
        if holder != self.last_seen && !holder.is_empty() && holder != self.elector.election.identity {
            tracing::info!(holder, "another one leads");
        }
        holder.clone_into(&mut self.last_seen);
    }

    fn spec(&self, transitions: i32) -> Value {
        let now = clock::micro_time(clock::now());
        json!({
            "holderIdentity": self.elector.election.identity,
            "leaseDurationSeconds": self.timing().lease.0 / 1000,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        })
    }

    async fn create(&mut self) -> Result<(), TryError> {
        let Election { namespace, name, .. } = &self.elector.election;
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": namespace},
            "spec": self.spec(0),
        });
        let made = self.elector.api.create(&self.path(), &lease).await.map_err(TryError::Write)?;
        self.lease = Some(serde_json::from_slice(&made).map_err(TryError::Shape)?);
        Ok(())
    }

    /// Writes our claim into the lease as read: a new one with a count, a renewal without.
    async fn write(&mut self, transitions: Option<i32>) -> Result<(), TryError> {
        let mut lease = self.lease.clone().unwrap_or_default();
        let spec = self.spec(transitions.unwrap_or(0));
        if !lease["spec"].is_object() {
            lease["spec"] = json!({});
        }
        for (field, value) in spec.as_object().into_iter().flatten() {
            let is_kept = transitions.is_none() && ["acquireTime", "leaseTransitions"].contains(&field.as_str());
            if !is_kept {
                lease["spec"][field] = value.clone();
            }
        }
        self.put(lease).await
    }

    /// The object's version is the precondition.
    async fn put(&mut self, lease: Value) -> Result<(), TryError> {
        let path = format!("{}/{}", self.path(), self.elector.election.name);
        let written = self.elector.api.replace(&path, &lease).await.map_err(TryError::Write)?;
        self.lease = Some(serde_json::from_slice(&written).map_err(TryError::Shape)?);
        Ok(())
    }

    /// Takes our name out, so that the next one need not wait.
    async fn give_up(&mut self) {
        match timeout(span(self.timing().renew), self.try_to_give_up()).await.unwrap_or(Err(TryError::Late)) {
            Ok(()) => tracing::info!("gave the lease up"),
            Err(error) => tracing::warn!(error = %Chain(&error), "cannot give the lease up; it will run out"),
        }
    }

    async fn try_to_give_up(&mut self) -> Result<(), TryError> {
        loop {
            let Some(mut lease) =
                self.lease.clone().filter(|lease| *record(lease).holder == *self.elector.election.identity)
            else {
                return Ok(());
            };
            let now = clock::micro_time(clock::now());
            lease["spec"]["holderIdentity"] = json!("");
            lease["spec"]["leaseDurationSeconds"] = json!(1);
            lease["spec"]["acquireTime"] = json!(now);
            lease["spec"]["renewTime"] = json!(now);
            match self.put(lease).await {
                // The last renewal was done, and the word to end came before its answer.
                Err(TryError::Write(failure)) if failure.is_conflict() => self.lease = self.read().await?,
                result => return result,
            }
        }
    }

    async fn read(&self) -> Result<Option<Value>, TryError> {
        let path = format!("{}/{}", self.path(), self.elector.election.name);
        match self.elector.api.get(&path).await {
            Ok(body) => Ok(Some(serde_json::from_slice::<Value>(&body).map_err(TryError::Shape)?)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(TryError::Read(failure)),
        }
    }

    fn announce(&self, what: &str) {
        let election = &self.elector.election;
        tracing::info!(lease = %format_args!("{}/{}", election.namespace, election.name), "{} {what}", election.identity);
        let meta = self.lease.as_ref().map_or(&Value::Null, |lease| &lease["metadata"]);
        let about = About {
            api_version: "coordination.k8s.io/v1",
            kind: "Lease",
            namespace: election.namespace.as_str().into(),
            name: election.name.as_str().into(),
            uid: meta["uid"].as_str().unwrap_or_default().into(),
            version: meta["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0),
        };
        let message = format!("{} {what}", election.identity);
        self.elector.recorder.note(Note { about, kind: Kind::Normal, reason: "LeaderElection", message });
    }
}

fn span(span: Millis) -> Duration {
    Duration::from_millis(u64::try_from(span.0).unwrap_or(0))
}

fn record(lease: &Value) -> Record {
    let spec = &lease["spec"];
    Record {
        holder: spec["holderIdentity"].as_str().unwrap_or_default().into(),
        duration: Millis::from_secs(spec["leaseDurationSeconds"].as_i64().unwrap_or(0)),
        renewed: spec["renewTime"].as_str().unwrap_or_default().into(),
        transitions: spec["leaseTransitions"].as_i64().and_then(|count| i32::try_from(count).ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
