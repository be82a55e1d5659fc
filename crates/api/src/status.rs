//! The one place where error answers are made: `Status` objects with code, reason, message and details (A114–A134).
//!
//! `R` in comments is the resource with its group (`daemonsets.apps`), `K` the kind with its group. Details name the plural in errors
//! about a resource and the kind in errors about a kind. Not here: content types and headers, except the wish for `Retry-After`.

use serde_json::{Value, json};

use crate::{codec, field, schema::table};

/// The machine-readable reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is spelled as on the wire")]
pub enum Reason {
    /// None is sent: an error that nobody classified.
    Unknown,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Expired,
    Invalid,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    ServiceUnavailable,
}

impl Reason {
    /// As on the wire; empty for [`Reason::Unknown`].
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Unknown => "",
            Reason::Unauthorized => "Unauthorized",
            Reason::Forbidden => "Forbidden",
            Reason::NotFound => "NotFound",
            Reason::AlreadyExists => "AlreadyExists",
            Reason::Conflict => "Conflict",
            Reason::Expired => "Expired",
            Reason::Invalid => "Invalid",
            Reason::ServerTimeout => "ServerTimeout",
            Reason::Timeout => "Timeout",
            Reason::TooManyRequests => "TooManyRequests",
            Reason::BadRequest => "BadRequest",
            Reason::MethodNotAllowed => "MethodNotAllowed",
            Reason::NotAcceptable => "NotAcceptable",
            Reason::RequestEntityTooLarge => "RequestEntityTooLarge",
            Reason::UnsupportedMediaType => "UnsupportedMediaType",
            Reason::InternalError => "InternalError",
            Reason::ServiceUnavailable => "ServiceUnavailable",
        }
    }
}

/// One cause among the details; empty parts are not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// Machine-readable.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The field it is about.
    pub field: String,
}

/// The details; empty parts are not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The object's name.
    pub name: String,
    /// The API group.
    pub group: String,
    /// The plural resource, or the kind in errors about a kind.
    pub kind: String,
    /// The object's uid.
    pub uid: String,
    /// Single errors.
    pub causes: Vec<Cause>,
    /// When to try again; 0 says nothing.
    pub retry_after_seconds: u32,
}

/// An answer that is a `Status` object: mostly a failure, sometimes the success of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    code: u16,
    reason: Reason,
    message: String,
    details: Option<Box<Details>>,
    continue_token: Option<Box<str>>,
    success: bool,
    /// The code stands in the body, too; a successful deletion leaves it out.
    show_code: bool,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

/// `R`: the plural with its group.
pub fn qualified(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

fn named(group: &str, plural: &str, name: &str) -> Details {
    Details { name: name.into(), group: group.into(), kind: plural.into(), ..Details::default() }
}

impl Status {
    /// Any failure.
    pub fn failure(code: u16, reason: Reason, message: impl Into<String>, details: Option<Details>) -> Self {
        Status {
            code,
            reason,
            message: message.into(),
            details: details.map(Box::new),
            continue_token: None,
            success: false,
            show_code: true,
        }
    }

    /// A finished deletion (A78): 200, details, no code in the body.
    pub fn deleted(group: &str, plural: &str, name: &str, uid: &str) -> Self {
        let details = Details { uid: uid.into(), ..named(group, plural, name) };
        Status { success: true, show_code: false, ..Self::failure(200, Reason::Unknown, "", Some(details)) }
    }

    /// Success of a create-like subresource without an object of its own (binding, eviction): 201 with the code in the body (A262).
    pub fn created() -> Self {
        Status { success: true, ..Self::failure(201, Reason::Unknown, "", None) }
    }

    /// 400 with a free text (A117).
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, Reason::BadRequest, message, None)
    }

    /// 401 (A118).
    pub fn unauthorized() -> Self {
        Self::failure(401, Reason::Unauthorized, "Unauthorized", None)
    }

    /// 403 `R "⟨name⟩" is forbidden: ⟨why⟩`, without the name if it is empty (A119).
    pub fn forbidden(group: &str, plural: &str, name: &str, why: impl std::fmt::Display) -> Self {
        let resource = qualified(group, plural);
        let message = match (resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (_, true) => format!("{resource} is forbidden: {why}"),
            _ => format!("{resource} \"{name}\" is forbidden: {why}"),
        };
        Self::failure(403, Reason::Forbidden, message, Some(named(group, plural, name)))
    }

    /// 403 `forbidden: ⟨why⟩` of a path that is no resource.
    pub fn forbidden_path(why: impl std::fmt::Display) -> Self {
        Self::failure(403, Reason::Forbidden, format!("forbidden: {why}"), Some(Details::default()))
    }

    /// 404 `R "⟨name⟩" not found` (A120).
    pub fn not_found(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} {} not found", qualified(group, plural), crate::quote::go_quote(name));
        Self::failure(404, Reason::NotFound, message, Some(named(group, plural, name)))
    }

    /// 404 of an unknown resource or version under a known group (A121).
    pub fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self::failure(404, Reason::NotFound, message, Some(Details::default()))
    }

    /// 405 (A122).
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::failure(405, Reason::MethodNotAllowed, message, Some(Details::default()))
    }

    /// 405 `⟨action⟩ is not supported on resources of kind "R"` (A122).
    pub fn action_not_supported(group: &str, plural: &str, action: &str) -> Self {
        let message = format!("{action} is not supported on resources of kind \"{}\"", qualified(group, plural));
        Self::failure(405, Reason::MethodNotAllowed, message, Some(named(group, plural, "")))
    }

    /// 406 when no clause of `Accept` names a type that is served (A123).
    pub fn not_acceptable(served: &[&str]) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {}", served.join(", "));
        Self::failure(406, Reason::NotAcceptable, message, Some(Details::default()))
    }

    /// 406 when the parameters of a clause cannot be met (A123).
    pub fn only_acceptable(served: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", served.join(", "));
        Self::failure(406, Reason::NotAcceptable, message, None)
    }

    /// 409 `R "⟨name⟩" already exists` (A50, A124).
    pub fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", qualified(group, plural));
        Self::failure(409, Reason::AlreadyExists, message, Some(named(group, plural, name)))
    }

    /// 409 when the name is still taken by an object that is going (A50).
    pub fn still_being_deleted(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("object is being deleted: {} \"{name}\" already exists", qualified(group, plural));
        Self::failure(409, Reason::AlreadyExists, message, Some(named(group, plural, name)))
    }

    /// 409 when drawing names was in vain (A49).
    pub fn no_unique_name(group: &str, plural: &str, name: &str) -> Self {
        let message = format!(
            "{} \"{name}\" already exists, the server was not able to generate a unique name for the object",
            qualified(group, plural)
        );
        let details = Details { retry_after_seconds: 1, ..named(group, plural, name) };
        Self::failure(409, Reason::AlreadyExists, message, Some(details))
    }

    /// 409 `Operation cannot be fulfilled on R "⟨name⟩": ⟨why⟩` (A125). Preconditions of a deletion pass the kind as plural (A76).
    pub fn conflict(group: &str, plural: &str, name: &str, why: impl std::fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(group, plural));
        Self::failure(409, Reason::Conflict, message, Some(named(group, plural, name)))
    }

    /// 409 of optimistic locking (A66).
    pub fn modified(group: &str, plural: &str, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(group, plural, name, why)
    }

    /// 409 of server-side apply, with its causes (A126, A150).
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Self {
        Self::failure(409, Reason::Conflict, message, Some(Details { causes, ..Details::default() }))
    }

    /// 410 Expired (A127).
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, Reason::Expired, message, None)
    }

    /// 410 of a continue token that is too old, with a fresh one that goes on inconsistently (A93).
    pub fn continue_expired(fresh_token: impl Into<String>) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without \
                       the continue parameter, or use the continue token in this response to retrieve the remainder of the results. \
                       Continuing with the provided token results in an inconsistent list - objects that were created, modified, or \
                       deleted between the time the first chunk was returned and now may show up in the list.";
        Status { continue_token: Some(fresh_token.into().into()), ..Self::expired(message) }
    }

    /// 413 of a body over the limit (A128).
    pub fn body_too_large(limit: usize) -> Self {
        Self::too_large(format!("limit is {limit}"))
    }

    /// 413 `Request entity too large: ⟨why⟩`.
    pub fn too_large(why: impl std::fmt::Display) -> Self {
        Self::failure(413, Reason::RequestEntityTooLarge, format!("Request entity too large: {why}"), None)
    }

    /// 415 of a body, with what is read (A129).
    pub fn unsupported_body(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::failure(415, Reason::UnsupportedMediaType, message, None)
    }

    /// 415 of a patch in a form that no patch has (A129, A135).
    pub fn unsupported_media_type() -> Self {
        Self::failure(415, Reason::UnsupportedMediaType, "415: Unsupported Media Type", Some(Details::default()))
    }

    /// 422 `K "⟨name⟩" is invalid: ⟨errors⟩` (A130, A-section 6.3): repeated errors once in the message, all among the causes.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: Vec<field::Error>) -> Self {
        let mut texts: Vec<String> = Vec::with_capacity(errors.len());
        for error in &errors {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let joined = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {joined}", qualified(group, kind));
        let causes = errors
            .into_iter()
            .map(|e| Cause { reason: e.kind.reason().into(), message: e.body(), field: e.field })
            .collect();
        Self::failure(422, Reason::Invalid, message, Some(Details { causes, ..named(group, kind, name) }))
    }

    /// 422 of query options: `CreateOptions.meta.k8s.io "" is invalid: …` (A62, A72).
    pub fn invalid_options(options_kind: &str, errors: Vec<field::Error>) -> Self {
        Self::invalid("meta.k8s.io", options_kind, "", errors)
    }

    /// 422 of a patch whose result cannot be decoded: the kind is empty, the field `patch` (A75, A136).
    /// `patch` is the patched object as JSON, or of a strategic merge patch Go's print of it.
    pub fn invalid_patch(patch: &str, why: impl std::fmt::Display) -> Self {
        Self::invalid("", "", "", vec![field::Error::invalid(&field::Path::new("patch"), patch, why.to_string())])
    }

    /// 422 of a JSON patch that does not apply (A131, A137).
    pub fn rejected() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::failure(422, Reason::Invalid, message, Some(Details::default()))
    }

    /// 429 (A132).
    pub fn too_many_requests(message: impl Into<String>, causes: Vec<Cause>, retry_after_seconds: u32) -> Self {
        let details = Details { causes, retry_after_seconds, ..Details::default() };
        Self::failure(429, Reason::TooManyRequests, message, Some(details))
    }

    /// 500 `Internal error occurred: ⟨err⟩` (A133).
    pub fn internal(error: impl std::fmt::Display) -> Self {
        let cause = Cause { message: error.to_string(), ..Cause::default() };
        let details = Details { causes: vec![cause], ..Details::default() };
        Self::failure(500, Reason::InternalError, format!("Internal error occurred: {error}"), Some(details))
    }

    /// 500 with the bare text of an error that upstream does not classify, no reason (A65, A133, A140).
    pub fn unclassified(error: impl std::fmt::Display) -> Self {
        Self::failure(500, Reason::Unknown, error.to_string(), None)
    }

    /// 503 (A134).
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, Reason::ServiceUnavailable, message, None)
    }

    /// 504 `Timeout: ⟨why⟩` (A85, A134).
    pub fn timeout(why: impl std::fmt::Display) -> Self {
        Self::failure(504, Reason::Timeout, format!("Timeout: {why}"), Some(Details::default()))
    }

    /// 504 of a list that asks for a version not there yet (A92).
    pub fn too_large_resource_version(asked: u64, current: u64, retry_after_seconds: u32) -> Self {
        let text = format!("Too large resource version: {asked}, current: {current}");
        let cause = Cause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            ..Cause::default()
        };
        let details = Details { causes: vec![cause], retry_after_seconds, ..Details::default() };
        Self::failure(504, Reason::Timeout, format!("Timeout: {text}"), Some(details))
    }

    /// 500 ServerTimeout (A134).
    pub fn server_timeout(group: &str, plural: &str, verb: &str, retry_after_seconds: u32) -> Self {
        let message = format!(
            "The {verb} operation against {} could not be completed at this time, please try again.",
            qualified(group, plural)
        );
        let details = Details { retry_after_seconds, ..named(group, plural, "") };
        Self::failure(500, Reason::ServerTimeout, message, Some(details))
    }

    /// The same with further causes among the details.
    #[must_use]
    pub fn with_causes(mut self, causes: impl IntoIterator<Item = Cause>) -> Self {
        self.details.get_or_insert_default().causes.extend(causes);
        self
    }

    /// The same with a wish for `Retry-After`.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// The HTTP code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details.
    pub fn details(&self) -> Option<&Details> {
        self.details.as_deref()
    }

    /// Seconds for the header `Retry-After`, if it is to be sent (A115).
    pub fn retry_after(&self) -> Option<u32> {
        self.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0)
    }

    /// Whether this is no failure.
    pub fn is_success(&self) -> bool {
        self.success
    }

    /// The object.
    pub fn to_object(&self) -> Value {
        let mut metadata = json!({});
        if let Some(token) = &self.continue_token {
            metadata["continue"] = token.as_ref().into();
        }
        let mut object = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata,
            "status": if self.success { "Success" } else { "Failure" },
            "message": self.message, "reason": self.reason.as_str(),
            "code": if self.show_code { self.code } else { 0 },
        });
        if let Some(d) = &self.details {
            let causes: Vec<Value> =
                d.causes.iter().map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field})).collect();
            object["details"] = json!({
                "name": d.name, "group": d.group, "kind": d.kind, "uid": d.uid,
                "causes": causes, "retryAfterSeconds": d.retry_after_seconds,
            });
        }
        object
    }

    /// The JSON body, without a newline at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        match table().shape("meta.v1.Status") {
            Some(shape) => codec::json::encode(&self.to_object(), shape),
            None => codec::json::encode_any(&self.to_object()),
        }
    }
}

#[cfg(test)]
mod tests;
