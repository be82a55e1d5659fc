//! What kinds of objects a server has, for controllers that look after all of them.
//!
//! Not here: what any kind means.

use everynode_core::lifecycle::garbage::{Kind, Scope};
use serde::Deserialize;

use crate::api::{Api, Failure, collection};

/// One resource, in its group's preferred version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceType {
    /// API group, empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural, as in paths.
    pub plural: String,
    /// Kind.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What may be done with it.
    pub verbs: Vec<String>,
}

impl ResourceType {
    /// All of these may be done with it.
    #[must_use]
    pub fn allows(&self, verbs: &[&str]) -> bool {
        verbs.iter().all(|verb| self.verbs.iter().any(|allowed| allowed == verb))
    }

    /// The path of its collection; an empty namespace stands for all.
    #[must_use]
    pub fn collection(&self, namespace: &str) -> String {
        collection(&self.group, &self.version, namespace, &self.plural)
    }

    /// The path of one object.
    #[must_use]
    pub fn object(&self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.collection(namespace))
    }

    /// `configmaps.` or `daemonsets.apps`: how a namespace's status names it.
    #[must_use]
    pub fn qualified(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    /// Group and kind.
    #[must_use]
    pub fn group_kind(&self) -> Kind {
        Kind { group: self.group.as_str().into(), kind: self.kind.as_str().into() }
    }

    /// Where its objects live.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if self.namespaced { Scope::Namespaced } else { Scope::Cluster }
    }
}

/// What discovery found.
#[derive(Clone, Debug, Default)]
pub struct Discovered {
    /// All resources, without subresources.
    pub resources: Vec<ResourceType>,
    /// Groups that could not be read, with the cause (T154: the others go on).
    pub failures: Vec<String>,
}

#[derive(Deserialize)]
struct GroupList {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    preferred_version: Version,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct ResourceList {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

/// Why nothing could be discovered.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The list of groups was refused.
    #[error("cannot list the API groups")]
    Groups(#[source] Failure),
    /// The list of groups is no such list.
    #[error("cannot read the list of API groups")]
    ReadGroups(#[source] serde_json::Error),
}

/// Asks the server for all its resources.
pub async fn discover(api: &Api) -> Result<Discovered, DiscoveryError> {
    let body = api.get("/apis").await.map_err(DiscoveryError::Groups)?;
    let list: GroupList = serde_json::from_slice(&body).map_err(DiscoveryError::ReadGroups)?;
    let core = Group { name: String::new(), preferred_version: Version { version: "v1".to_owned() } };
    let mut discovered = Discovered::default();
    for group in std::iter::once(core).chain(list.groups) {
        let version = group.preferred_version.version;
        let path =
            if group.name.is_empty() { format!("/api/{version}") } else { format!("/apis/{}/{version}", group.name) };
        let resources = match api.get(&path).await {
            Ok(body) => serde_json::from_slice::<ResourceList>(&body).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match resources {
            Ok(list) => {
                let found = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
                discovered.resources.extend(found.map(|resource| ResourceType {
                    group: group.name.clone(),
                    version: version.clone(),
                    plural: resource.name,
                    kind: resource.kind,
                    namespaced: resource.namespaced,
                    verbs: resource.verbs,
                }));
            }
            Err(error) => discovered.failures.push(format!("{}/{version}: {error}", group.name)),
        }
    }
    Ok(discovered)
}
