//! What a client wants to read and what it sends: `Accept` and `Content-Type` (A5–A7, A170–A173).
//!
//! Not here: making tables and partial objects, gzip ([`crate::render`]).

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

/// Media types of bodies in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

impl Format {
    /// The media type.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    fn of(media_type: &str) -> Option<Self> {
        [Self::Json, Self::Yaml, Self::Protobuf].into_iter().find(|f| f.as_str().eq_ignore_ascii_case(media_type))
    }
}

/// Another spelling of an object that the client asked for with `as=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    /// The object itself.
    None,
    /// Rows and columns.
    Table,
    /// `PartialObjectMetadata`: one object.
    Metadata,
    /// `PartialObjectMetadataList`: a list.
    MetadataList,
}

/// How to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The media type.
    pub format: Format,
    /// What becomes of objects.
    pub transform: Transform,
    /// `meta.k8s.io/v1` or `meta.k8s.io/v1beta1`, for transforms.
    pub meta_version: &'static str,
    /// Two-space indent (A61), asked for in the media type.
    pub pretty: bool,
}

impl Accepted {
    /// Plain JSON.
    pub(crate) const JSON: Self =
        Self { format: Format::Json, transform: Transform::None, meta_version: "meta.k8s.io/v1", pretty: false };
}

/// Why nothing fits (A123).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No known media type among the clauses.
    MediaType,
    /// Known media types, but parameters that cannot be satisfied.
    Parameters,
}

/// One clause of an `Accept` header.
struct Clause<'h> {
    media_type: &'h str,
    parameters: Vec<(&'h str, &'h str)>,
    quality: f32,
}

impl<'h> Clause<'h> {
    fn parse(text: &'h str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let parameters: Vec<_> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
            .collect();
        let quality = parameters.iter().find(|(k, _)| *k == "q").and_then(|(_, v)| v.parse().ok()).unwrap_or(1.0);
        Self { media_type, parameters, quality }
    }

    fn parameter(&self, key: &str) -> &'h str {
        self.parameters.iter().find(|(k, _)| *k == key).map(|(_, v)| *v).unwrap_or_default()
    }

    fn transform(&self) -> Option<(Transform, &'static str)> {
        let transform = match self.parameter("as") {
            "" => return Some((Transform::None, "meta.k8s.io/v1")),
            "Table" => Transform::Table,
            "PartialObjectMetadata" => Transform::Metadata,
            "PartialObjectMetadataList" => Transform::MetadataList,
            _ => return None,
        };
        match (self.parameter("g"), self.parameter("v")) {
            ("meta.k8s.io", "v1") => Some((transform, "meta.k8s.io/v1")),
            ("meta.k8s.io", "v1beta1") => Some((transform, "meta.k8s.io/v1beta1")),
            _ => None,
        }
    }
}

/// All clauses of all `Accept` headers, best quality first.
fn clauses(headers: &HeaderMap) -> Vec<Clause<'_>> {
    let mut clauses: Vec<_> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|clause| !clause.is_empty())
        .map(Clause::parse)
        .collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

/// Chooses how to answer a request for objects: the first clause that can be satisfied. Protobuf yields to JSON when
/// the client takes both: stored objects are JSON, and sending them costs nothing.
pub(crate) fn accept(headers: &HeaderMap) -> Result<Accepted, Refusal> {
    let clauses = clauses(headers);
    if clauses.is_empty() {
        return Ok(Accepted::JSON);
    }
    let mut refusal = Refusal::MediaType;
    let mut protobuf = None;
    for clause in &clauses {
        let format = if clause.media_type == "*/*" { Some(Format::Json) } else { Format::of(clause.media_type) };
        let Some(format) = format else { continue };
        let Some((transform, meta_version)) = clause.transform() else {
            refusal = Refusal::Parameters;
            continue;
        };
        if format == Format::Protobuf && transform != Transform::None {
            refusal = Refusal::Parameters;
            continue;
        }
        let pretty = clause.parameter("pretty") == "1";
        let accepted = Accepted { format, transform, meta_version, pretty };
        if format == Format::Protobuf {
            protobuf.get_or_insert(accepted);
        } else {
            return Ok(accepted);
        }
    }
    protobuf.ok_or(refusal)
}

/// Whether the first clause that names a known form of discovery asks for the aggregated one (A29).
pub(crate) fn wants_aggregated_discovery(headers: &HeaderMap) -> Result<bool, Refusal> {
    let clauses = clauses(headers);
    if clauses.is_empty() {
        return Ok(false);
    }
    let mut refusal = Refusal::MediaType;
    for clause in &clauses {
        match clause.media_type {
            "application/json" if clause.parameter("as") == "APIGroupDiscoveryList" => {
                if clause.parameter("g") == "apidiscovery.k8s.io" && clause.parameter("v") == "v2" {
                    return Ok(true);
                }
                refusal = Refusal::Parameters;
            }
            "application/json" | "*/*" | "application/yaml" | "application/vnd.kubernetes.protobuf" => {
                if clause.parameter("as") != "APIGroupDiscoveryList" {
                    return Ok(false);
                }
                refusal = Refusal::Parameters;
            }
            _ => {}
        }
    }
    Err(refusal)
}

/// The media type of a request's body without parameters, lower case; empty if absent.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The format of a request's body; an absent Content-Type is JSON, `None` is one that no object comes in (A5).
pub(crate) fn body_format(headers: &HeaderMap) -> Option<Format> {
    match content_type(headers).as_str() {
        "" => Some(Format::Json),
        other => Format::of(other),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(accept_header: &str) -> Result<(Format, Transform), Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept_header).expect("a header"));
        accept(&headers).map(|a| (a.format, a.transform))
    }

    /// A6, A123, A170, A173, A192: the first clause that can be satisfied wins.
    #[test]
    fn a6_accept() {
        use Format::{Json, Protobuf, Yaml};
        use Transform::{Metadata, MetadataList, None, Table};
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let cases = [
            ("", Ok((Json, None))),
            ("*/*", Ok((Json, None))),
            ("application/yaml", Ok((Yaml, None))),
            ("text/html,application/yaml;q=0.5,application/json;q=0.9", Ok((Json, None))),
            ("application/*", Err(Refusal::MediaType)),
            ("image/png", Err(Refusal::MediaType)),
            (table, Ok((Json, Table))),
            ("application/json;as=Table;v=v7;g=meta.k8s.io", Err(Refusal::Parameters)),
            ("application/json;as=Table;v=v7;g=meta.k8s.io,application/json", Ok((Json, None))),
            ("application/json;as=Foo;v=v1;g=meta.k8s.io", Err(Refusal::Parameters)),
            ("application/json;charset=utf-8", Ok((Json, None))),
            ("application/vnd.kubernetes.protobuf,application/json", Ok((Json, None))),
            ("application/vnd.kubernetes.protobuf", Ok((Protobuf, None))),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
                Ok((Json, Metadata)),
            ),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1beta1", Ok((Json, MetadataList))),
        ];
        for (header, expected) in cases {
            assert_eq!(of(header), expected, "{header}");
        }
    }

    /// A5: bodies are JSON unless they say otherwise.
    #[test]
    fn a5_bodies() {
        let cases = [
            ("application/json; charset=utf-8", Some(Format::Json)),
            ("application/yaml", Some(Format::Yaml)),
            ("application/vnd.kubernetes.protobuf", Some(Format::Protobuf)),
            ("text/plain", None),
        ];
        for (header, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(header));
            assert_eq!(body_format(&headers), expected, "{header}");
        }
        assert_eq!(body_format(&HeaderMap::new()), Some(Format::Json));
    }
}
