//! Server-side apply: a PATCH that carries an intent, and makes the object if there is none (A146–A151).
//!
//! Not here: merging, ownership and conflicts (`everynode_api::apply`).

use bytes::Bytes;
use everynode_api::Object;
use everynode_api::apply::{self, Target};
use everynode_api::codec::Strictness;
use everynode_api::codec::body::{self, Intent};
use everynode_api::resource::Resource;
use everynode_api::status::{Reason, Status};
use everynode_api::value::{Read, remove, set};
use serde_json::json;

use crate::answer::Answer;
use crate::body::RequestBody;
use crate::forms::{self, shape};
use crate::request::call::Call;
use crate::request::options::{self, WriteOptions};
use crate::rest::ownership::{Author, Ownership};
use crate::rest::update::Plan;
use crate::rest::write::{PatchedPlace, full};
use crate::rest::{intake, scale};
use crate::{failure, stored};

/// How often an object may come and go under an apply before it gives up.
const TRIES_MAX: usize = 5;

impl Call {
    /// PATCH with an intent.
    pub(super) async fn apply(&mut self, body: RequestBody) -> Result<Answer, Status> {
        let options = WriteOptions::parse(&self.query, options::Write::Patch { apply: true })?;
        let bytes = intake::read(&self.headers, body).await?;
        let mut intent = body::decode_intent(&bytes)?;
        let scales = self.place.subresource == "scale";
        if scales {
            intent.object = self.of_scale(&intent.object)?;
        }
        for _ in 0..TRIES_MAX {
            let key = self.row.stored().key(&self.place.namespace, &self.place.name);
            let there = self.shared.store.get(&key).is_some();
            let done =
                if there { self.apply_over(&intent, &options).await } else { self.apply_new(&intent, &options).await };
            let (code, bytes) = match done {
                Ok(bytes) => (if there { 200 } else { 201 }, bytes),
                // It went or came meanwhile.
                Err(status) if there && status.reason() == Reason::NotFound => continue,
                Err(status) if !there && status.reason() == Reason::AlreadyExists => continue,
                Err(status) => return Err(status),
            };
            self.warn_of_repeats(&intent, options.strictness);
            if scales {
                return scale::answer(self, code, &stored::parse(&bytes));
            }
            return Ok(Answer::Object(code, bytes));
        }
        Err(failure::modified(self.row, &self.place.name))
    }

    async fn apply_over(&mut self, intent: &Intent, options: &WriteOptions) -> Result<Bytes, Status> {
        let applying = Applying::of(self, options);
        let subresource = self.place.subresource.clone();
        let plan = Plan {
            // A Scale is written through the object itself.
            subresource: if subresource == "scale" { "" } else { &subresource },
            dry_run: options.dry_run,
            replaces: false,
            own_act: false,
            ownership: Ownership::Given,
        };
        self.change(&plan, &mut |current| applying.apply(Some(&full(applying.row, current.entry)?), intent)).await
    }

    async fn apply_new(&mut self, intent: &Intent, options: &WriteOptions) -> Result<Bytes, Status> {
        if !self.place.subresource.is_empty() {
            return Err(failure::not_found(self.row, &self.place.name));
        }
        let mut object = Applying::of(self, options).apply(None, intent)?;
        let uid = object.text_or_empty("metadata.uid");
        if !uid.is_empty() {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Status::conflict(self.row.group, self.row.plural, &self.place.name, why));
        }
        self.authorize("create")?;
        drop(remove(&mut object, "metadata.resourceVersion"));
        self.insert(object, options.dry_run, Ownership::Given).await
    }

    fn warn_of_repeats(&mut self, intent: &Intent, strictness: Strictness) {
        if strictness == Strictness::Warn {
            self.warn(intent.repeats.iter().cloned().collect());
        }
    }

    /// The intent about an object that a Scale stands for (A161).
    fn of_scale(&self, scale: &Object) -> Result<Object, Status> {
        let kind = self.body_kind();
        let scale_shape = forms::shape_named(kind.shape)?;
        let target = Target { shape: scale_shape, group: kind.group, version: kind.version, kind: kind.kind };
        apply::check_kind(scale, &target)?;
        let mut intent = json!({"apiVersion": self.row.api_version(), "kind": self.row.kind, "metadata": {}});
        for member in ["name", "namespace", "uid", "resourceVersion"] {
            if let Some(value) = scale.get("metadata").and_then(|m| m.get(member)) {
                set(&mut intent, &format!("metadata.{member}"), value.clone());
            }
        }
        if let Some(replicas) = scale.get("spec").and_then(|spec| spec.get("replicas")) {
            set(&mut intent, "spec.replicas", replicas.clone());
        }
        Ok(intent)
    }
}

/// An intent's way into the stored version, apart from the request.
struct Applying {
    row: &'static Resource,
    name: String,
    /// Empty for kinds without.
    namespace: String,
    author: Author,
    force: bool,
    strictness: Strictness,
}

impl Applying {
    fn of(call: &Call, options: &WriteOptions) -> Self {
        Applying {
            row: call.row,
            name: call.place.name.clone(),
            namespace: if call.row.namespaced { call.place.namespace.clone() } else { String::new() },
            author: call.author(call.row, &call.place.subresource),
            force: options.force,
            strictness: options.strictness,
        }
    }

    /// The object that an intent makes of the live one.
    fn apply(&self, live: Option<&Object>, intent: &Intent) -> Result<Object, Status> {
        let row = self.row;
        let target = Target { shape: shape(row)?, group: row.group, version: row.version, kind: row.kind };
        let merged = apply::apply(&target, live, &intent.object, &self.author.writer(), self.force)?;
        if self.strictness == Strictness::Strict
            && let Some(why) = &intent.repeats
        {
            return Err(Status::bad_request(format!("error strict decoding YAML: {why}")));
        }
        let mut object = body::decode_applied(&merged, &intake::expected(row.kind_ref()))?;
        // An intent need not say its name again (A146).
        for (path, own) in [("metadata.name", &self.name), ("metadata.namespace", &self.namespace)] {
            if object.text_or_empty(path).is_empty() && !own.is_empty() {
                set(&mut object, path, own.as_str());
            }
        }
        PatchedPlace { name: &self.name, namespace: &self.namespace }.check(&object)?;
        row.strategy.default(&mut object);
        intake::to_stored(row, &mut object);
        Ok(object)
    }
}
