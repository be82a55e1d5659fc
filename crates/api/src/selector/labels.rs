//! The label selector language: `a=b,c!=d,e in (f,g),h,!i,j>1` (A97).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::ParseError;
use crate::names;
use crate::quote::go_quote;

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Greater,
    Less,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

/// A parsed label selector; the empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

impl Selector {
    /// Parses the text of a query parameter.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Parser { tokens: scan(text), at: 0 }.selector().map_err(ParseError)
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it selects an object with these labels.
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.0.iter().all(|r| r.matches(labels.and_then(|l| l.get(&r.key)).and_then(Value::as_str)))
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let compare = |than: fn(i64, i64) -> bool| {
            let wanted = self.values.first().and_then(|v| v.parse::<i64>().ok());
            matches!((value.and_then(|v| v.parse::<i64>().ok()), wanted), (Some(v), Some(w)) if than(v, w))
        };
        match self.operator {
            Operator::In => value.is_some_and(|v| self.values.contains(v)),
            Operator::NotIn => value.is_none_or(|v| !self.values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Greater => compare(|v, w| v > w),
            Operator::Less => compare(|v, w| v < w),
        }
    }
}

/// A token is its text; words are everything that is neither blank nor a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    word: bool,
}

const SYMBOLS: &[&str] = &[")", "(", ",", "!", "==", "=", ">", "<", "!="];

fn symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn scan(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = text.trim_start_matches(blank);
    while !rest.is_empty() {
        let (len, word) = if rest.starts_with(symbol) {
            let two = rest.get(..2).filter(|two| SYMBOLS.contains(two));
            (two.map_or(1, str::len), false)
        } else {
            (rest.find(|c| symbol(c) || blank(c)).unwrap_or(rest.len()), true)
        };
        out.push(Token { text: rest[..len].to_owned(), word });
        rest = rest[len..].trim_start_matches(blank);
    }
    out
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn text(&self) -> &str {
        self.peek().map_or("", |t| t.text.as_str())
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn at_word(&self) -> bool {
        self.peek().is_some_and(|t| t.word)
    }

    fn at_end(&self) -> bool {
        self.peek().is_none()
    }

    fn selector(&mut self) -> Result<Selector, String> {
        let mut out = Vec::new();
        if self.at_end() {
            return Ok(Selector(out));
        }
        if !self.at_word() && self.text() != "!" {
            return Err(format!("found '{}', expected: !, identifier, or 'end of string'", self.text()));
        }
        loop {
            out.push(self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?);
            if self.at_end() {
                return Ok(Selector(out));
            }
            if self.text() != "," {
                return Err(format!("found '{}', expected: ',' or 'end of string'", self.text()));
            }
            self.at += 1;
            if !self.at_word() && self.text() != "!" {
                return Err(format!("found '{}', expected: identifier after ','", self.text()));
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = self.text() == "!";
        if negated {
            self.at += 1;
        }
        let key = self.word()?;
        let violations = names::label_key(&key);
        if !violations.is_empty() {
            return Err(format!("<nil>: Invalid value: {}: {}", go_quote(&key), violations.join("; ")));
        }
        if negated {
            return Ok(Requirement { key, operator: Operator::DoesNotExist, values: BTreeSet::new() });
        }
        if self.at_end() || self.text() == "," {
            return Ok(Requirement { key, operator: Operator::Exists, values: BTreeSet::new() });
        }
        let (operator, values) = match self.take().map(|t| t.text).unwrap_or_default().as_str() {
            "in" => (Operator::In, self.values()?),
            "notin" => (Operator::NotIn, self.values()?),
            "=" | "==" => (Operator::In, self.value()?),
            "!=" => (Operator::NotIn, self.value()?),
            ">" => (Operator::Greater, self.value()?),
            "<" => (Operator::Less, self.value()?),
            other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        check(operator, &values)?;
        Ok(Requirement { key, operator, values })
    }

    fn word(&mut self) -> Result<String, String> {
        match self.take() {
            Some(token) if token.word => Ok(token.text),
            other => Err(format!("found '{}', expected: identifier", other.map(|t| t.text).unwrap_or_default())),
        }
    }

    /// The one value after `=`; it may be empty.
    fn value(&mut self) -> Result<BTreeSet<String>, String> {
        if self.at_end() || self.text() == "," {
            return Ok(BTreeSet::from([String::new()]));
        }
        Ok(BTreeSet::from([self.word()?]))
    }

    /// `(a, b)`; an empty place between commas is the empty value.
    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        if self.text() != "(" {
            return Err(format!("found '{}' expected: '('", self.text()));
        }
        self.at += 1;
        if !self.at_word() && !matches!(self.text(), "," | ")") {
            return Err(format!("found '{}', expected: ',', ')' or identifier", self.text()));
        }
        let mut out = BTreeSet::new();
        loop {
            if self.at_word() {
                out.insert(self.word()?);
            } else {
                out.insert(String::new());
            }
            match self.text() {
                "," => self.at += 1,
                ")" => {
                    self.at += 1;
                    return Ok(out);
                }
                other => return Err(format!("found '{other}', expected: ',' or ')'")),
            }
        }
    }
}

fn check(operator: Operator, values: &BTreeSet<String>) -> Result<(), String> {
    let mut errors = Vec::new();
    for (i, value) in values.iter().enumerate() {
        if matches!(operator, Operator::Greater | Operator::Less) && value.parse::<i64>().is_err() {
            let why = "for 'Gt', 'Lt' operators, the value must be an integer";
            errors.push(format!("values[{i}]: Invalid value: {}: {why}", go_quote(value)));
        }
        let violations = names::label_value(value);
        if !violations.is_empty() {
            errors.push(format!("values[{i}]: Invalid value: {}: {}", go_quote(value), violations.join("; ")));
        }
    }
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(format!("[{}]", errors.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selects() {
        // A97: (selector, selects {"env":"prod","n":"5","e":""}).
        let labels = json!({"env": "prod", "n": "5", "e": ""});
        let rows = [
            ("", true),
            ("env", true),
            ("!env", false),
            ("x", false),
            ("!x", true),
            ("env=prod", true),
            ("env==prod", true),
            ("env!=prod", false),
            ("x!=y", true),
            (" env in ( dev , prod ) , n ", true),
            ("env notin (prod)", false),
            ("x notin (y)", true),
            ("n>4", true),
            ("n<5", false),
            ("x>1", false),
            ("e=", true),
            ("e in ()", true),
            ("env in (prod,)", true),
            ("in in (in)", false),
        ];
        for (text, expect) in rows {
            assert_eq!(Selector::parse(text).map(|s| s.matches(labels.as_object())), Ok(expect), "{text}");
        }
    }

    #[test]
    fn refuses_in_the_usual_words() {
        let rows = [
            (
                "i>a",
                "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
            ("app in x", "unable to parse requirement: found 'x' expected: '('"),
            ("app=x y", "found 'y', expected: ',' or 'end of string'"),
            (",", "found ',', expected: !, identifier, or 'end of string'"),
            ("app=x,", "found '', expected: identifier after ','"),
            ("a===b", "unable to parse requirement: found '=', expected: identifier"),
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ];
        for (text, expect) in rows {
            assert_eq!(Selector::parse(text).map_err(|e| e.to_string()), Err(expect.to_owned()), "{text}");
        }
        let key = Selector::parse("-a").map_err(|e| e.to_string()).err().unwrap_or_default();
        assert!(
            key.starts_with("unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of"),
            "{key}"
        );
    }
}
