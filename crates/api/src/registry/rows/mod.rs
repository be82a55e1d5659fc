//! The rows themselves (A300–A302). Split from the types so that a new kind is one line here.

mod core;
mod others;
mod workloads;

use std::sync::LazyLock;

use super::Group;
use crate::resource::Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};
use crate::resource::{KindRef, NameRule, Propagation, Resource, Storage, Subresource, Verb, View};
use crate::strategy::{PLAIN, Strategy};
use crate::table;

const ALL: &[Verb] = &[Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch];
const NO_COLLECTION_DELETE: &[Verb] = &[Create, Delete, Get, List, Patch, Update, Watch];
const CREATE: &[Verb] = &[Create];
const READ: &[Verb] = &[Get, List];
const GPU: &[Verb] = &[Get, Patch, Update];
const PROXY: &[Verb] = &[Create, Delete, Get, Patch, Update];
const STREAM: &[Verb] = &[Create, Get];

const STATUS: Subresource = Subresource { name: "status", verbs: GPU, body: None, connects: false };
const SCALE: Subresource = Subresource {
    name: "scale",
    verbs: GPU,
    body: Some(kind("autoscaling", "v1", "Scale", "autoscaling.v1.Scale")),
    connects: false,
};

const fn kind(group: &'static str, version: &'static str, kind: &'static str, shape: &'static str) -> KindRef {
    KindRef { group, version, kind, shape }
}

const fn sub(name: &'static str, verbs: &'static [Verb], body: Option<KindRef>) -> Subresource {
    Subresource { name, verbs, body, connects: false }
}

const fn stream(name: &'static str, verbs: &'static [Verb], options: &'static str, shape: &'static str) -> Subresource {
    Subresource { name, verbs, body: Some(kind("", "v1", options, shape)), connects: true }
}

/// `row!(group, version, folder of the shape, plural, singular, Kind)`.
macro_rules! row {
    ($group:literal, $version:literal, $folder:literal, $plural:literal, $singular:literal, $kind:literal $(,)?) => {
        $crate::registry::rows::plain(
            ($group, $version, $plural, $singular),
            ($kind, concat!($kind, "List"), concat!($folder, ".", $version, ".", $kind)),
        )
    };
}

use row;

type Names = (&'static str, &'static str, &'static str, &'static str);
type Kinds = (&'static str, &'static str, &'static str);

/// A row with what most kinds have: namespaced, all verbs, stored under its plural.
const fn plain((group, version, plural, singular): Names, (kind, list_kind, shape): Kinds) -> Resource {
    Resource {
        group,
        version,
        plural,
        singular,
        kind,
        list_kind,
        shape,
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: ALL,
        subresources: &[],
        store_key: plural,
        storage: Storage::Own,
        names: NameRule::Subdomain,
        generation: false,
        status: false,
        create_on_update: false,
        unconditional_update: true,
        returns_deleted: false,
        propagation: Propagation::Background,
        strict_finalizers: true,
        selectable: &[],
        strategy: &PLAIN,
        printer: &table::FALLBACK,
        stored_only: false,
    }
}

impl Resource {
    const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }
    const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }
    const fn category(mut self, names: &'static [&'static str]) -> Self {
        self.categories = names;
        self
    }
    const fn verbs(mut self, verbs: &'static [Verb]) -> Self {
        self.verbs = verbs;
        self
    }
    /// Subresources; a `status` among them makes the status its own.
    const fn subs(mut self, subresources: &'static [Subresource]) -> Self {
        self.subresources = subresources;
        let mut i = 0;
        while i < subresources.len() {
            if matches!(subresources[i].name.as_bytes(), b"status") {
                self.status = true;
            }
            i += 1;
        }
        self
    }
    const fn at(mut self, store_key: &'static str) -> Self {
        self.store_key = store_key;
        self
    }
    const fn view(mut self, view: &'static View) -> Self {
        self.storage = Storage::View(view);
        self
    }
    const fn virtual_kind(mut self) -> Self {
        self.storage = Storage::Virtual;
        self.verbs = CREATE;
        self
    }
    const fn named(mut self, names: NameRule) -> Self {
        self.names = names;
        self
    }
    const fn counted(mut self) -> Self {
        self.generation = true;
        self
    }
    const fn creates_on_update(mut self) -> Self {
        self.create_on_update = true;
        self
    }
    const fn conditional(mut self) -> Self {
        self.unconditional_update = false;
        self
    }
    const fn answers_object(mut self) -> Self {
        self.returns_deleted = true;
        self
    }
    const fn propagates(mut self, propagation: Propagation) -> Self {
        self.propagation = propagation;
        self
    }
    const fn loose_finalizers(mut self) -> Self {
        self.strict_finalizers = false;
        self
    }
    const fn select(mut self, fields: &'static [&'static str]) -> Self {
        self.selectable = fields;
        self
    }
    const fn does(mut self, strategy: &'static dyn Strategy) -> Self {
        self.strategy = strategy;
        self
    }
    const fn prints(mut self, printer: &'static table::Printer) -> Self {
        self.printer = printer;
        self
    }
    const fn only_stored(mut self) -> Self {
        self.stored_only = true;
        self
    }
}

macro_rules! group {
    ($name:literal, $versions:expr, $priority:literal, $version_priorities:expr) => {
        Group { name: $name, versions: $versions, priority: $priority, version_priorities: $version_priorities }
    };
}

pub(super) static GROUPS: &[Group] = &[
    group!("", &["v1"], 18000, &[1]),
    group!("apiregistration.k8s.io", &["v1"], 18000, &[1]),
    group!("apps", &["v1"], 17800, &[15]),
    group!("events.k8s.io", &["v1"], 17750, &[15]),
    group!("authentication.k8s.io", &["v1"], 17700, &[15]),
    group!("authorization.k8s.io", &["v1"], 17600, &[15]),
    group!("autoscaling", &["v2", "v1"], 17500, &[30, 15]),
    group!("batch", &["v1"], 17400, &[15]),
    group!("certificates.k8s.io", &["v1"], 17300, &[15]),
    group!("networking.k8s.io", &["v1"], 17200, &[15]),
    group!("policy", &["v1"], 17100, &[15]),
    group!("rbac.authorization.k8s.io", &["v1"], 17000, &[15]),
    group!("storage.k8s.io", &["v1"], 16800, &[15]),
    group!("admissionregistration.k8s.io", &["v1"], 16700, &[15]),
    group!("apiextensions.k8s.io", &["v1"], 16700, &[15]),
    group!("scheduling.k8s.io", &["v1"], 16600, &[15]),
    group!("coordination.k8s.io", &["v1"], 16500, &[15]),
    group!("node.k8s.io", &["v1"], 16300, &[15]),
    group!("discovery.k8s.io", &["v1"], 16200, &[15]),
    group!("resource.k8s.io", &["v1"], 16200, &[21]),
    group!("flowcontrol.apiserver.k8s.io", &["v1"], 16100, &[21]),
];

/// All rows, in the order of their groups.
pub(super) static ROWS: LazyLock<Vec<Resource>> =
    LazyLock::new(|| [core::ROWS, workloads::ROWS, others::ROWS].concat());
