//! What differs between a DaemonSet as it is and as it would be.

use std::collections::BTreeSet;

use everynode_api::patch::client::LAST_APPLIED;
use everynode_core::model::Set;
use serde_json::Value;

/// What kind of change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is as it would be.
    None,
    /// There is none yet.
    New,
    /// Its template changes: its pods are replaced.
    Template,
    /// Only how it rolls out changes.
    Strategy,
    /// Only its labels and annotations change.
    Metadata,
}

/// A field that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Where: `spec.template.spec.containers[main].image`.
    pub field: String,
    /// What stands there; nothing when the field is new.
    pub from: Option<Value>,
    /// What will stand there; nothing when the field goes.
    pub to: Option<Value>,
}

impl Class {
    pub(super) fn of(old: Option<&Set>, new: &Set, present: Option<&Value>, object: &Value) -> Self {
        let Some(old) = old else { return Self::New };
        let rollout = |set: &Set| (set.strategy, set.min_ready_seconds, set.history_limit);
        if old.template.data != new.template.data {
            Self::Template
        } else if rollout(old) != rollout(new) || old.selector != new.selector {
            Self::Strategy
        } else if present.is_some_and(|present| !fields(present, object).is_empty()) {
            Self::Metadata
        } else {
            Self::None
        }
    }

    /// A name that does not change.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::New => "new",
            Self::Template => "template",
            Self::Strategy => "strategy",
            Self::Metadata => "metadata",
        }
    }

    /// As a sentence goes on after the name of the set.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::None => "does not change",
            Self::New => "is new",
            Self::Template => "gets another template",
            Self::Strategy => "changes how it rolls out",
            Self::Metadata => "changes its labels or annotations",
        }
    }
}

impl FieldChange {
    /// In one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let text = |value: &Value| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            everynode_core::explain::words::brief(&text)
        };
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!("{}: {} → {}", self.field, text(from), text(to)),
            (None, Some(to)) => format!("{}: new, {}", self.field, text(to)),
            (Some(from), None) => format!("{}: goes, was {}", self.field, text(from)),
            (None, None) => self.field.clone(),
        }
    }
}

/// The fields of two versions of an object that differ, but for what servers and tools keep for themselves.
pub(super) fn fields(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    for at in ["labels", "annotations"] {
        compare(&format!("metadata.{at}"), old["metadata"].get(at), new["metadata"].get(at), &mut changes);
    }
    compare("spec", old.get("spec"), new.get("spec"), &mut changes);
    let kept = [LAST_APPLIED, "deprecated.daemonset.template.generation"];
    changes.retain(|change| !kept.iter().any(|name| change.field == format!("metadata.annotations.{name}")));
    changes
}

fn compare(at: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                compare(&format!("{at}.{name}"), a.get(name), b.get(name), changes);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => match (named(a), named(b)) {
            (Some(one), Some(other)) if a.len() == one.len() && b.len() == other.len() => {
                let before = changes.len();
                let names: BTreeSet<&str> = one.iter().chain(&other).copied().collect();
                let find = |items: &'_ [Value], name: &str| items.iter().position(|item| item["name"] == name);
                for name in names {
                    let (old, new) = (find(a, name).map(|i| &a[i]), find(b, name).map(|i| &b[i]));
                    compare(&format!("{at}[{name}]"), old, new, changes);
                }
                if changes.len() == before {
                    // Only their order differs.
                    changes.push(whole(at, old, new));
                }
            }
            _ if a.len() == b.len() => {
                for (index, (old, new)) in a.iter().zip(b).enumerate() {
                    compare(&format!("{at}[{index}]"), Some(old), Some(new), changes);
                }
            }
            _ => changes.push(whole(at, old, new)),
        },
        (old, new) => changes.push(whole(at, old, new)),
    }
}

fn whole(at: &str, old: Option<&Value>, new: Option<&Value>) -> FieldChange {
    FieldChange { field: at.to_owned(), from: old.cloned(), to: new.cloned() }
}

/// The different names of a list's elements, if all have one.
fn named(items: &[Value]) -> Option<BTreeSet<&str>> {
    items.iter().map(|item| item["name"].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named_where_they_differ() {
        let old = json!({
            "metadata": {"labels": {"a": "1"}, "annotations": {LAST_APPLIED: "x"}, "resourceVersion": "1"},
            "spec": {
                "minReadySeconds": 5,
                "template": {"spec": {
                    "containers": [{"name": "main", "image": "a:1"}, {"name": "side", "image": "s"}],
                    "tolerations": [{"key": "a"}],
                }},
            },
        });
        let new = json!({
            "metadata": {"labels": {"a": "2"}, "annotations": {LAST_APPLIED: "y"}, "resourceVersion": "2"},
            "spec": {
                "template": {"spec": {
                    "containers": [{"name": "main", "image": "a:2", "args": ["-v"]}],
                    "tolerations": [{"key": "a", "effect": "NoExecute"}],
                }},
            },
        });
        let words: Vec<String> = fields(&old, &new).iter().map(FieldChange::in_words).collect();
        assert_eq!(
            words,
            [
                "metadata.labels.a: 1 → 2",
                "spec.minReadySeconds: goes, was 5",
                "spec.template.spec.containers[main].args: new, [\"-v\"]",
                "spec.template.spec.containers[main].image: a:1 → a:2",
                "spec.template.spec.containers[side]: goes, was {\"image\":\"s\",\"name\":\"side\"}",
                "spec.template.spec.tolerations[0].effect: new, NoExecute",
            ]
        );
        assert_eq!(fields(&old, &old), []);
        let swapped = |a: &str, b: &str| json!({"spec": {"x": [{"name": a}, {"name": b}]}});
        assert_eq!(fields(&swapped("a", "b"), &swapped("b", "a")).len(), 1, "an order is a difference");
    }
}
