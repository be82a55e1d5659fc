//! JSON requests through a [`kube::Client`], without types: paths and bytes in, bytes or a Kubernetes `Status` out.
//!
//! Not here: retries (the queue's) and watches (`cache`).

use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use kube::client::Body;
use serde::Deserialize;
use serde_json::Value;

use crate::gate::{Gate, Passage};
use crate::metrics::Metrics;

/// What kind of patch a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch {
    /// RFC 7386.
    Merge,
    /// Kubernetes' own, which knows list keys.
    Strategic,
    /// RFC 6902.
    Json,
}

impl Patch {
    fn content_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Json => "application/json-patch+json",
        }
    }
}

/// Why a request did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server said no. The text is the server's message, as upstream prints errors.
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    /// It is not known whether the server did it.
    #[error("the server cannot be reached")]
    Unreachable(#[source] kube::Error),
    /// The request could not be made.
    #[error("cannot make the request")]
    Request(#[source] http::Error),
    /// A write of a leader whose term is over; it was not sent, or given up.
    #[error("this process leads no more")]
    TermOver,
}

/// A `Status` that says no.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// `NotFound`, `Conflict`, …
    pub reason: String,
    /// In words.
    pub message: String,
    /// Causes and a time to wait.
    pub details: Details,
}

/// `details` of a `Status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Details {
    /// One by one.
    pub causes: Vec<Cause>,
    /// How long to wait before the next try.
    pub retry_after_seconds: u32,
}

/// One cause.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// `NamespaceTerminating`, …
    pub reason: String,
    /// In words.
    pub message: String,
}

impl Failure {
    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Unreachable(_) | Self::Request(_) | Self::TermOver => None,
        }
    }

    fn has_reason(&self, reason: &str) -> bool {
        self.refusal().is_some_and(|refusal| refusal.reason == reason)
    }

    /// The HTTP status, when the server said no.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        self.refusal().map(|refusal| refusal.code)
    }

    /// The object is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.has_reason("NotFound")
    }

    /// A precondition did not hold: the object has changed.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.has_reason("Conflict")
    }

    /// The name is taken.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.has_reason("AlreadyExists")
    }

    /// Validation refused the object.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.has_reason("Invalid")
    }

    /// The version asked for is no longer there.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == 410)
    }

    /// The namespace is going away.
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| refusal.details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"))
    }

    /// It is not known whether the write was made.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TermOver => true,
            // An API server answers 5xx also when its store was too slow to say that it has done the write.
            Self::Refused(refusal) => refusal.code >= 500,
            Self::Request(_) => false,
        }
    }
}

/// The API of one server, as one identity. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    client: kube::Client,
    metrics: Option<Metrics>,
    gate: Option<Gate>,
}

impl Api {
    /// Speaks through this client.
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        Self { client, metrics: None, gate: None }
    }

    /// Counts its requests there.
    #[must_use]
    pub fn counted(self, metrics: Metrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Writes only while this gate is open.
    #[must_use]
    pub fn behind(self, gate: Gate) -> Self {
        Self { gate: Some(gate), ..self }
    }

    /// The client, for what is not plain JSON.
    #[must_use]
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Sends a request and hands back the open answer when it is a success.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<http::Response<Body>, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, content_type)
            .header(header::USER_AGENT, PROGRAM)
            .body(Body::from(body))
            .map_err(Failure::Request)?;
        let is_write = request.method() != Method::GET;
        match &self.gate {
            Some(gate) if is_write => match gate.pass(self.exchange(request)).await {
                Passage::Done(result) => result,
                Passage::Refused | Passage::GivenUp => Err(Failure::TermOver),
            },
            Some(_) | None => self.exchange(request).await,
        }
    }

    async fn exchange(&self, request: Request<Body>) -> Result<http::Response<Body>, Failure> {
        let (method, asked) = (request.method().clone(), Instant::now());
        let result = self.client.send(request).await;
        if let Some(metrics) = &self.metrics {
            let code = result.as_ref().ok().map(|response| response.status().as_u16());
            metrics.requested(method.as_str(), code, asked.elapsed());
        }
        let response = result.map_err(Failure::Unreachable)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.into_body().collect_bytes().await.unwrap_or_default();
        Err(Failure::Refused(Box::new(refusal(status, &body))))
    }

    /// Sends a request and reads the answer whole.
    pub async fn send(&self, method: Method, path: &str, content_type: &str, body: Vec<u8>) -> Result<Bytes, Failure> {
        let response = self.open(method, path, content_type, body).await?;
        response.into_body().collect_bytes().await.map_err(Failure::Unreachable)
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Result<Bytes, Failure> {
        self.send(Method::GET, path, JSON, Vec::new()).await
    }

    /// `POST` of a new object, or of a subresource such as `binding`.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Bytes, Failure> {
        self.send(Method::POST, path, JSON, object.to_string().into_bytes()).await
    }

    /// `PUT`: the object's `resourceVersion` is the precondition.
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Bytes, Failure> {
        self.send(Method::PUT, path, JSON, object.to_string().into_bytes()).await
    }

    /// `PATCH`: put uid and `resourceVersion` into the patch's metadata as preconditions.
    pub async fn patch(&self, path: &str, kind: Patch, patch: &Value) -> Result<Bytes, Failure> {
        self.send(Method::PATCH, path, kind.content_type(), patch.to_string().into_bytes()).await
    }

    /// `DELETE` with a `DeleteOptions` body (`{}` for none).
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Bytes, Failure> {
        self.send(Method::DELETE, path, JSON, options.to_string().into_bytes()).await
    }
}

const JSON: &str = "application/json";
/// Its first word is the name under which the controllers own fields.
const PROGRAM: &str = concat!("everynode-controller/", env!("CARGO_PKG_VERSION"));

fn refusal(status: StatusCode, body: &[u8]) -> Refusal {
    let mut refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    refusal.code = status.as_u16();
    if refusal.message.is_empty() {
        refusal.message = format!("the server answered {status}");
    }
    refusal
}

/// `/api/v1/namespaces/NS/pods` for `("", "v1", "pods")`, `/apis/apps/v1/…` for others; an empty namespace is left out.
#[must_use]
pub fn collection(group: &str, version: &str, namespace: &str, plural: &str) -> String {
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    if namespace.is_empty() { format!("{root}/{plural}") } else { format!("{root}/namespaces/{namespace}/{plural}") }
}
