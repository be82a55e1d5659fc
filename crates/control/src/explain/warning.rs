//! Asks for warnings about pods that are not ready and do not say why; what they tell is `everynode-core`'s to say.

use everynode_core::explain::warning::{self, Warning};
use everynode_core::model::Millis;

use super::event::{self, Event};
use super::{Around, ExplainError};
use crate::api::Api;

/// So many warnings of a namespace are looked through.
const MOST: usize = 5_000;
const WARNINGS: &str = "involvedObject.kind=Pod,type=Warning";

impl Around {
    /// Asks for warnings if there is a pod that they could speak for.
    pub(super) async fn add_warnings(&mut self, api: &Api, namespace: &str, now: Millis) -> Result<(), ExplainError> {
        if warning::silent(&self.pods, &self.troubles).next().is_none() {
            return Ok(());
        }
        let events = event::select(api, namespace, WARNINGS, MOST).await?;
        warning::add(&mut self.troubles, &self.pods, events.into_iter().map(told).collect(), now);
        Ok(())
    }
}

fn told(event: Event) -> Warning {
    let at = event.at();
    Warning { pod: event.involved_object.uid.as_str().into(), at, reason: event.reason, message: event.message }
}
