//! Warnings about volumes: drivers that are gone, files of one volume at one place.

use serde_json::Value;

use crate::quote::go_quote;
use crate::value::Read;

/// Sources with no driver any more: the member, how upstream spells it in the path, since when.
const GONE: &[(&str, &str, &str)] = &[
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// The warnings about the volumes of a pod's spec.
pub(super) fn warnings(spec: &Value, prefix: &str, out: &mut Vec<String>) {
    let volumes = spec.list("volumes");
    for (i, volume) in volumes.iter().enumerate() {
        for (_, shown, text) in GONE.iter().filter(|(member, ..)| volume.at(member).is_some()) {
            out.push(format!("{prefix}spec.volumes[{i}].{shown}: {text}"));
        }
    }
    for volume in volumes {
        overlaps(volume, out);
    }
}

/// A place in a volume, and the source that puts a file there, where there are several.
struct Place {
    path: String,
    source: String,
}

impl Place {
    fn shown(&self) -> String {
        let path = go_quote(&self.path);
        if self.source.is_empty() { path } else { format!("{path} ({})", self.source) }
    }

    /// Whether one of the two is, or lies in, the other.
    fn meets(&self, other: &Place) -> bool {
        let (a, b) = (format!("{}/", self.path), format!("{}/", other.path));
        !self.path.is_empty() && !other.path.is_empty() && (a.starts_with(&b) || b.starts_with(&a))
    }
}

fn places(source: &Value, name: &str) -> Vec<Place> {
    let paths = source.list("items").iter().map(|item| item.text_or_empty("path"));
    paths.map(|path| place(path, name)).collect()
}

fn place(path: &str, source: &str) -> Place {
    Place { path: path.trim_end_matches('/').to_owned(), source: source.to_owned() }
}

fn overlaps(volume: &Value, out: &mut Vec<String>) {
    let name = go_quote(volume.text_or_empty("name"));
    for (member, said) in [("configMap", "name"), ("secret", "secretName"), ("downwardAPI", "")] {
        if let Some(source) = volume.at(member) {
            let what = described(member, source, said);
            meetings(&places(source, ""), &name, &what, out);
        }
    }
    let Some(projected) = volume.at("projected") else { return };
    let mut all = Vec::new();
    for source in projected.list("sources") {
        let parts = projected_places(source);
        match parts {
            Some(parts) => all.extend(parts),
            None => out.push(format!("volume {name} (Projected) has no sources provided")),
        }
    }
    meetings(&all, &name, "Projected", out);
}

fn described(member: &str, source: &Value, said: &str) -> String {
    match member {
        "configMap" => format!("ConfigMap {}", go_quote(source.text_or_empty(said))),
        "secret" => format!("Secret {}", go_quote(source.text_or_empty(said))),
        _ => "DownwardAPI".to_owned(),
    }
}

fn meetings(places: &[Place], volume: &str, what: &str, out: &mut Vec<String>) {
    for (i, place) in places.iter().enumerate() {
        for other in places[..i].iter().filter(|other| place.meets(other)) {
            out.push(format!("volume {volume} ({what}): overlapping paths: {} with {}", place.shown(), other.shown()));
        }
    }
}

/// The places of one source of a projected volume; `None` when it has no source at all.
fn projected_places(source: &Value) -> Option<Vec<Place>> {
    for member in ["configMap", "secret", "downwardAPI"] {
        if let Some(inner) = source.at(member) {
            return Some(places(inner, &described(member, inner, "name")));
        }
    }
    if let Some(token) = source.at("serviceAccountToken") {
        return Some(vec![place(token.text_or_empty("path"), "ServiceAccountToken")]);
    }
    if let Some(bundle) = source.at("clusterTrustBundle") {
        let name = bundle.text("name").or(bundle.text("signerName")).unwrap_or_default();
        return Some(vec![place(bundle.text_or_empty("path"), &format!("ClusterTrustBundle {}", go_quote(name)))]);
    }
    let certificate = source.at("podCertificate")?;
    let parts = [("certificateChainPath", "chain"), ("keyPath", "key"), ("credentialBundlePath", "credential bundle")];
    let given = parts.into_iter().filter(|(member, _)| !certificate.is_zero(member));
    Some(
        given
            .map(|(member, what)| place(certificate.text_or_empty(member), &format!("PodCertificate {what}")))
            .collect(),
    )
}
