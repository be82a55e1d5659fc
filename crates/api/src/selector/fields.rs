//! The field selector language: `metadata.name=a,status.phase!=Running` (A98).

use super::ParseError;
use crate::Object;
use crate::resource::Resource;
use crate::value::Read;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    equal: bool,
}

/// A parsed field selector; the empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

impl Selector {
    /// Parses the text of a query parameter and checks that the kind has these fields.
    pub fn parse(text: &str, resource: &Resource) -> Result<Self, ParseError> {
        let mut terms = Vec::new();
        for part in split(text).into_iter().filter(|part| !part.is_empty()) {
            let Some((field, equal, value)) = split_term(part) else {
                return Err(ParseError(format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            terms.push(Term { field: canonical(field).to_owned(), value: unescape(value)?, equal });
        }
        let selector = Selector(terms);
        selector.check(resource)?;
        Ok(selector)
    }

    fn check(&self, resource: &Resource) -> Result<(), ParseError> {
        for term in &self.0 {
            let known = match term.field.as_str() {
                "metadata.name" => true,
                "metadata.namespace" => resource.namespaced || resource.selectable.is_empty(),
                field => resource.selectable.contains(&field),
            };
            if known {
                continue;
            }
            return Err(ParseError(match (resource.selectable.is_empty(), resource.kind) {
                (true, _) => {
                    let field = crate::quote::go_quote(&term.field);
                    format!("{field} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
                }
                (false, "Job") => format!("field label {} not supported for Job", crate::quote::go_quote(&term.field)),
                (false, _) => format!("field label not supported: {}", term.field),
            }));
        }
        Ok(())
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that a field must have, if the selector says so: for reads of a single object, authorisation and watch topics.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|t| t.equal && t.field == field).map(|t| t.value.as_str())
    }

    /// The pairs that must be equal, as `field=value` topics.
    pub fn topics(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().filter(|t| t.equal).map(|t| format!("{}={}", t.field, t.value))
    }

    /// Whether it selects a stored object of the resource.
    pub fn matches(&self, resource: &'static Resource, object: &Object) -> bool {
        self.0.iter().all(|t| (select(resource, object, &t.field).unwrap_or_default() == t.value) == t.equal)
    }
}

/// The value of a selectable field of a stored object (A98): metadata for every kind, the row's own fields by its strategy.
/// `None`: the label is not selectable for this kind.
fn select(resource: &'static Resource, object: &Object, field: &str) -> Option<String> {
    match field {
        "metadata.name" => Some(object.text_or_empty("metadata.name").to_owned()),
        "metadata.namespace" if resource.namespaced => Some(object.text_or_empty("metadata.namespace").to_owned()),
        _ if resource.selectable.contains(&field) => Some(
            resource.stored().strategy.select(object, field).unwrap_or_else(|| object.text_or_empty(field).to_owned()),
        ),
        _ => None,
    }
}

/// The one spelling of fields that have two.
fn canonical(field: &str) -> &str {
    if field == "spec.host" { "spec.nodeName" } else { field }
}

/// The value that a selector's text demands of a field, for authorization, where the kind need not exist: `None` if it
/// demands none, cannot be read, or spells the value with escapes. Reads terms exactly as [`Selector::parse`] does.
pub fn demanded<'t>(text: &'t str, field: &str) -> Option<&'t str> {
    let mut found = None;
    for part in split(text).into_iter().filter(|part| !part.is_empty()) {
        let (own, equal, value) = split_term(part)?;
        if own == field && equal && found.is_none() {
            found = Some(value);
        }
    }
    found.filter(|value| !value.contains(['\\', '=']))
}

fn split(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                out.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    out.push(&text[start..]);
    out
}

fn split_term(part: &str) -> Option<(&str, bool, &str)> {
    let at = part.char_indices().find(|(i, c)| *c == '=' || part[*i..].starts_with("!="))?.0;
    let (field, rest) = part.split_at(at);
    for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some(value) = rest.strip_prefix(operator) {
            return Some((field, equal, value));
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, ParseError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => return Err(ParseError(format!("invalid field selector: invalid escape sequence: \\{c}"))),
                None => return Err(ParseError("invalid field selector: invalid escape sequence: \\".to_owned())),
            },
            ',' | '=' => return Err(ParseError(format!("invalid field selector: unescaped character in value: {c}"))),
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::find;

    #[test]
    fn selects_and_refuses() {
        // A98: (group, plural, selector, Ok(selects) or Err(message)).
        let pod = json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}});
        let rows = [
            ("", "pods", "metadata.name=p,spec.nodeName==n1", Ok(true)),
            ("", "pods", "spec.host=n1", Ok(true)),
            ("", "pods", "status.phase!=Running", Ok(false)),
            ("", "pods", "spec.hostNetwork=false", Ok(true)),
            ("", "pods", "spec.nodeName=", Ok(false)),
            ("", "pods", "", Ok(true)),
            ("", "pods", "spec.foo=1", Err("field label not supported: spec.foo")),
            ("", "pods", "metadata.name", Err("invalid selector: 'metadata.name'; can't understand 'metadata.name'")),
            ("", "nodes", "metadata.namespace=x", Err("field label not supported: metadata.namespace")),
            (
                "apps",
                "daemonsets",
                "spec.nope=x",
                Err("\"spec.nope\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
            ),
        ];
        for (group, plural, text, expect) in rows {
            let Some(row) = find(group, "v1", plural) else { panic!("{plural}") };
            let got = Selector::parse(text, row).map(|s| s.matches(row, &pod)).map_err(|e| e.to_string());
            assert_eq!(got, expect.map_err(str::to_owned), "{text}");
        }
    }
}
