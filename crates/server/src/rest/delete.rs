//! DELETE of one object and of collections: preconditions, finalizers from the propagation policy, grace, removal
//! (A76–A83).

use bytes::Bytes;
use everynode_api::Object;
use everynode_api::deletion::{self, Step};
use everynode_api::resource::{Propagation, Resource};
use everynode_api::status::Status;
use everynode_api::value::Read;
use everynode_store::{Change, CommitError, Durability, Entry, Expect, Store, Write};
use futures::StreamExt;

use crate::admission::Operation;
use crate::answer::Answer;
use crate::body::RequestBody;
use crate::forms::{normal, shape};
use crate::request::call::Call;
use crate::request::options::{self, DeleteOptions, ListOptions};
use crate::request::selection::Selection;
use crate::rest::intake;
use crate::stored::{self, Unsealed};
use crate::verbatim::Verbatim;
use crate::{failure, list};

/// How often a deletion is tried against fresh reads.
const TRIES_MAX: usize = 20;
/// Objects of a collection that are deleted at the same time.
const COLLECTION_PARALLEL: usize = 16;

/// How a deletion of one object ended.
pub(crate) struct Deleted {
    /// The last state.
    pub(crate) bytes: Bytes,
    /// Whether it is gone.
    pub(crate) gone: bool,
}

impl Call {
    /// DELETE of one object.
    pub(crate) async fn delete(&mut self, body: RequestBody) -> Result<Answer, Status> {
        let options = self.delete_options(body).await?;
        let name = self.place.name.clone();
        let deleted = self.delete_named(&name, &options).await?;
        if !deleted.gone || self.row.returns_deleted {
            // 202 only for the deprecated `orphanDependents: false` (A63).
            let code = if !deleted.gone && options.orphan == Some(false) { 202 } else { 200 };
            return Ok(Answer::Object(code, deleted.bytes));
        }
        let object = stored::parse(&deleted.bytes);
        let uid = object.text_or_empty("metadata.uid");
        Ok(Answer::Status(Status::deleted(self.row.group, self.row.plural, &name, uid)))
    }

    /// Options from the body if there is one, else from the query (A76).
    async fn delete_options(&self, body: RequestBody) -> Result<DeleteOptions, Status> {
        let bytes = intake::read(&self.headers, body).await?;
        if bytes.is_empty() {
            return options::delete_options(&self.query);
        }
        DeleteOptions::from_body(&intake::decode_delete_options(self, &bytes)?)
    }

    /// Deletes one object of this call's resource.
    pub(crate) async fn delete_named(&mut self, name: &str, options: &DeleteOptions) -> Result<Deleted, Status> {
        let row = self.row.stored();
        let key = row.key(&self.place.namespace, name);
        let shared = self.shared.clone();
        let mut admitted = false;
        for _ in 0..TRIES_MAX {
            let entry = shared.store.get(&key).ok_or_else(|| failure::not_found(self.row, name))?;
            let mut object = normal(row, &entry)?;
            deletion::check_preconditions(self.row, name, options, &object)?;
            if !admitted {
                let context = self.admission_of(name, "", options.dry_run);
                let before = object.clone();
                let operation = Operation::Delete;
                let mut warnings =
                    shared.security.admission.admit(&context, operation, Some(&before), &mut object).await?;
                warnings.extend(shared.security.admission.validate(&context, operation, Some(&before), &object).await?);
                object = before;
                admitted = true;
                warnings.extend(job_warning(row, &object, options));
                self.warn(warnings);
            }
            let step = deletion::step(row, &object, options, self.now);
            if options.dry_run {
                return self.pretend(&entry, step);
            }
            if let Some(deleted) = take_step(&shared.store, row, &entry, step).await? {
                return Ok(deleted);
            }
        }
        Err(failure::modified(self.row, name))
    }

    fn pretend(&self, entry: &Entry, step: Step) -> Result<Deleted, Status> {
        Ok(match step {
            Step::Unchanged => Deleted { bytes: entry.value.clone(), gone: false },
            Step::Remove => Deleted { bytes: entry.value.clone(), gone: true },
            Step::Mark(mut object) | Step::MarkAndRemove(mut object) => {
                let bytes = Unsealed::new(&mut object, shape(self.row.stored())?).seal(entry.modified);
                Deleted { bytes, gone: false }
            }
        })
    }

    /// DELETE of a collection (A82): the answer is the list of its victims as they were.
    pub(crate) async fn delete_collection(&mut self, body: RequestBody) -> Result<Answer, Status> {
        let list_options = ListOptions::parse(&self.query, false)?;
        let options = self.delete_options(body).await?;
        let selection = Selection::parse(self.row, &self.place, &self.query)?;
        let page = list::page(&self.shared.store, &selection, &list_options).await?;
        let calls = page.entries.iter().map(|entry| {
            let mut call = self.for_item(&entry.key);
            let options = options.clone();
            async move {
                let name = call.place.name.clone();
                call.delete_named(&name, &options).await.map(|_| call.warnings)
            }
        });
        let calls: Vec<_> = calls.collect();
        let mut results = futures::stream::iter(calls).buffer_unordered(COLLECTION_PARALLEL);
        let mut warnings = Vec::new();
        let mut failed = None;
        while let Some(result) = results.next().await {
            match result {
                Ok(more) => warnings.extend(more),
                Err(status) if status.code() == 404 => {}
                Err(status) => failed = Some(status),
            }
        }
        drop(results);
        self.warn(warnings);
        match failed {
            Some(status) => Err(status),
            None => Ok(Answer::List(page)),
        }
    }

    /// The same call for one object of its collection.
    fn for_item(&self, key: &str) -> Call {
        let mut parts = key.rsplit('/');
        let mut place = self.place.clone();
        place.name = parts.next().unwrap_or_default().to_owned();
        if self.row.namespaced {
            place.namespace = parts.next().unwrap_or_default().to_owned();
        }
        Call {
            shared: self.shared.clone(),
            identity: self.identity.clone(),
            method: self.method.clone(),
            place,
            row: self.row,
            sub: None,
            query: self.query.clone(),
            headers: self.headers.clone(),
            now: self.now,
            sent: None,
            warnings: Vec::new(),
        }
    }
}

/// Jobs keep their pods unless told otherwise, and say so (A77).
fn job_warning(row: &Resource, object: &Object, options: &DeleteOptions) -> Option<String> {
    let default =
        options.policy.is_none() && options.orphan.is_none() && deletion::standard_finalizer(object).is_none();
    (row.kind == "Job" && default && row.propagation == Propagation::Orphan).then(|| {
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or \
         set propagationPolicy=Orphan to suppress this warning"
            .to_owned()
    })
}

/// Carries a step out. `None`: somebody else was quicker.
async fn take_step(store: &Store, row: &Resource, entry: &Entry, step: Step) -> Result<Option<Deleted>, Status> {
    match step {
        Step::Unchanged => Ok(Some(Deleted { bytes: entry.value.clone(), gone: false })),
        Step::Remove => Ok(remove(store, entry).await?.then(|| Deleted { bytes: entry.value.clone(), gone: true })),
        Step::Mark(object) => {
            Ok(put(store, row, entry, object).await?.map(|entry| Deleted { bytes: entry.value, gone: false }))
        }
        Step::MarkAndRemove(object) => {
            let Some(marked) = put(store, row, entry, object).await? else { return Ok(None) };
            Ok(remove(store, &marked).await?.then_some(Deleted { bytes: marked.value, gone: true }))
        }
    }
}

async fn put(store: &Store, row: &Resource, entry: &Entry, mut object: Object) -> Result<Option<Entry>, Status> {
    let kept = Verbatim::of_json(row, &entry.value);
    let unsealed = Unsealed::new(&mut object, shape(row)?).keeping(kept.as_ref());
    if unsealed.seal(entry.modified) == entry.value {
        return Ok(Some(entry.clone()));
    }
    let change = Change::Put(Box::new(move |revision| unsealed.seal(revision)));
    commit(store, entry, change).await
}

/// Removes an entry if it is still what it was; watchers are shown its last state at the deletion's revision (A104).
pub(crate) async fn remove(store: &Store, entry: &Entry) -> Result<bool, Status> {
    let last = entry.value.clone();
    let change = Change::Delete(Box::new(move |revision| stored::reseal(&last, revision)));
    Ok(commit(store, entry, change).await?.is_some())
}

async fn commit(store: &Store, entry: &Entry, change: Change) -> Result<Option<Entry>, Status> {
    let expect = Expect::At(entry.modified);
    let write = Write { key: entry.key.to_string(), expect, change, durability: Durability::Now };
    match store.commit(write).await {
        Ok(committed) => Ok(Some(committed.entry)),
        Err(CommitError::Conflict { .. }) => Ok(None),
        Err(error) => Err(failure::commit(&error)),
    }
}
