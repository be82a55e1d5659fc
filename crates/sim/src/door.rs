//! A small API server: the real store, and the code paths of `api` that the real server runs for every write.
//!
//! ```text
//! request ─> decode ─> default ─> prepare and validate ─> commit with its precondition ─> the stored bytes
//! ```
//! Not here: identities, admission that needs other objects, subresources that nothing in the simulator uses.

use std::future::Future;
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use bytes::Bytes;
use everynode_api::codec::body::{self, Expected, Media};
use everynode_api::codec::{Strictness, json, normalise};
use everynode_api::daemonset::wire::{NAMED, Request};
use everynode_api::deletion::{self, Options, Step};
use everynode_api::patch;
use everynode_api::registry;
use everynode_api::resource::Resource;
use everynode_api::schema::{self, Shape};
use everynode_api::status::Status;
use everynode_api::strategy::Context;
use everynode_api::value::{Read, remove, set};
use everynode_api::write;
use everynode_api::{Object, admission, kinds, meta};
use everynode_store::backend::Memory;
use everynode_store::{
    Change, CommitError, Config, Durability, Entry, Expect, Revision, Scope, Seal, Store, Watch, Write,
};
use jiff::Timestamp;

use crate::random::Random;

/// Events that the store's window keeps: a simulated watch never falls behind it.
const WINDOW_EVENTS: usize = 100_000;

/// The server.
pub(crate) struct Door {
    store: Store,
    random: Random,
    uids: u64,
}

/// What a path names.
struct Place<'p> {
    row: &'static Resource,
    namespace: &'p str,
    name: &'p str,
    subresource: &'p str,
}

impl<'p> Place<'p> {
    fn of(path: &'p str) -> Result<Self, Status> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(Status::no_such_resource()),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let plural = rest.first().copied().unwrap_or_default();
        let row = registry::find(group, version, plural).ok_or_else(Status::no_such_resource)?;
        let at = |at: usize| rest.get(at).copied().unwrap_or_default();
        Ok(Self { row, namespace, name: at(1), subresource: at(2) })
    }

    fn key(&self) -> String {
        self.row.key(self.namespace, self.name)
    }

    fn not_found(&self) -> Status {
        Status::not_found(self.row.group, self.row.plural, self.name)
    }

    fn shape(&self) -> Result<&'static Shape, Status> {
        schema::table().shape(self.row.shape).ok_or_else(Status::no_such_resource)
    }

    fn expected(&self) -> Expected<'static> {
        let kind = self.row.kind_ref();
        Expected { group: kind.group, version: kind.version, kind: kind.kind, shape: schema::table().shape(kind.shape) }
    }

    fn normal(&self, bytes: &[u8]) -> Result<Object, Status> {
        let mut object: Object = serde_json::from_slice(bytes).map_err(Status::internal)?;
        normalise(&mut object, self.shape()?);
        Ok(object)
    }

    fn invalid(&self, name: &str, errors: Vec<everynode_api::field::Error>) -> Status {
        Status::invalid(self.row.group, self.row.kind, name, errors)
    }
}

impl Door {
    /// An empty server.
    ///
    /// # Errors
    /// When the store cannot be opened, which one in memory always can.
    pub(crate) fn new(random: Random) -> Result<Self, everynode_store::OpenError> {
        let topics = Box::new(|_: &str, _: &[u8]| Vec::new());
        let config = Config { window_events_max: WINDOW_EVENTS, window_bytes_max: 1 << 30, ..Config::standard(topics) };
        let store = Store::open_unthreaded(Box::new(Memory::default()), config)?;
        Ok(Self { store, random, uids: 0 })
    }

    /// All changes of a resource from now on.
    pub(crate) fn watch(&self, row: &Resource) -> Result<Watch, everynode_store::ReadError> {
        self.store.watch(Scope::Prefix(row.prefix(None).into()), None, self.store.revision())
    }

    /// The newest revision.
    pub(crate) fn revision(&self) -> u64 {
        self.store.revision().0
    }

    /// Answers a request: the object's bytes, or a no.
    pub(crate) fn call(&mut self, request: &Request, now: Timestamp) -> Result<Bytes, Status> {
        if let Some((path, query)) = request.path.split_once('?') {
            return self.named(request.method, path, query);
        }
        let place = Place::of(&request.path)?;
        match (request.method, place.subresource) {
            ("GET", _) => Ok(self.get(&place)?.value),
            ("POST", "") => self.create(&place, &request.body, now),
            ("POST", "binding") => self.bind(&place, &request.body, now),
            ("PUT", _) => self.put(&place, &request.body, now),
            ("PATCH", _) => self.patch(&place, request, now),
            ("DELETE", _) => self.delete(&place, &request.body, now),
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// A list of what has a name: the only one that the controller asks for.
    fn named(&self, method: &str, path: &str, query: &str) -> Result<Bytes, Status> {
        let name = query.strip_prefix(NAMED).filter(|_| method == "GET").ok_or_else(Status::method_not_allowed)?;
        let found = self.store.get(&Place { name, ..Place::of(path)? }.key());
        let items = found.as_ref().map_or(&b""[..], |entry| &entry.value);
        Ok([&br#"{"items":["#[..], items, b"]}"].concat().into())
    }

    fn get(&self, place: &Place<'_>) -> Result<Entry, Status> {
        self.store.get(&place.key()).ok_or_else(|| place.not_found())
    }

    fn draw(&mut self) -> (String, String) {
        self.uids += 1;
        (
            format!("{:08x}-0000-4000-8000-{:012x}", self.random.below(1 << 32), self.uids),
            meta::suffix(self.random.draw()),
        )
    }

    fn create(&mut self, place: &Place<'_>, bytes: &[u8], now: Timestamp) -> Result<Bytes, Status> {
        let mut object = body::decode(bytes, Media::Json, &place.expected(), Strictness::Warn)?.object;
        place.row.strategy.default(&mut object);
        drop(remove(&mut object, "metadata.managedFields"));
        if place.row.namespaced {
            set(&mut object, "metadata.namespace", place.namespace);
        }
        if place.row.kind == "Pod" {
            admission::tolerations::admit(&mut object);
        }
        let (uid, suffix) = self.draw();
        let context =
            Context { subresource: "", namespace: place.namespace, now, uid: &uid, suffix: &suffix, requester: None };
        let made = write::before_create(place.row, &mut object, &context);
        let name = object.text_or_empty("metadata.name").to_owned();
        made.map_err(|errors| place.invalid(&name, errors))?;
        let key = place.row.key(place.namespace, &name);
        match self.commit(key, Expect::Absent, Change::Put(seal(object, place.shape()?))) {
            Ok(entry) => Ok(entry.value),
            Err(CommitError::Conflict { .. }) => Err(Status::already_exists(place.row.group, place.row.plural, &name)),
            Err(error) => Err(Status::internal(error)),
        }
    }

    fn put(&mut self, place: &Place<'_>, bytes: &[u8], now: Timestamp) -> Result<Bytes, Status> {
        let mut new = body::decode(bytes, Media::Json, &place.expected(), Strictness::Warn)?.object;
        place.row.strategy.default(&mut new);
        let entry = self.get(place)?;
        let old = place.normal(&entry.value)?;
        let sent = new.text_or_empty("metadata.uid");
        if !sent.is_empty() && sent != old.text_or_empty("metadata.uid") {
            return Err(Status::conflict(place.row.group, place.row.plural, place.name, "another uid"));
        }
        self.change(place, new, &old, &entry, now)
    }

    fn patch(&mut self, place: &Place<'_>, request: &Request, now: Timestamp) -> Result<Bytes, Status> {
        let kind = patch::Kind::of(request.content_type).ok_or_else(Status::unsupported_media_type)?;
        let entry = self.get(place)?;
        let full: Object = serde_json::from_slice(&entry.value).map_err(Status::internal)?;
        let patched = patch::apply(kind, &full, &request.body, &place.expected(), Strictness::Warn)?;
        let mut new = patched.object;
        place.row.strategy.default(&mut new);
        let old = place.normal(&entry.value)?;
        self.change(place, new, &old, &entry, now)
    }

    /// Preconditions, preparation, validation, commit: what every change has in common.
    fn change(
        &mut self,
        place: &Place<'_>,
        mut new: Object,
        old: &Object,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<Bytes, Status> {
        let version = new.text_or_empty("metadata.resourceVersion");
        if !matches!(version, "" | "0") && version != old.text_or_empty("metadata.resourceVersion") {
            return Err(Status::modified(place.row.group, place.row.plural, place.name));
        }
        let context = Context {
            subresource: place.subresource,
            namespace: place.namespace,
            now,
            uid: "",
            suffix: "",
            requester: None,
        };
        write::before_update(place.row, &mut new, old, &context).map_err(|errors| place.invalid(place.name, errors))?;
        if deletion::ends(place.row, &new, old) {
            return self.remove(place, new, entry);
        }
        self.store_new(place, new, entry).map(|entry| entry.value)
    }

    fn bind(&mut self, place: &Place<'_>, bytes: &[u8], now: Timestamp) -> Result<Bytes, Status> {
        let binding: Object = serde_json::from_slice(bytes).map_err(Status::internal)?;
        let entry = self.get(place)?;
        let mut pod = place.normal(&entry.value)?;
        kinds::pod::bind::apply(&mut pod, &binding, now)
            .map_err(|why| Status::conflict("", "pods/binding", place.name, why))?;
        self.store_new(place, pod, &entry).map(|entry| entry.value)
    }

    fn delete(&mut self, place: &Place<'_>, bytes: &[u8], now: Timestamp) -> Result<Bytes, Status> {
        let options = match body::decode_delete_options(bytes, Media::Json)? {
            Some(sent) => Options::from_body(&sent)?,
            None => Options::default(),
        };
        let entry = self.get(place)?;
        let object = place.normal(&entry.value)?;
        deletion::check_preconditions(place.row, place.name, &options, &object)?;
        match deletion::step(place.row, &object, &options, now) {
            Step::Unchanged => Ok(entry.value),
            Step::Remove => self.remove(place, object, &entry),
            Step::Mark(marked) => self.store_new(place, marked, &entry).map(|entry| entry.value),
            Step::MarkAndRemove(marked) => {
                let entry = self.store_new(place, marked.clone(), &entry)?;
                self.remove(place, marked, &entry)
            }
        }
    }

    fn store_new(&mut self, place: &Place<'_>, mut object: Object, entry: &Entry) -> Result<Entry, Status> {
        let shape = place.shape()?;
        set(&mut object, "metadata.resourceVersion", entry.modified.to_string());
        if encoded(&object, shape) == entry.value {
            // A write that changes nothing makes neither revision nor event (A69).
            return Ok(entry.clone());
        }
        let change = Change::Put(seal(object, shape));
        self.commit(entry.key.to_string(), Expect::At(entry.modified), change).map_err(Status::internal)
    }

    fn remove(&mut self, place: &Place<'_>, object: Object, entry: &Entry) -> Result<Bytes, Status> {
        let change = Change::Delete(seal(object, place.shape()?));
        let gone = self.commit(entry.key.to_string(), Expect::At(entry.modified), change);
        gone.map(|entry| entry.value).map_err(Status::internal)
    }

    fn commit(&mut self, key: String, expect: Expect, change: Change) -> Result<Entry, CommitError> {
        let work = pin!(self.store.commit(Write { key, expect, change, durability: Durability::Now }));
        // A store without a thread has done its work when the future is first asked.
        match work.poll(&mut TaskContext::from_waker(Waker::noop())) {
            Poll::Ready(done) => done.map(|committed| committed.entry),
            Poll::Pending => Err(CommitError::Closed),
        }
    }
}

fn encoded(object: &Object, shape: &Shape) -> Bytes {
    let mut bytes = json::encode(object, shape);
    bytes.push(b'\n');
    bytes.into()
}

fn seal(mut object: Object, shape: &'static Shape) -> Seal {
    Box::new(move |revision: Revision| {
        set(&mut object, "metadata.resourceVersion", revision.to_string());
        encoded(&object, shape)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const PODS: &str = "/api/v1/namespaces/default/pods";

    fn request(method: &'static str, path: &str, body: &Value) -> Request {
        let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        Request { method, path: path.to_owned(), content_type, body: body.to_string().into_bytes() }
    }

    fn door() -> Door {
        Door::new(Random::new(1)).unwrap()
    }

    fn pod(name: &str) -> Value {
        json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "i"}]}})
    }

    #[test]
    fn a_pod_is_made_bound_and_deleted_with_grace() {
        let (mut door, now) = (door(), Timestamp::UNIX_EPOCH);
        let mut watch = door.watch(registry::find("", "v1", "pods").unwrap()).unwrap();
        let made = door.call(&request("POST", PODS, &pod("a")), now).unwrap();
        let made: Value = serde_json::from_slice(&made).unwrap();
        assert_eq!(made["status"]["phase"], "Pending");
        assert_eq!(made["spec"]["restartPolicy"], "Always", "defaults are filled in");
        for (name, expect) in [("a", json!(["a"])), ("b", json!([]))] {
            let list = door.call(&Request::get(format!("{PODS}?{NAMED}{name}")), now).unwrap();
            let list: Value = serde_json::from_slice(&list).unwrap();
            let names = list["items"].as_array().unwrap().iter().map(|pod| &pod["metadata"]["name"]);
            assert_eq!(names.cloned().collect::<Value>(), expect);
        }
        let again = door.call(&request("POST", PODS, &pod("a")), now).unwrap_err();
        assert_eq!(again.reason().as_str(), "AlreadyExists");
        let path = format!("{PODS}/a");
        let binding = json!({"kind": "Binding", "apiVersion": "v1", "target": {"kind": "Node", "name": "n"}});
        door.call(&request("POST", &format!("{path}/binding"), &binding), now).unwrap();
        let wrong = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "x"}});
        assert_eq!(door.call(&request("DELETE", &path, &wrong), now).unwrap_err().code(), 409);
        let marked = door.call(&request("DELETE", &path, &json!({})), now).unwrap();
        let marked: Value = serde_json::from_slice(&marked).unwrap();
        assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
        let force = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0});
        door.call(&request("DELETE", &path, &force), now).unwrap();
        assert_eq!(door.call(&Request::get(path), now).unwrap_err().code(), 404);
        let kinds: Vec<_> = watch.poll().unwrap().events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds.len(), 5, "made, bound, marked, marked with 0 and gone: {kinds:?}");
    }

    #[test]
    fn preconditions_of_a_patch_hold() {
        let (mut door, now) = (door(), Timestamp::UNIX_EPOCH);
        door.call(&request("POST", PODS, &pod("a")), now).unwrap();
        let path = format!("{PODS}/a");
        for (meta, code) in [
            (json!({"resourceVersion": "77"}), Some(409)),
            (json!({"uid": "another"}), Some(422)),
            (json!({"labels": {"a": "b"}}), None),
        ] {
            let answer = door.call(&request("PATCH", &path, &json!({"metadata": meta})), now);
            assert_eq!(answer.err().map(|status| status.code()), code, "{meta}");
        }
    }
}
