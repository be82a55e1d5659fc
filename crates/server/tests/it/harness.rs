//! A server on an empty store, and requests to it.

use bytes::Bytes;
use everynode_server::{Body, Config, Identity, Running, Server, Store};
use everynode_store::backend::Memory;
use futures::StreamExt;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, BodyStream, Full};
use serde_json::Value;
use tower::ServiceExt;

/// A running server with its data directory.
pub(crate) struct Harness {
    pub(crate) running: Running,
    pub(crate) store: Store,
    _folder: tempfile::TempDir,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body as JSON, if the code is as expected.
    #[track_caller]
    pub(crate) fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.text());
        self.json()
    }
}

impl Harness {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let config = everynode_store::Config::standard(Box::new(everynode_server::topics));
        let store = Store::open(Box::new(Memory::default()), config).expect("a store");
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            also_listen: Vec::new(),
            data_dir: folder.path().to_owned(),
            advertise: None,
            names: Vec::new(),
        };
        let running = Server::start(config, store.clone()).await.expect("a server");
        Self { running, store, _folder: folder }
    }

    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Body> {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).expect("a method")).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let service = self.running.service(Identity::masters("test"));
        service.oneshot(request).await.expect("never fails")
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let (parts, body) = self.raw(method, path, headers, body).await.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Answer { code: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[], body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> Answer {
        self.send("PATCH", path, &[("content-type", "application/merge-patch+json")], patch.to_string()).await
    }

    /// The events of a watch, one after the other.
    pub(crate) async fn watch(&self, path: &str) -> Watch {
        let response = self.raw("GET", path, &[], "").await;
        assert_eq!(response.status(), 200, "{path}");
        Watch { body: BodyStream::new(response.into_body()), held: Vec::new() }
    }
}

/// An open watch.
pub(crate) struct Watch {
    body: BodyStream<Body>,
    held: Vec<u8>,
}

impl Watch {
    /// The next event, or nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.held.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("an event"));
            }
            let frame = self.body.next().await?.expect("a frame");
            self.held.extend_from_slice(frame.data_ref().expect("data"));
        }
    }

    /// Type and name of the next event.
    pub(crate) async fn brief(&mut self) -> Option<(String, String)> {
        let event = self.next().await?;
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        Some((text(&event["type"]), text(&event["object"]["metadata"]["name"])))
    }
}
