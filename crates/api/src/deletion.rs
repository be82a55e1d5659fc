//! Deleting an object: options, preconditions, finalizers from the propagation policy, grace (A76–A81).
//!
//! Not here: the store, admission, collections, and who deletes dependents afterwards.

use jiff::{SignedDuration, Timestamp};

use crate::Object;
use crate::field::{Error, Path};
use crate::resource::{Propagation, Resource};
use crate::status::Status;
use crate::time;
use crate::value::{Read, remove as take, set};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What one step of a deletion leads to.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Nothing changes: a longer grace, or finalizers that still hold.
    Unchanged,
    /// The object is marked and stays.
    Mark(Object),
    /// The object is marked, and removed right after: watchers of pods see both.
    MarkAndRemove(Object),
    /// The object is removed.
    Remove,
}

/// What happens to dependents (A77).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// They are let go.
    Orphan,
    /// They go afterwards.
    Background,
    /// They go before it.
    Foreground,
}

/// Options of delete and deletecollection (A76).
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `gracePeriodSeconds`
    pub grace: Option<i64>,
    /// `propagationPolicy`
    pub policy: Option<Policy>,
    /// The deprecated `orphanDependents`.
    pub orphan: Option<bool>,
    /// The incarnation that is meant.
    pub uid: Option<String>,
    /// The version that is meant.
    pub revision: Option<String>,
    /// Everything but the commit.
    pub dry_run: bool,
}

impl Options {
    /// From a decoded body.
    pub fn from_body(body: &Object) -> Result<Self, Status> {
        let mut errors = Vec::new();
        let values: Vec<&str> = body.list("dryRun").iter().filter_map(|v| v.as_str()).collect();
        let dry_run = check_dry_run(&values, &mut errors);
        let own = Self {
            grace: body.int("gracePeriodSeconds"),
            orphan: body.flag("orphanDependents"),
            uid: body.text("preconditions.uid").map(str::to_owned),
            revision: body.text("preconditions.resourceVersion").map(str::to_owned),
            dry_run,
            policy: None,
        };
        own.with_policy(body.text("propagationPolicy"), errors)
    }

    /// Adds `propagationPolicy`, and refuses what was found wrong so far.
    pub fn with_policy(mut self, policy: Option<&str>, mut errors: Vec<Error>) -> Result<Self, Status> {
        let path = Path::new("propagationPolicy");
        if let (Some(policy), Some(_)) = (policy, self.orphan) {
            let text = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(Error::invalid(&path, policy, text));
        }
        self.policy = match policy {
            None => None,
            Some("Orphan") => Some(Policy::Orphan),
            Some("Background") => Some(Policy::Background),
            Some("Foreground") => Some(Policy::Foreground),
            Some(other) => {
                let values = ["Foreground", "Background", "Orphan", "nil"];
                errors.push(Error::not_supported_in_order(&path, other, &values));
                None
            }
        };
        // Negative grace means one second (A76).
        self.grace = self.grace.map(|grace| if grace < 0 { 1 } else { grace });
        if errors.is_empty() { Ok(self) } else { Err(Status::invalid_options("DeleteOptions", errors)) }
    }
}

/// `dryRun` may only say `All`. True when it is there.
pub fn check_dry_run(values: &[&str], errors: &mut Vec<Error>) -> bool {
    if values.iter().any(|v| *v != "All") {
        let sent = serde_json::Value::from(values.to_vec());
        errors.push(Error::not_supported(&Path::new("dryRun"), sent, &["All"]));
    }
    !values.is_empty()
}

/// Preconditions; here the kind stands where other conflicts have the resource (A76).
pub fn check_preconditions(row: &Resource, name: &str, options: &Options, object: &Object) -> Result<(), Status> {
    let uid = object.text_or_empty("metadata.uid");
    if let Some(sent) = options.uid.as_deref().filter(|sent| *sent != uid) {
        let why = format!(
            "the UID in the precondition ({sent}) does not match the UID in record ({uid}). The object might have been \
             deleted and then recreated"
        );
        return Err(Status::conflict(row.group, row.kind, name, why));
    }
    let revision = object.text_or_empty("metadata.resourceVersion");
    if let Some(sent) = options.revision.as_deref().filter(|sent| *sent != revision) {
        let why = format!(
            "the ResourceVersion in the precondition ({sent}) does not match the ResourceVersion in record \
             ({revision}). The object might have been modified"
        );
        return Err(Status::conflict(row.group, row.kind, name, why));
    }
    Ok(())
}

/// What becomes of an object when it is deleted with these options.
pub fn step(row: &Resource, object: &Object, options: &Options, now: Timestamp) -> Step {
    let mut new = object.clone();
    if row.kind == "Namespace" {
        return namespace_step(new, options, row, now);
    }
    let grace = match row.strategy.grace(object, options.grace) {
        None => Grace::None,
        Some(asked) => mark_graceful(&mut new, object, asked, options.grace.is_some(), now),
    };
    if let Grace::Pending = grace {
        return Step::Unchanged;
    }
    let changed = set_finalizers(row, &mut new, options);
    let pending = !new.list("metadata.finalizers").is_empty();
    match grace {
        Grace::Marked(seconds) if pending || seconds > 0 => Step::Mark(new),
        Grace::Marked(_) => Step::MarkAndRemove(new),
        _ if pending => {
            let before = object.at("metadata.deletionTimestamp").is_some();
            if before && !changed {
                return Step::Unchanged;
            }
            mark(&mut new, now);
            Step::Mark(new)
        }
        _ => Step::Remove,
    }
}

enum Grace {
    /// The kind, or this object now, is not deleted gracefully.
    None,
    /// Marked with so many seconds.
    Marked(i64),
    /// A deletion with a shorter or equal grace is under way.
    Pending,
}

/// Marks an object of a kind with graceful deletion; a deletion under way may only be shortened (A79, A81).
fn mark_graceful(new: &mut Object, old: &Object, grace: i64, asked: bool, now: Timestamp) -> Grace {
    let Some(started) = old.text("metadata.deletionTimestamp").and_then(|text| text.parse::<Timestamp>().ok()) else {
        set_deletion(new, now + SignedDuration::from_secs(grace), grace);
        bump(new);
        return Grace::Marked(grace);
    };
    let current = old.int("metadata.deletionGracePeriodSeconds").unwrap_or(0);
    if current == 0 {
        return Grace::None;
    }
    if !asked || grace >= current {
        return Grace::Pending;
    }
    let begin = started - SignedDuration::from_secs(current);
    set_deletion(new, (begin + SignedDuration::from_secs(grace)).max(now), grace);
    Grace::Marked(grace)
}

/// Marks an object that waits for its finalizers.
fn mark(new: &mut Object, now: Timestamp) {
    if new.at("metadata.deletionTimestamp").is_none() {
        bump(new);
        set(new, "metadata.deletionTimestamp", time::format(now));
    }
    set(new, "metadata.deletionGracePeriodSeconds", 0);
}

fn set_deletion(new: &mut Object, at: Timestamp, grace: i64) {
    set(new, "metadata.deletionTimestamp", time::format(at));
    set(new, "metadata.deletionGracePeriodSeconds", grace);
}

/// A deletion that starts counts as a generation (A79).
fn bump(new: &mut Object) {
    if let Some(generation) = new.int("metadata.generation").filter(|g| *g > 0) {
        set(new, "metadata.generation", generation + 1);
    }
}

/// A namespace waits for `spec.finalizers` as well, and says Terminating (A78).
fn namespace_step(mut new: Object, options: &Options, row: &Resource, now: Timestamp) -> Step {
    let started = new.at("metadata.deletionTimestamp").is_some();
    let changed = set_finalizers(row, &mut new, options);
    let held = !new.list("spec.finalizers").is_empty() || !new.list("metadata.finalizers").is_empty();
    if !held {
        return Step::Remove;
    }
    if started && !changed {
        return Step::Unchanged;
    }
    if !started {
        set(&mut new, "metadata.deletionTimestamp", time::format(now));
    }
    set(&mut new, "status.phase", "Terminating");
    Step::Mark(new)
}

/// What the finalizers on an object say about its dependents.
pub fn standard_finalizer(object: &Object) -> Option<Policy> {
    object.list("metadata.finalizers").iter().find_map(|finalizer| match finalizer.as_str() {
        Some(ORPHAN) => Some(Policy::Orphan),
        Some(FOREGROUND) => Some(Policy::Foreground),
        _ => None,
    })
}

/// Puts the finalizers of the propagation policy on an object. True if they changed (A77).
fn set_finalizers(row: &Resource, new: &mut Object, options: &Options) -> bool {
    let policy = policy(row, new, options);
    let old: Vec<String> =
        new.list("metadata.finalizers").iter().filter_map(|f| f.as_str()).map(str::to_owned).collect();
    let mut wanted: Vec<String> = old.iter().filter(|f| *f != ORPHAN && *f != FOREGROUND).cloned().collect();
    match policy {
        Policy::Orphan => wanted.push(ORPHAN.to_owned()),
        Policy::Foreground => wanted.push(FOREGROUND.to_owned()),
        Policy::Background => {}
    }
    let same = old.len() == wanted.len() && old.iter().all(|f| wanted.contains(f));
    if same {
        return false;
    }
    if wanted.is_empty() {
        drop(take(new, "metadata.finalizers"));
    } else {
        set(new, "metadata.finalizers", wanted);
    }
    true
}

fn policy(row: &Resource, object: &Object, options: &Options) -> Policy {
    if row.propagation == Propagation::None {
        return Policy::Background;
    }
    if let Some(orphan) = options.orphan {
        return if orphan { Policy::Orphan } else { Policy::Background };
    }
    let default = if row.propagation == Propagation::Orphan { Policy::Orphan } else { Policy::Background };
    options.policy.or_else(|| standard_finalizer(object)).unwrap_or(default)
}

/// Whether an update takes the last thing away that kept a deleted object alive (A80, A266).
pub fn ends(row: &Resource, new: &Object, old: &Object) -> bool {
    let waiting = row.kind == "Namespace" && !new.list("spec.finalizers").is_empty();
    let deleting = old.at("metadata.deletionTimestamp").is_some();
    deleting
        && old.int("metadata.deletionGracePeriodSeconds").unwrap_or(0) == 0
        && new.list("metadata.finalizers").is_empty()
        && !waiting
}
