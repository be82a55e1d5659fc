//! Strategic merge patch (A139–A145): merge by the merge keys and strategies of the table, with directives.
//!
//! A map merges member by member; a list merges by key, as a set of values, or is replaced; directives (`$patch`, `$retainKeys`,
//! `$setElementOrder/…`, `$deleteFromPrimitiveList/…`) never reach the result.

mod order;

use serde_json::{Map, Value};

use crate::{
    schema::{PatchRule, Shape, Type},
    status::Status,
};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";

type Members = Map<String, Value>;

/// Why a patch cannot be merged. `Display` is upstream's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The value of `$patch` is unknown.
    #[error("unknown patch type: {directive} in map: {map}")]
    Directive {
        /// The value.
        directive: String,
        /// Its map, as Go prints it.
        map: String,
    },
    /// An element of a list that merges by key has no such member.
    #[error("map: {map} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The element, as Go prints it.
        map: String,
        /// The key.
        key: String,
    },
    /// The patch's elements are not in the asked order, or not all in it.
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    Order {
        /// The list in the patch.
        patch: String,
        /// The list in the directive.
        order: String,
    },
    /// `$retainKeys` is no list, or misses a key of the patch.
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    /// The name behind `$deleteFromPrimitiveList/` is missing.
    #[error("invalid patch format of primitive list")]
    PrimitiveList,
    /// The name behind `$setElementOrder/` is missing, or its value is no list.
    #[error("invalid patch format of setElementOrder list")]
    ElementOrder,
    /// A list within a list.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// Elements of several JSON types in one list.
    #[error("list element types are not identical")]
    MixedList,
    /// `$patch: merge` in a list element.
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirective,
    /// A directive names a field that the type does not have.
    #[error("unable to find api field in struct {shape} for the json field \"{field}\"")]
    NoField {
        /// The struct.
        shape: String,
        /// The field.
        field: String,
    },
    /// A list where there should be none, or the other way round.
    #[error("expected a {expected}, but received a {found}")]
    Type {
        /// What was expected.
        expected: &'static str,
        /// What was there.
        found: &'static str,
    },
}

impl MergeError {
    /// The answer: 400, 422 or an unclassified 500, as upstream sorts them (A140).
    pub fn into_status(self) -> Status {
        match self {
            MergeError::RetainKeys | MergeError::PrimitiveList | MergeError::ElementOrder => {
                Status::bad_request(self.to_string())
            }
            MergeError::ListOfLists => Status::rejected(),
            _ => Status::unclassified(self),
        }
    }

    fn no_key(map: &Value, key: &str) -> Self {
        MergeError::NoMergeKey { map: super::go_print(map), key: key.to_owned() }
    }
}

/// What is known about the value being merged.
#[derive(Clone, Copy, Debug)]
enum Schema {
    /// A struct of the table.
    Struct(&'static Shape),
    /// A map whose values have this type.
    Map(Type),
    /// Nothing: any JSON.
    Free,
}

impl Schema {
    fn of(ty: Type) -> Schema {
        match ty.resolved() {
            Type::Map(map) => Schema::Map(map.value),
            other => other.as_struct().map_or(Schema::Free, Schema::Struct),
        }
    }

    /// The schema and rule of a member.
    fn member(self, key: &str) -> Result<(Type, PatchRule), MergeError> {
        match self {
            Schema::Struct(shape) => match shape.member(key) {
                Some(field) => Ok((field.ty, field.patch)),
                None => Err(MergeError::NoField { shape: shape.short_name().to_owned(), field: key.to_owned() }),
            },
            Schema::Map(value) => Ok((value, PatchRule::default())),
            Schema::Free => Ok((Type::Any, PatchRule::default())),
        }
    }
}

/// Merges a patch into the full form of an object of a shape. What is left of the patch is what upstream prints when the result cannot be
/// decoded: directives that were carried out, and lists that were put in order with them, are gone.
pub fn apply(current: Value, patch: &mut Value, shape: &Shape) -> Result<Value, MergeError> {
    let (Value::Object(current), Value::Object(patch)) = (current, patch) else { return Ok(Value::Object(Map::new())) };
    merge_map(current, patch, Schema::Struct(shape.id.get())).map(Value::Object)
}

fn merge_map(mut original: Members, patch: &mut Members, schema: Schema) -> Result<Members, MergeError> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        match directive.as_str() {
            Some("replace") => {
                patch.remove(DIRECTIVE);
                return Ok(patch.clone());
            }
            Some("delete") => return Ok(Map::new()),
            Some("merge") => drop(patch.remove(DIRECTIVE)),
            _ => {
                let directive = super::go_print(directive);
                return Err(MergeError::Directive { directive, map: super::go_print(&Value::Object(patch.clone())) });
            }
        }
    }
    retain_keys(&mut original, patch)?;
    order::apply(&mut original, patch, schema)?;
    for (key, value) in patch.iter_mut() {
        match key.strip_prefix(DELETE_FROM) {
            Some(rest) => {
                let name = rest.strip_prefix('/').ok_or(MergeError::PrimitiveList)?;
                delete_values(&mut original, name, value)?;
            }
            None => merge_member(&mut original, key, value, schema)?,
        }
    }
    Ok(original)
}

fn merge_member(original: &mut Members, key: &str, value: &mut Value, schema: Schema) -> Result<(), MergeError> {
    if value.is_null() {
        original.remove(key);
        return Ok(());
    }
    let merged = match (original.remove(key), &mut *value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let (ty, rule) = schema.member(key)?;
            Value::Object(if rule.replace { new.clone() } else { merge_map(old, new, Schema::of(ty))? })
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            let (ty, rule) = schema.member(key)?;
            Value::Array(merge_list(old, new, element(ty), rule)?)
        }
        _ => {
            without_nulls(value);
            taken(value.clone())
        }
    };
    original.insert(key.to_owned(), merged);
    Ok(())
}

/// A patch value that is taken as it is loses its nulls, in the patch, too.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

fn element(ty: Type) -> Schema {
    match ty.resolved() {
        Type::List(inner) => Schema::of(*inner),
        _ => Schema::Free,
    }
}

/// A patch value that has nothing to merge with: without nulls and directives.
fn taken(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(key, value)| {
                    let directive = key == DIRECTIVE
                        || key == RETAIN_KEYS
                        || key.starts_with(ORDER)
                        || key.starts_with(DELETE_FROM);
                    !directive && !value.is_null()
                })
                .map(|(key, value)| (key, taken(value)))
                .collect(),
        ),
        Value::Array(items) => {
            let is_element =
                |item: &Value| !matches!(item.get(DIRECTIVE).and_then(Value::as_str), Some("delete" | "replace"));
            Value::Array(items.into_iter().filter(is_element).map(taken).collect())
        }
        other => other,
    }
}

fn retain_keys(original: &mut Members, patch: &mut Members) -> Result<(), MergeError> {
    let Some(list) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(list) = list else { return Err(MergeError::RetainKeys) };
    let kept: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    let exempt = |key: &str, value: &Value| value.is_null() || key.starts_with(DELETE_FROM) || key.starts_with(ORDER);
    if patch.iter().any(|(key, value)| !exempt(key, value) && !kept.contains(&key.as_str())) {
        return Err(MergeError::RetainKeys);
    }
    original.retain(|key, _| kept.contains(&key.as_str()));
    Ok(())
}

fn delete_values(original: &mut Members, name: &str, values: &Value) -> Result<(), MergeError> {
    match (original.get_mut(name), values) {
        (Some(Value::Array(items)), Value::Array(values)) => {
            if items.iter().chain(values).any(Value::is_object) {
                return Err(MergeError::PrimitiveList);
            }
            items.retain(|item| !values.contains(item));
        }
        (Some(_), Value::Array(_)) | (None, _) => {}
        (Some(_), _) => return Err(MergeError::PrimitiveList),
    }
    Ok(())
}

/// What the elements of lists are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Elements {
    None,
    Maps,
    Values,
}

fn elements_of(a: &[Value], b: &[Value]) -> Result<Elements, MergeError> {
    let mut found = Elements::None;
    let mut kind = None;
    for item in a.iter().chain(b) {
        if item.is_array() {
            return Err(MergeError::ListOfLists);
        }
        let this = std::mem::discriminant(item);
        if *kind.get_or_insert(this) != this {
            return Err(MergeError::MixedList);
        }
        found = if item.is_object() { Elements::Maps } else { Elements::Values };
    }
    Ok(found)
}

fn merge_list(old: Vec<Value>, new: &mut [Value], schema: Schema, rule: PatchRule) -> Result<Vec<Value>, MergeError> {
    if !rule.merge {
        return Ok(match taken(Value::Array(new.to_vec())) {
            Value::Array(items) => items,
            _ => Vec::new(),
        });
    }
    match (elements_of(&old, new)?, rule.key) {
        (Elements::None, _) => Ok(old),
        (Elements::Maps, Some(key)) => {
            let (old, plain) = special_elements(old, new, key)?;
            let mut wanted = Vec::with_capacity(plain.len());
            let mut merged = old.clone();
            for at in plain {
                let Some(item) = new.get_mut(at) else { continue };
                merge_element(&mut merged, item, key, schema)?;
                wanted.push(item.clone());
            }
            order::arrange(merged, &wanted, &old, rule.key)
        }
        _ => {
            let mut merged: Vec<Value> = Vec::new();
            for item in old.iter().chain(new.iter()) {
                if !merged.contains(item) {
                    merged.push(item.clone());
                }
            }
            order::arrange(merged, new, &old, rule.key)
        }
    }
}

/// Carries out `$patch` elements: what is left of the server's list, and which elements of the patch are to be merged into it.
fn special_elements(mut old: Vec<Value>, new: &[Value], key: &str) -> Result<(Vec<Value>, Vec<usize>), MergeError> {
    let mut plain = Vec::with_capacity(new.len());
    let mut replaces = false;
    for (at, item) in new.iter().enumerate() {
        let Some(directive) = item.get(DIRECTIVE) else {
            plain.push(at);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let value = item.get(key).ok_or_else(|| MergeError::no_key(item, key))?;
                if let Some(without) = old.iter().find(|o| o.get(key).is_none()) {
                    return Err(MergeError::no_key(without, key));
                }
                old.retain(|o| o.get(key) != Some(value));
            }
            Some("replace") => replaces = true,
            Some("merge") => return Err(MergeError::MergeDirective),
            _ => {
                let directive = super::go_print(directive);
                return Err(MergeError::Directive { directive, map: super::go_print(item) });
            }
        }
    }
    if replaces {
        let list = plain.iter().filter_map(|at| new.get(*at)).cloned().collect();
        return Ok((list, Vec::new()));
    }
    Ok((old, plain))
}

fn merge_element(list: &mut Vec<Value>, item: &mut Value, key: &str, schema: Schema) -> Result<(), MergeError> {
    let value = item.get(key).ok_or_else(|| MergeError::no_key(item, key))?;
    let place = list.iter().position(|o| o.get(key) == Some(value));
    match (place.and_then(|at| list.get_mut(at)), item) {
        (Some(existing), Value::Object(item)) => {
            if let Value::Object(members) = existing.take() {
                *existing = Value::Object(merge_map(members, item, schema)?);
            }
        }
        (_, item) => {
            without_nulls(item);
            list.push(taken(item.clone()));
        }
    }
    Ok(())
}
