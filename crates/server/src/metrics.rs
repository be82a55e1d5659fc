//! `/metrics` (A16): what a scraper of an API server looks for, and no more.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::{Method, Response, StatusCode};

use crate::body::Body;
use crate::respond;
use crate::router::{self, Target};

/// Upper bounds of the duration histogram, in seconds.
const BUCKETS: [f64; 8] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0];
/// Series that are kept; a client cannot make more by asking for odd paths.
const SERIES_MAX: usize = 5_000;

/// What a request is counted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Labels {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
}

impl Labels {
    /// Names of unknown groups and resources are not kept: they would be a client's choice.
    pub(crate) fn of(method: &Method, target: &Target, watch: bool) -> Self {
        let none = Self {
            verb: "",
            group: String::new(),
            version: String::new(),
            resource: String::new(),
            subresource: String::new(),
            scope: "",
        };
        match target {
            Target::Resource(place)
                if everynode_api::registry::find(&place.group, &place.version, &place.resource).is_some() =>
            {
                let scope = match (place.name.is_empty(), place.namespace.is_empty()) {
                    (false, _) => "resource",
                    (true, false) => "namespace",
                    (true, true) => "cluster",
                };
                Self {
                    verb: verb(router::verb(method, place, watch)),
                    group: place.group.clone(),
                    version: place.version.clone(),
                    resource: place.resource.clone(),
                    subresource: if place.subresource.len() < 32 { place.subresource.clone() } else { String::new() },
                    scope,
                }
            }
            _ => none,
        }
    }
}

fn verb(verb: &str) -> &'static str {
    match verb {
        "create" => "POST",
        "update" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        "list" => "LIST",
        "watch" => "WATCH",
        _ => "GET",
    }
}

#[derive(Default)]
struct Series {
    codes: BTreeMap<u16, u64>,
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

/// Makes the text of metrics that others keep.
type Further = Box<dyn Fn() -> String + Send + Sync>;

/// Counters of all requests.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<Labels, Series>>,
    further: OnceLock<Further>,
}

impl Metrics {
    /// Tells these, too. The first call counts.
    pub(crate) fn tell_also(&self, further: impl Fn() -> String + Send + Sync + 'static) {
        // A second one would tell the same things twice.
        let _ = self.further.set(Box::new(further));
    }

    /// Counts a request; of a watch or stream, its opening.
    pub(crate) fn count(&self, labels: Labels, code: u16, took: Duration) {
        let mut all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= SERIES_MAX && !all.contains_key(&labels) {
            return;
        }
        let series = all.entry(labels).or_default();
        *series.codes.entry(code).or_default() += 1;
        let seconds = took.as_secs_f64();
        series.count += 1;
        series.seconds += seconds;
        for (bucket, bound) in series.buckets.iter_mut().zip(BUCKETS) {
            if seconds <= bound {
                *bucket += 1;
            }
        }
    }

    /// All of them as text.
    pub(crate) fn answer(&self) -> Response<Body> {
        let all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::with_capacity(all.len() * 1024);
        text.push_str("# HELP apiserver_request_total Requests by verb, resource, scope and HTTP code.\n");
        text.push_str("# TYPE apiserver_request_total counter\n");
        for (labels, series) in all.iter() {
            let names = names(labels);
            for (code, count) in &series.codes {
                line(&mut text, &format!("apiserver_request_total{{{names},code=\"{code}\",dry_run=\"\"}} {count}"));
            }
        }
        text.push_str("# HELP apiserver_request_duration_seconds Time until the answer began.\n");
        text.push_str("# TYPE apiserver_request_duration_seconds histogram\n");
        for (labels, series) in all.iter() {
            histogram(&mut text, &names(labels), series);
        }
        drop(all);
        process(&mut text);
        if let Some(further) = self.further.get() {
            text.push_str(&further());
        }
        respond::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", text)
    }
}

fn names(labels: &Labels) -> String {
    format!(
        "verb=\"{}\",group=\"{}\",version=\"{}\",resource=\"{}\",subresource=\"{}\",scope=\"{}\",component=\"apiserver\"",
        labels.verb, labels.group, labels.version, labels.resource, labels.subresource, labels.scope
    )
}

fn histogram(text: &mut String, names: &str, series: &Series) {
    const NAME: &str = "apiserver_request_duration_seconds";
    for (bound, count) in BUCKETS.iter().zip(series.buckets) {
        line(text, &format!("{NAME}_bucket{{{names},le=\"{bound}\"}} {count}"));
    }
    line(text, &format!("{NAME}_bucket{{{names},le=\"+Inf\"}} {}", series.count));
    line(text, &format!("{NAME}_sum{{{names}}} {}", series.seconds));
    line(text, &format!("{NAME}_count{{{names}}} {}", series.count));
}

fn process(text: &mut String) {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return };
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    if let Some(kilobytes) = kilobytes {
        text.push_str("# HELP process_resident_memory_bytes Resident memory.\n");
        text.push_str("# TYPE process_resident_memory_bytes gauge\n");
        line(text, &format!("process_resident_memory_bytes {}", kilobytes * 1024));
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}
