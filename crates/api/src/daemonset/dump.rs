//! The text of a pod template that upstream hashes: Go's in-memory struct, field by field (R90–R93, appendix A).
//!
//! The table beside this file has one line per struct type of release 1.36: each field's Go name, JSON name (`-` when its
//! fields stand in the enclosing object), and Go type, in declaration order. Empty lists and maps count as absent (R92).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use serde_json::Value;

struct Field {
    go: &'static str,
    json: &'static str,
    kind: &'static str,
}

fn structs() -> &'static BTreeMap<&'static str, Vec<Field>> {
    static STRUCTS: OnceLock<BTreeMap<&'static str, Vec<Field>>> = OnceLock::new();
    STRUCTS.get_or_init(|| {
        let field = |text: &'static str| {
            let mut words = text.splitn(3, ' ');
            let mut word = || words.next().unwrap_or_default();
            Field { go: word(), json: word(), kind: word() }
        };
        include_str!("fields.txt")
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, fields)| (name, fields.split("; ").map(field).collect()))
            .collect()
    })
}

/// The dump of a pod template as it stands on the wire.
#[must_use]
pub fn dump(template: &Value) -> String {
    let mut out = String::with_capacity(8192);
    typed(&mut out, "v1.PodTemplateSpec", template);
    out
}

const NIL: &str = "<nil>";

/// A field: its type in parentheses, then its value.
fn typed(out: &mut String, kind: &str, value: &Value) {
    // Writing into a String cannot fail.
    let _ = write!(out, "({kind})");
    if let Some(pointed) = kind.strip_prefix('*') {
        if value.is_null() {
            out.push_str(NIL);
        } else {
            bare(out, pointed, value);
        }
        return;
    }
    bare(out, kind, value);
}

/// A value without its type: elements of lists and maps, and what a pointer points to.
fn bare(out: &mut String, kind: &str, value: &Value) {
    if let Some(element) = kind.strip_prefix("[]") {
        list(out, element, value);
    } else if kind == "v1.ResourceList" {
        map(out, "resource.Quantity", value);
    } else if let Some(element) = kind.strip_prefix("map[string]") {
        map(out, element, value);
    } else if kind == "resource.Quantity" {
        quantity(out, value);
    } else if kind == "intstr.IntOrString" {
        int_or_string(out, value);
    } else if kind == "v1.Time" {
        out.push_str("{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}");
    } else if let Some(fields) = structs().get(kind) {
        object(out, fields, value);
    } else {
        scalar(out, kind, value);
    }
}

fn object(out: &mut String, fields: &[Field], value: &Value) {
    out.push('{');
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        out.push_str(field.go);
        out.push(':');
        let inner = if field.json == "-" { value } else { &value[field.json] };
        typed(out, field.kind, inner);
    }
    out.push('}');
}

fn list(out: &mut String, element: &str, value: &Value) {
    match value.as_array() {
        Some(items) if !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                bare(out, element, item);
            }
            out.push(']');
        }
        _ => out.push_str(NIL),
    }
}

fn map(out: &mut String, element: &str, value: &Value) {
    match value.as_object() {
        Some(entries) if !entries.is_empty() => {
            out.push_str("map[");
            for (i, (key, item)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                bare(out, element, item);
            }
            out.push(']');
        }
        _ => out.push_str(NIL),
    }
}

fn scalar(out: &mut String, kind: &str, value: &Value) {
    match value {
        Value::String(text) => out.push_str(text),
        Value::Bool(fact) => {
            let _ = write!(out, "{fact}");
        }
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        _ => out.push_str(match kind {
            "bool" => "false",
            "int32" | "int64" => "0",
            _ => "",
        }),
    }
}

fn int_or_string(out: &mut String, value: &Value) {
    let (kind, number, text) = match value {
        Value::String(text) => (1, 0, text.as_str()),
        other => (0, other.as_i64().unwrap_or(0), ""),
    };
    let _ = write!(out, "{{Type:(intstr.Type){kind} IntVal:(int32){number} StrVal:(string){text}}}");
}

/// R91: a quantity as it is after decoding its canonical text.
fn quantity(out: &mut String, value: &Value) {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        // Absent: always on the protobuf wire, as zero.
        _ => "0".to_owned(),
    };
    let (amount, scale, cached, format) = decompose(&text);
    let _ = write!(
        out,
        "{{i:(resource.int64Amount){{value:(int64){amount} scale:(resource.Scale){scale}}} \
         d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){cached} Format:(resource.Format){format}}}"
    );
}

fn decompose(text: &str) -> (i64, i32, &str, &'static str) {
    if text == "0" {
        return (0, 0, text, "DecimalSI");
    }
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    let mantissa: i64 = digits.parse().unwrap_or(i64::MAX);
    let signed = if negative { -mantissa } else { mantissa };
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|s| *s == suffix);
    if let Some(power) = binary {
        let cached = if mantissa & 7 == 0 { "" } else { text };
        let factor = 1i64.checked_shl(10 * (u32::try_from(power).unwrap_or(0) + 1)).unwrap_or(i64::MAX);
        return (signed.saturating_mul(factor), 0, cached, "BinarySI");
    }
    let (exponent, format) = match suffix {
        "n" => (-9, "DecimalSI"),
        "u" => (-6, "DecimalSI"),
        "m" => (-3, "DecimalSI"),
        "k" => (3, "DecimalSI"),
        "M" => (6, "DecimalSI"),
        "G" => (9, "DecimalSI"),
        "T" => (12, "DecimalSI"),
        "P" => (15, "DecimalSI"),
        "E" => (18, "DecimalSI"),
        "" => (0, "DecimalSI"),
        other => (other[1..].parse().unwrap_or(0), "DecimalExponent"),
    };
    let scale: i32 = exponent - i32::try_from(fraction.len()).unwrap_or(0);
    let tidy = scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0');
    (signed, scale, if tidy { text } else { "" }, format)
}
