//! Reads `table.txt`. Names stay slices of the text that is compiled in; only vectors are allocated.
//!
//! A type line is `=⟨name⟩ ⟨flags…⟩`: `kind`, `is:⟨type⟩`, `special`, `map:⟨atomic|granular⟩`, and last `values:⟨a,b⟩`, in which blanks may stand.
//! A field line is `⟨name⟩ ⟨type⟩ ⟨proto number⟩ ⟨flags…⟩`, name `+` for inline: `e` omit empty, `z` omit zero, `o` optional, `r` required,
//! `l:⟨list kind⟩`, `k:⟨keys⟩`, `m:⟨map kind⟩`, `p:⟨patch strategy⟩`, `pk:⟨merge key⟩`, `d:⟨default⟩`, `g:⟨gate⟩`, `u` discriminator.
//! A type within the group of its owner drops group and version (`.PodSpec`). A malformed line is a programmer's error, caught by tests.

use std::collections::BTreeMap;

use super::{Body, FieldDef, ListKind, MapKind, MapType, Omit, PatchRule, Shape, ShapeId, Special, Table, Type};

type Names = BTreeMap<&'static str, u16>;

pub(super) fn load(text: &'static str) -> Table {
    let mut names = Names::new();
    for (number, name) in text.lines().filter_map(type_name).enumerate() {
        names.insert(name, u16::try_from(number).expect("fewer than 65,536 types"));
    }
    let mut interner = Interner { names: &names, types: BTreeMap::new() };
    let mut shapes: Vec<Shape> = Vec::with_capacity(names.len());
    for line in text.lines() {
        match line.strip_prefix('=') {
            Some(head) => {
                let id = ShapeId(u16::try_from(shapes.len()).expect("fewer than 65,536 types"));
                shapes.push(shape(head, id, &mut interner));
            }
            None => {
                let owner = shapes.last_mut().expect("a type line comes first");
                let prefix = prefix_of(owner.name);
                owner.fields.push(field(line, prefix, &mut interner));
            }
        }
    }
    let spread: Vec<Option<Vec<FieldDef>>> = (0..shapes.len()).map(|i| spread(&shapes, i)).collect();
    for (shape, spread) in shapes.iter_mut().zip(spread) {
        shape.spread = spread;
        let members = shape.members();
        let mut by_name: Vec<u16> = (0..members.len()).map(|i| u16::try_from(i).expect("few members")).collect();
        by_name.sort_by_key(|i| members[usize::from(*i)].name);
        shape.by_name = by_name;
    }
    Table { by_name: names.into_values().collect(), shapes }
}

fn type_name(line: &'static str) -> Option<&'static str> {
    line.strip_prefix('=')?.split(' ').next()
}

fn prefix_of(name: &'static str) -> &'static str {
    name.rsplit_once('.').map_or(name, |(prefix, _)| prefix)
}

struct Interner<'a> {
    names: &'a Names,
    types: BTreeMap<String, Type>,
}

impl Interner<'_> {
    /// The type of a spelling; inner types are leaked once each.
    fn ty(&mut self, spelled: &str, prefix: &str) -> Type {
        let full = if spelled.contains('.') { format!("{prefix}:{spelled}") } else { spelled.to_owned() };
        if let Some(known) = self.types.get(&full) {
            return *known;
        }
        let made = if let Some(inner) = spelled.strip_prefix('*') {
            Type::Pointer(Box::leak(Box::new(self.ty(inner, prefix))))
        } else if spelled == "[]byte" {
            Type::Bytes
        } else if let Some(inner) = spelled.strip_prefix("[]") {
            Type::List(Box::leak(Box::new(self.ty(inner, prefix))))
        } else if let Some((key, value)) = spelled.strip_prefix("map[").and_then(|rest| rest.split_once(']')) {
            let map = MapType { key: self.ty(key, prefix), value: self.ty(value, prefix) };
            Type::Map(Box::leak(Box::new(map)))
        } else {
            match spelled {
                "bool" => Type::Bool,
                "int32" => Type::Int32,
                "int64" => Type::Int64,
                "uint8" => Type::Uint8,
                "float64" => Type::Float64,
                "string" => Type::String,
                "any" => Type::Any,
                named => {
                    let name = if named.starts_with('.') { format!("{prefix}{named}") } else { named.to_owned() };
                    let number = self.names.get(name.as_str()).unwrap_or_else(|| panic!("table.txt: no type {name}"));
                    Type::Shape(ShapeId(*number))
                }
            }
        };
        self.types.insert(full, made);
        made
    }
}

fn shape(head: &'static str, id: ShapeId, interner: &mut Interner<'_>) -> Shape {
    let (head, values) = head.split_once(" values:").unwrap_or((head, ""));
    let mut words = head.split(' ');
    let name = words.next().unwrap_or_default();
    let mut shape = Shape {
        name,
        id,
        is_kind: false,
        body: Body::Struct,
        fields: Vec::new(),
        values: values.split(',').filter(|v| !v.is_empty()).collect(),
        map: None,
        spread: None,
        by_name: Vec::new(),
    };
    for word in words {
        match word.split_once(':').unwrap_or((word, "")) {
            ("kind", _) => shape.is_kind = true,
            ("is", to) => shape.body = Body::Alias(interner.ty(to, prefix_of(name))),
            ("special", _) => shape.body = Body::Special(special(name)),
            ("map", kind) => shape.map = Some(map_kind(kind)),
            _ => panic!("table.txt: {name}: {word}"),
        }
    }
    shape
}

fn special(name: &str) -> Special {
    match name {
        "meta.v1.Time" => Special::Time,
        "meta.v1.MicroTime" => Special::MicroTime,
        "meta.v1.Duration" => Special::Duration,
        "resource.Quantity" => Special::Quantity,
        "intstr.IntOrString" => Special::IntOrString,
        "meta.v1.FieldsV1" => Special::Fields,
        "runtime.RawExtension" | "apiextensions.v1.JSON" => Special::Raw,
        "apiextensions.v1.JSONSchemaPropsOrBool" => Special::SchemaOrBool,
        "apiextensions.v1.JSONSchemaPropsOrArray" => Special::SchemaOrArray,
        "apiextensions.v1.JSONSchemaPropsOrStringArray" => Special::SchemaOrStringArray,
        _ => panic!("table.txt: special type {name}"),
    }
}

fn map_kind(text: &str) -> MapKind {
    match text {
        "atomic" => MapKind::Atomic,
        "granular" => MapKind::Granular,
        _ => panic!("table.txt: map kind {text}"),
    }
}

fn field(line: &'static str, prefix: &str, interner: &mut Interner<'_>) -> FieldDef {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let inline = name == "+";
    let ty = interner.ty(words.next().unwrap_or_default(), prefix);
    let proto = words.next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("table.txt: {line}"));
    let mut field = FieldDef {
        name: if inline { "" } else { name },
        inline,
        ty,
        proto,
        omit: Omit::Never,
        optional: false,
        required: false,
        list: None,
        keys: &[],
        map: None,
        patch: PatchRule::default(),
        default: None,
        gate: None,
        discriminator: false,
    };
    for word in words {
        match word.split_once(':').unwrap_or((word, "")) {
            ("e", _) => field.omit = Omit::Empty,
            ("z", _) => field.omit = Omit::Zero,
            ("o", _) => field.optional = true,
            ("r", _) => field.required = true,
            ("l", "atomic") => field.list = Some(ListKind::Atomic),
            ("l", "set") => field.list = Some(ListKind::Set),
            ("l", "map") => field.list = Some(ListKind::Map),
            ("k", keys) => field.keys = Vec::leak(keys.split(',').collect()),
            ("m", kind) => field.map = Some(map_kind(kind)),
            ("p", strategies) => {
                for strategy in strategies.split(',') {
                    match strategy {
                        "merge" => field.patch.merge = true,
                        "replace" => field.patch.replace = true,
                        "retainKeys" => field.patch.retain_keys = true,
                        _ => panic!("table.txt: {line}"),
                    }
                }
            }
            ("pk", key) => field.patch.key = Some(key),
            ("d", default) => field.default = Some(default),
            ("g", gate) => field.gate = Some(gate),
            ("u", _) => field.discriminator = true,
            _ => panic!("table.txt: {line}"),
        }
    }
    field
}

/// The members with inline fields replaced by the fields of their types; nothing if there are no inline fields.
fn spread(shapes: &[Shape], number: usize) -> Option<Vec<FieldDef>> {
    let shape = &shapes[number];
    if !shape.fields.iter().any(|f| f.inline) {
        return None;
    }
    let mut members = Vec::new();
    for field in &shape.fields {
        match field.ty {
            Type::Shape(id) if field.inline => {
                let inner = usize::from(id.0);
                members.extend(spread(shapes, inner).unwrap_or_else(|| shapes[inner].fields.clone()));
            }
            _ => members.push(*field),
        }
    }
    Some(members)
}
