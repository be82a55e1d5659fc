//! Writes a status: the numbers into a copy of the set as it was read, once more on the live one if that is too old (R113).

use everynode_core::model::{Status, Version};
use serde_json::{Value, json};

use super::SetItem;
use super::execute::{Executor, version_of};
use super::revisions::set_path;
use crate::api::Failure;

impl Executor {
    pub(super) async fn write_status(&self, item: &SetItem, status: Status) -> Result<Version, Failure> {
        let path = set_path(item);
        let first = match self.put_status(&path, item.object.clone(), status).await {
            Ok(version) => return Ok(version),
            Err(failure) => failure,
        };
        let live = self.api.get(&path).await?;
        match serde_json::from_slice::<Value>(&live) {
            Ok(live) if live["metadata"]["uid"].as_str() == Some(item.set.uid.as_str()) => {
                self.put_status(&path, live, status).await
            }
            _ => Err(first),
        }
    }

    async fn put_status(&self, path: &str, mut object: Value, status: Status) -> Result<Version, Failure> {
        object["apiVersion"] = json!("apps/v1");
        object["kind"] = json!("DaemonSet");
        if !object["status"].is_object() {
            object["status"] = json!({});
        }
        // Conditions and the collision count are left as they are (R6, R110).
        let fields = &mut object["status"];
        fields["currentNumberScheduled"] = json!(status.current);
        fields["numberMisscheduled"] = json!(status.misscheduled);
        fields["desiredNumberScheduled"] = json!(status.desired);
        fields["numberReady"] = json!(status.ready);
        fields["updatedNumberScheduled"] = json!(status.updated);
        fields["numberAvailable"] = json!(status.available);
        fields["numberUnavailable"] = json!(status.unavailable);
        fields["observedGeneration"] = json!(status.observed_generation);
        let body = self.api.replace(&format!("{path}/status"), &object).await?;
        Ok(version_of(&body))
    }
}
