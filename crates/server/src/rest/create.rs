//! POST on a collection, and PUT on a missing name where the kind allows it (A49, A50, A65, A68).

use bytes::Bytes;
use everynode_api::Object;
use everynode_api::resource::{Storage, Verb};
use everynode_api::status::Status;
use everynode_api::value::{Read, remove, set};
use everynode_api::write;
use everynode_store::{Change, CommitError, Expect, Write};

use crate::admission::Operation;
use crate::answer::Answer;
use crate::body::RequestBody;
use crate::failure;
use crate::forms::{durability, shape};
use crate::request::call::Call;
use crate::request::options::{self, WriteOptions};
use crate::rest::ownership::Ownership;
use crate::rest::{addresses, intake};
use crate::stored::Unsealed;

/// How many names are drawn for a generateName before giving up (A49).
const NAMES_MAX: usize = 8;

impl Call {
    /// POST on a collection.
    pub(crate) async fn create(&mut self, body: RequestBody) -> Result<Answer, Status> {
        let options = WriteOptions::parse(&self.query, options::Write::Create)?;
        let bytes = intake::read(&self.headers, body).await?;
        let (object, warnings) = intake::decode(self, &bytes, options.strictness)?;
        self.sent = intake::verbatim(self, &bytes);
        self.warn(warnings);
        intake::check_namespace(self, &object)?;
        if matches!(self.row.storage, Storage::Virtual) {
            return self.create_virtual(object).await;
        }
        let bytes = self.insert(object, options.dry_run, Ownership::Tracked("")).await?;
        Ok(Answer::Object(201, bytes))
    }

    /// Makes an object that a decoded body describes; the body is in the request's version.
    pub(crate) async fn insert(
        &mut self,
        mut object: Object,
        dry_run: bool,
        ownership: Ownership<'_>,
    ) -> Result<Bytes, Status> {
        if !object.text_or_empty("metadata.resourceVersion").is_empty() {
            return Err(Status::unclassified("resourceVersion should not be set on objects to be created"));
        }
        intake::to_stored(self.row, &mut object);
        let generated = object.is_zero("metadata.name") && !object.is_zero("metadata.generateName");
        let mut tries = if generated { NAMES_MAX } else { 1 };
        loop {
            tries -= 1;
            match self.try_insert(object.clone(), dry_run, ownership).await? {
                Inserted::Done(bytes) => return Ok(bytes),
                Inserted::Taken { .. } if generated && tries > 0 => {}
                Inserted::Taken { name, .. } if generated => {
                    return Err(Status::no_unique_name(self.row.group, self.row.plural, &name));
                }
                Inserted::Taken { name, deleting: true } => {
                    return Err(Status::still_being_deleted(self.row.group, self.row.plural, &name));
                }
                Inserted::Taken { name, .. } => {
                    return Err(Status::already_exists(self.row.group, self.row.plural, &name));
                }
            }
        }
    }

    async fn try_insert(
        &mut self,
        mut object: Object,
        dry_run: bool,
        ownership: Ownership<'_>,
    ) -> Result<Inserted, Status> {
        let row = self.row.stored();
        let tools = self.tools();
        if row.namespaced {
            set(&mut object, "metadata.namespace", self.place.namespace.as_str());
        }
        // The name is drawn before admission runs, so that its texts show it (A225).
        draw_name(&mut object, &tools.suffix);
        let name = object.text_or_empty("metadata.name").to_owned();
        self.own(ownership, None, &mut object)?;
        let shared = self.shared.clone();
        let admission = self.admission_of(&name, "", dry_run);
        let mut warnings = shared.security.admission.admit(&admission, Operation::Create, None, &mut object).await?;
        warnings.extend(
            write::before_create(self.row, &mut object, &tools.context(self, ""))
                .map_err(|errors| Status::invalid(self.row.group, self.row.kind, &name, errors))?,
        );
        warnings.extend(shared.security.admission.validate(&admission, Operation::Create, None, &object).await?);
        let _addresses = addresses::draw(&shared, row, "", &mut object)
            .await
            .map_err(|errors| Status::invalid(row.group, row.kind, &name, errors))?;
        let durability = durability(row, &object, None, "");
        let key = row.key(&self.place.namespace, &name);
        let unsealed = Unsealed::new(&mut object, shape(row)?).keeping(self.sent.as_ref());
        let done = if dry_run {
            match self.shared.store.get(&key) {
                Some(current) => taken(name, Some(&current.value)),
                None => Inserted::Done(unsealed.unversioned()),
            }
        } else {
            let change = Change::Put(Box::new(move |revision| unsealed.seal(revision)));
            let write = Write { key, expect: Expect::Absent, change, durability };
            match self.shared.store.commit(write).await {
                Ok(committed) => Inserted::Done(committed.entry.value),
                Err(CommitError::Conflict { current, .. }) => taken(name, current.as_ref().map(|c| &c.value)),
                Err(error) => return Err(failure::commit(&error)),
            }
        };
        self.warn(warnings);
        Ok(done)
    }

    /// PUT on a name that is not there, of a kind that allows it.
    pub(crate) async fn create_on_update(&mut self, mut object: Object, dry_run: bool) -> Result<Bytes, Status> {
        if !self.row.allows(Verb::Create) {
            return Err(failure::not_found(self.row, &self.place.name));
        }
        drop(remove(&mut object, "metadata.resourceVersion"));
        self.insert(object, dry_run, Ownership::Tracked("")).await
    }
}

enum Inserted {
    Done(Bytes),
    Taken { name: String, deleting: bool },
}

fn taken(name: String, current: Option<&Bytes>) -> Inserted {
    let deleting = current.is_some_and(|bytes| crate::stored::parse(bytes).at("metadata.deletionTimestamp").is_some());
    Inserted::Taken { name, deleting }
}

/// Draws a name from generateName (A49): at most 58 bytes of it, and five random letters.
fn draw_name(object: &mut Object, suffix: &str) {
    const BASE_BYTES_MAX: usize = 58;
    let base = object.text_or_empty("metadata.generateName");
    if base.is_empty() || !object.is_zero("metadata.name") {
        return;
    }
    let mut cut = base.len().min(BASE_BYTES_MAX);
    while !base.is_char_boundary(cut) {
        cut -= 1;
    }
    let name = format!("{}{suffix}", base.get(..cut).unwrap_or_default());
    set(object, "metadata.name", name);
}
