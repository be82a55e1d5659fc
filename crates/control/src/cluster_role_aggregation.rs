//! Keeps the rules of aggregated cluster roles equal to those of the roles that their selectors match (A413).

use std::sync::Arc;
use std::time::Duration;

use everynode_api::project::ProjectError;
use everynode_core::model::{Key, Labels, Version};
use everynode_core::selector::LabelSelector;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, Failure, Patch};
use crate::cache::{Cached, Chain, Delta};
use crate::inbox::Inbox;
use crate::selector::WireSelector;
use crate::{Context, ControllerError};

const PATH: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
/// How long to wait after a failed write.
const AGAIN: Duration = Duration::from_secs(1);

struct Role {
    key: Key,
    version: Version,
    labels: Labels,
    /// Roles that match any of these give their rules.
    sources: Option<Vec<LabelSelector>>,
    rules: Vec<Value>,
}

impl Cached for Role {
    fn key(&self) -> Key {
        self.key.clone()
    }
    fn version(&self) -> Version {
        self.version
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    metadata: WireMeta,
    aggregation_rule: Option<WireAggregation>,
    rules: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMeta {
    name: String,
    resource_version: String,
    labels: Option<Labels>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WireAggregation {
    cluster_role_selectors: Option<Vec<WireSelector>>,
}

fn project(bytes: &[u8]) -> Result<Role, ProjectError> {
    let wire: Wire =
        serde_json::from_slice(bytes).map_err(|source| ProjectError::Read { kind: "ClusterRole", source })?;
    let sources = wire
        .aggregation_rule
        .map(|rule| rule.cluster_role_selectors.unwrap_or_default().into_iter().map(LabelSelector::from).collect());
    Ok(Role {
        key: Key::cluster(&wire.metadata.name),
        version: Version::parse(&wire.metadata.resource_version),
        labels: wire.metadata.labels.unwrap_or_default(),
        sources,
        rules: wire.rules.unwrap_or_default(),
    })
}

enum Message {
    Changed,
    Written(Result<(), Failure>),
    Again,
}

/// Runs until it is dropped.
pub(crate) async fn run(context: Arc<Context>) -> Result<(), ControllerError> {
    let api = context.clients.api("clusterrole-aggregation-controller");
    let roles = context.feeds.open("cluster roles", PATH, project);
    roles.synced().await;
    let mut inbox = Inbox::new();
    inbox.follow(&roles, |_: Delta<Role>| Message::Changed);
    // One round of writes at a time; what changes meanwhile makes another.
    let mut writing = 0usize;
    let mut is_dirty = false;
    loop {
        let mut next = inbox.next(None).await;
        while let Some(message) = next {
            match message {
                Message::Changed | Message::Again => is_dirty = true,
                Message::Written(result) => {
                    writing -= 1;
                    is_dirty = true;
                    if let Err(failure) = result
                        && !failure.is_conflict()
                        && !failure.is_not_found()
                    {
                        tracing::warn!(error = %Chain(&failure), "cannot aggregate a cluster role; trying again");
                        is_dirty = false;
                        inbox.act(async {
                            tokio::time::sleep(AGAIN).await;
                            Message::Again
                        });
                    }
                }
            }
            next = inbox.try_next();
        }
        if !is_dirty || writing > 0 {
            continue;
        }
        is_dirty = false;
        let roles = roles.all();
        for role in &roles {
            let Some(rules) = aggregate(role, &roles).filter(|rules| *rules != role.rules) else { continue };
            writing += 1;
            inbox.act(write(api.clone(), Arc::clone(role), rules));
        }
    }
}

async fn write(api: Api, role: Arc<Role>, rules: Vec<Value>) -> Message {
    let patch = json!({
        "metadata": {"resourceVersion": role.version.0.to_string()},
        "rules": if rules.is_empty() { Value::Null } else { Value::Array(rules) },
    });
    Message::Written(api.patch(&format!("{PATH}/{}", role.key.name), Patch::Merge, &patch).await.map(drop))
}

/// The rules of all matching roles, in the order of their names, without repeats. `roles` is ordered by name.
fn aggregate(role: &Role, roles: &[Arc<Role>]) -> Option<Vec<Value>> {
    let sources = role.sources.as_ref()?;
    let mut rules: Vec<Value> = Vec::new();
    for other in roles.iter().filter(|other| other.key != role.key) {
        if sources.iter().any(|source| source.matches(&other.labels)) {
            for rule in &other.rules {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, labels: &[&str], rules: &[&str], sources: Option<&str>) -> Arc<Role> {
        let labels: Labels = labels.iter().map(|label| ((*label).to_owned(), "true".to_owned())).collect();
        Arc::new(Role {
            key: Key::cluster(name),
            version: Version(1),
            labels,
            sources: sources.map(|label| {
                vec![LabelSelector {
                    labels: Labels::from([(label.to_owned(), "true".to_owned())]),
                    expressions: Vec::new(),
                }]
            }),
            rules: rules.iter().map(|rule| json!(rule)).collect(),
        })
    }

    /// A413: by name, without repeats, never from itself.
    #[test]
    fn rules_come_from_matching_roles() {
        let roles = [
            role("a", &["view"], &["1", "2"], None),
            role("b", &["edit"], &["3"], None),
            role("c", &["view"], &["2", "4"], None),
            role("view", &["view"], &["9"], Some("view")),
            role("nothing", &[], &[], Some("none")),
        ];
        assert_eq!(aggregate(&roles[3], &roles), Some(vec![json!("1"), json!("2"), json!("4")]));
        assert_eq!(aggregate(&roles[4], &roles), Some(vec![]));
        assert_eq!(aggregate(&roles[0], &roles), None);
    }
}
