//! What the product knows of one resource of one version: the columns of the [`crate::registry`].
//!
//! Not here: the rows, and what a kind does with its objects ([`crate::strategy`]).

use crate::strategy::Strategy;
use crate::table::Printer;

/// A verb of the resource API; `as_str` is the word in discovery and RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// POST on the collection, or on a subresource that makes something.
    Create,
    /// DELETE of one object.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
    /// GET of one object.
    Get,
    /// GET of a collection.
    List,
    /// PATCH of one object.
    Patch,
    /// PUT of one object.
    Update,
    /// A stream of changes.
    Watch,
}

impl Verb {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Patch => "patch",
            Verb::Update => "update",
            Verb::Watch => "watch",
        }
    }
}

/// A group, version and kind with the shape of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindRef {
    /// API group, empty for the core one.
    pub group: &'static str,
    /// Version, such as `v1`.
    pub version: &'static str,
    /// Kind, such as `Scale`.
    pub kind: &'static str,
    /// Name in the table of shapes, such as `autoscaling.v1.Scale`.
    pub shape: &'static str,
}

impl KindRef {
    /// `group/version`, or the version alone for the core group.
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }
}

/// `group/version`, or the version alone for the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// A path below an object: `pods/⟨name⟩/status`.
#[derive(Clone, Copy, Debug)]
pub struct Subresource {
    /// Last path segment.
    pub name: &'static str,
    /// Verbs in discovery order.
    pub verbs: &'static [Verb],
    /// The kind of the body; `None`: the parent's own kind.
    pub body: Option<KindRef>,
    /// Whether it is a stream or proxy (`exec`, `attach`, `portforward`, `proxy`, `log`), not an object.
    pub connects: bool,
}

/// Where objects of a row live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Stored under `/registry/⟨store_key⟩/`.
    Own,
    /// Stored as objects of another row (same store key); this row is a second spelling of them.
    View(&'static View),
    /// Nothing is stored: reviews and bindings.
    Virtual,
}

/// A second spelling of objects that are stored in another version.
#[derive(Debug)]
pub struct View {
    /// The row whose version is stored: (group, version, plural).
    pub of: (&'static str, &'static str, &'static str),
    /// Turns an object of this row's version into the stored version, in place (apiVersion included).
    pub to_stored: fn(&mut crate::Object),
    /// The reverse.
    pub from_stored: fn(&mut crate::Object),
}

impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        self.of == other.of
    }
}
impl Eq for View {}

/// How names of a kind are spelt (A48).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// DNS-1123 subdomain, at most 253 bytes.
    Subdomain,
    /// DNS-1123 label, at most 63 bytes.
    Label,
    /// Anything but `.`, `..`, `/` and `%`.
    PathSegment,
}

/// What dependents meet when the owner is deleted without a propagation policy (A77).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The garbage collector removes them afterwards.
    Background,
    /// They stay.
    Orphan,
    /// Owner-based collection does not apply to the kind.
    None,
}

/// One resource of one version.
#[derive(Clone, Copy)]
pub struct Resource {
    /// API group, empty for the core one.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Plural name: the path segment.
    pub plural: &'static str,
    /// Singular name.
    pub singular: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Kind of lists.
    pub list_kind: &'static str,
    /// Name in the table of shapes.
    pub shape: &'static str,
    /// Short names for kubectl.
    pub short_names: &'static [&'static str],
    /// Categories for kubectl (`all`).
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs, in discovery order.
    pub verbs: &'static [Verb],
    /// Subresources, sorted by name.
    pub subresources: &'static [Subresource],
    /// The segment after `/registry/`.
    pub store_key: &'static str,
    /// Where objects live.
    pub storage: Storage,
    /// Name syntax.
    pub names: NameRule,
    /// Whether `metadata.generation` is kept by the server (A43).
    pub generation: bool,
    /// Whether `status` is reset on create and kept on update of the main resource.
    pub status: bool,
    /// PUT on a missing name creates (A68).
    pub create_on_update: bool,
    /// PUT without resourceVersion is accepted (A67).
    pub unconditional_update: bool,
    /// DELETE answers with the object instead of a Status (A78, A331).
    pub returns_deleted: bool,
    /// Default propagation of a deletion.
    pub propagation: Propagation,
    /// Finalizers must be fully qualified or standard (A56).
    pub strict_finalizers: bool,
    /// Selectable fields besides `metadata.name` and `metadata.namespace` (A98).
    pub selectable: &'static [&'static str],
    /// What the kind does.
    pub strategy: &'static dyn Strategy,
    /// Columns and cells of its tables.
    pub printer: &'static Printer,
    /// Kind is stored, but nothing in this product acts on it: said in a Warning on create.
    pub stored_only: bool,
}

impl Resource {
    /// `group/version`, or the version alone for the core group.
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }

    /// `plural.group`, or the plural alone for the core group: the R of error messages.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Group, version, kind and shape.
    pub fn kind_ref(&self) -> KindRef {
        KindRef { group: self.group, version: self.version, kind: self.kind, shape: self.shape }
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// The kind of the body of the main resource (empty name) or a subresource.
    pub fn body_of(&self, subresource: &str) -> Option<KindRef> {
        if subresource.is_empty() {
            return Some(self.kind_ref());
        }
        self.subresource(subresource).map(|s| s.body.unwrap_or_else(|| self.kind_ref()))
    }

    /// Whether the main resource has the verb.
    pub fn allows(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// `/registry/⟨store_key⟩/`, or with a namespace `/registry/⟨store_key⟩/⟨ns⟩/`: the prefix of a list.
    pub fn prefix(&self, namespace: Option<&str>) -> String {
        match namespace.filter(|_| self.namespaced) {
            Some(ns) => format!("/registry/{}/{ns}/", self.store_key),
            None => format!("/registry/{}/", self.store_key),
        }
    }

    /// The key of one object; the namespace is ignored for cluster-scoped kinds.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        if self.namespaced {
            format!("/registry/{}/{namespace}/{name}", self.store_key)
        } else {
            format!("/registry/{}/{name}", self.store_key)
        }
    }
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.api_version(), self.plural)
    }
}
