//! Deployment, ReplicaSet, StatefulSet, ReplicationController, PodTemplate: defaulted and validated by the shared pod template, and stored
//! (A303). Nothing in this product acts on them yet.

use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::daemon_set::{at_most_whole, positive_or_percent};
use crate::kinds::pod::{self, template::selector_immutable, validate::nonnegative};
use crate::strategy::Strategy;
use crate::value::{Read, same, set, set_default};

/// The strategy of one of these kinds.
#[derive(Debug)]
pub struct Workload {
    /// As upstream names it in the text about an empty selector.
    selector_kind: &'static str,
    defaults: fn(&mut Value),
    rules: fn(&Value, &Path, &mut Vec<Error>),
}

/// Deployment.
pub static DEPLOYMENT: Workload =
    Workload { selector_kind: "deployment", defaults: default_deployment, rules: deployment_rules };
/// ReplicaSet.
pub static REPLICA_SET: Workload =
    Workload { selector_kind: "deployment", defaults: default_replicas, rules: |_, _, _| {} };
/// StatefulSet.
pub static STATEFUL_SET: Workload =
    Workload { selector_kind: "statefulset", defaults: default_stateful_set, rules: stateful_set_rules };

impl Strategy for Workload {
    fn default(&self, object: &mut Object) {
        pod::default_template(object, "spec.template");
        if let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) {
            (self.defaults)(spec);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        static NONE: Value = Value::Null;
        let mut errors = Vec::new();
        let at = Path::new("spec");
        let spec = object.at("spec").unwrap_or(&NONE);
        nonnegative(&mut errors, spec, "replicas", &at);
        if spec.at("selector").is_none() {
            errors.push(Error::required(&at.child("selector"), ""));
        } else {
            pod::validate_selector(spec, None, &at, self.selector_kind, &mut errors);
        }
        let template = at.child("template");
        pod::validate::template(spec.at("template").unwrap_or(&NONE), &template, &mut errors);
        let restart = spec.text_or_empty("template.spec.restartPolicy");
        if restart != "Always" {
            let field = template.child("spec").child("restartPolicy");
            errors.push(Error::not_supported(&field, restart, &["Always"]));
        }
        if spec.at("template.spec.activeDeadlineSeconds").is_some() {
            let why = "activeDeadlineSeconds in ReplicaSet is not Supported";
            errors.push(Error::forbidden(&template.child("spec").child("activeDeadlineSeconds"), why));
        }
        for member in ["minReadySeconds", "revisionHistoryLimit"] {
            nonnegative(&mut errors, spec, member, &at);
        }
        (self.rules)(spec, &at, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, subresource: &str) -> Vec<Error> {
        if subresource == "status" {
            return Vec::new();
        }
        let mut errors = Vec::new();
        if !same(new.at("spec.selector"), old.at("spec.selector")) {
            errors.push(selector_immutable(new));
        }
        errors.extend(self.validate(new));
        errors
    }

    fn warnings(&self, new: &Object, old: Option<&Object>, subresource: &str) -> Vec<String> {
        let changed = old.is_none_or(|old| !same(new.at("spec.template"), old.at("spec.template")));
        if subresource.is_empty() && changed { pod::warnings::of_template(new, "spec.template") } else { Vec::new() }
    }
}

fn default_replicas(spec: &mut Value) {
    set_default(spec, "replicas", 1);
}

fn default_deployment(spec: &mut Value) {
    default_replicas(spec);
    if spec.text_or_empty("strategy.type").is_empty() {
        set(spec, "strategy.type", "RollingUpdate");
    }
    if spec.text("strategy.type") == Some("RollingUpdate") {
        set_default(spec, "strategy.rollingUpdate", json!({}));
        set_default(spec, "strategy.rollingUpdate.maxUnavailable", "25%");
        set_default(spec, "strategy.rollingUpdate.maxSurge", "25%");
    }
    set_default(spec, "revisionHistoryLimit", 10);
    set_default(spec, "progressDeadlineSeconds", 600);
}

fn deployment_rules(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    let at_strategy = at.child("strategy");
    let kinds = &["Recreate", "RollingUpdate"];
    match spec.text_or_empty("strategy.type") {
        "Recreate" if spec.at("strategy.rollingUpdate").is_some() => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(Error::forbidden(&at_strategy.child("rollingUpdate"), why));
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let at = at_strategy.child("rollingUpdate");
            if let Some(rolling) = spec.at("strategy.rollingUpdate") {
                for member in ["maxUnavailable", "maxSurge"] {
                    positive_or_percent(rolling, member, &at, errors);
                }
                at_most_whole(rolling, "maxUnavailable", &at, errors);
            }
        }
        other => errors.push(Error::not_supported(&at_strategy.child("type"), other, kinds)),
    }
    nonnegative(errors, spec, "progressDeadlineSeconds", at);
}

fn default_stateful_set(spec: &mut Value) {
    default_replicas(spec);
    if spec.text_or_empty("podManagementPolicy").is_empty() {
        set(spec, "podManagementPolicy", "OrderedReady");
    }
    if spec.text_or_empty("updateStrategy.type").is_empty() {
        set(spec, "updateStrategy.type", "RollingUpdate");
    }
    if spec.text("updateStrategy.type") == Some("RollingUpdate") {
        set_default(spec, "updateStrategy.rollingUpdate", json!({}));
        set_default(spec, "updateStrategy.rollingUpdate.partition", 0);
    }
    set_default(spec, "revisionHistoryLimit", 10);
    set_default(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    for member in ["whenDeleted", "whenScaled"] {
        let path = format!("persistentVolumeClaimRetentionPolicy.{member}");
        if spec.text_or_empty(&path).is_empty() {
            set(spec, &path, "Retain");
        }
    }
    for claim in spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten() {
        crate::kinds::storage::default_claim(claim);
        // A claim inside a template is an object of its own on the wire.
        set_default(claim, "kind", "PersistentVolumeClaim");
        set_default(claim, "apiVersion", "v1");
    }
}

fn stateful_set_rules(spec: &Value, at: &Path, errors: &mut Vec<Error>) {
    let policy = spec.text_or_empty("podManagementPolicy");
    if !matches!(policy, "OrderedReady" | "Parallel") {
        let why = "must be 'OrderedReady' or 'Parallel'";
        errors.push(Error::invalid(&at.child("podManagementPolicy"), policy, why));
    }
    let kind = spec.text_or_empty("updateStrategy.type");
    if !matches!(kind, "RollingUpdate" | "OnDelete") {
        let why = "must be 'RollingUpdate' or 'OnDelete'";
        errors.push(Error::invalid(&at.child("updateStrategy"), spec["updateStrategy"].clone(), why));
    }
}

/// ReplicationController: its selector is a plain map and is defaulted from the template.
#[derive(Debug)]
pub struct ReplicationController;

/// The one [`ReplicationController`].
pub static REPLICATION_CONTROLLER: ReplicationController = ReplicationController;

impl Strategy for ReplicationController {
    fn default(&self, object: &mut Object) {
        // Here alone the template may be absent.
        if object.at("spec.template").is_some() {
            pod::default_template(object, "spec.template");
        }
        let labels = object.at("spec.template.metadata.labels").cloned();
        if let Some(labels) = labels {
            if object.is_zero("spec.selector") {
                set(object, "spec.selector", labels.clone());
            }
            if object.is_zero("metadata.labels") {
                set(object, "metadata.labels", labels);
            }
        }
        if let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) {
            default_replicas(spec);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let at = Path::new("spec.template");
        match object.at("spec.template") {
            Some(template) => pod::validate::template(template, &at, &mut errors),
            None => errors.push(Error::required(&at, "")),
        }
        errors
    }
}

/// PodTemplate: a template by itself.
#[derive(Debug)]
pub struct PodTemplate;

/// The one [`PodTemplate`].
pub static POD_TEMPLATE: PodTemplate = PodTemplate;

impl Strategy for PodTemplate {
    fn default(&self, object: &mut Object) {
        pod::default_template(object, "template");
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        if let Some(template) = object.at("template") {
            pod::validate::template(template, &Path::new("template"), &mut errors);
        }
        errors
    }
}
