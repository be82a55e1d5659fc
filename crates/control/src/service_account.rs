//! Sees to it that every active namespace has the service account `default` (A484).

use std::sync::Arc;

use serde_json::json;

use crate::presence::{self, Wanted};
use crate::{Context, ControllerError};

const NAME: &str = "default";

/// Runs until it is dropped.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let wanted = Wanted {
        account: "service-account-controller",
        what: "service accounts named default",
        plural: "serviceaccounts",
        name: NAME,
        data: None,
        make: |namespace, _| {
            json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": NAME, "namespace": namespace},
            })
        },
    };
    presence::keep(context, wanted).await
}
