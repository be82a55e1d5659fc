//! ControllerRevision: the stored history of a set (R28, R29).

use serde_json::Value;

use crate::Object;
use crate::field::{Error, Path};
use crate::kinds::pod::validate::nonnegative;
use crate::strategy::Strategy;
use crate::value::{Read, same};

/// The strategy of controller revisions.
#[derive(Debug)]
pub struct ControllerRevision;

/// The one [`ControllerRevision`].
pub static CONTROLLER_REVISION: ControllerRevision = ControllerRevision;

impl Strategy for ControllerRevision {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let data = Path::new("data");
        match object.at("data") {
            None => errors.push(Error::required(&data, "data is mandatory")),
            Some(Value::Object(_)) => {}
            Some(_) => errors.push(Error::required(&data, "data must be a valid JSON object")),
        }
        nonnegative(&mut errors, object, "revision", &Path::default());
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object, _subresource: &str) -> Vec<Error> {
        let mut errors = self.validate(new);
        if !same(new.get("data"), old.get("data")) {
            let shown = new.get("data").cloned().unwrap_or(Value::Null);
            errors.push(Error::invalid(&Path::new("data"), shown, "field is immutable"));
        }
        errors
    }
}
