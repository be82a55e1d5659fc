//! Publishes the certificate authority of the API in every active namespace, as ConfigMap `kube-root-ca.crt` (A485).

use std::sync::Arc;

use serde_json::json;

use crate::presence::{self, Data, Wanted};
use crate::{Context, ControllerError};

const NAME: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
    endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
    distributions of Kubernetes clusters.";

/// Runs until it is dropped. Without a certificate to publish it only waits.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let Some(certificate) = context.config.root_ca.clone() else {
        return std::future::pending().await;
    };
    let wanted = Wanted {
        account: "root-ca-cert-publisher",
        what: "config maps named kube-root-ca.crt",
        plural: "configmaps",
        name: NAME,
        data: Some(Data::from([("ca.crt".to_owned(), certificate)])),
        make: |namespace, data| {
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": NAME,
                    "namespace": namespace,
                    "annotations": {"kubernetes.io/description": DESCRIPTION},
                },
                "data": data,
            })
        },
    };
    presence::keep(context, wanted).await
}
