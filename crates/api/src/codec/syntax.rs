//! A JSON reader that keeps what a decision needs and common readers lose: the order of members, repeated members, the text of numbers;
//! and that says what is wrong in upstream's words. It reads UTF-8; broken UTF-8 inside strings becomes U+FFFD, as upstream.

use std::borrow::Cow;

use super::DEPTH_MAX;

/// A document, as met.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    /// The number as spelled.
    Number(Cow<'a, str>),
    String(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl Node<'_> {
    /// What messages call the kind of value; numbers are spelled out by the callers that need it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "bool",
            Node::Number(_) => "number",
            Node::String(_) => "string",
            Node::List(_) => "array",
            Node::Object(_) => "object",
        }
    }

    /// The plain value: of repeated members the last wins; whole numbers are integers.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Node::Null => Value::Null,
            Node::Bool(b) => Value::Bool(*b),
            Node::Number(n) => number(n),
            Node::String(s) => Value::String(s.clone().into_owned()),
            Node::List(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Node::Object(members) => {
                Value::Object(members.iter().map(|(k, v)| (k.clone().into_owned(), v.to_value())).collect())
            }
        }
    }
}

/// A JSON number: an integer if it is spelled as one and fits, else a float.
pub(crate) fn number(text: &str) -> serde_json::Value {
    if let Ok(n) = text.parse::<i64>() {
        return n.into();
    }
    if let Ok(n) = text.parse::<u64>() {
        return n.into();
    }
    text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map_or(serde_json::Value::Null, Into::into)
}

/// Reads one document. The error is upstream's text.
pub(crate) fn parse(text: &[u8]) -> Result<Node<'_>, String> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let node = reader.value()?;
    reader.blanks();
    match reader.peek() {
        None => Ok(node),
        Some(c) => Err(invalid(c, "after top-level value")),
    }
}

const END: &str = "unexpected end of JSON input";

/// `invalid character 'x' ⟨context⟩`: a byte, shown as the code point of the same number.
fn invalid(c: u8, context: &str) -> String {
    let shown = match c {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        _ if c >= 0x80 && (c < 0xa1 || c == 0xad) => format!("'\\u{c:04x}'"),
        _ => {
            let quoted = crate::quote::go_quote(&char::from(c).to_string());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    };
    format!("invalid character {shown} {context}")
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, String> {
        let c = self.peek().ok_or_else(|| END.to_owned())?;
        self.at += 1;
        Ok(c)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Node<'a>, String> {
        self.blanks();
        match self.next()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::list),
            b'"' => Ok(Node::String(self.string()?)),
            b't' => self.literal("true", Node::Bool(true)),
            b'f' => self.literal("false", Node::Bool(false)),
            b'n' => self.literal("null", Node::Null),
            c @ (b'-' | b'0'..=b'9') => self.number(c),
            c => Err(invalid(c, "looking for beginning of value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Node<'a>, String>) -> Result<Node<'a>, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("exceeded max depth".to_owned());
        }
        let node = read(self);
        self.depth -= 1;
        node
    }

    fn object(&mut self) -> Result<Node<'a>, String> {
        let mut members = Vec::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Object(members));
        }
        loop {
            self.blanks();
            match self.next()? {
                b'"' => {}
                c => return Err(invalid(c, "looking for beginning of object key string")),
            }
            let key = self.string()?;
            self.blanks();
            match self.next()? {
                b':' => {}
                c => return Err(invalid(c, "after object key")),
            }
            let value = self.value()?;
            members.push((key, value));
            self.blanks();
            match self.next()? {
                b',' => {}
                b'}' => return Ok(Node::Object(members)),
                c => return Err(invalid(c, "after object key:value pair")),
            }
        }
    }

    fn list(&mut self) -> Result<Node<'a>, String> {
        let mut items = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::List(items));
        }
        loop {
            items.push(self.value()?);
            self.blanks();
            match self.next()? {
                b',' => {}
                b']' => return Ok(Node::List(items)),
                c => return Err(invalid(c, "after array element")),
            }
        }
    }

    fn literal(&mut self, word: &str, node: Node<'a>) -> Result<Node<'a>, String> {
        for expected in word.bytes().skip(1) {
            let c = self.next()?;
            if c != expected {
                return Err(invalid(c, &format!("in literal {word} (expecting '{}')", char::from(expected))));
            }
        }
        Ok(node)
    }

    fn number(&mut self, first: u8) -> Result<Node<'a>, String> {
        let start = self.at - 1;
        let mut lead = first;
        if lead == b'-' {
            lead = self.next()?;
            if !lead.is_ascii_digit() {
                return Err(invalid(lead, "in numeric literal"));
            }
        }
        if lead != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            match self.next()? {
                b'0'..=b'9' => self.digits(),
                c => return Err(invalid(c, "after decimal point in numeric literal")),
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            match self.next()? {
                b'0'..=b'9' => self.digits(),
                c => return Err(invalid(c, "in exponent of numeric literal")),
            }
        }
        // Only ASCII was accepted above.
        Ok(Node::Number(String::from_utf8_lossy(&self.text[start..self.at])))
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    /// The rest of a string whose opening quote has been read.
    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        let start = self.at;
        loop {
            match self.next()? {
                b'"' => return Ok(String::from_utf8_lossy(&self.text[start..self.at - 1])),
                b'\\' => {
                    self.at -= 1;
                    return self.escaped_string(start).map(Cow::Owned);
                }
                c if c < 0x20 => return Err(invalid(c, "in string literal")),
                _ => {}
            }
        }
    }

    fn escaped_string(&mut self, start: usize) -> Result<String, String> {
        let mut out: Vec<u8> = self.text[start..self.at].to_vec();
        let mut buffer = [0u8; 4];
        loop {
            match self.next()? {
                b'"' => return Ok(String::from_utf8_lossy(&out).into_owned()),
                b'\\' => {
                    let c = match self.next()? {
                        c @ (b'"' | b'\\' | b'/') => char::from(c),
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        b'u' => self.unicode()?,
                        c => return Err(invalid(c, "in string escape code")),
                    };
                    out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
                }
                c if c < 0x20 => return Err(invalid(c, "in string literal")),
                c => out.push(c),
            }
        }
    }

    /// The code point of `\uXXXX`, with its second half if it is a surrogate pair; half a pair is U+FFFD.
    fn unicode(&mut self) -> Result<char, String> {
        let first = self.hex4()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let point = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, String> {
        let mut point = 0;
        for _ in 0..4 {
            let c = self.next()?;
            let digit = char::from(c).to_digit(16).ok_or_else(|| invalid(c, "in \\u hexadecimal character escape"))?;
            point = point * 16 + digit;
        }
        Ok(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_upstreams_words() {
        // A117, A137 and golden http/13, 15, 19.
        let rows = [
            ("", "unexpected end of JSON input"),
            ("abc", "invalid character 'a' looking for beginning of value"),
            ("{nope", "invalid character 'n' looking for beginning of object key string"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1] x", "invalid character 'x' after top-level value"),
            ("01", "invalid character '1' after top-level value"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("trux", "invalid character 'x' in literal true (expecting 'e')"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            ("'a'", "invalid character '\\'' looking for beginning of value"),
            ("{\"a", "unexpected end of JSON input"),
        ];
        for (text, expect) in rows {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), expect, "{text}");
        }
        assert_eq!(parse(b"\x81").unwrap_err(), "invalid character '\\u0081' looking for beginning of value");
        assert_eq!(parse("[".repeat(DEPTH_MAX + 1).as_bytes()).unwrap_err(), "exceeded max depth");
    }

    #[test]
    fn strings_numbers_and_repeats_are_kept() {
        let node = parse(br#" {"a":"x\u00e9\ud83d\ude00\ud83d\n","a":[1.50,-0,1e3,true,null]} "#).unwrap();
        let Node::Object(members) = &node else { panic!() };
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].1, Node::String("xé😀\u{fffd}\n".into()));
        assert_eq!(node.to_value(), serde_json::json!({"a": [1.5, 0, 1000.0, true, null]}));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_agrees_with_serde(text in "[\\[\\]{}:,\"a\\\\u0-9eE.+\\- truefalsn]{0,40}") {
            let ours = parse(text.as_bytes());
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            // serde_json refuses lone surrogates and numbers out of range, which are fine to us.
            if let Ok(value) = theirs {
                proptest::prop_assert_eq!(ours.unwrap().to_value(), value);
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
        }
    }
}
