//! Questions about identity and rights: nothing is stored, the answer is the question with a status (A221, A222).

use std::sync::Arc;

use everynode_api::Object;
use everynode_api::field;
use everynode_api::rbac::Rule;
use everynode_api::status::Status;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::authz::{Attributes, Authorizer};
use crate::identity::{Authenticator, Identity};

const AUTHORIZATION: &str = "authorization.k8s.io";

/// Answers reviews.
pub struct Reviewer {
    authenticator: Arc<Authenticator>,
    authorizer: Arc<Authorizer>,
}

impl Reviewer {
    /// Asks these two.
    pub fn new(authenticator: Arc<Authenticator>, authorizer: Arc<Authorizer>) -> Self {
        Self { authenticator, authorizer }
    }

    /// Answers the POST of a review; `object` is its body as decoded. Status 404 for resources that are no reviews.
    pub fn create(
        &self,
        identity: &Identity,
        resource: &str,
        namespace: &str,
        object: Object,
        now: Timestamp,
    ) -> Result<Object, Status> {
        match resource {
            "selfsubjectaccessreviews" => self.self_access(identity, object),
            "subjectaccessreviews" => self.access(object, None),
            "localsubjectaccessreviews" => self.access(object, Some(namespace)),
            "selfsubjectrulesreviews" => self.self_rules(identity, object),
            "selfsubjectreviews" => Ok(self_subject(identity, object, now)),
            "tokenreviews" => self.token(object, now),
            _ => Err(Status::no_such_resource()),
        }
    }

    fn self_access(&self, identity: &Identity, mut object: Object) -> Result<Object, Status> {
        let spec = spec_of(&object);
        let errors = check_target(&spec);
        if !errors.is_empty() {
            return Err(invalid(errors));
        }
        object["status"] = self.decide(identity, &spec);
        Ok(object)
    }

    fn access(&self, mut object: Object, namespace: Option<&str>) -> Result<Object, Status> {
        let spec = spec_of(&object);
        let mut errors = check_target(&spec);
        let user = text(&spec, "user");
        let groups = texts(spec.get("groups"));
        if user.is_empty() && groups.is_empty() {
            let path = field::Path::new("spec.user");
            errors.push(field::Error::invalid(&path, user, "at least one of user or group must be specified"));
        }
        if let Some(namespace) = namespace {
            let asked = spec.get("resourceAttributes").map(|a| text(a, "namespace")).unwrap_or_default();
            if asked != namespace {
                let path = field::Path::new("spec.resourceAttributes.namespace");
                errors.push(field::Error::invalid(&path, asked, "must match metadata.namespace"));
            }
        }
        if !errors.is_empty() {
            return Err(invalid(errors));
        }
        let extra = spec.get("extra").and_then(Value::as_object).into_iter().flatten();
        let identity = Identity {
            user: user.to_owned(),
            uid: text(&spec, "uid").to_owned(),
            groups,
            extra: extra.map(|(key, values)| (key.to_lowercase(), texts(Some(values)))).collect(),
        };
        object["status"] = self.decide(&identity, &spec);
        Ok(object)
    }

    fn decide(&self, identity: &Identity, spec: &Value) -> Value {
        let attributes = attributes(spec);
        let decision = self.authorizer.decide(identity, &attributes);
        let mut status = json!({ "allowed": decision.allowed });
        if !decision.reason.is_empty() {
            status["reason"] = json!(decision.reason);
        }
        status
    }

    fn self_rules(&self, identity: &Identity, mut object: Object) -> Result<Object, Status> {
        let spec = spec_of(&object);
        let namespace = text(&spec, "namespace");
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        let (rules, mut problems) = self.authorizer.rules(identity, Some(namespace));
        let (paths, resources): (Vec<&Rule>, Vec<&Rule>) =
            rules.iter().partition(|rule| !rule.non_resource_urls.is_empty());
        if self.authorizer.is_node(identity) {
            problems.push("node authorizer does not support user rule resolution".to_owned());
        }
        let mut status = json!({
            "resourceRules": rules_value(&resources), "nonResourceRules": rules_value(&paths),
            "incomplete": !problems.is_empty(),
        });
        if !problems.is_empty() {
            status["evaluationError"] = json!(problems.join(", "));
        }
        object["spec"] = json!({});
        object["status"] = status;
        Ok(object)
    }

    fn token(&self, mut object: Object, now: Timestamp) -> Result<Object, Status> {
        let spec = spec_of(&object);
        let token = text(&spec, "token");
        if token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        let wanted = texts(spec.get("audiences"));
        let found = if wanted.is_empty() {
            self.authenticator.by_token(token, now)
        } else {
            self.authenticator.by_token_for(token, &wanted, now)
        };
        object["status"] = match found {
            Some((identity, audiences)) => {
                json!({ "authenticated": true, "user": user_value(&identity), "audiences": audiences })
            }
            None => json!({ "user": {}, "error": "invalid bearer token" }),
        };
        Ok(object)
    }
}

fn self_subject(identity: &Identity, mut object: Object, now: Timestamp) -> Object {
    object["metadata"] = json!({ "creationTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() });
    object["status"] = json!({ "userInfo": user_value(identity) });
    object
}

/// Upstream does not say which kind is invalid here.
fn invalid(errors: Vec<field::Error>) -> Status {
    Status::invalid(AUTHORIZATION, "", "", errors)
}

/// Exactly one of the two kinds of attributes (A221).
fn check_target(spec: &Value) -> Vec<field::Error> {
    let present = |member: &str| spec.get(member).filter(|value| !value.is_null());
    match (present("resourceAttributes"), present("nonResourceAttributes")) {
        (Some(_), Some(path)) => {
            let at = field::Path::new("spec.nonResourceAttributes");
            let shown = json!({ "Path": text(path, "path"), "Verb": text(path, "verb") });
            vec![field::Error::invalid(&at, shown, "cannot be specified in combination with resourceAttributes")]
        }
        (None, None) => {
            let at = field::Path::new("spec.resourceAttributes");
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            vec![field::Error::invalid(&at, Value::Null, why)]
        }
        _ => Vec::new(),
    }
}

fn attributes(spec: &Value) -> Attributes<'_> {
    if let Some(resource) = spec.get("resourceAttributes").filter(|value| !value.is_null()) {
        return Attributes {
            verb: text(resource, "verb"),
            group: text(resource, "group"),
            version: text(resource, "version"),
            resource: text(resource, "resource"),
            subresource: text(resource, "subresource"),
            name: text(resource, "name"),
            namespace: text(resource, "namespace"),
            field_selector: resource.pointer("/fieldSelector/rawSelector").and_then(Value::as_str),
            label_selector: resource.pointer("/labelSelector/rawSelector").and_then(Value::as_str),
            path: None,
        };
    }
    let path = spec.get("nonResourceAttributes").unwrap_or(&Value::Null);
    Attributes { verb: text(path, "verb"), path: Some(text(path, "path")), ..Attributes::default() }
}

fn rules_value(rules: &[&Rule]) -> Value {
    rules.iter().map(|rule| rule.to_value()).collect()
}

/// A UserInfo.
pub(crate) fn user_value(identity: &Identity) -> Value {
    let mut user = Map::new();
    user.insert("username".to_owned(), json!(identity.user));
    if !identity.uid.is_empty() {
        user.insert("uid".to_owned(), json!(identity.uid));
    }
    user.insert("groups".to_owned(), json!(identity.groups));
    if !identity.extra.is_empty() {
        user.insert("extra".to_owned(), json!(identity.extra));
    }
    Value::Object(user)
}

fn spec_of(object: &Object) -> Value {
    object.get("spec").cloned().unwrap_or_else(|| json!({}))
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
