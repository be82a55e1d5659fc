//! How a namespace ends, and what its status says meanwhile (A356, A510).

use std::collections::BTreeMap;

/// The finalizer in `spec.finalizers` that holds a namespace until it is empty.
pub const FINALIZER: &str = "kubernetes";

/// What one round of emptying a namespace found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Groups that could not be discovered, with the cause.
    pub undiscovered: Vec<String>,
    /// Resources whose deletion or listing failed, with the cause.
    pub failures: Vec<String>,
    /// Objects left, by `resource.group` (the dot stays for the core group).
    pub remaining: BTreeMap<String, usize>,
    /// Objects left, by finalizer.
    pub finalizers: BTreeMap<String, usize>,
}

/// A condition of a namespace's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: &'static str,
    /// True when something is wrong.
    pub bad: bool,
    /// Its reason.
    pub reason: &'static str,
    /// The words for people.
    pub message: String,
}

impl Survey {
    /// Nothing is left and nothing went wrong: the namespace may go.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.undiscovered.is_empty() && self.failures.is_empty() && self.remaining.is_empty()
    }

    /// A356: all five, in their order.
    #[must_use]
    pub fn conditions(&self) -> [Condition; 5] {
        let counted = |what: &BTreeMap<String, usize>, format: fn(&str, usize) -> String| {
            what.iter().map(|(name, count)| format(name, *count)).collect::<Vec<_>>().join(", ")
        };
        let remaining = counted(&self.remaining, |name, count| format!("{name} has {count} resource instances"));
        let finalizers = counted(&self.finalizers, |name, count| format!("{name} in {count} resource instances"));
        [
            condition(
                "NamespaceDeletionDiscoveryFailure",
                ["ResourcesDiscovered", "DiscoveryFailed"],
                "All resources successfully discovered",
                (!self.undiscovered.is_empty()).then(|| {
                    let (count, all) = (self.undiscovered.len(), self.undiscovered.join(", "));
                    format!("Discovery failed for some groups, {count} failing: {all}")
                }),
            ),
            condition(
                "NamespaceDeletionGroupVersionParsingFailure",
                ["ParsedGroupVersions", "GroupVersionParsingFailed"],
                "All legacy kube types successfully parsed",
                None,
            ),
            condition(
                "NamespaceDeletionContentFailure",
                ["ContentDeleted", "ContentDeletionFailed"],
                "All content successfully deleted, may be waiting on finalization",
                (!self.failures.is_empty()).then(|| {
                    let (count, all) = (self.failures.len(), self.failures.join(", "));
                    format!("Failed to delete all resource types, {count} remaining: {all}")
                }),
            ),
            condition(
                "NamespaceContentRemaining",
                ["ContentRemoved", "SomeResourcesRemain"],
                "All content successfully removed",
                (!self.remaining.is_empty()).then(|| format!("Some resources are remaining: {remaining}")),
            ),
            condition(
                "NamespaceFinalizersRemaining",
                ["ContentHasNoFinalizers", "SomeFinalizersRemain"],
                "All content-preserving finalizers finished",
                (!self.finalizers.is_empty())
                    .then(|| format!("Some content in the namespace has finalizers remaining: {finalizers}")),
            ),
        ]
    }
}

fn condition(kind: &'static str, reasons: [&'static str; 2], good: &str, bad: Option<String>) -> Condition {
    let [good_reason, bad_reason] = reasons;
    match bad {
        None => Condition { kind, bad: false, reason: good_reason, message: good.to_owned() },
        Some(message) => Condition { kind, bad: true, reason: bad_reason, message },
    }
}
