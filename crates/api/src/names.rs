//! The spellings that names, keys and values may have, each answering the texts of its violations (A48, A52, A53, A381).
//!
//! An empty list means that the value is fine. Written by hand over bytes: these run for every label of every write.

/// The texts of the violations.
pub type Violations = Vec<String>;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const WITH_PREFIX: &str = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_NAME: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

fn longer(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn dns_label(value: &str) -> bool {
    let bytes = value.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    lower(*first) && lower(*last) && bytes.iter().all(|b| lower(*b) || *b == b'-')
}

fn dns_subdomain(value: &str) -> bool {
    !value.is_empty() && value.split('.').all(dns_label)
}

fn name_part(value: &str) -> bool {
    let bytes = value.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// DNS-1123 subdomain.
pub fn subdomain(value: &str) -> Violations {
    let mut out = Vec::new();
    if value.len() > 253 {
        out.push(longer(253));
    }
    if !dns_subdomain(value) {
        out.push(SUBDOMAIN.to_owned());
    }
    out
}

/// DNS-1123 label.
pub fn label(value: &str) -> Violations {
    let mut out = Vec::new();
    if value.len() > 63 {
        out.push(longer(63));
    }
    if !dns_label(value) {
        out.push(if dns_subdomain(value) { "must not contain dots".to_owned() } else { LABEL.to_owned() });
    }
    out
}

/// DNS-1035 label.
pub fn label_1035(value: &str) -> Violations {
    let mut out = Vec::new();
    if value.len() > 63 {
        out.push(longer(63));
    }
    if !dns_label(value) || !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        out.push(LABEL_1035.to_owned());
    }
    out
}

/// A name that is one segment of a path.
pub fn path_segment(value: &str) -> Violations {
    match value {
        "." => return vec!["may not be '.'".to_owned()],
        ".." => return vec!["may not be '..'".to_owned()],
        _ => {}
    }
    [("/", "may not contain '/'"), ("%", "may not contain '%'")]
        .into_iter()
        .filter(|(part, _)| value.contains(part))
        .map(|(_, text)| text.to_owned())
        .collect()
}

/// `[prefix/]name` as keys of labels and taints spell it.
pub fn label_key(value: &str) -> Violations {
    qualified(value, "a valid label key ")
}

/// `[prefix/]name`.
pub fn qualified_name(value: &str) -> Violations {
    qualified(value, "a qualified name ")
}

fn qualified(value: &str, what: &str) -> Violations {
    let mut out = Vec::new();
    let mut parts = value.split('/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    if parts.next().is_some() {
        out.push(format!("{what}{NAME_PART}{WITH_PREFIX}"));
        return out;
    }
    let name = match second {
        None => first,
        Some(name) => {
            if first.is_empty() {
                out.push("prefix part must be non-empty".to_owned());
            } else {
                out.extend(subdomain(first).into_iter().map(|text| format!("prefix part {text}")));
            }
            name
        }
    };
    if name.is_empty() {
        out.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        out.push(format!("name part {}", longer(63)));
    }
    if !name_part(name) {
        out.push(format!("name part {NAME_PART}"));
    }
    out
}

/// A label's value.
pub fn label_value(value: &str) -> Violations {
    let mut out = Vec::new();
    if value.len() > 63 {
        out.push(longer(63));
    }
    if !value.is_empty() && !name_part(value) {
        out.push(VALUE.to_owned());
    }
    out
}

/// A key of ConfigMap and Secret data.
pub fn config_key(value: &str) -> Violations {
    let mut out = Vec::new();
    if value.len() > 253 {
        out.push(longer(253));
    }
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        out.push(CONFIG_KEY.to_owned());
    }
    match value {
        "." => out.push("must not be '.'".to_owned()),
        ".." => out.push("must not be '..'".to_owned()),
        _ if value.starts_with("..") => out.push("must not start with '..'".to_owned()),
        _ => {}
    }
    out
}

/// The name of an environment variable.
pub fn env_name(value: &str) -> Violations {
    let fine = !value.is_empty() && value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=');
    if fine { Vec::new() } else { vec![ENV_NAME.to_owned()] }
}

/// The name of a port: at most 15 of `[-a-z0-9]`, at least one letter.
pub fn port_name(value: &str) -> Violations {
    let mut out = Vec::new();
    if value.len() > 15 {
        out.push("must be no more than 15 characters".to_owned());
    }
    if !value.bytes().all(|b| lower(b) || b == b'-') {
        out.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !value.bytes().any(|b| b.is_ascii_lowercase()) {
        out.push("must contain at least one letter (a-z)".to_owned());
    }
    if value.contains("--") {
        out.push("must not contain consecutive hyphens".to_owned());
    }
    if value.starts_with('-') || value.ends_with('-') {
        out.push("must not begin or end with a hyphen".to_owned());
    }
    out
}

/// A port number.
pub fn port_number(value: i64) -> Violations {
    if (1..=65535).contains(&value) { Vec::new() } else { vec!["must be between 1 and 65535, inclusive".to_owned()] }
}

/// `⟨digits⟩%`.
pub fn percent(value: &str) -> Violations {
    let fine = value.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if fine { Vec::new() } else { vec![PERCENT.to_owned()] }
}

/// An IP address of either family.
pub fn ip(value: &str) -> Violations {
    if value.parse::<std::net::IpAddr>().is_ok() {
        Vec::new()
    } else {
        vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()]
    }
}

/// What keeps a valid address from being one that others can reach.
pub fn special_ip(value: &str) -> Violations {
    let Ok(address) = value.parse::<std::net::IpAddr>() else { return Vec::new() };
    let (local, group) = match address {
        std::net::IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        std::net::IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0 == 0xfe80, v6.segments()[0] & 0xff0f == 0xff02),
    };
    let rules = [
        (address.is_unspecified(), format!("may not be unspecified ({value})")),
        (address.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (group, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, text)| text).collect()
}

/// An address range `⟨address⟩/⟨bits⟩`.
pub fn cidr(value: &str) -> Violations {
    let fine = value.split_once('/').is_some_and(|(address, bits)| {
        let (Ok(address), Ok(bits)) = (address.parse::<std::net::IpAddr>(), bits.parse::<u8>()) else { return false };
        bits <= if address.is_ipv4() { 32 } else { 128 }
    });
    if fine { Vec::new() } else { vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_owned()] }
}

/// The name as a prefix of generated names: a trailing dash is as good as a letter.
pub fn as_prefix(value: &str) -> String {
    match value.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&str) -> Violations;

    #[test]
    fn spellings() {
        // A48, A52, A53, A381 and their edges: (check, value, starts of the violations).
        let long = "a".repeat(64);
        let rows: &[(Check, &str, &[&str])] = &[
            (subdomain, "a.b-c.d1", &[]),
            (subdomain, "", &["a lowercase RFC 1123 subdomain"]),
            (subdomain, "a..b", &["a lowercase RFC 1123 subdomain"]),
            (subdomain, "-a", &["a lowercase RFC 1123 subdomain"]),
            (label, "1abc", &[]),
            (label, "a.svc", &["must not contain dots"]),
            (label, "Main", &["a lowercase RFC 1123 label"]),
            (label, &long, &["must be no more than 63"]),
            (label_1035, "1abc", &["a DNS-1035 label"]),
            (path_segment, "system:node", &[]),
            (path_segment, "a/b%", &["may not contain '/'", "may not contain '%'"]),
            (path_segment, "..", &["may not be '..'"]),
            (label_key, "example.com/A_b.c", &[]),
            (label_key, "a//b", &["a valid label key must consist"]),
            (label_key, "/b", &["prefix part must be non-empty"]),
            (label_key, "", &["name part must be non-empty", "name part must consist"]),
            (label_key, "Ex/b", &["prefix part a lowercase RFC 1123 subdomain"]),
            (label_value, "", &[]),
            (label_value, "we b", &["a valid label must be an empty string"]),
            (label_value, &long, &["must be no more than 63"]),
            (config_key, "a.b_C-1", &[]),
            (config_key, "a b", &["a valid config key"]),
            (config_key, "..x", &["must not start with '..'"]),
            (config_key, ".", &["must not be '.'"]),
            (env_name, "1B", &[]),
            (env_name, "1B=", &["a valid environment variable name"]),
            (port_name, "http-2", &[]),
            (port_name, "80", &["must contain at least one letter"]),
            (port_name, "a-very-long-port-name", &["must be no more than 15"]),
            (percent, "10%", &[]),
            (percent, "10", &["a valid percent string"]),
            (cidr, "10.0.0.0/8", &[]),
            (cidr, "10.0.0.0/33", &["must be a valid CIDR"]),
            (ip, "::1", &[]),
            (special_ip, "10.0.0.1", &[]),
            (special_ip, "::", &["may not be unspecified"]),
            (special_ip, "127.0.0.1", &["may not be in the loopback range"]),
            (special_ip, "fe80::1", &["may not be in the link-local range"]),
            (special_ip, "224.0.0.9", &["may not be in the link-local multicast range"]),
            (ip, "1.2.3", &["must be a valid IP"]),
        ];
        for (check, value, expect) in rows {
            let got = check(value);
            assert_eq!(got.len(), expect.len(), "{value:?}: {got:?}");
            assert!(got.iter().zip(*expect).all(|(g, e)| g.starts_with(e)), "{value:?}: {got:?}");
        }
    }
}
