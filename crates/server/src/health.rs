//! `/livez`, `/readyz`, `/healthz` and `/version` (A13–A15).

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Response, StatusCode};

use crate::body::Body;
use crate::respond;
use crate::router::Query;

/// The Kubernetes version whose API is served.
const MINOR: &str = "36";

/// What the health endpoints report.
#[derive(Debug, Default)]
pub(crate) struct Health {
    ready: AtomicBool,
    stopping: AtomicBool,
}

struct Check {
    name: &'static str,
    fine: bool,
}

impl Health {
    /// The server serves.
    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// `/readyz` turns red before connections close (A15).
    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn checks(&self, endpoint: &str) -> Vec<Check> {
        let mut checks = vec![
            Check { name: "ping", fine: true },
            Check { name: "log", fine: true },
            Check { name: "etcd", fine: true },
        ];
        if endpoint == "readyz" {
            let ready = self.ready.load(Ordering::Acquire);
            checks.push(Check { name: "informer-sync", fine: ready });
        }
        checks.push(Check { name: "poststarthook/rbac/bootstrap-roles", fine: true });
        if endpoint == "readyz" {
            checks.push(Check { name: "shutdown", fine: !self.stopping.load(Ordering::Acquire) });
        }
        checks
    }

    /// Answers `/livez`, `/readyz`, `/healthz` and what is below them; `None` for other paths.
    pub(crate) fn answer(&self, path: &str, query: &Query) -> Option<Response<Body>> {
        let path = path.trim_matches('/');
        let (endpoint, check) = path.split_once('/').unwrap_or((path, ""));
        if !matches!(endpoint, "livez" | "readyz" | "healthz") {
            return None;
        }
        let checks = self.checks(endpoint);
        if check.is_empty() {
            return Some(all(endpoint, &checks, query));
        }
        let Some(found) = checks.iter().find(|c| c.name == check) else { return Some(respond::not_found()) };
        Some(if found.fine {
            respond::text(StatusCode::OK, "ok")
        } else {
            respond::text(StatusCode::INTERNAL_SERVER_ERROR, "internal server error: not finished\n")
        })
    }
}

fn all(endpoint: &str, checks: &[Check], query: &Query) -> Response<Body> {
    let excluded: Vec<&str> = query.all("exclude").collect();
    let mut text = String::new();
    let mut fine = true;
    for check in checks {
        let line = if excluded.contains(&check.name) {
            writeln!(text, "[+]{} excluded: ok", check.name)
        } else if check.fine {
            writeln!(text, "[+]{} ok", check.name)
        } else {
            fine = false;
            writeln!(text, "[-]{} failed: reason withheld", check.name)
        };
        debug_assert!(line.is_ok(), "writing to a String cannot fail");
    }
    for unknown in excluded.iter().filter(|name| !checks.iter().any(|c| c.name == **name)) {
        text.push_str(&format!("warn: some health checks cannot be excluded: no matches for {unknown:?}\n"));
    }
    if !fine {
        text.push_str(&format!("{endpoint} check failed\n"));
        return respond::text(StatusCode::INTERNAL_SERVER_ERROR, text);
    }
    if query.get("verbose").is_some() {
        text.push_str(&format!("{endpoint} check passed\n"));
        return respond::text(StatusCode::OK, text);
    }
    respond::text(StatusCode::OK, "ok")
}

/// `/version` (A13): always indented.
pub(crate) fn version() -> Response<Body> {
    let git_version = format!("v1.{MINOR}.2+everynode.{}", env!("CARGO_PKG_VERSION"));
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    respond::json(format!(
        r#"{{
  "major": "1",
  "minor": "{MINOR}",
  "emulationMajor": "1",
  "emulationMinor": "{MINOR}",
  "minCompatibilityMajor": "1",
  "minCompatibilityMinor": "35",
  "gitVersion": "{git_version}",
  "gitCommit": "0000000000000000000000000000000000000000",
  "gitTreeState": "clean",
  "buildDate": "2026-01-01T00:00:00Z",
  "goVersion": "none",
  "compiler": "rustc",
  "platform": "linux/{arch}"
}}"#
    ))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn get(health: &Health, path: &str, query: &str) -> (u16, String) {
        let response = health.answer(path, &Query::parse(Some(query))).expect("a health path");
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A14, A15: red until ready, red again before connections close; one check by name; verbose always when red.
    #[tokio::test]
    async fn a14_health() {
        let health = Health::default();
        let (status, text) = get(&health, "/readyz", "").await;
        assert_eq!(status, 500);
        assert!(text.contains("[-]informer-sync failed: reason withheld\n") && text.ends_with("readyz check failed\n"));
        health.set_ready();
        assert_eq!(get(&health, "/readyz", "").await, (200, "ok".to_owned()));
        assert_eq!(get(&health, "/livez/ping", "").await, (200, "ok".to_owned()));
        assert_eq!(get(&health, "/livez/no-such-check", "").await.0, 404);
        let (_, text) = get(&health, "/livez", "verbose&exclude=etcd").await;
        assert!(text.starts_with("[+]ping ok\n") && text.contains("[+]etcd excluded: ok\n"));
        assert!(text.ends_with("livez check passed\n"));
        health.set_stopping();
        let (status, text) = get(&health, "/readyz", "").await;
        assert_eq!((status, text.contains("[-]shutdown failed: reason withheld\n")), (500, true));
        assert!(health.answer("/version", &Query::default()).is_none());
    }
}
