//! Discovery, legacy and aggregated, from the registry's rows (A25–A32). Nothing is listed that cannot be served.

use std::sync::LazyLock;

use everynode_api::registry::{self, Group};
use everynode_api::resource::{Resource, Subresource, Verb, api_version};
use everynode_api::status::Status;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{Response, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha512};

use crate::body::Body;
use crate::negotiate;
use crate::render;
use crate::request::Incoming;
use crate::respond;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    group_version: String,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    name: &'static str,
    versions: Vec<GroupVersion>,
    preferred_version: Option<GroupVersion>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResource {
    name: String,
    singular_name: &'static str,
    namespaced: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'static str,
    kind: &'static str,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'static [&'static str],
}

fn verbs(verbs: &[Verb]) -> Vec<&'static str> {
    let mut words: Vec<_> = verbs.iter().map(|verb| verb.as_str()).collect();
    words.sort_unstable();
    words
}

fn group_versions(group: &Group) -> Vec<GroupVersion> {
    let make = |version: &&'static str| GroupVersion { group_version: api_version(group.name, version), version };
    group.versions.iter().map(make).collect()
}

fn api_group(group: &Group, whole: bool) -> ApiGroup {
    ApiGroup {
        kind: whole.then_some("APIGroup"),
        api_version: whole.then_some("v1"),
        name: group.name,
        preferred_version: group_versions(group).into_iter().next(),
        versions: group_versions(group),
    }
}

fn rows(group: &str, version: &str) -> impl Iterator<Item = &'static Resource> {
    let mut rows: Vec<_> = registry::all().iter().filter(|row| row.group == group && row.version == version).collect();
    rows.sort_by_key(|row| row.plural);
    rows.into_iter()
}

fn legacy_resources(group: &str, version: &str) -> Vec<ApiResource> {
    let mut out = Vec::new();
    for row in rows(group, version) {
        out.push(ApiResource {
            name: row.plural.to_owned(),
            singular_name: row.singular,
            namespaced: row.namespaced,
            group: "",
            version: "",
            kind: row.kind,
            verbs: verbs(row.verbs),
            short_names: row.short_names,
            categories: row.categories,
        });
        for sub in row.subresources {
            let foreign = sub.body.filter(|body| body.group != row.group || body.version != row.version);
            out.push(ApiResource {
                name: format!("{}/{}", row.plural, sub.name),
                singular_name: "",
                namespaced: row.namespaced,
                group: foreign.map_or("", |body| body.group),
                version: foreign.map_or("", |body| body.version),
                kind: sub.body.map_or(row.kind, |body| body.kind),
                verbs: verbs(sub.verbs),
                short_names: &[],
                categories: &[],
            });
        }
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

#[derive(Serialize)]
struct ResponseKind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
}

impl ResponseKind {
    fn of(row: &Resource, sub: Option<&Subresource>) -> Self {
        match sub.and_then(|sub| sub.body) {
            Some(body) if body.group != row.group || body.version != row.version => {
                Self { group: body.group, version: body.version, kind: body.kind }
            }
            Some(body) => Self { group: "", version: "", kind: body.kind },
            None => Self { group: "", version: "", kind: row.kind },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Discovered {
    resource: &'static str,
    response_kind: ResponseKind,
    scope: &'static str,
    singular_resource: &'static str,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'static [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<DiscoveredSub>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiscoveredSub {
    subresource: &'static str,
    response_kind: ResponseKind,
    verbs: Vec<&'static str>,
}

fn discovered(row: &'static Resource) -> Discovered {
    let mut subresources: Vec<_> = row
        .subresources
        .iter()
        .map(|sub| DiscoveredSub {
            subresource: sub.name,
            response_kind: ResponseKind::of(row, Some(sub)),
            verbs: verbs(sub.verbs),
        })
        .collect();
    subresources.sort_by_key(|sub| sub.subresource);
    Discovered {
        resource: row.plural,
        response_kind: ResponseKind::of(row, None),
        scope: if row.namespaced { "Namespaced" } else { "Cluster" },
        singular_resource: row.singular,
        verbs: verbs(row.verbs),
        short_names: row.short_names,
        categories: row.categories,
        subresources,
    }
}

fn aggregated_item(group: &Group) -> serde_json::Value {
    let versions: Vec<_> = group
        .versions
        .iter()
        .map(|version| {
            let resources: Vec<_> = rows(group.name, version).map(discovered).collect();
            serde_json::json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if group.name.is_empty() { serde_json::json!({}) } else { serde_json::json!({"name": group.name}) };
    serde_json::json!({"metadata": metadata, "versions": versions})
}

/// A document that never changes while the server runs, with its tag.
struct Document {
    text: String,
    tag: String,
}

impl Document {
    fn new(items: Vec<serde_json::Value>) -> Self {
        let document = serde_json::json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
        });
        let text = format!("{document}\n");
        let tag = format!("\"{}\"", crate::openapi::hex_upper(&Sha512::digest(text.as_bytes())));
        Self { text, tag }
    }
}

static CORE: LazyLock<Document> = LazyLock::new(|| {
    Document::new(registry::groups().iter().filter(|group| group.name.is_empty()).map(aggregated_item).collect())
});
static GROUPS: LazyLock<Document> = LazyLock::new(|| {
    Document::new(registry::groups().iter().filter(|group| !group.name.is_empty()).map(aggregated_item).collect())
});

fn aggregated(incoming: &Incoming, document: &'static Document) -> Response<Body> {
    let known = incoming.parts.headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let mut response = if known == Some(document.tag.as_str()) {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        respond::json(document.text.as_str())
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    if let Ok(tag) = HeaderValue::from_str(&document.tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// Answers discovery paths; `None` for others.
pub(crate) fn answer(incoming: &Incoming, path: &str) -> Option<Response<Body>> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api"] | ["apis"] => Some(roots(incoming, parts == ["api"])),
        ["apis", group] => {
            let group = registry::groups().iter().find(|g| g.name == *group && !group.is_empty());
            Some(group.map_or_else(respond::not_found, |group| legacy(incoming, &api_group(group, true))))
        }
        ["api", version] => Some(resources(incoming, "", version)),
        ["apis", group, version] => Some(resources(incoming, group, version)),
        _ => None,
    }
}

fn roots(incoming: &Incoming, core: bool) -> Response<Body> {
    match negotiate::wants_aggregated_discovery(&incoming.parts.headers) {
        Ok(true) => return aggregated(incoming, if core { &CORE } else { &GROUPS }),
        Ok(false) => {}
        Err(refusal) => return render::status(&render::refuse(refusal, false), incoming.look),
    }
    if core {
        return legacy(
            incoming,
            &serde_json::json!({
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs":
                    [{"clientCIDR": "0.0.0.0/0", "serverAddress": incoming.shared.advertised.to_string()}],
            }),
        );
    }
    let groups: Vec<_> =
        registry::groups().iter().filter(|group| !group.name.is_empty()).map(|group| api_group(group, false)).collect();
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct List {
        kind: &'static str,
        api_version: &'static str,
        groups: Vec<ApiGroup>,
    }
    legacy(incoming, &List { kind: "APIGroupList", api_version: "v1", groups })
}

fn resources(incoming: &Incoming, group: &str, version: &str) -> Response<Body> {
    let Some(known) = registry::groups().iter().find(|g| g.name == group) else { return respond::not_found() };
    if !known.versions.contains(&version) {
        return render::status(&Status::no_such_resource(), incoming.look);
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct List {
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        api_version: Option<&'static str>,
        group_version: String,
        resources: Vec<ApiResource>,
    }
    legacy(
        incoming,
        &List {
            kind: "APIResourceList",
            api_version: (!group.is_empty()).then_some("v1"),
            group_version: api_version(group, version),
            resources: legacy_resources(group, version),
        },
    )
}

fn legacy(incoming: &Incoming, document: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_vec(document).unwrap_or_default();
    render::object(StatusCode::OK, text, None, incoming.look)
}
