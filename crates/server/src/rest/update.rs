//! PUT, PATCH and every other change of one stored object, the main resource and its subresources alike: read, change,
//! admit, check, commit if nobody was quicker, else again.

use bytes::Bytes;
use everynode_api::Object;
use everynode_api::deletion;
use everynode_api::field;
use everynode_api::resource::Resource;
use everynode_api::status::Status;
use everynode_api::value::Read;
use everynode_api::write;
use everynode_store::{Change, CommitError, Entry, Expect, Write};

use crate::admission::Operation;
use crate::forms::{self, durability};
use crate::request::call::Call;
use crate::request::options;
use crate::rest::ownership::{self, Ownership};
use crate::rest::{addresses, delete};
use crate::stored::{self, Unsealed};
use crate::verbatim::Verbatim;
use crate::{failure, negotiate};

/// How often a change without a resourceVersion is tried against fresh reads (A70).
const TRIES_MAX: usize = 20;
/// The one patch whose result is written anew.
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";

/// What a change may look at while it makes the new object.
pub(crate) struct Current<'a> {
    /// The stored object, in its stored version.
    pub(crate) object: &'a Object,
    /// Its buffer.
    pub(crate) entry: &'a Entry,
}

/// Makes the wanted object (in the stored version) from the current one. Called again when somebody else was quicker.
pub(crate) type Make<'m> = dyn FnMut(&Current<'_>) -> Result<Object, Status> + Send + 'm;

/// A change of one object.
pub(crate) struct Plan<'p> {
    /// Empty for the main resource.
    pub(crate) subresource: &'p str,
    /// Everything but the commit.
    pub(crate) dry_run: bool,
    /// Whether it is a PUT: then uid and resourceVersion are preconditions, and some kinds demand the latter (A57, A67).
    pub(crate) replaces: bool,
    /// Whether it is the server's own act on a stored object, such as a binding: nothing to admit or to validate.
    pub(crate) own_act: bool,
    /// What becomes of field ownership.
    pub(crate) ownership: Ownership<'p>,
}

impl Call {
    /// Changes the object of this call. Answers its buffer.
    pub(crate) async fn change(&mut self, plan: &Plan<'_>, make: &mut Make<'_>) -> Result<Bytes, Status> {
        let row = self.row.stored();
        let key = row.key(&self.place.namespace, &self.place.name);
        for _ in 0..TRIES_MAX {
            let entry = self.shared.store.get(&key).ok_or_else(|| failure::not_found(self.row, &self.place.name))?;
            let object = forms::normal(row, &entry)?;
            let new = make(&Current { object: &object, entry: &entry })?;
            let pinned = self.check_preconditions(plan, &new, &object)?;
            match self.attempt(plan, new, &object, &entry).await? {
                Some(bytes) => return Ok(bytes),
                None if pinned => return Err(failure::modified(self.row, &self.place.name)),
                None => {}
            }
        }
        Err(failure::modified(self.row, &self.place.name))
    }

    /// The preconditions that stand in the new object's metadata (A57, A66, A67). True when it names a revision.
    fn check_preconditions(&self, plan: &Plan<'_>, new: &Object, old: &Object) -> Result<bool, Status> {
        let (row, name) = (self.row, self.place.name.as_str());
        let sent = new.text_or_empty("metadata.uid");
        let own = old.text_or_empty("metadata.uid");
        if plan.replaces && !sent.is_empty() && sent != own {
            return Err(uid_conflict(row, &self.place.namespace, name, sent, own));
        }
        let revision = stored::revision_of(new);
        if revision.is_empty() || revision == "0" {
            if plan.replaces && !row.unconditional_update {
                return Err(revision_needed(row, name));
            }
            return Ok(false);
        }
        options::revision(revision).map_err(Status::unclassified)?;
        if revision != stored::revision_of(old) {
            return Err(failure::modified(row, name));
        }
        // A patched object always names a revision; whether the patch itself did shows when it is made again (A70).
        Ok(plan.replaces)
    }

    /// Admission, preparation and validation. Answers the warnings.
    async fn prepare(&self, plan: &Plan<'_>, new: &mut Object, old: &Object) -> Result<Vec<String>, Status> {
        let row = self.row.stored();
        let tools = self.tools();
        let admission = self.admission(plan.subresource, plan.dry_run);
        let shared = self.shared.clone();
        let mut warnings = shared.security.admission.admit(&admission, Operation::Update, Some(old), new).await?;
        warnings.extend(
            write::before_update(row, new, old, &tools.context(self, plan.subresource))
                .map_err(|errors| self.invalid(errors))?,
        );
        warnings.extend(shared.security.admission.validate(&admission, Operation::Update, Some(old), new).await?);
        Ok(warnings)
    }

    /// One try. `None`: somebody else was quicker.
    async fn attempt(
        &mut self,
        plan: &Plan<'_>,
        mut new: Object,
        old: &Object,
        entry: &Entry,
    ) -> Result<Option<Bytes>, Status> {
        let row = self.row.stored();
        self.own(plan.ownership, Some(old), &mut new)?;
        let warnings = if plan.own_act { Vec::new() } else { self.prepare(plan, &mut new, old).await? };
        let shared = self.shared.clone();
        let _addresses =
            addresses::draw(&shared, row, plan.subresource, &mut new).await.map_err(|errors| self.invalid(errors))?;
        let kept = if plan.own_act { Verbatim::of_json(row, &entry.value) } else { self.kept(plan, &new, old, entry)? };
        let committed = if deletion::ends(row, &new, old) {
            self.finish(plan, new, entry).await?
        } else {
            self.store_new(plan, new, old, entry, kept.as_ref()).await?
        };
        if committed.is_some() {
            self.warn(warnings);
        }
        Ok(committed)
    }

    /// The field errors of an object that this call would make.
    fn invalid(&self, errors: Vec<everynode_api::field::Error>) -> Status {
        Status::invalid(self.row.group, self.row.kind, &self.place.name, errors)
    }

    /// What is stored as it was sent, and may not change: bytes are compared (R29). A patch has them as the object is written
    /// out, so that it touches what was sent with blanks; a strategic one sorts members as well.
    fn kept(&self, plan: &Plan<'_>, new: &Object, old: &Object, entry: &Entry) -> Result<Option<Verbatim>, Status> {
        let row = self.row.stored();
        let Some(stored) = Verbatim::of_json(row, &entry.value) else { return Ok(None) };
        let sorts = negotiate::content_type(&self.headers) == STRATEGIC_PATCH;
        let given = if plan.replaces {
            self.sent.clone().or_else(|| Verbatim::of_object(row, new))
        } else if sorts || new.get("data") != old.get("data") {
            Verbatim::of_object(row, new)
        } else {
            Some(stored.compact())
        };
        if given.as_ref() == Some(&stored) {
            return Ok(given);
        }
        let shown = new.get("data").cloned().unwrap_or_default();
        Err(self.invalid(vec![field::Error::invalid(&field::Path::new("data"), shown, "field is immutable")]))
    }

    async fn store_new(
        &self,
        plan: &Plan<'_>,
        mut new: Object,
        old: &Object,
        entry: &Entry,
        kept: Option<&Verbatim>,
    ) -> Result<Option<Bytes>, Status> {
        let row = self.row.stored();
        let durability = durability(row, &new, Some(old), plan.subresource);
        ownership::forget_times(&mut new, old);
        let unsealed = Unsealed::new(&mut new, forms::shape(row)?).keeping(kept);
        let same = unsealed.seal(entry.modified);
        if plan.dry_run || same == entry.value {
            // A write that changes nothing makes neither revision nor event (A69).
            return Ok(Some(same));
        }
        let change = Change::Put(Box::new(move |revision| unsealed.seal(revision)));
        let write = Write { key: entry.key.to_string(), expect: Expect::At(entry.modified), change, durability };
        match self.shared.store.commit(write).await {
            Ok(committed) => Ok(Some(committed.entry.value)),
            Err(CommitError::Conflict { .. }) => Ok(None),
            Err(error) => Err(failure::commit(&error)),
        }
    }

    /// The last finalizer is gone: the object goes with it. The answer is the new object at the old revision (A80).
    async fn finish(&self, plan: &Plan<'_>, mut new: Object, entry: &Entry) -> Result<Option<Bytes>, Status> {
        let answer = Unsealed::new(&mut new, forms::shape(self.row.stored())?).seal(entry.modified);
        if plan.dry_run || delete::remove(&self.shared.store, entry).await? {
            return Ok(Some(answer));
        }
        Ok(None)
    }
}

pub(crate) fn uid_conflict(row: &'static Resource, namespace: &str, name: &str, sent: &str, own: &str) -> Status {
    let key = row.stored().key(namespace, name);
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: \
         UID in precondition: {sent}, UID in object meta: {own}"
    );
    Status::conflict(row.group, row.plural, name, why)
}

fn revision_needed(row: &Resource, name: &str) -> Status {
    let at = field::Path::new("metadata.resourceVersion");
    let error = field::Error::invalid(&at, 0, "must be specified for an update");
    // The resource stands where other Invalid answers have the kind.
    Status::invalid(row.group, row.plural, name, vec![error])
}
