//! Paths into resources: `/api/VERSION/…`, `/apis/GROUP/VERSION/…` (A1), with no table of routes. What a path names
//! is decided here; whether such a resource exists, by the registry.

use std::borrow::Cow;

use http::Method;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A resource, existing or not.
    Resource(Place),
    /// Anything else: discovery, health, version.
    Path(String),
    /// A path that cannot name anything: an empty segment, a slash hidden in a name, broken percent-encoding.
    Nonsense(String),
}

/// A place below `/api/VERSION` or `/apis/GROUP/VERSION`. Absent parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// API group, empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace; empty for cluster-scoped resources and lists over all namespaces.
    pub namespace: String,
    /// Plural resource.
    pub resource: String,
    /// Name of the object.
    pub name: String,
    /// Subresource.
    pub subresource: String,
    /// What follows the subresource (proxies).
    pub rest: String,
    /// The deprecated form `…/watch/…` (A107).
    pub watch: bool,
}

impl Place {
    /// Whether the path has a `namespaces/NS/` in it that is a scope and not an object.
    pub fn is_namespaced(&self) -> bool {
        let is_object = self.group.is_empty() && self.resource == "namespaces";
        !self.namespace.is_empty() && !is_object
    }

    /// `pods/log`, `pods`.
    pub fn qualified(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// Reads a request's path.
pub fn target(path: &str) -> Target {
    if path == "/" {
        return Target::Path(path.to_owned());
    }
    let Some(segments) = segments(path) else { return Target::Nonsense(path.to_owned()) };
    let (group, version, rest) = match segments.as_slice() {
        [api, version, rest @ ..] if api == "api" && !rest.is_empty() => ("", version, rest),
        [apis, group, version, rest @ ..] if apis == "apis" && !rest.is_empty() => (group.as_str(), version, rest),
        _ => return Target::Path(path.to_owned()),
    };
    let mut place = Place { group: group.to_owned(), version: version.clone(), ..Place::default() };
    let mut rest = rest;
    if let [watch, after @ ..] = rest
        && watch == "watch"
        && !after.is_empty()
    {
        place.watch = true;
        rest = after;
    }
    fill(&mut place, rest);
    Target::Resource(place)
}

fn fill(place: &mut Place, rest: &[String]) {
    let rest = match rest {
        [namespaces, name, sub, ..] if namespaces == "namespaces" && (sub == "status" || sub == "finalize") => {
            place.namespace.clone_from(name);
            rest
        }
        [namespaces, name, after @ ..] if namespaces == "namespaces" => {
            place.namespace.clone_from(name);
            if after.is_empty() { rest } else { after }
        }
        other => other,
    };
    let mut parts = rest.iter();
    let mut next = || parts.next().cloned().unwrap_or_default();
    place.resource = next();
    place.name = next();
    place.subresource = next();
    place.rest = parts.as_slice().join("/");
}

/// The segments of a path, percent-decoded; one trailing slash is tolerated.
fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/')
        .map(|segment| {
            let decoded = percent_decode(segment)?;
            if decoded.is_empty() || decoded.contains('/') { None } else { Some(decoded.into_owned()) }
        })
        .collect()
}

/// Percent-decoding of a path segment; `None` if it is broken or not UTF-8.
fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    decode(text.as_bytes(), false).map(Cow::Owned)
}

fn decode(bytes: &[u8], plus_is_blank: bool) -> Option<String> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        match byte {
            b'%' => {
                let hex = std::str::from_utf8(bytes.get(i + 1..i + 3)?).ok()?;
                out.push(u8::from_str_radix(hex, 16).ok()?);
                i += 2;
            }
            b'+' if plus_is_blank => out.push(b' '),
            other => out.push(other),
        }
        i += 1;
    }
    String::from_utf8(out).ok()
}

/// The verb of authorization (A206); empty for methods that no resource has.
pub fn verb(method: &Method, place: &Place, watch: bool) -> &'static str {
    let named = !place.name.is_empty();
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD if place.watch || (watch && !named) => "watch",
        Method::GET | Method::HEAD if named => "get",
        Method::GET | Method::HEAD => "list",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => "",
    }
}

/// The parameters of a query, decoded, in order. Of a repeated one the first counts (A96).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?`; pairs that are not valid are left out.
    pub fn parse(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .filter_map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    Some((decode(key.as_bytes(), true)?, decode(value.as_bytes(), true)?))
                })
                .collect(),
        )
    }

    /// First value of a parameter.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// First value of a parameter, empty if absent.
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// All values of a parameter.
    pub fn all<'q>(&'q self, key: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// A boolean: absent, `false` in any case and `0` are false, all else is true (A96).
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(truth)
    }
}

/// How queries spell booleans (A96).
pub fn truth(text: &str) -> bool {
    !(text == "0" || text.eq_ignore_ascii_case("false"))
}

#[cfg(test)]
mod tests;
