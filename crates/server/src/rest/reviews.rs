//! POSTs that store nothing: reviews and tokens (A203, A219).

use everynode_api::Object;
use everynode_api::codec::json;
use everynode_api::status::Status;
use everynode_api::value::Read;

use crate::admission::Operation;
use crate::answer::Answer;
use crate::body::RequestBody;
use crate::forms::shape_named;
use crate::request::call::Call;
use crate::request::options::{self, WriteOptions};
use crate::rest::intake;
use crate::tokens;

impl Call {
    /// POST of a review.
    pub(crate) async fn create_virtual(&mut self, object: Object) -> Result<Answer, Status> {
        let reviewer = self.shared.security.reviewer.clone();
        let made = reviewer.create(&self.identity, self.row.plural, &self.place.namespace, object, self.now)?;
        self.other(201, &made)
    }

    /// POST of a TokenRequest to a service account.
    pub(crate) async fn request_token(&mut self, body: RequestBody) -> Result<Answer, Status> {
        let options = WriteOptions::parse(&self.query, options::Write::Create)?;
        let bytes = intake::read(&self.headers, body).await?;
        let (mut request, warnings) = intake::decode(self, &bytes, options.strictness)?;
        self.warn(warnings);
        let sent = request.text_or_empty("metadata.name");
        if !sent.is_empty() && sent != self.place.name {
            return Err(Status::bad_request("name in URL does not match name in TokenRequest object"));
        }
        let shared = self.shared.clone();
        let context = self.admission("token", options.dry_run);
        let mut warnings = shared.security.admission.admit(&context, Operation::Create, None, &mut request).await?;
        warnings.extend(shared.security.admission.validate(&context, Operation::Create, None, &request).await?);
        self.warn(warnings);
        let (namespace, name) = (&self.place.namespace, &self.place.name);
        let made = tokens::request(&shared.security.tokens, &shared.store, namespace, name, request, self.now)?;
        self.other(201, &made)
    }

    fn other(&self, code: u16, object: &Object) -> Result<Answer, Status> {
        let kind = self.body_kind();
        Ok(Answer::Other(code, json::encode(object, shape_named(kind.shape)?).into(), kind))
    }
}
