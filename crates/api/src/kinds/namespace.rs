//! Namespace: its finalizer, phase and name label (A350–A355).

use serde_json::{Value, json};

use crate::Object;
use crate::field::Error;
use crate::strategy::{Context, Strategy};
use crate::value::{Read, keep, list_mut, set, set_entry};

/// The finalizer that stands for "things may still be inside".
pub const FINALIZER: &str = "kubernetes";
/// The label that repeats the name.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Namespaces that may not be deleted (A352).
pub const PROTECTED: &[&str] = &["default", "kube-system", "kube-public"];

/// The strategy of namespaces.
#[derive(Debug)]
pub struct Namespace;

/// The one [`Namespace`].
pub static NAMESPACE: Namespace = Namespace;

impl Strategy for Namespace {
    fn metadata_checks(&self) -> usize {
        2
    }

    fn default(&self, object: &mut Object) {
        let name = object.text_or_empty("metadata.name").to_owned();
        if !name.is_empty() {
            set_entry(object, "metadata.labels", NAME_LABEL, name);
        }
    }

    fn prepare_for_create(&self, object: &mut Object, _context: &Context<'_>) {
        self.default(object);
        set(object, "status", json!({"phase": "Active"}));
        let finalizers = list_mut(object, "spec.finalizers");
        if !finalizers.iter().any(|f| f.as_str() == Some(FINALIZER)) {
            finalizers.push(Value::from(FINALIZER));
        }
    }

    fn prepare_for_update(&self, new: &mut Object, old: &Object, context: &Context<'_>) {
        // Only the finalizer's own write changes the spec.
        let other = if context.subresource == "finalize" { "status" } else { "spec" };
        keep(new, old, other);
        self.default(new);
    }

    fn validate_update(&self, _new: &Object, _old: &Object, _subresource: &str) -> Vec<Error> {
        Vec::new()
    }
}
