//! Signing requests: what is asked for, and waiting for the answer (N57, N60).

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use sha2::{Digest as _, Sha256};

/// Time between looks at a request that is waiting, growing, and the time after which it is given up.
const LOOK_FIRST: Duration = Duration::from_millis(20);
const LOOK_CAP: Duration = Duration::from_secs(2);
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Any failure on the way to a certificate.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a certificate is for.
pub(super) enum Usage {
    /// Speaking to the API server.
    Client,
    /// Being spoken to, at these addresses.
    Serving { addresses: Vec<IpAddr> },
}

/// A certificate with its key, as PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A certificate by which the node is known to the API server.
pub(super) async fn client_certificate(client: &kube::Client, node: &str) -> Result<Pair, Failure> {
    certificate(client, node, &Usage::Client).await
}

/// Asks for a certificate and waits for it.
pub(super) async fn certificate(client: &kube::Client, node: &str, usage: &Usage) -> Result<Pair, Failure> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(DnType::CommonName, format!("system:node:{node}"));
    let (signer, word) = match usage {
        Usage::Client => ("kubernetes.io/kube-apiserver-client-kubelet", "client auth"),
        Usage::Serving { addresses } => {
            params.subject_alt_names.push(SanType::DnsName(node.try_into()?));
            params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
            ("kubernetes.io/kubelet-serving", "server auth")
        }
    };
    let pem = params.serialize_request(&key)?.pem()?;
    let sum: String = Sha256::digest(&pem).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("node-csr-{sum}");
    let request = CertificateSigningRequest {
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(pem.into_bytes()),
            signer_name: signer.to_owned(),
            usages: Some(vec!["digital signature".to_owned(), word.to_owned()]),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    };
    let api: Api<CertificateSigningRequest> = Api::all(client.clone());
    api.create(&PostParams::default(), &request).await?;
    let wait = wait_for(&api, &name);
    let certificate =
        tokio::time::timeout(WAIT_MAX, wait).await.map_err(|_| "nobody signed the request in an hour")??;
    Ok(Pair { certificate, key: key.serialize_pem() })
}

async fn wait_for(api: &Api<CertificateSigningRequest>, name: &str) -> Result<String, Failure> {
    let mut wait = LOOK_FIRST;
    loop {
        let status = api.get(name).await?.status.unwrap_or_default();
        if let Some(certificate) = status.certificate.filter(|certificate| !certificate.0.is_empty()) {
            return Ok(String::from_utf8(certificate.0)?);
        }
        let conditions = status.conditions.unwrap_or_default();
        if let Some(refused) =
            conditions.iter().find(|condition| matches!(condition.type_.as_str(), "Denied" | "Failed"))
        {
            let (kind, message) = (&refused.type_, refused.message.as_deref().unwrap_or_default());
            return Err(format!("signing request {name} was answered with {kind}: {message}").into());
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LOOK_CAP);
    }
}
