//! One server-side apply (A146–A151, A157–A159): the intent over the live object, minus what its manager owned and let go, unless that
//! takes fields from others who own them.

use serde_json::{Value, json};

use super::managers::{Entry, Managers, Operation, Owner};
use super::place::{Place, nothing};
use super::set::{Set, show};
use super::track::{self, Writer, unowned};
use super::walk::{Reading, compare, fields_of};
use super::{check, merge};
use crate::Object;
use crate::codec::json::encode_any;
use crate::schema::Shape;
use crate::status::{Cause, Status};
use crate::value::{Read, remove, set, set_entry};

const MANAGED: &str = "metadata.managedFields";
/// The manager whose client-side past counts as its own.
const KUBECTL: &str = "kubectl";
/// Where client-side apply keeps its intent.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Bytes of all annotations.
const ANNOTATIONS_MAX: usize = 256 * 1024;
/// Who owns what was there before the first apply.
const BEFORE: &str = "before-first-apply";

/// What the URL says about the object.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    /// Its shape.
    pub shape: &'t Shape,
    /// API group.
    pub group: &'t str,
    /// Version.
    pub version: &'t str,
    /// Kind.
    pub kind: &'t str,
}

/// Refuses an intent that is of another kind or brings its own entries (A146).
pub fn check_kind(intent: &Object, target: &Target<'_>) -> Result<(), Status> {
    let api_version = intent.text_or_empty("apiVersion");
    let (group, version) = match api_version.split_once('/') {
        Some((_, version)) if version.contains('/') => ("", ""),
        Some(both) => both,
        None => ("", api_version),
    };
    let kind = intent.text_or_empty("kind");
    if (group, version, kind) != (target.group, target.version, target.kind) {
        return Err(Status::bad_request(format!("invalid object type: {group}/{version}, Kind={kind}")));
    }
    if intent.get("metadata").and_then(|m| m.get("managedFields")).is_some_and(Value::is_array) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    Ok(())
}

/// Applies an intent. `live` is the full JSON of the stored object; without it one is made. The answer is to be decoded and defaulted; its
/// entries are in it.
pub fn apply(
    target: &Target<'_>,
    live: Option<&Object>,
    intent: &Object,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Object, Status> {
    check_kind(intent, target)?;
    check::check(target.shape, intent).map_err(|why| {
        let (namespace, name) = (intent.text_or_empty("metadata.namespace"), intent.text_or_empty("metadata.name"));
        let Target { group, version, kind, .. } = target;
        Status::unclassified(format!(
            "failed to create typed patch object ({namespace}/{name}; {group}/{version}, Kind={kind}): {why}"
        ))
    })?;
    let mut live = live.unwrap_or(nothing()).clone();
    let stored = remove(&mut live, MANAGED).unwrap_or_default();
    let mut managers = Managers::read(stored.as_array().map_or(&[], Vec::as_slice))
        .map_err(|why| Status::unclassified(format!("failed to decode managed fields: {why}")))?;
    if managers.is_empty() {
        start_tracking(target.shape, &live, &mut managers, writer);
    }
    let apply = Apply { target, live: &live, intent, writer, owner: writer.owner(Operation::Apply) };
    let mut object = apply.run(&mut managers, force)?;
    if writer.manager == KUBECTL {
        rewrite_last_applied(&mut object, intent);
    }
    let entries = managers.write();
    if !entries.is_empty() {
        set(&mut object, MANAGED, entries);
    }
    Ok(object)
}

/// What an untracked object holds belongs to nobody in particular (A157).
fn start_tracking(shape: &Shape, live: &Object, managers: &mut Managers, writer: &Writer<'_>) {
    if live == nothing() {
        return;
    }
    let diff = compare(shape, nothing(), live, Reading::Shown).without_fields(writer.resets);
    let before = Writer { manager: BEFORE, ..writer.clone() };
    track::record(managers, &diff.set(), &Set::default(), &before);
}

struct Apply<'a> {
    target: &'a Target<'a>,
    live: &'a Object,
    intent: &'a Object,
    writer: &'a Writer<'a>,
    owner: Owner,
}

impl Apply<'_> {
    fn run(&self, managers: &mut Managers, force: bool) -> Result<Object, Status> {
        let shape = self.target.shape;
        let claimed = fields_of(shape, self.intent).without_fields(self.writer.resets);
        let before = managers.of(&self.owner).cloned();
        let merged = merge::merge(shape, self.live, self.intent);
        let object = match &before {
            Some(before) => self.prune(&merged, managers, &claimed, before),
            None => merged,
        };
        let diff = compare(shape, self.live, &object, Reading::Given).without_fields(self.writer.resets);
        let changed = diff.set();
        if !force {
            self.check_conflicts(managers, &changed)?;
        }
        let version = self.writer.api_version;
        for entry in managers.others_mut(&self.owner).filter(|entry| entry.owner.api_version == version) {
            entry.lose(&changed);
            entry.lose(&diff.removed);
        }
        // The time says when the object changed by this manager's doing.
        let time = if object == *self.live { before.and_then(|b| b.time) } else { Some(self.writer.now.to_owned()) };
        managers.entries.retain(|entry| !entry.owner.is(&self.owner));
        managers.entries.push(Entry::new(self.owner.clone(), time, &claimed.difference(unowned())));
        Ok(object)
    }

    /// Takes out what this manager applied before and applies no more, as far as nobody else owns it (A151).
    fn prune(&self, merged: &Object, managers: &Managers, claimed: &Set, before: &Entry) -> Object {
        let shape = self.target.shape;
        let place = Place::of_shape(shape);
        let last = before.set();
        if last.is_empty() {
            return merged.clone();
        }
        let pruned = merge::remove(shape, merged, &last.with_named_fields(place));
        let mut owned = claimed.clone();
        for entry in managers.others(&self.owner).filter(|e| e.owner.api_version == self.writer.api_version) {
            owned.extend(entry.set());
        }
        let all = fields_of(shape, merged);
        let named = |set: &Set| set.with_named_fields(place);
        let left = fields_of(shape, &pruned);
        // What others own, or this intent, comes back …
        let pruned = merge::remove(shape, merged, &named(&all).difference(&named(&left).union(&named(&owned))));
        // … and so does what nobody owned, which stood in a field that went.
        let left = named(&fields_of(shape, &pruned));
        merge::remove(shape, merged, &named(&all).difference(&left).intersection(&named(&last)))
    }

    fn check_conflicts(&self, managers: &Managers, changed: &Set) -> Result<(), Status> {
        let version = self.writer.api_version;
        let others = managers.others(&self.owner).filter(|e| e.owner.api_version == version && e.touches(changed));
        let mut conflicts: Vec<(&Owner, Set)> = others.map(|e| (&e.owner, e.set().intersection(changed))).collect();
        if conflicts.is_empty() {
            return Ok(());
        }
        if self.writer.manager == KUBECTL
            && let Some(own) = self.client_side_past()
        {
            conflicts.iter_mut().for_each(|(_, set)| *set = set.difference(&own));
            conflicts.retain(|(_, set)| !set.is_empty());
        }
        if conflicts.is_empty() { Ok(()) } else { Err(refuse(conflicts)) }
    }

    /// The fields that kubectl applied on the client's side and nobody changed since (A158).
    fn client_side_past(&self) -> Option<Set> {
        let text = self.live.entry("metadata.annotations", LAST_APPLIED)?;
        let past: Value = serde_json::from_str(text).ok()?;
        let shape = self.target.shape;
        if past.text("apiVersion") != Some(self.writer.api_version) || check::check(shape, &past).is_err() {
            return None;
        }
        let diff = compare(shape, &past, self.live, Reading::Given);
        Some(fields_of(shape, &past).difference(&diff.set()).difference(&diff.removed))
    }
}

/// The answer that lists conflicts (A126, A150).
fn refuse(mut conflicts: Vec<(&Owner, Set)>) -> Status {
    conflicts.sort_by_key(|(owner, _)| *owner);
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for (owner, set) in &conflicts {
        lines.push(format!("conflicts with {}:", owner.show()));
        for path in set.paths() {
            lines.push(format!("- {}", show(&path)));
            causes.push(Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: format!("conflict with {}", owner.show()),
                field: show(&path),
            });
        }
    }
    let message = match causes.as_slice() {
        [only] => format!("Apply failed with 1 conflict: {}: {}", only.message, only.field),
        many => format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n")),
    };
    Status::apply_conflict(message, causes)
}

/// Keeps the intent of client-side apply true, so that kubectl may go back to it (A158).
fn rewrite_last_applied(object: &mut Object, intent: &Object) {
    const ANNOTATIONS: &str = "metadata.annotations";
    if object.entry(ANNOTATIONS, LAST_APPLIED).is_none_or(str::is_empty) {
        return;
    }
    let mut applied = intent.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    let text = format!("{}\n", String::from_utf8_lossy(&encode_any(&applied)));
    set_entry(object, ANNOTATIONS, LAST_APPLIED, json!(text));
    let total: usize = object
        .map(ANNOTATIONS)
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if total > ANNOTATIONS_MAX
        && let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
}
