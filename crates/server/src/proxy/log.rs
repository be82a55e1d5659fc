//! `pods/log`: relayed from the agent, flushed as it comes (A250, A251).

use std::fmt::Write;

use bytes::Bytes;
use everynode_api::field::{Error, Path};
use everynode_api::status::{Cause, Details, Reason, Status};
use everynode_api::value::Read;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, BodyStream, Empty, Limited};
use hyper::body::Incoming;

use super::agent;
use crate::body::Body;
use crate::request::call::Call;
use crate::request::options;
use crate::router::Query;

/// Bytes of an agent's error text that are passed on.
const ERROR_BYTES_MAX: usize = 8 << 10;

/// Answers GET of a pod's log.
pub(super) async fn answer(call: &Call) -> Result<Response<Body>, Status> {
    let query = parse(&call.query, &call.place.name)?;
    let pod = super::pod(call)?;
    let container = super::container(&pod, call.query.text("container"))?;
    let node = pod.text_or_empty("spec.nodeName");
    if node.is_empty() {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let path = format!("/containerLogs/{}/{}/{container}?{query}", call.place.namespace, call.place.name);
    let agent = agent::find(call, node)?;
    let request = Request::get(&path).body(Empty::<Bytes>::new()).map_err(Status::internal)?;
    let answer = agent.send(request).await.map_err(|error| {
        let url = agent.url(path.trim_end_matches('?'));
        Status::unclassified(format!("Get {url:?}: {}", error.0))
    })?;
    if answer.status() != StatusCode::OK {
        return Err(refused(call, answer).await);
    }
    let frames = BodyStream::new(answer.into_body()).filter_map(|frame| async {
        match frame {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(error) => Some(Err(error.into())),
        }
    });
    let mut response = Response::new(Body::stream(frames));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// Checks the parameters and gives those that the agent needs.
fn parse(query: &Query, pod: &str) -> Result<String, Status> {
    let mut errors = Vec::new();
    let mut out = String::new();
    let numbers = [
        ("tailLines", 0, "greater than or equal to 0"),
        ("limitBytes", 1, "greater than 0"),
        ("sinceSeconds", 1, "greater than 0"),
    ];
    for (key, least, text) in numbers {
        let Some(number) = query.get(key).filter(|v| !v.is_empty()).map(options::integer).transpose()? else {
            continue;
        };
        if number < least {
            errors.push(Error::invalid(&Path::new(key), number, format!("must be {text}")));
        }
        let _ = write!(out, "{key}={number}&");
    }
    for key in ["follow", "previous", "timestamps"] {
        if query.flag(key) {
            let _ = write!(out, "{key}=true&");
        }
    }
    if let Some(time) = query.get("sinceTime").filter(|v| !v.is_empty()) {
        if time.parse::<jiff::Timestamp>().is_err() {
            return Err(Status::bad_request(format!(
                "parsing time {time:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse"
            )));
        }
        if query.get("sinceSeconds").is_some_and(|v| !v.is_empty()) {
            errors.push(Error::forbidden(
                &Path::new("[]"),
                "at most one of `sinceTime` or `sinceSeconds` may be specified",
            ));
        }
        let _ = write!(out, "sinceTime={}&", time.replace('+', "%2B"));
    }
    if query.get("stream").is_some() {
        errors.push(Error::forbidden(&Path::new("stream"), "may not be specified"));
    }
    if errors.is_empty() {
        Ok(out.trim_end_matches('&').to_owned())
    } else {
        Err(Status::invalid("", "PodLogOptions", pod, errors))
    }
}

/// An agent's own refusal as a Status of the same code.
async fn refused(call: &Call, answer: Response<Incoming>) -> Status {
    let code = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), ERROR_BYTES_MAX).collect().await;
    let text = body.map(|b| String::from_utf8_lossy(&b.to_bytes()).trim_end().to_owned()).unwrap_or_default();
    if code == 400 {
        return Status::bad_request(text);
    }
    let name = &call.place.name;
    let (reason, message) = match code {
        404 => (Reason::NotFound, format!("the server could not find the requested resource ( pods/log {name})")),
        401 => (Reason::Unauthorized, "Unauthorized".to_owned()),
        403 => (Reason::Forbidden, text.clone()),
        503 => (Reason::ServiceUnavailable, "the server is currently unable to handle the request".to_owned()),
        _ => (
            Reason::InternalError,
            format!("an error on the server ({text:?}) has prevented the request from succeeding ( pods/log {name})"),
        ),
    };
    let cause = Cause { reason: "UnexpectedServerResponse".to_owned(), message: text, field: String::new() };
    let details =
        Details { name: name.clone(), kind: "pods/log".to_owned(), causes: vec![cause], ..Details::default() };
    Status::failure(code, reason, message, Some(details))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A250, A251: what is passed on, and what is refused.
    #[test]
    fn a251_log_options() {
        let parse = |query: &str| {
            parse(&Query::parse(Some(query)), "p1").map_err(|status| (status.code(), status.message().to_owned()))
        };
        assert_eq!(parse("follow=true&tailLines=5&container=c"), Ok("tailLines=5&follow=true".to_owned()));
        assert_eq!(parse("previous=false&timestamps=1"), Ok("timestamps=true".to_owned()));
        let invalid = |text: &str| Err((422, format!("PodLogOptions \"p1\" is invalid: {text}")));
        assert_eq!(parse("tailLines=-1"), invalid("tailLines: Invalid value: -1: must be greater than or equal to 0"));
        assert_eq!(parse("limitBytes=0"), invalid("limitBytes: Invalid value: 0: must be greater than 0"));
        assert_eq!(parse("sinceSeconds=0"), invalid("sinceSeconds: Invalid value: 0: must be greater than 0"));
        let both = "[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified";
        assert_eq!(parse("sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z"), invalid(both));
        assert_eq!(parse("tailLines=many").map_err(|(code, _)| code), Err(400));
    }
}
