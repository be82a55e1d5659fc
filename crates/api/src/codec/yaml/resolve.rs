//! What a scalar of YAML 1.1 is: the rules that every Kubernetes client lives with (`yes` is true, `0777` is octal, `1_000` is a number).

use std::borrow::Cow;

use crate::codec::{render, syntax::Node};

const YAML_TAGS: &str = "tag:yaml.org,2002:";

/// The node of a scalar; `tag` is handle and suffix.
pub(super) fn scalar(text: &str, plain: bool, tag: Option<(&str, &str)>) -> Node<'static> {
    match tag {
        Some((handle, suffix)) if handle.starts_with(YAML_TAGS) || handle == "!!" => {
            match format!("{}{suffix}", handle.strip_prefix(YAML_TAGS).unwrap_or_default()).as_str() {
                "str" | "binary" | "timestamp" => string(text),
                _ => resolved(text),
            }
        }
        Some(("", "!") | ("!", "")) => string(text),
        _ if plain => resolved(text),
        _ => string(text),
    }
}

fn string(text: &str) -> Node<'static> {
    Node::String(Cow::Owned(text.to_owned()))
}

fn number(text: String) -> Node<'static> {
    Node::Number(Cow::Owned(text))
}

/// Whether an unquoted spelling means something else than the string itself.
pub(super) fn is_special(text: &str) -> bool {
    !matches!(resolved(text), Node::String(_))
}

fn resolved(text: &str) -> Node<'static> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Node::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Node::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Node::Bool(false);
        }
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return string(text);
    }
    let digits = text.replace('_', "");
    if let Some(n) = integer(&digits) {
        return number(n.to_string());
    }
    if looks_like_float(&digits)
        && let Some(n) = digits.parse::<f64>().ok().and_then(serde_json::Number::from_f64)
    {
        let mut out = Vec::new();
        render::number(&mut out, &n);
        return number(String::from_utf8_lossy(&out).into_owned());
    }
    string(text)
}

fn integer(text: &str) -> Option<i128> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = rest.to_ascii_lowercase();
    let (radix, rest) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !rest.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let size = i128::from(u64::from_str_radix(rest, radix).ok()?);
    let n = if negative { -size } else { size };
    (n >= i128::from(i64::MIN)).then_some(n)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn looks_like_float(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (rest, None),
    };
    let digits = |s: &str| s.bytes().all(|c| c.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(part)
        && !(whole.is_empty() && part.is_empty())
        && exponent.is_none_or(|e| !e.is_empty() && digits(e))
}
