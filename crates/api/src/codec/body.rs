//! Whole request bodies: what kind they are, whether that is the kind of the URL, and the object in them (A58, A75, A76, A117).
//!
//! Not here: content types (the door maps them to [`Media`]), sizes, names and namespaces.

use serde_json::Value;

use super::{
    DecodeError, Strictness, json, proto,
    syntax::{self, Node},
    yaml,
};
use crate::{
    Object,
    schema::{Shape, folder_of, table},
    status::Status,
};

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`, and no content type.
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

/// What the URL says that the body is.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The API group; empty for the legacy one.
    pub group: &'a str,
    /// The version.
    pub version: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// Its shape; none for a custom resource.
    pub shape: Option<&'static Shape>,
}

impl Expected<'_> {
    /// `apps/v1`, `v1`
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// A decoded body: the object in normal form, with the kind and version of the URL, and what is to be warned about.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object.
    pub object: Object,
    /// Unknown and repeated fields.
    pub warnings: Vec<String>,
}

/// What the body says that it is; absent parts are those of the URL.
struct Named {
    group: String,
    version: String,
    kind: String,
}

impl Named {
    fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// A body, opened as far as is needed to know its kind.
enum Opened<'a> {
    Document { node: Node<'a>, repeats: Vec<String> },
    Message(&'a [u8]),
}

/// Decodes the body of a create or update. Errors are complete answers.
pub fn decode(body: &[u8], media: Media, expected: &Expected<'_>, strictness: Strictness) -> Result<Decoded, Status> {
    let (opened, named) = open(body, media, expected.kind)
        .map_err(|error| unrecognised(expected.kind, &error, body))
        .and_then(|(opened, kind, api_version)| {
        let named = name(expected, kind, &api_version, body)?;
        Ok((opened, named))
    })?;
    let mut decoded =
        decode_as(&opened, &named, expected, strictness).map_err(|error| not_handled(&named, expected.kind, &error))?;
    if named.group != expected.group || named.version != expected.version {
        return Err(Status::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            named.api_version(),
            expected.api_version()
        )));
    }
    if let Value::Object(members) = &mut decoded.object {
        members.insert("kind".into(), expected.kind.into());
        members.insert("apiVersion".into(), expected.api_version().into());
    }
    Ok(decoded)
}

fn open<'a>(body: &'a [u8], media: Media, kind: &str) -> Result<(Opened<'a>, String, String), String> {
    let opened = match media {
        Media::Json => {
            let prefix = "couldn't get version/kind; json parse error: ";
            let node = syntax::parse(body).map_err(|e| format!("{prefix}{e}"))?;
            Opened::Document { node, repeats: Vec::new() }
        }
        Media::Yaml => {
            let (node, repeats) = yaml::parse(body).map_err(|e| e.to_string())?;
            Opened::Document { node, repeats }
        }
        Media::Protobuf => {
            let envelope = proto::open(body).map_err(|e| e.to_string())?;
            let named = (envelope.kind.to_owned(), envelope.api_version.to_owned());
            return Ok((Opened::Message(envelope.raw), named.0, named.1));
        }
    };
    let Opened::Document { node, .. } = &opened else { return Err(format!("no document of a {kind}")) };
    let (kind, api_version) = kind_of(node)?;
    Ok((opened, kind, api_version))
}

/// `kind` and `apiVersion` of a document; empty if absent.
fn kind_of(node: &Node<'_>) -> Result<(String, String), String> {
    let members = match node {
        Node::Object(members) => members.as_slice(),
        Node::Null => &[],
        other => {
            return Err(format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ \
                 APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
                other.kind()
            ));
        }
    };
    let text = |name: &str| match members.iter().rev().find(|(key, _)| key == name).map(|(_, node)| node) {
        None | Some(Node::Null) => Ok(String::new()),
        Some(Node::String(text)) => Ok(text.clone().into_owned()),
        Some(other) => Err(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go struct field .{name} of type string",
            other.kind()
        )),
    };
    Ok((text("kind")?, text("apiVersion")?))
}

fn name(expected: &Expected<'_>, kind: String, api_version: &str, body: &[u8]) -> Result<Named, Status> {
    if expected.shape.is_none() && kind.is_empty() {
        // A custom resource has to say what it is.
        let text = String::from_utf8_lossy(body);
        return Err(unrecognised(expected.kind, &format!("Object 'Kind' is missing in '{text}'"), body));
    }
    if api_version.matches('/').count() > 1 {
        let error = format!("unexpected GroupVersion string: {api_version}");
        return Err(unrecognised(expected.kind, &error, body));
    }
    let (group, version) = match api_version.split_once('/') {
        Some((group, version)) => (group, version),
        None if api_version.is_empty() => (expected.group, expected.version),
        None => ("", api_version),
    };
    let kind = if kind.is_empty() { expected.kind.to_owned() } else { kind };
    Ok(Named { group: group.to_owned(), version: version.to_owned(), kind })
}

/// Versions that are no longer served but still known, so that a body in one of them is understood and then refused for its version.
const OLD: [(&str, &str, &[&str]); 5] = [
    ("apps", "v1beta1", &["ControllerRevision", "Deployment", "StatefulSet"]),
    ("apps", "v1beta2", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    ("extensions", "v1beta1", &["DaemonSet", "Deployment", "Ingress", "NetworkPolicy", "ReplicaSet"]),
    ("batch", "v1beta1", &["CronJob"]),
    ("policy", "v1beta1", &["PodDisruptionBudget", "Eviction"]),
];

fn is_old(named: &Named) -> bool {
    OLD.iter().any(|(group, version, kinds)| {
        named.group == *group && named.version == *version && kinds.contains(&named.kind.as_str())
    })
}

/// Decodes the result of a patch: as [`decode`], but an error is a bare text, for the caller says what it is about.
pub(crate) fn decode_patched(
    document: &Value,
    repeats: Vec<String>,
    expected: &Expected<'_>,
    strictness: Strictness,
    converter: bool,
) -> Result<Decoded, String> {
    let bytes = json::encode_any(document);
    let node = syntax::parse(&bytes)?;
    let (kind, api_version) = kind_of(&node)?;
    let named = name(expected, kind, &api_version, &bytes).map_err(|status| status.message().to_owned())?;
    let decoded = match expected.shape {
        Some(shape) if converter => {
            let decoded = json::convert_node(&node, shape).map_err(|e| e.to_string())?;
            settle_all(decoded, repeats, strictness)
        }
        _ => {
            let opened = Opened::Document { node, repeats: Vec::new() };
            let Decoded { object, warnings } = decode_as(&opened, &named, expected, Strictness::Warn)?;
            settle_all((object, warnings), repeats, strictness)
        }
    };
    let mut decoded = decoded?;
    if let Value::Object(members) = &mut decoded.object {
        members.insert("kind".into(), expected.kind.into());
        members.insert("apiVersion".into(), expected.api_version().into());
    }
    Ok(decoded)
}

/// The body of a server-side apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// As sent; null and empty mean something here.
    pub object: Value,
    /// What is said about repeated members, if there are any.
    pub repeats: Option<String>,
}

/// Reads the body of an apply: YAML, and so JSON too (A146).
pub fn decode_intent(body: &[u8]) -> Result<Intent, Status> {
    const CONVERTING: &str = "error converting YAML to JSON";
    // JSON is YAML; its own parser is quicker, but counts no lines: what it cannot read goes on to the other.
    let json = syntax::parse(body).ok().filter(|node| super::typed::repeats(node).is_empty());
    let (node, repeats) = match json {
        Some(node) => (node, Vec::new()),
        None => {
            yaml::parse(body).map_err(|why| Status::bad_request(format!("error decoding YAML: {CONVERTING}: {why}")))?
        }
    };
    let object = match node.to_value() {
        object @ Value::Object(_) => object,
        Value::Null => Value::Object(serde_json::Map::new()),
        _ => {
            return Err(Status::bad_request(format!(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go \
                 value of type map[string]interface {{}}",
                node.kind()
            )));
        }
    };
    let repeats =
        (!repeats.is_empty()).then(|| format!("{CONVERTING}: yaml: unmarshal errors:\n  {}", repeats.join("\n  ")));
    Ok(Intent { object, repeats })
}

/// Decodes what an apply made. Its types were checked, so what fails here is a text that is no quantity, no time and the like.
pub fn decode_applied(document: &Value, expected: &Expected<'_>) -> Result<Object, Status> {
    decode_patched(document, Vec::new(), expected, Strictness::Ignore, false).map(|decoded| decoded.object).map_err(
        |why| {
            use crate::value::Read;
            let (namespace, name) =
                (document.text_or_empty("metadata.namespace"), document.text_or_empty("metadata.name"));
            let Expected { group, version, kind, .. } = expected;
            Status::unclassified(format!(
                "failed to convert new typed object ({namespace}/{name}; {group}/{version}, Kind={kind}) to object: {why}"
            ))
        },
    )
}

fn settle_all(
    (object, found): (Object, Vec<String>),
    mut warnings: Vec<String>,
    strictness: Strictness,
) -> Result<Decoded, String> {
    warnings.extend(found);
    match strictness {
        Strictness::Ignore => Ok(Decoded { object, warnings: Vec::new() }),
        Strictness::Strict if !warnings.is_empty() => Err(DecodeError::Strict(warnings).to_string()),
        Strictness::Warn | Strictness::Strict => Ok(Decoded { object, warnings }),
    }
}

fn decode_as(
    opened: &Opened<'_>,
    named: &Named,
    expected: &Expected<'_>,
    strictness: Strictness,
) -> Result<Decoded, String> {
    let Some(shape) = expected.shape else {
        if named.kind != expected.kind || named.group != expected.group {
            return Err(unregistered(named));
        }
        let Opened::Document { node, repeats } = opened else { return Err("no protobuf form".into()) };
        let decoded = json::decode_any_node(node, Strictness::Warn).map_err(|e| e.to_string())?;
        return settle(decoded, repeats, strictness);
    };
    let same_kind = named.kind == expected.kind;
    let same = same_kind && named.group == expected.group && named.version == expected.version;
    let shape = if same || (same_kind && is_old(named)) {
        shape
    } else {
        table().kind(&named.group, &named.version, &named.kind).ok_or_else(|| unregistered(named))?
    };
    let decoded = match opened {
        Opened::Document { node, repeats } => {
            let decoded = json::decode_node(node, shape, Strictness::Warn).map_err(|e| e.to_string())?;
            settle(decoded, repeats, strictness)?
        }
        Opened::Message(raw) => {
            Decoded { object: proto::decode(raw, shape).map_err(|e| e.to_string())?, warnings: Vec::new() }
        }
    };
    if !same_kind {
        let internal =
            if expected.group == "events.k8s.io" { "core" } else { folder_of(expected.group).unwrap_or("core") };
        return Err(format!("converting ({}) to ({internal}.{}): unknown conversion", shape.go_name(), expected.kind));
    }
    Ok(decoded)
}

fn settle(decoded: (Object, Vec<String>), repeats: &[String], strictness: Strictness) -> Result<Decoded, String> {
    let first = match repeats {
        [] => Vec::new(),
        lines => vec![format!("yaml: unmarshal errors:\n  {}", lines.join("\n  "))],
    };
    settle_all(decoded, first, strictness)
}

fn unregistered(named: &Named) -> String {
    no_kind(&named.kind, &named.api_version())
}

/// Upstream's text about a kind that is not known in a version.
pub fn no_kind(kind: &str, api_version: &str) -> String {
    format!(
        "no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""
    )
}

fn not_handled(named: &Named, wanted: &str, error: &str) -> Status {
    Status::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {wanted}: {error}",
        named.kind, named.version
    ))
}

/// How much of a body is quoted.
const QUOTED_MAX: usize = 1024;

fn unrecognised(wanted: &str, error: &str, body: &[u8]) -> Status {
    use std::fmt::Write;
    let cut = &body[..body.len().min(QUOTED_MAX)];
    let mut quoted = match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(cut).into_owned(),
        Some(_) => cut.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    };
    if body.len() > QUOTED_MAX {
        quoted.push_str(" ...");
    }
    Status::bad_request(format!("the object provided is unrecognized (must be of type {wanted}): {error} ({quoted})"))
}

/// Decodes a `DeleteOptions` body (A76): of any version that has it, unknown fields ignored. An empty body is no options.
pub fn decode_delete_options(body: &[u8], media: Media) -> Result<Option<Object>, Status> {
    const KIND: &str = "DeleteOptions";
    if body.is_empty() {
        return Ok(None);
    }
    let (opened, kind, api_version) = open(body, media, KIND).map_err(|error| unrecognised(KIND, &error, body))?;
    if !kind.is_empty() && kind != KIND {
        let scheme = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";
        let version = if api_version.is_empty() { "v1" } else { &api_version };
        let text = format!("no kind \"{kind}\" is registered for version \"{version}\" in scheme \"{scheme}\"");
        return Err(Status::bad_request(text));
    }
    let Some(shape) = table().shape("meta.v1.DeleteOptions") else { return Ok(None) };
    let object = match &opened {
        Opened::Document { node, .. } => {
            json::decode_node(node, shape, Strictness::Ignore).map(|d| d.0).map_err(|e| e.to_string())
        }
        Opened::Message(raw) => proto::decode(raw, shape).map_err(|e| e.to_string()),
    };
    object.map(Some).map_err(Status::bad_request)
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
