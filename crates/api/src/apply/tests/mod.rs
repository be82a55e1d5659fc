//! Tests of ownership and apply, on real shapes. Each table cites the rule that it holds (A145–A162).

mod applies;
mod entries;
mod histories;
mod sets;
mod updates;

use serde_json::{Value, json};

use super::*;
use crate::schema::{Shape, table};
use crate::status::Status;
use crate::value::Read;

const NOW: &str = "2026-11-21T10:00:00Z";
const LATER: &str = "2026-11-21T10:00:09Z";

fn shape(name: &str) -> &'static Shape {
    table().shape(name).expect("a shape of the table")
}

/// A kind under test, with one live object that is written again and again.
struct Live {
    target: Target<'static>,
    api_version: &'static str,
    resets: Set,
    object: Option<Value>,
    now: &'static str,
}

impl Live {
    fn daemon_set() -> Self {
        let target = Target { shape: shape("apps.v1.DaemonSet"), group: "apps", version: "v1", kind: "DaemonSet" };
        let resets = Set::of_paths([&["status"] as &[&str]]);
        Live { target, api_version: "apps/v1", resets, object: None, now: NOW }
    }

    fn config_map() -> Self {
        let target = Target { shape: shape("core.v1.ConfigMap"), group: "", version: "v1", kind: "ConfigMap" };
        Live { target, api_version: "v1", resets: Set::default(), object: None, now: NOW }
    }

    fn writer<'w>(&'w self, manager: &'w str, subresource: &'w str) -> Writer<'w> {
        Writer { manager, api_version: self.api_version, subresource, now: self.now, resets: &self.resets }
    }

    /// The stored bytes of an object, read again.
    fn store(&mut self, object: &Value) {
        self.object = Some(self.decode(object));
    }

    /// An object as it comes out of the body of a request.
    fn decode(&self, object: &Value) -> Value {
        let decoded = crate::codec::json::decode_value(object, self.target.shape, crate::codec::Strictness::Warn);
        decoded.expect("an object of the shape").0
    }

    fn apply(&mut self, manager: &str, intent: &Value, force: bool) -> Result<(), Status> {
        let live = self.object.as_ref().map(|object| crate::codec::json::full(object, self.target.shape));
        let applied = apply(&self.target, live.as_ref(), intent, &self.writer(manager, ""), force)?;
        self.store(&applied);
        Ok(())
    }

    fn update(&mut self, manager: &str, change: impl FnOnce(&mut Value)) {
        self.update_through(manager, "", change);
    }

    fn update_through(&mut self, manager: &str, subresource: &str, change: impl FnOnce(&mut Value)) {
        let mut new = self.object.clone().unwrap_or_else(|| json!({}));
        change(&mut new);
        let mut new = self.decode(&new);
        let writer = Writer { manager, subresource, ..self.writer(manager, subresource) };
        update(self.target.shape, self.object.as_ref(), &mut new, &writer);
        self.store(&new);
    }

    /// The entries as `manager operation subresource`, each with its fields, in stored order.
    fn owners(&self) -> Vec<(String, Value)> {
        let object = self.object.as_ref().expect("an object");
        let show = |entry: &Value| {
            let words = ["manager", "operation", "subresource"].map(|part| entry.text_or_empty(part).to_owned());
            (words.join(" ").trim_end().to_owned(), entry["fieldsV1"].clone())
        };
        object.list("metadata.managedFields").iter().map(show).collect()
    }

    fn fields_of(&self, owner: &str) -> Value {
        self.owners().into_iter().find(|(name, _)| name == owner).map(|(_, fields)| fields).unwrap_or_default()
    }

    fn at(&self, path: &str) -> Value {
        self.object.as_ref().and_then(|object| object.at(path)).cloned().unwrap_or_default()
    }
}

fn set_of(set: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web"}, "spec": set})
}

fn containers(list: &Value) -> Value {
    set_of(&json!({"template": {"spec": {"containers": list}}}))
}

fn data(members: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": members})
}
