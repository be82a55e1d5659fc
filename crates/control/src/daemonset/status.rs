//! Writes a status: the numbers into a copy of the set as it was read, once more on the live one if that is too old (R113).

use everynode_api::daemonset::wire;
use everynode_core::model::{Status, Version};
use serde_json::Value;

use super::SetItem;
use super::execute::Executor;
use crate::api::Failure;

impl Executor {
    pub(super) async fn write_status(&self, item: &SetItem, status: Status) -> Result<Version, Failure> {
        let first = match self.put_status(item, item.object.clone(), status).await {
            Ok(version) => return Ok(version),
            Err(failure) => failure,
        };
        let live = self.api.get(&wire::set_path(&item.set)).await?;
        match wire::same_set(&item.set, &live) {
            Some(live) => self.put_status(item, live, status).await,
            None => Err(first),
        }
    }

    async fn put_status(&self, item: &SetItem, object: Value, status: Status) -> Result<Version, Failure> {
        let body = self.ask(wire::write_status(&item.set, object, &status)).await?;
        Ok(wire::version_of(&body))
    }
}
