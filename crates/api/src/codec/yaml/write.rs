//! YAML answers: keys sorted, two blanks a level, lists flush with their key, strings quoted only where they would be read as something else.

use serde_json::Value;

use super::resolve;
use crate::codec::render;

/// The YAML document of a value, ending in a newline.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    match value {
        Value::Object(members) if !members.is_empty() => map(&mut out, members, 0),
        Value::Array(items) if !items.is_empty() => list(&mut out, items, 0),
        other => {
            scalar(&mut out, other, 0);
            out.push(b'\n');
        }
    }
    out
}

fn indent(out: &mut Vec<u8>, depth: usize) {
    out.resize(out.len() + 2 * depth, b' ');
}

fn map(out: &mut Vec<u8>, members: &serde_json::Map<String, Value>, depth: usize) {
    for (i, (key, value)) in members.iter().enumerate() {
        // The first line of a map within a list stands behind the dash.
        if i > 0 || out.last().is_none_or(|c| *c == b'\n') {
            indent(out, depth);
        }
        key_text(out, key);
        out.push(b':');
        below(out, value, depth);
    }
}

/// What follows a key: on the same line or on the next ones.
fn below(out: &mut Vec<u8>, value: &Value, depth: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push(b'\n');
            map(out, members, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push(b'\n');
            list(out, items, depth);
        }
        other => {
            out.push(b' ');
            scalar(out, other, depth + 1);
            out.push(b'\n');
        }
    }
}

fn list(out: &mut Vec<u8>, items: &[Value], depth: usize) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 || out.last().is_none_or(|c| *c == b'\n') {
            indent(out, depth);
        }
        out.extend_from_slice(b"- ");
        match item {
            Value::Object(members) if !members.is_empty() => map(out, members, depth + 1),
            Value::Array(items) if !items.is_empty() => list(out, items, depth + 1),
            other => {
                scalar(out, other, depth + 1);
                out.push(b'\n');
            }
        }
    }
}

fn scalar(out: &mut Vec<u8>, value: &Value, depth: usize) {
    match value {
        Value::String(text) => string(out, text, depth),
        Value::Array(_) => out.extend_from_slice(b"[]"),
        Value::Object(_) => out.extend_from_slice(b"{}"),
        Value::Null => out.extend_from_slice(b"null"),
        other => render::any(out, other),
    }
}

fn string(out: &mut Vec<u8>, text: &str, depth: usize) {
    let printable = text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{feff}');
    if text.contains('\n') && printable && !text.starts_with([' ', '\n']) {
        block(out, text, depth);
    } else if text.is_empty()
        || text.contains('\n')
        || !printable
        || resolve::is_special(text)
        || looks_sexagesimal(text)
        || is_time(text)
    {
        double_quoted(out, text);
    } else if is_plain(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.push(b'\'');
        out.extend_from_slice(text.replace('\'', "''").as_bytes());
        out.push(b'\'');
    }
}

/// A key: as a string, but always on one line.
fn key_text(out: &mut Vec<u8>, text: &str) {
    if text.contains('\n') { double_quoted(out, text) } else { string(out, text, 0) }
}

/// `1:20` is a number of base 60 to some readers.
fn looks_sexagesimal(text: &str) -> bool {
    text.contains(':') && text.chars().all(|c| c.is_ascii_digit() || matches!(c, ':' | '.' | '+' | '-' | '_'))
}

/// A date, or a date and a time, as readers of YAML know them: `2026-01-02`, `2026-01-02T03:04:05Z`, `2026-1-2 3:4:5`.
fn is_time(text: &str) -> bool {
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>, most: u32| {
        let fine = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        fine && text.parse::<u32>().is_ok_and(|n| n <= most)
    };
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((text.as_bytes()[at], &text[at + 1..]))),
        None => (text, None),
    };
    let date: Vec<&str> = date.split('-').collect();
    let [year, month, day] = date[..] else { return false };
    let dated = number(year, 4..=4, 9999) && number(month, 1..=2, 12) && number(day, 1..=2, 31);
    let Some((mark, time)) = time else { return dated };
    // Behind a blank stands no zone; behind a letter there must be one.
    let clock = match (mark, time.find(['Z', '+', '-'])) {
        (b' ', None) => time,
        (b'T' | b't', Some(at)) if &time[at..] == "Z" => &time[..at],
        (b'T' | b't', Some(at)) => match time[at + 1..].split_once(':') {
            Some((hours, minutes)) if number(hours, 2..=2, 24) && number(minutes, 2..=2, 60) => &time[..at],
            _ => return false,
        },
        _ => return false,
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts[..] else { return false };
    let (whole, rest) = second.split_once('.').unwrap_or((second, "0"));
    dated
        && number(hour, 1..=2, 23)
        && number(minute, 1..=2, 59)
        && number(whole, 1..=2, 59)
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_digit())
}

fn block(out: &mut Vec<u8>, text: &str, depth: usize) {
    let kept = text.len() - text.trim_end_matches('\n').len();
    out.push(b'|');
    match kept {
        0 => out.push(b'-'),
        1 => {}
        _ => out.push(b'+'),
    }
    let body = text.strip_suffix('\n').unwrap_or(text);
    for line in body.split('\n') {
        out.push(b'\n');
        if !line.is_empty() {
            indent(out, depth);
            out.extend_from_slice(line.as_bytes());
        }
    }
}

fn double_quoted(out: &mut Vec<u8>, text: &str) {
    let mut quoted = Vec::new();
    render::any(&mut quoted, &Value::String(text.to_owned()));
    // The escapes of JSON are escapes of YAML, but HTML needs none here.
    let plain =
        String::from_utf8_lossy(&quoted).replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&");
    out.extend_from_slice(plain.as_bytes());
}

fn is_plain(text: &str) -> bool {
    let first = text.chars().next().unwrap_or(' ');
    let second = text.chars().nth(1).unwrap_or(' ');
    let starts = match first {
        '-' | '?' | ':' => second != ' ',
        c => !",[]{}#&*!|>'\"%@`".contains(c),
    };
    starts
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.starts_with(' ')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains('\t')
}
