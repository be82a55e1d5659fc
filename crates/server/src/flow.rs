//! How many requests are worked on at one time (A275, A276): more wait a while, and then are told to come again.
//!
//! Watches and streams do not count, nor do members of `system:masters`: the server's own components among them.

use std::time::Duration;

use http::header::{HeaderValue, RETRY_AFTER};
use http::{Method, Response, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Identity;
use crate::body::Body;
use crate::respond;

/// Reading requests in flight.
const READS_MAX: usize = 400;
/// Changing requests in flight.
const WRITES_MAX: usize = 200;
/// The longest wait for a place.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// Places for requests.
pub(crate) struct Flow {
    reads: Semaphore,
    writes: Semaphore,
    wait: Duration,
}

impl Default for Flow {
    fn default() -> Self {
        Self { reads: Semaphore::new(READS_MAX), writes: Semaphore::new(WRITES_MAX), wait: WAIT_MAX }
    }
}

impl Flow {
    /// A place for a request; `Ok(None)` for those who need none.
    pub(crate) async fn enter(
        &self,
        identity: &Identity,
        method: &Method,
    ) -> Result<Option<SemaphorePermit<'_>>, Response<Body>> {
        if identity.groups.iter().any(|group| group == crate::tls::MASTERS) {
            return Ok(None);
        }
        let places = if matches!(*method, Method::GET | Method::HEAD) { &self.reads } else { &self.writes };
        match tokio::time::timeout(self.wait, places.acquire()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(refused()),
        }
    }
}

fn refused() -> Response<Body> {
    let mut response = respond::text(StatusCode::TOO_MANY_REQUESTS, "Too many requests, please try again later.\n");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A275, A276: the last place is waited for, then refused with text and Retry-After; masters pass.
    #[tokio::test]
    async fn a275_overload() {
        let flow = Flow { reads: Semaphore::new(1), writes: Semaphore::new(1), wait: Duration::ZERO };
        let jane = Identity { groups: vec!["dev".to_owned()], ..Identity::masters("jane") };
        let place = flow.enter(&jane, &Method::GET).await;
        assert!(matches!(place, Ok(Some(_))));
        let refused = flow.enter(&jane, &Method::GET).await.expect_err("a refusal");
        assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().ok()), (429, Some("1")));
        assert!(matches!(flow.enter(&jane, &Method::PUT).await, Ok(Some(_))), "writes have places of their own");
        assert!(matches!(flow.enter(&Identity::masters("root"), &Method::GET).await, Ok(None)));
        drop(place);
        assert!(matches!(flow.enter(&jane, &Method::GET).await, Ok(Some(_))));
    }
}
