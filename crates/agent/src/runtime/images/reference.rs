//! Image names: familiar forms to full ones (N159).

use oci_client::Reference;

use crate::runtime::RuntimeError;

/// A parsed name with its tag or digest; `busybox` becomes `docker.io/library/busybox:latest`.
pub fn parse(given: &str) -> Result<Reference, RuntimeError> {
    let problem = |problem: String| RuntimeError::InvalidImageName { reference: given.to_owned(), problem };
    if given.is_empty() {
        return Err(problem("invalid reference format".into()));
    }
    given.parse().map_err(|e: oci_client::ParseError| problem(format!("invalid reference format: {e}")))
}

/// The full text of a name, as in `repo_tags`: with the tag, or with the digest alone when it has one.
#[must_use]
pub fn full(reference: &Reference) -> String {
    let name = format!("{}/{}", reference.registry(), reference.repository());
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => format!("{name}@{digest}"),
        (None, tag) => format!("{name}:{}", tag.unwrap_or("latest")),
    }
}

/// Whether a text is the id of an image, with or without `sha256:`.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether a registry is spoken to without TLS: loopback only.
#[must_use]
pub fn is_plain_http(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn familiar_names_become_full_ones() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (given, expect) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("prom/node-exporter:v1.8.2", "docker.io/prom/node-exporter:v1.8.2"),
            ("quay.io/a/b", "quay.io/a/b:latest"),
            ("127.0.0.1:5000/x:1", "127.0.0.1:5000/x:1"),
            (&format!("busybox@{digest}"), &format!("docker.io/library/busybox@{digest}")),
        ] {
            assert_eq!(full(&parse(given).unwrap()), expect, "{given}");
        }
        for given in ["", "Upper", "a b", "x:"] {
            assert!(parse(given).is_err(), "{given}");
        }
    }

    #[test]
    fn only_loopback_is_plain() {
        assert!(is_plain_http("127.0.0.1:5000") && is_plain_http("127.3.2.1"));
        assert!(
            !is_plain_http("localhost.example:5000") && !is_plain_http("10.0.0.1:5000") && !is_plain_http("docker.io")
        );
    }
}
