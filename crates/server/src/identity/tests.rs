//! Who is who: certificates, tokens, impersonation, nobody.

use super::*;

fn parts(authorization: &str) -> Parts {
    let request = http::Request::builder().header(AUTHORIZATION, authorization).body(()).unwrap();
    request.into_parts().0
}

/// A202.
#[test]
fn only_a_bearer_with_something_behind_it_is_a_credential() {
    for (header, expect) in [
        ("Bearer abc", Some("abc")),
        ("bearer  abc", Some("abc")),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic YTpi", None),
        ("abc", None),
    ] {
        assert_eq!(bearer(&parts(header)), expect, "{header:?}");
    }
}
