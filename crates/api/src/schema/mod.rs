//! The one table of shapes: every type of the API as data (fields in wire order, omission, protobuf numbers, list and patch semantics).
//!
//! The facts stand in `table.txt` beside this file, one line a type and one line a field; [`table`] reads it once and keeps it for ever.
//! All codecs, patches and OpenAPI documents follow from here and from nowhere else. Not here: defaults and validation rules.

mod load;
#[cfg(test)]
mod tests;

use std::{fmt, sync::LazyLock};

/// The number of a shape in the [`Table`]; a cheap, copyable reference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeId(u16);

impl ShapeId {
    /// The shape itself.
    pub fn get(self) -> &'static Shape {
        &table().shapes[usize::from(self.0)]
    }
}

impl fmt::Debug for ShapeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The type of a field, element or map value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `bool`
    Bool,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `uint8`
    Uint8,
    /// `float64`
    Float64,
    /// `string`
    String,
    /// `[]byte`: base64 in JSON
    Bytes,
    /// any JSON
    Any,
    /// a named type
    Shape(ShapeId),
    /// absent and zero differ
    Pointer(&'static Type),
    /// a list
    List(&'static Type),
    /// a map from strings (possibly of a named string type) to values
    Map(&'static MapType),
}

/// Key and value of a map type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapType {
    /// A string or a named string type.
    pub key: Type,
    /// The value.
    pub value: Type,
}

impl Type {
    /// The type behind pointers and aliases: never [`Type::Pointer`], never a shape whose body is an alias.
    pub fn resolved(self) -> Type {
        match self {
            Type::Pointer(inner) => inner.resolved(),
            Type::Shape(id) => match id.get().body {
                Body::Alias(to) => to.resolved(),
                Body::Struct | Body::Special(_) => self,
            },
            other => other,
        }
    }

    /// The struct shape behind pointers and aliases.
    pub fn as_struct(self) -> Option<&'static Shape> {
        match self.resolved() {
            Type::Shape(id) if matches!(id.get().body, Body::Struct) => Some(id.get()),
            _ => None,
        }
    }

    /// Whether this is a pointer.
    pub fn is_pointer(self) -> bool {
        matches!(self, Type::Pointer(_))
    }

    /// The type as Go writes it, without outer pointers: how messages about a wrong JSON type name it.
    pub fn go_name(self) -> String {
        match self {
            Type::Bool => "bool".into(),
            Type::Int32 => "int32".into(),
            Type::Int64 => "int64".into(),
            Type::Uint8 => "uint8".into(),
            Type::Float64 => "float64".into(),
            Type::String => "string".into(),
            Type::Bytes => "[]uint8".into(),
            Type::Any => "interface {}".into(),
            Type::Shape(id) => id.get().go_name(),
            Type::Pointer(inner) => inner.go_name(),
            Type::List(inner) => format!("[]{}", inner.go_name()),
            Type::Map(map) => format!("map[{}]{}", map.key.go_name(), map.value.go_name()),
        }
    }
}

/// A type whose JSON form is not what its fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// `meta.v1.Time`
    Time,
    /// `meta.v1.MicroTime`
    MicroTime,
    /// `meta.v1.Duration`
    Duration,
    /// `resource.Quantity`
    Quantity,
    /// `intstr.IntOrString`
    IntOrString,
    /// `meta.v1.FieldsV1`
    Fields,
    /// `runtime.RawExtension` and `apiextensions.v1.JSON`
    Raw,
    /// `apiextensions.v1.JSONSchemaPropsOrBool`
    SchemaOrBool,
    /// `apiextensions.v1.JSONSchemaPropsOrArray`
    SchemaOrArray,
    /// `apiextensions.v1.JSONSchemaPropsOrStringArray`
    SchemaOrStringArray,
}

/// What a named type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Fields.
    Struct,
    /// Another type by this name.
    Alias(Type),
    /// Fields, but with a JSON form of its own.
    Special(Special),
}

/// When a field is left out of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omit {
    /// Never: an empty list is `[]`, a nil one `null`.
    Never,
    /// When false, 0, "", nil or empty; no effect on a struct held by value.
    Empty,
    /// When zero, structs too.
    Zero,
}

/// What an owner owns of a list (server-side apply).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// The whole list.
    Atomic,
    /// Single values.
    Set,
    /// Elements, told apart by [`FieldDef::keys`].
    Map,
}

/// What an owner owns of a map or struct (server-side apply).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// The whole.
    Atomic,
    /// Single members.
    Granular,
}

/// How a strategic merge patch treats a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatchRule {
    /// Lists merge (by [`PatchRule::key`], or as a set of values).
    pub merge: bool,
    /// Maps and lists are replaced.
    pub replace: bool,
    /// `$retainKeys` is expected.
    pub retain_keys: bool,
    /// The merge key of a list of objects.
    pub key: Option<&'static str>,
}

/// One field of a struct.
#[derive(Clone, Copy, Debug)]
pub struct FieldDef {
    /// Its name in JSON; of an inline field the empty string.
    pub name: &'static str,
    /// The fields of its type stand in JSON directly in this object.
    pub inline: bool,
    /// Its type.
    pub ty: Type,
    /// Its protobuf field number; 0: not on that wire.
    pub proto: u32,
    /// When it is left out of JSON.
    pub omit: Omit,
    /// Marked optional upstream.
    pub optional: bool,
    /// Marked required upstream.
    pub required: bool,
    /// List semantics under server-side apply, if declared.
    pub list: Option<ListKind>,
    /// The keys of a [`ListKind::Map`].
    pub keys: &'static [&'static str],
    /// Map semantics under server-side apply, if declared.
    pub map: Option<MapKind>,
    /// Strategic merge patch.
    pub patch: PatchRule,
    /// The declared default, as JSON text (or `ref(Constant)`).
    pub default: Option<&'static str>,
    /// The feature gates that guard it, comma-separated.
    pub gate: Option<&'static str>,
    /// It is the discriminator of a union.
    pub discriminator: bool,
}

impl FieldDef {
    /// Whether OpenAPI lists the field as required.
    pub fn is_required(&self) -> bool {
        self.required || (!self.optional && self.omit == Omit::Never)
    }
}

/// One named type.
#[derive(Debug)]
pub struct Shape {
    /// `⟨group folder⟩.⟨version⟩.⟨Name⟩`, such as `apps.v1.DaemonSet`.
    pub name: &'static str,
    /// Which shape it is.
    pub id: ShapeId,
    /// A top-level object: `kind` and `apiVersion` come first on the wire.
    pub is_kind: bool,
    /// What it is.
    pub body: Body,
    /// The fields in wire order, inline ones as a single entry.
    pub fields: Vec<FieldDef>,
    /// The declared constants of a string type.
    pub values: Vec<&'static str>,
    /// Server-side apply semantics of the struct as a whole.
    pub map: Option<MapKind>,
    /// With inline fields spread out, if there are any.
    spread: Option<Vec<FieldDef>>,
    /// Positions in [`Shape::members`] sorted by name.
    by_name: Vec<u16>,
}

impl Shape {
    /// The members of the JSON object in wire order: inline fields spread out.
    pub fn members(&self) -> &[FieldDef] {
        self.spread.as_deref().unwrap_or(&self.fields)
    }

    /// The member of this JSON name (case-sensitive).
    pub fn member(&self, name: &str) -> Option<&FieldDef> {
        let members = self.members();
        let at = self.by_name.binary_search_by(|i| members[usize::from(*i)].name.cmp(name)).ok()?;
        members.get(usize::from(self.by_name[at]))
    }

    /// The name without group and version: `DaemonSet`.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    /// The group folder: `apps`, `core`, `meta`.
    pub fn folder(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// The version: `v1`; of `resource.Quantity` and its like the folder.
    pub fn version(&self) -> &'static str {
        let mut parts = self.name.rsplit('.');
        parts.next();
        parts.next().unwrap_or(self.name)
    }

    /// The type as Go messages name it: `v1.DaemonSet`.
    pub fn go_name(&self) -> String {
        format!("{}.{}", self.version(), self.short_name())
    }

    /// The member at a dotted path, through structs, pointers, list elements and map values.
    pub fn member_at(&self, path: &str) -> Option<&'static FieldDef> {
        let mut here = self.id.get();
        let mut found = None;
        for step in path.split('.') {
            let field: &'static FieldDef = here.member(step)?;
            found = Some(field);
            let mut ty = field.ty.resolved();
            while let Type::List(inner) = ty {
                ty = inner.resolved();
            }
            if let Some(next) = ty.as_struct() {
                here = next;
            }
        }
        found
    }
}

/// All shapes.
#[derive(Debug)]
pub struct Table {
    shapes: Vec<Shape>,
    /// Shape numbers sorted by name.
    by_name: Vec<u16>,
}

/// The API groups and the folder of each in shape names.
const FOLDERS: [(&str, &str); 24] = [
    ("", "core"),
    ("admission.k8s.io", "admission"),
    ("admissionregistration.k8s.io", "admissionregistration"),
    ("apidiscovery.k8s.io", "apidiscovery"),
    ("apiextensions.k8s.io", "apiextensions"),
    ("apiregistration.k8s.io", "apiregistration"),
    ("apps", "apps"),
    ("authentication.k8s.io", "authentication"),
    ("authorization.k8s.io", "authorization"),
    ("autoscaling", "autoscaling"),
    ("batch", "batch"),
    ("certificates.k8s.io", "certificates"),
    ("coordination.k8s.io", "coordination"),
    ("discovery.k8s.io", "discovery"),
    ("events.k8s.io", "events"),
    ("flowcontrol.apiserver.k8s.io", "flowcontrol"),
    ("meta.k8s.io", "meta"),
    ("networking.k8s.io", "networking"),
    ("node.k8s.io", "node"),
    ("policy", "policy"),
    ("rbac.authorization.k8s.io", "rbac"),
    ("resource.k8s.io", "resource"),
    ("scheduling.k8s.io", "scheduling"),
    ("storage.k8s.io", "storage"),
];

/// The folder of an API group in shape names: `rbac` for `rbac.authorization.k8s.io`.
pub fn folder_of(group: &str) -> Option<&'static str> {
    FOLDERS.iter().find(|(g, _)| *g == group).map(|(_, folder)| *folder)
}

/// The API group of a folder.
pub fn group_of(folder: &str) -> Option<&'static str> {
    FOLDERS.iter().find(|(_, f)| *f == folder).map(|(group, _)| *group)
}

impl Table {
    /// All shapes, in the order of the data file.
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// The shape of a full name such as `apps.v1.DaemonSet`.
    pub fn shape(&self, name: &str) -> Option<&Shape> {
        let at = self.by_name.binary_search_by(|i| self.shapes[usize::from(*i)].name.cmp(name)).ok()?;
        self.shapes.get(usize::from(self.by_name[at]))
    }

    /// The shape of a kind: `("apps", "v1", "DaemonSet")`.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<&Shape> {
        let shape = self.shape(&format!("{}.{version}.{kind}", folder_of(group)?))?;
        let shape = match shape.body {
            Body::Alias(to) => to.as_struct()?,
            _ => shape,
        };
        shape.is_kind.then_some(shape)
    }
}

/// The table. Read at first use, kept for the life of the process.
pub fn table() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| load::load(include_str!("table.txt")));
    &TABLE
}
