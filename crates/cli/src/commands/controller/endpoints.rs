//! What scrapers and probes ask: `/metrics`, `/healthz`, `/livez` and `/readyz`, over plain HTTP.

use std::convert::Infallible;
use std::time::Duration;

use everynode_control::health::{Check, Health};
use everynode_control::metrics::{CONTENT_TYPE, Metrics};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// How long a caller may take for its request's head.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait when no connection can be accepted, as when there are no file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers until it is dropped.
pub(super) async fn serve(listener: TcpListener, metrics: Metrics, health: Health) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (metrics, health) = (metrics.clone(), health.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer(request.method(), request.uri().path(), &metrics, &health);
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        tokio::spawn(async move {
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            // A caller that hangs up is no matter.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(method: &Method, path: &str, metrics: &Metrics, health: &Health) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n");
    }
    match path {
        "/metrics" => typed(StatusCode::OK, CONTENT_TYPE, metrics.text()),
        "/healthz" | "/livez" => judged(path, &health.live()),
        "/readyz" => judged(path, &health.ready()),
        _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

/// `ok`, or which checks failed, as Kubernetes' components answer.
fn judged(path: &str, checks: &[Check]) -> Response<Full<Bytes>> {
    if checks.iter().all(|check| check.is_well) {
        return text(StatusCode::OK, "ok");
    }
    let line = |check: &Check| match check.is_well {
        true => format!("[+]{} ok\n", check.name),
        false => format!("[-]{} failed: reason withheld\n", check.name),
    };
    let lines: String = checks.iter().map(line).collect();
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{} check failed\n", path.trim_start_matches('/')))
}

fn text(status: StatusCode, text: impl Into<String>) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", text.into())
}

fn typed(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_answer() {
        let (metrics, health) = (Metrics::default(), Health::default());
        let code = |method: &Method, path: &str| answer(method, path, &metrics, &health).status().as_u16();
        let table = [
            (Method::GET, "/livez", 200),
            (Method::GET, "/healthz", 200),
            (Method::HEAD, "/healthz", 200),
            (Method::GET, "/readyz", 500),
            (Method::GET, "/metrics", 200),
            (Method::GET, "/", 404),
            (Method::POST, "/metrics", 405),
        ];
        for (method, path, expect) in table {
            assert_eq!(code(&method, path), expect, "{method} {path}");
        }
    }
}
