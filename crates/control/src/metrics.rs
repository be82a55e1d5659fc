//! What is counted, under the names of Kubernetes' own controllers where they have one (R172), in Prometheus' text format.
//!
//! Not here: serving it.

use std::sync::Arc;
use std::time::Duration;

use everynode_core::daemonset::Step;
use everynode_core::daemonset::plan::{CreateWhy, DeleteWhy, Outcome};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A histogram per label set.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All counters of one process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    /// The API's address, for labels.
    host: String,
    depth: Family<QueueName, Gauge>,
    adds: Family<QueueName, Counter>,
    retries: Family<QueueName, Counter>,
    waits: Histograms<QueueName>,
    works: Histograms<QueueName>,
    leads: Family<QueueName, Gauge>,
    requests: Family<Request, Counter>,
    latencies: Histograms<Verb>,
    steps: Family<StepLabels, Counter>,
    plans: Histogram,
    budget: Family<SetName, Gauge>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueName {
    name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    code: String,
    host: String,
    method: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Verb {
    host: String,
    verb: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StepLabels {
    kind: &'static str,
    reason: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SetName {
    namespace: String,
    daemonset: String,
}

/// 10 ns to 10 s, as work queues have it upstream.
fn queue_buckets() -> Histogram {
    Histogram::new(exponential_buckets(1e-8, 10.0, 10))
}

/// 1 ms to 65 s.
fn request_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 9))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::of("")
    }
}

impl Metrics {
    /// Nothing counted yet. `host` is the API's address.
    #[must_use]
    pub fn of(host: &str) -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            host: host.to_owned(),
            depth: Family::default(),
            adds: Family::default(),
            retries: Family::default(),
            waits: Family::new_with_constructor(queue_buckets),
            works: Family::new_with_constructor(queue_buckets),
            leads: Family::default(),
            requests: Family::default(),
            latencies: Family::new_with_constructor(request_buckets),
            steps: Family::default(),
            plans: Histogram::new(exponential_buckets(1e-5, 4.0, 10)),
            budget: Family::default(),
        };
        inner.register();
        Self(Arc::new(inner))
    }

    /// A work queue's counters.
    #[must_use]
    pub fn queue(&self, name: &str) -> QueueMetrics {
        let (all, name) = (&self.0, QueueName { name: name.to_owned() });
        QueueMetrics {
            depth: all.depth.get_or_create_owned(&name),
            adds: all.adds.get_or_create_owned(&name),
            retries: all.retries.get_or_create_owned(&name),
            waits: all.waits.get_or_create_owned(&name),
            works: all.works.get_or_create_owned(&name),
        }
    }

    /// Whether this process leads under the lease `name`.
    pub fn leads(&self, name: &str, leads: bool) {
        self.0.leads.get_or_create(&QueueName { name: name.to_owned() }).set(i64::from(leads));
    }

    /// A request was answered with `code`, or not at all.
    pub(crate) fn requested(&self, method: &str, code: Option<u16>, took: Duration) {
        let host = self.0.host.clone();
        let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        self.0.requests.get_or_create(&Request { code, host: host.clone(), method: method.to_owned() }).inc();
        self.0.latencies.get_or_create(&Verb { host, verb: method.to_owned() }).observe(took.as_secs_f64());
    }

    /// A decision was made.
    pub(crate) fn planned(&self, took: Duration) {
        self.0.plans.observe(took.as_secs_f64());
    }

    /// A step was taken.
    pub(crate) fn stepped(&self, step: &Step, outcome: Outcome) {
        let (kind, reason) = words(step);
        let outcome = match outcome {
            Outcome::Done { .. } => "Done",
            Outcome::Gone => "Gone",
            Outcome::Conflict => "Conflict",
            Outcome::Refused => "Refused",
            Outcome::NameTaken => "NameTaken",
            Outcome::NotTried => "NotTried",
            Outcome::NamespaceGoing => "NamespaceGoing",
            Outcome::Unknown => "Unknown",
        };
        self.0.steps.get_or_create(&StepLabels { kind, reason, outcome }).inc();
    }

    /// How many more nodes a set's rolling update may touch now; none for a set that is gone or does not roll.
    pub(crate) fn budget_left(&self, namespace: &str, name: &str, left: Option<i32>) {
        let set = SetName { namespace: namespace.to_owned(), daemonset: name.to_owned() };
        match left {
            Some(left) => {
                self.0.budget.get_or_create(&set).set(i64::from(left));
            }
            None => {
                self.0.budget.remove(&set);
            }
        }
    }

    /// All of it as text (version 0.0.4, which every scraper reads).
    #[must_use]
    pub fn text(&self) -> String {
        let mut open_metrics = String::new();
        // Writing to a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut open_metrics, &self.0.registry);
        classic(&open_metrics)
    }
}

impl Inner {
    fn register(&mut self) {
        let all = &mut self.registry;
        all.register("workqueue_depth", "Keys that wait in a work queue", self.depth.clone());
        all.register("workqueue_adds", "Keys that were put into a work queue", self.adds.clone());
        all.register("workqueue_retries", "Keys that were put back after a failure", self.retries.clone());
        let text = "Seconds that a key waited in a work queue";
        all.register("workqueue_queue_duration_seconds", text, self.waits.clone());
        let text = "Seconds from taking a key to handing it back";
        all.register("workqueue_work_duration_seconds", text, self.works.clone());
        let text = "1 while this process leads under the lease of this name";
        all.register("leader_election_master_status", text, self.leads.clone());
        all.register("rest_client_requests", "Requests to the API by code and method", self.requests.clone());
        let text = "Seconds until the API began to answer";
        all.register("rest_client_request_duration_seconds", text, self.latencies.clone());
        let text = "Steps of DaemonSets by what was done, why, and what became of it";
        all.register("everynode_daemonset_steps", text, self.steps.clone());
        let text = "Seconds that one decision about one DaemonSet took";
        all.register("everynode_daemonset_plan_duration_seconds", text, self.plans.clone());
        let text = "Nodes that the rolling update of a DaemonSet may touch now";
        all.register("everynode_daemonset_budget_left", text, self.budget.clone());
    }
}

/// From OpenMetrics to the older text format: there a counter's type is told of the name with its suffix.
fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 256);
    let mut help = None;
    for line in open_metrics.lines() {
        if line == "# EOF" {
            continue;
        }
        if line.starts_with("# HELP ") {
            help = Some(line);
            continue;
        }
        let counter = line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter"));
        if let Some(help) = help.take() {
            let renamed = counter.map(|name| help.replacen(name, &format!("{name}_total"), 1));
            text.push_str(renamed.as_deref().unwrap_or(help));
            text.push('\n');
        }
        match counter {
            Some(name) => text.push_str(&format!("# TYPE {name}_total counter")),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

fn words(step: &Step) -> (&'static str, &'static str) {
    match step {
        Step::Adopt(_) => ("AdoptPod", ""),
        Step::Release(_) => ("ReleasePod", ""),
        Step::AdoptRevision(_) => ("AdoptRevision", ""),
        Step::ReleaseRevision(_) => ("ReleaseRevision", ""),
        Step::LabelRevision(_) => ("LabelRevision", ""),
        Step::CreateRevision { .. } => ("CreateRevision", ""),
        Step::RenumberRevision { .. } => ("RenumberRevision", ""),
        Step::Relabel { .. } => ("RelabelPod", ""),
        Step::DeleteRevision(_) => ("DeleteRevision", ""),
        Step::Create { why, .. } => (
            "CreatePod",
            match why {
                CreateWhy::Missing => "Missing",
                CreateWhy::Surge => "Surge",
                CreateWhy::Rescue => "Rescue",
            },
        ),
        Step::Delete { why, .. } => (
            "DeletePod",
            match why {
                DeleteWhy::Failed => "Failed",
                DeleteWhy::Succeeded => "Succeeded",
                DeleteWhy::Duplicate => "Duplicate",
                DeleteWhy::Forbidden => "Forbidden",
                DeleteWhy::NoSuchNode => "NoSuchNode",
                DeleteWhy::OutdatedBroken => "OutdatedBroken",
                DeleteWhy::Outdated => "Outdated",
                DeleteWhy::Replaced => "Replaced",
                DeleteWhy::Sunset => "Sunset",
            },
        ),
    }
}

/// What one work queue counts.
#[derive(Clone)]
pub struct QueueMetrics {
    depth: Gauge,
    adds: Counter,
    retries: Counter,
    waits: Histogram,
    works: Histogram,
}

impl QueueMetrics {
    /// So many keys are ready now.
    pub(crate) fn deep(&self, keys: usize) {
        self.depth.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// A key was put in.
    pub(crate) fn added(&self) {
        self.adds.inc();
    }

    /// A key was put back after a failure.
    pub(crate) fn retried(&self) {
        self.retries.inc();
    }

    /// A key was taken that had waited so long.
    pub(crate) fn taken(&self, waited: Duration) {
        self.waits.observe(waited.as_secs_f64());
    }

    /// A key was handed back that had been worked on for so long.
    pub(crate) fn done(&self, worked: Duration) {
        self.works.observe(worked.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_upstreams_names_and_types() {
        let metrics = Metrics::of("10.0.0.1:443");
        let queue = metrics.queue("daemonset");
        queue.added();
        queue.deep(1);
        queue.taken(Duration::from_millis(1));
        metrics.leads("x", true);
        metrics.requested("GET", Some(200), Duration::from_millis(2));
        metrics.requested("PUT", None, Duration::from_millis(2));
        metrics.budget_left("ns", "logger", Some(2));
        metrics.budget_left("ns", "gone", Some(2));
        metrics.budget_left("ns", "gone", None);
        let text = metrics.text();
        for line in [
            "# HELP workqueue_adds_total Keys that were put into a work queue.",
            "# TYPE workqueue_adds_total counter",
            "workqueue_adds_total{name=\"daemonset\"} 1",
            "# TYPE workqueue_depth gauge",
            "workqueue_depth{name=\"daemonset\"} 1",
            "# TYPE workqueue_queue_duration_seconds histogram",
            "workqueue_queue_duration_seconds_count{name=\"daemonset\"} 1",
            "leader_election_master_status{name=\"x\"} 1",
            "rest_client_requests_total{code=\"200\",host=\"10.0.0.1:443\",method=\"GET\"} 1",
            "rest_client_requests_total{code=\"<error>\",host=\"10.0.0.1:443\",method=\"PUT\"} 1",
            "everynode_daemonset_budget_left{namespace=\"ns\",daemonset=\"logger\"} 2",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("# EOF") && !text.contains("\"gone\""), "{text}");
    }
}
