//! PUT and PATCH of one object or of a subresource that is a view of it (A64, A66–A71, A135–A138).

use everynode_api::Object;
use everynode_api::codec::{Strictness, json};
use everynode_api::patch;
use everynode_api::resource::{Resource, Storage};
use everynode_api::status::Status;
use everynode_api::value::{Read, set};
use everynode_store::Entry;

use crate::answer::Answer;
use crate::body::RequestBody;
use crate::forms::shape;
use crate::negotiate;
use crate::request::call::Call;
use crate::request::options::{self, WriteOptions};
use crate::rest::ownership::Ownership;
use crate::rest::update::Plan;
use crate::rest::{intake, scale};

/// The media type of server-side apply; its body is YAML or JSON (A135).
const APPLY: &str = "application/apply-patch+yaml";

impl Call {
    /// PUT.
    pub(crate) async fn put(&mut self, body: RequestBody) -> Result<Answer, Status> {
        let options = WriteOptions::parse(&self.query, options::Write::Update)?;
        let bytes = intake::read(&self.headers, body).await?;
        let (mut object, warnings) = intake::decode(self, &bytes, options.strictness)?;
        self.sent = intake::verbatim(self, &bytes);
        self.warn(warnings);
        intake::check_name(self, &object)?;
        intake::check_namespace(self, &object)?;
        if self.row.namespaced {
            set(&mut object, "metadata.namespace", self.place.namespace.as_str());
        }
        if self.place.subresource == "scale" {
            return scale::put(self, object, &options).await;
        }
        let key = self.row.stored().key(&self.place.namespace, &self.place.name);
        if self.row.create_on_update && self.place.subresource.is_empty() && self.shared.store.get(&key).is_none() {
            return self.put_new(object, &options).await;
        }
        intake::to_stored(self.row, &mut object);
        let subresource = self.place.subresource.clone();
        let plan = Plan {
            subresource: &subresource,
            dry_run: options.dry_run,
            replaces: true,
            own_act: false,
            ownership: Ownership::Tracked(&subresource),
        };
        let bytes = self.change(&plan, &mut |_| Ok(object.clone())).await?;
        Ok(Answer::Object(200, bytes))
    }

    async fn put_new(&mut self, object: Object, options: &WriteOptions) -> Result<Answer, Status> {
        self.authorize("create")?;
        let sent = object.text_or_empty("metadata.uid");
        if !sent.is_empty() {
            let namespace = &self.place.namespace;
            return Err(crate::rest::update::uid_conflict(self.row, namespace, &self.place.name, sent, ""));
        }
        let bytes = self.create_on_update(object, options.dry_run).await?;
        Ok(Answer::Object(201, bytes))
    }

    /// PATCH.
    pub(crate) async fn patch(&mut self, body: RequestBody) -> Result<Answer, Status> {
        let media = negotiate::content_type(&self.headers);
        if media == APPLY {
            return self.apply(body).await;
        }
        let kind = patch::Kind::of(&media).ok_or_else(Status::unsupported_media_type)?;
        let options = WriteOptions::parse(&self.query, options::Write::Patch { apply: false })?;
        let bytes = intake::read(&self.headers, body).await?;
        if self.place.subresource == "scale" {
            return scale::patch(self, kind, &bytes, &options).await;
        }
        let (row, strictness) = (self.row, options.strictness);
        let (name, namespace) = (self.place.name.clone(), self.place.namespace.clone());
        let subresource = self.place.subresource.clone();
        let plan = Plan {
            subresource: &subresource,
            dry_run: options.dry_run,
            replaces: false,
            own_act: false,
            ownership: Ownership::Tracked(&subresource),
        };
        let mut warnings = Vec::new();
        let place = PatchedPlace { name: &name, namespace: if row.namespaced { &namespace } else { "" } };
        let answer = self
            .change(&plan, &mut |current| {
                let (object, found) = patched(row, current.entry, kind, &bytes, strictness, &place)?;
                warnings = found;
                Ok(object)
            })
            .await?;
        self.warn(warnings);
        Ok(Answer::Object(200, answer))
    }
}

/// Where a patched object must still be.
pub(super) struct PatchedPlace<'p> {
    pub(super) name: &'p str,
    /// Empty for kinds without.
    pub(super) namespace: &'p str,
}

impl PatchedPlace<'_> {
    /// Refuses an object that would be another one.
    pub(super) fn check(&self, object: &Object) -> Result<(), Status> {
        let (name, namespace) = (object.text_or_empty("metadata.name"), object.text_or_empty("metadata.namespace"));
        if name != self.name {
            let text = format!("the name of the object ({name}) does not match the name on the URL ({})", self.name);
            return Err(Status::bad_request(text));
        }
        if namespace != self.namespace {
            let text = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Status::bad_request(text));
        }
        Ok(())
    }
}

/// A stored object as the client sees it: all of its JSON, in the request's version.
pub(super) fn full(row: &'static Resource, current: &Entry) -> Result<Object, Status> {
    let mut full = crate::stored::parse(&current.value);
    if let Storage::View(view) = row.storage {
        (view.from_stored)(&mut full);
        full = json::full(&full, shape(row)?);
    }
    Ok(full)
}

/// Applies a patch to the current object as the client sees it, and decodes what comes out (A136).
fn patched(
    row: &'static Resource,
    current: &Entry,
    kind: patch::Kind,
    bytes: &[u8],
    strictness: Strictness,
    place: &PatchedPlace<'_>,
) -> Result<(Object, Vec<String>), Status> {
    let full = full(row, current)?;
    let decoded = patch::apply(kind, &full, bytes, &intake::expected(row.kind_ref()), strictness)?;
    let mut object = decoded.object;
    place.check(&object)?;
    row.strategy.default(&mut object);
    intake::to_stored(row, &mut object);
    Ok((object, decoded.warnings))
}
