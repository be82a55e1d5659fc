//! Who may come in (N331).

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::Serving;
use crate::kit::Kit;

/// The name under which the API server calls its nodes.
const API_SERVER: &str = "kube-apiserver-kubelet-client";
const MASTERS: &str = "system:masters";

/// Who is at the other end, by certificate; checked against the authority already.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    name: Option<String>,
    groups: Vec<String>,
}

/// Why a request is turned away.
pub(super) struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        super::refuse(self.0, self.1)
    }
}

/// TLS of the node: certificates of clients are asked for, and must be of the cluster's authority when they are shown.
pub(super) fn tls(serving: &Serving) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let read = |pem: &str| -> Result<Vec<CertificateDer<'static>>, String> {
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|error| error.to_string())
    };
    let mut roots = RootCertStore::empty();
    for authority in read(&serving.client_ca)? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(serving.key.as_bytes()).map_err(|error| error.to_string())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier)
        .with_single_cert(read(&serving.certificate)?, key)
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Name and groups of the certificate that the client showed.
pub(super) fn peer(connection: &ServerConnection) -> Peer {
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let Some(certificate) = certificate.and_then(|der| X509Certificate::from_der(der).ok()) else {
        return Peer::default();
    };
    let subject = certificate.1.subject();
    let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().ok().map(str::to_owned);
    let name = subject.iter_common_name().next().and_then(text);
    Peer { name, groups: subject.iter_organization().filter_map(text).collect() }
}

/// What a request asks for.
pub(super) struct Asked {
    subresource: &'static str,
    verb: &'static str,
    token: Option<String>,
}

impl Asked {
    /// Reads a request.
    pub(super) fn of(request: &Request) -> Self {
        let header = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        Self {
            subresource: if request.uri().path().starts_with("/metrics") { "metrics" } else { "proxy" },
            verb: match *request.method() {
                Method::POST => "create",
                Method::PUT => "update",
                _ => "get",
            },
            token: header.and_then(|value| value.strip_prefix("Bearer ")).map(|token| token.trim().to_owned()),
        }
    }
}

/// Whether this request is let in.
pub(super) async fn check(kit: &Kit, peer: &Peer, asked: Asked) -> Result<(), Refusal> {
    if peer.name.as_deref() == Some(API_SERVER) || peer.groups.iter().any(|group| group == MASTERS) {
        return Ok(());
    }
    let (user, groups) = match &peer.name {
        Some(name) => (name.clone(), peer.groups.clone()),
        None => by_token(kit, asked.token).await?,
    };
    let Asked { subresource, verb, .. } = asked;
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.clone()),
            groups: Some(groups),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                resource: Some("nodes".to_owned()),
                name: Some(kit.config.node_name.clone()),
                subresource: Some(subresource.to_owned()),
                version: Some("v1".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(kit.client.clone());
    match api.create(&PostParams::default(), &review).await {
        Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => Ok(()),
        Ok(_) => {
            let node = &kit.config.node_name;
            let text =
                format!("Forbidden (user={user}, verb={verb}, resource=nodes, subresource={subresource}, node={node})");
            Err(Refusal(StatusCode::FORBIDDEN, text))
        }
        Err(error) => Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

async fn by_token(kit: &Kit, token: Option<String>) -> Result<(String, Vec<String>), Refusal> {
    let unauthorized = || Refusal(StatusCode::UNAUTHORIZED, "Unauthorized".to_owned());
    let token = token.ok_or_else(unauthorized)?;
    let review =
        TokenReview { spec: TokenReviewSpec { token, ..TokenReviewSpec::default() }, ..TokenReview::default() };
    let api: Api<TokenReview> = Api::all(kit.client.clone());
    let answer = api.create(&PostParams::default(), &review).await;
    let status = answer.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?.status;
    let status = status.filter(|status| status.authenticated == Some(true)).ok_or_else(unauthorized)?;
    let user = status.user.unwrap_or_default();
    Ok((user.username.unwrap_or_default(), user.groups.unwrap_or_default()))
}
