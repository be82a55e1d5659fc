//! Kinds that extend the API: CustomResourceDefinition, webhook and policy configurations, APIService (A455, A456, A471, A472). Stored,
//! defaulted and checked for their names; acting on them belongs to the server.

use serde_json::{Value, json};

use crate::Object;
use crate::field::{Error, Path};
use crate::strategy::{Context, Strategy};
use crate::value::{Read, at_mut, set, set_default};

/// The strategy of custom resource definitions.
#[derive(Debug)]
pub struct Definition;

/// The one [`Definition`].
pub static DEFINITION: Definition = Definition;

impl Strategy for Definition {
    fn default(&self, definition: &mut Object) {
        let kind = definition.text_or_empty("spec.names.kind").to_owned();
        if definition.text_or_empty("spec.names.singular").is_empty() {
            set(definition, "spec.names.singular", kind.to_lowercase());
        }
        if definition.text_or_empty("spec.names.listKind").is_empty() && !kind.is_empty() {
            set(definition, "spec.names.listKind", format!("{kind}List"));
        }
        set_default(definition, "spec.conversion", json!({"strategy": "None"}));
        if definition.at("spec.conversion.webhook.clientConfig.service").is_some() {
            set_default(definition, "spec.conversion.webhook.clientConfig.service.port", 443);
        }
    }

    fn prepare_for_create(&self, definition: &mut Object, _context: &Context<'_>) {
        let stored = definition.list("spec.versions").iter().filter(|v| v.is_true("storage"));
        let stored: Vec<Value> = stored.filter_map(|v| v.get("name").cloned()).collect();
        set(definition, "status.storedVersions", stored);
    }

    fn validate(&self, definition: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let (plural, group) = (definition.text_or_empty("spec.names.plural"), definition.text_or_empty("spec.group"));
        let name = definition.text_or_empty("metadata.name");
        if name != format!("{plural}.{group}") {
            let why = "must be spec.names.plural+\".\"+spec.group";
            errors.push(Error::invalid(&Path::new("metadata.name"), name, why));
        }
        let at = Path::new("spec");
        for member in ["group", "scope", "names.plural", "names.kind"] {
            if definition.text_or_empty(&format!("spec.{member}")).is_empty() {
                errors.push(Error::required(&Path::new(format!("spec.{member}")), ""));
            }
        }
        let scope = definition.text_or_empty("spec.scope");
        if !matches!(scope, "" | "Cluster" | "Namespaced") {
            errors.push(Error::not_supported(&at.child("scope"), scope, &["Cluster", "Namespaced"]));
        }
        let versions = definition.list("spec.versions");
        if versions.iter().filter(|v| v.is_true("storage")).count() != 1 {
            let why = "must have exactly one version marked as storage version";
            errors.push(Error::invalid(&at.child("versions"), Value::from(versions), why));
        }
        for (i, version) in versions.iter().enumerate() {
            if version.at("schema.openAPIV3Schema").is_none() {
                let field = at.child("versions").index(i).child("schema").child("openAPIV3Schema");
                errors.push(Error::required(&field, "schemas are required"));
            }
        }
        if definition.is_true("spec.preserveUnknownFields") {
            let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
            errors.push(Error::invalid(&at.child("preserveUnknownFields"), true, why));
        }
        errors
    }

    fn validate_update(&self, new: &Object, _old: &Object, subresource: &str) -> Vec<Error> {
        if subresource.is_empty() { self.validate(new) } else { Vec::new() }
    }
}

/// The strategy of validating or mutating webhook configurations.
#[derive(Debug)]
pub struct Webhooks {
    mutating: bool,
}

/// ValidatingWebhookConfiguration.
pub static VALIDATING: Webhooks = Webhooks { mutating: false };
/// MutatingWebhookConfiguration.
pub static MUTATING: Webhooks = Webhooks { mutating: true };

impl Strategy for Webhooks {
    fn default(&self, configuration: &mut Object) {
        for hook in at_mut(configuration, "webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
            set_default(hook, "failurePolicy", "Fail");
            default_match(hook);
            set_default(hook, "timeoutSeconds", 10);
            if self.mutating {
                set_default(hook, "reinvocationPolicy", "Never");
            }
            if hook.at("clientConfig.service").is_some() {
                set_default(hook, "clientConfig.service.port", 443);
            }
            for rule in hook.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
                set_default(rule, "scope", "*");
            }
        }
    }

    fn validate(&self, configuration: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        for (i, hook) in configuration.list("webhooks").iter().enumerate() {
            let at = Path::new("webhooks").index(i);
            if hook.list("admissionReviewVersions").is_empty() {
                let why = "must specify one of v1, v1beta1";
                errors.push(Error::required(&at.child("admissionReviewVersions"), why));
            }
            let effects = hook.text_or_empty("sideEffects");
            let supported = &["None", "NoneOnDryRun"];
            if effects.is_empty() {
                errors.push(Error::required(&at.child("sideEffects"), "must specify one of None, NoneOnDryRun"));
            } else if !supported.contains(&effects) {
                errors.push(Error::not_supported(&at.child("sideEffects"), effects, supported));
            }
            let name = hook.text_or_empty("name");
            if name.split('.').count() < 3 {
                let why = "should be a domain with at least three segments separated by dots";
                errors.push(Error::invalid(&at.child("name"), name, why));
            }
        }
        errors
    }
}

fn default_match(owner: &mut Value) {
    set_default(owner, "matchPolicy", "Equivalent");
    for selector in ["namespaceSelector", "objectSelector"] {
        set_default(owner, selector, json!({}));
    }
}

/// The strategy of admission policies and their bindings.
#[derive(Debug)]
pub struct Policy {
    binding: bool,
}

/// ValidatingAdmissionPolicy, MutatingAdmissionPolicy.
pub static POLICY: Policy = Policy { binding: false };
/// Their bindings.
pub static POLICY_BINDING: Policy = Policy { binding: true };

impl Strategy for Policy {
    fn default(&self, policy: &mut Object) {
        let member = if self.binding { "spec.matchResources" } else { "spec.matchConstraints" };
        if let Some(matching) = at_mut(policy, member).filter(|m| m.is_object()) {
            default_match(matching);
            for list in ["resourceRules", "excludeResourceRules"] {
                for rule in matching.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    set_default(rule, "scope", "*");
                }
            }
        }
        if !self.binding && policy.at("spec").is_some() {
            set_default(policy, "spec.failurePolicy", "Fail");
        }
    }
}

/// The strategy of API services.
#[derive(Debug)]
pub struct ApiService;

/// The one [`ApiService`].
pub static API_SERVICE: ApiService = ApiService;

impl Strategy for ApiService {
    fn default(&self, service: &mut Object) {
        if service.at("spec.service").is_some() {
            set_default(service, "spec.service.port", 443);
        }
    }

    fn validate(&self, service: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let (version, group) = (service.text_or_empty("spec.version"), service.text_or_empty("spec.group"));
        let name = service.text_or_empty("metadata.name");
        if name != format!("{version}.{group}") {
            let why = "must be `spec.version+\".\"+spec.group`";
            errors.push(Error::invalid(&Path::new("metadata.name"), name, why));
        }
        errors
    }
}
