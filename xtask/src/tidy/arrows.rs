//! The picture of ARCHITECTURE.md, executable: which crate may depend on which.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::Value;

use crate::shell::output;

/// All arrows between our crates, tests included. What is not drawn here is forbidden.
const ARROWS: &[(&str, &[&str])] = &[
    ("everynode-core", &[]),
    ("everynode-store", &[]),
    ("everynode-api", &["everynode-core"]),
    ("everynode-server", &["everynode-store", "everynode-api", "everynode-core"]),
    ("everynode-control", &["everynode-api", "everynode-core"]),
    ("everynode-agent", &["everynode-api", "everynode-core"]),
    ("everynode-sim", &["everynode-store", "everynode-api", "everynode-core"]),
    ("everynode-cli", &["everynode-server", "everynode-control", "everynode-agent", "everynode-sim", "everynode-e2e"]),
    ("everynode-e2e", &[]),
    ("xtask", &["everynode-e2e"]),
];

/// What `core` may not pull in, directly: it decides, it does not do.
const NOT_IN_CORE: &[&str] = &["tokio", "serde", "serde_json", "tracing", "jiff", "rand", "kube", "k8s-openapi"];

pub(super) fn check() -> anyhow::Result<Vec<String>> {
    let metadata = output("cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    Ok(complaints(&dependencies(&metadata)))
}

/// Crate → its direct dependencies, of every kind.
fn dependencies(metadata: &Value) -> BTreeMap<String, Vec<String>> {
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .map(|package| (name(package), package["dependencies"].as_array().into_iter().flatten().map(name).collect()))
        .collect()
}

fn complaints(dependencies: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut complaints = Vec::new();
    for (package, needs) in dependencies {
        let Some(drawn) = allowed.get(package.as_str()) else {
            complaints.push(format!("Cargo.toml: crate {package} is not in the picture of ARCHITECTURE.md"));
            continue;
        };
        for need in needs {
            let ours = dependencies.contains_key(need);
            if ours && !drawn.contains(&need.as_str()) {
                complaints.push(format!("{package} -> {need}: no such arrow in ARCHITECTURE.md"));
            }
            if package == "everynode-core" && NOT_IN_CORE.contains(&need.as_str()) {
                complaints.push(format!("{package} -> {need}: core is pure"));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(arrows: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        arrows.iter().map(|(from, to)| ((*from).to_owned(), own(to))).collect()
    }

    #[test]
    fn drawn_arrows_pass() {
        assert_eq!(complaints(&tree(ARROWS)), Vec::<String>::new());
    }

    #[test]
    fn an_undrawn_arrow_is_named() {
        for (from, to) in [
            ("everynode-control", "everynode-server"),
            ("everynode-core", "everynode-api"),
            ("everynode-store", "everynode-api"),
            ("everynode-core", "tokio"),
        ] {
            let mut tree = tree(ARROWS);
            tree.entry(from.to_owned()).or_default().push(to.to_owned());
            let found = complaints(&tree);
            assert!(found.len() == 1 && found[0].contains(to), "{from} -> {to}: {found:?}");
        }
    }

    #[test]
    fn the_tree_is_as_drawn() {
        assert_eq!(check().expect("cargo metadata runs"), Vec::<String>::new());
    }
}
