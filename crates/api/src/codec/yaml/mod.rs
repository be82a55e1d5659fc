//! YAML bodies, read as upstream reads them: YAML 1.1 scalars, merge keys, the first document only, keys sorted, of repeated keys the
//! last one kept and reported. Then they are JSON to everything else. Also writing YAML answers.
//!
//! Not here: shapes. The parser is `granit-parser` used directly, because repeated keys, styles and error positions are lost one level up.

mod resolve;
mod write;

use std::{borrow::Cow, collections::BTreeMap};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::Value;

use super::{DEPTH_MAX, DecodeError, Strictness, json, syntax::Node};
use crate::{Object, schema::Shape};

pub use write::encode;

/// The most nodes that a document may have once its aliases are spelled out.
const NODES_MAX: usize = 300_000;

/// How many such lines are mended in one document: each costs a reading.
const OUTDENTS_MAX: usize = 200;

/// Decodes YAML as [`json::decode`] decodes JSON.
pub fn decode(bytes: &[u8], shape: &Shape, strictness: Strictness) -> Result<(Object, Vec<String>), DecodeError> {
    let (node, repeats) = parse(bytes)?;
    settle(json::decode_node(&node, shape, Strictness::Warn)?, repeats, strictness)
}

/// Decodes the YAML of an object without a shape.
pub fn decode_any(bytes: &[u8], strictness: Strictness) -> Result<(Object, Vec<String>), DecodeError> {
    let (node, repeats) = parse(bytes)?;
    settle(json::decode_any_node(&node, Strictness::Warn)?, repeats, strictness)
}

/// Reads any YAML into plain JSON.
pub fn read(bytes: &[u8]) -> Result<Value, DecodeError> {
    Ok(parse(bytes)?.0.to_value())
}

/// Repeated keys come first, as one finding (A75).
fn settle(
    (object, mut findings): (Object, Vec<String>),
    repeats: Vec<String>,
    strictness: Strictness,
) -> Result<(Object, Vec<String>), DecodeError> {
    if !repeats.is_empty() {
        findings.insert(0, format!("yaml: unmarshal errors:\n  {}", repeats.join("\n  ")));
    }
    match strictness {
        Strictness::Ignore => Ok((object, Vec::new())),
        Strictness::Strict if !findings.is_empty() => Err(DecodeError::Strict(findings)),
        Strictness::Warn | Strictness::Strict => Ok((object, findings)),
    }
}

/// The first document, and its repeated keys as `line 7: key "a" already set in map`.
pub(super) fn parse(bytes: &[u8]) -> Result<(Node<'static>, Vec<String>), DecodeError> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| DecodeError::Syntax("yaml: invalid leading UTF-8 octet".into()))?;
    let mut text = Cow::Borrowed(text);
    let mut mended = 0;
    loop {
        match parse_text(&text) {
            Err(Fault { outdent: Some(line), .. }) if mended < OUTDENTS_MAX && text.lines().count() >= line => {
                text = Cow::Owned(indented(&text, line));
                mended += 1;
            }
            result => return result.map_err(|fault| DecodeError::Syntax(fault.words)),
        }
    }
}

/// Why a text cannot be read.
struct Fault {
    words: String,
    /// This line goes on with a quoted text and is not indented enough for our parser; the usual YAML library does not mind.
    outdent: Option<usize>,
}

fn parse_text(text: &str) -> Result<(Node<'static>, Vec<String>), Fault> {
    let mut builder = Builder::default();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| Fault {
            words: in_words(&error, builder.open_since()),
            outdent: matches!(error.kind(), ErrorKind::InvalidQuotedScalarIndent).then(|| error.marker().line()),
        })?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        builder.event(&event, &span).map_err(|words| Fault { words, outdent: None })?;
    }
    Ok((builder.document.unwrap_or(Node::Null), builder.repeats))
}

/// The text with one line (counted from 1) far indented: blanks at the start of a line within quotes mean nothing.
fn indented(text: &str, line: usize) -> String {
    let mut out = String::with_capacity(text.len() + DEPTH_MAX * 2);
    for (at, part) in text.split_inclusive('\n').enumerate() {
        if at + 1 == line {
            out.extend(std::iter::repeat_n(' ', DEPTH_MAX * 2));
        }
        out.push_str(part);
    }
    out
}

/// The error as the usual YAML library says it. Its line is that of the context (the collection that is open, if the error is about its
/// structure), else that of the problem; a first line is not named, and only the scanner counts lines from one.
fn in_words(error: &ScanError, open_since: usize) -> String {
    let at = error.marker().line().saturating_sub(1);
    let (text, context, counts_from_one) = match error.kind() {
        ErrorKind::ExpectedFlowSequenceSeparator | ErrorKind::UnexpectedEofFlowSequence => {
            ("did not find expected ',' or ']'".to_owned(), open_since, false)
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::UnexpectedEofFlowMapping => {
            ("did not find expected ',' or '}'".to_owned(), open_since, false)
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            (format!("did not find expected ',' or '{}'", if *open == '[' { ']' } else { '}' }), open_since, false)
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => {
            ("did not find expected key".to_owned(), open_since, false)
        }
        ErrorKind::ExpectedBlockSequenceEntry => ("did not find expected '-' indicator".to_owned(), open_since, false),
        ErrorKind::ExpectedNodeContent => ("did not find expected node content".to_owned(), at, false),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            ("could not find expected ':'".to_owned(), at, true)
        }
        ErrorKind::UnexpectedCharacter { .. }
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation => ("found character that cannot start any token".to_owned(), at, true),
        ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
            ("found unexpected end of stream".to_owned(), at, true)
        }
        _ => {
            let info = error.info();
            // The library's context ("while parsing …, ") is not part of the usual words.
            let text = match info.split_once(", ") {
                Some((context, problem)) if context.starts_with("while ") => problem.to_owned(),
                _ => info,
            };
            (text, at, true)
        }
    };
    match if context == 0 { at } else { context } {
        0 => format!("yaml: {text}"),
        line => format!("yaml: line {}: {text}", line + usize::from(counts_from_one)),
    }
}

/// A collection being read.
enum Open {
    List(Vec<Node<'static>>),
    Map { members: Vec<(String, Node<'static>)>, key: Option<String>, merged: Vec<Node<'static>> },
}

#[derive(Default)]
struct Builder {
    /// Each with its anchor and the line it began on, counted from 0.
    stack: Vec<(Open, usize, usize)>,
    document: Option<Node<'static>>,
    anchors: BTreeMap<usize, Node<'static>>,
    repeats: Vec<String>,
    nodes: usize,
}

const MERGE: &str = "<<";

impl Builder {
    fn event(&mut self, event: &Event<'_>, span: &Span) -> Result<(), String> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = *style == ScalarStyle::Plain;
                if plain && tag.is_none() && text == MERGE && self.wants_key() {
                    return self.take_key(MERGE.to_owned(), line);
                }
                let tag = tag.as_ref().map(|t| (t.handle(), t.suffix()));
                self.node(resolve::scalar(text, plain, tag), *anchor, line)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open::List(Vec::new()), *anchor, line),
            Event::MappingStart(_, anchor, _) => {
                self.open(Open::Map { members: Vec::new(), key: None, merged: Vec::new() }, *anchor, line)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some((open, anchor, _)) => self.node(close(open)?, anchor, line),
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(anchor).cloned() {
                Some(node) => {
                    self.nodes += count(&node);
                    self.node(node, 0, line)
                }
                None => Err(format!("yaml: anchor '{anchor}' value contains itself")),
            },
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open, anchor: usize, line: usize) -> Result<(), String> {
        if self.wants_key() {
            return Err("Unsupported map key: a list or a map cannot be a key in JSON".into());
        }
        if self.stack.len() >= DEPTH_MAX {
            return Err("yaml: exceeded max depth".into());
        }
        self.stack.push((open, anchor, line.saturating_sub(1)));
        Ok(())
    }

    /// The line that the innermost open collection began on, counted from 0.
    fn open_since(&self) -> usize {
        self.stack.last().map_or(0, |(_, _, line)| *line)
    }

    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some((Open::Map { key: None, .. }, ..)))
    }

    fn take_key(&mut self, name: String, line: usize) -> Result<(), String> {
        if let Some((Open::Map { members, key, .. }, ..)) = self.stack.last_mut() {
            if name != MERGE && members.iter().any(|(k, _)| *k == name) {
                self.repeats.push(format!("line {line}: key {} already set in map", crate::quote::go_quote(&name)));
            }
            *key = Some(name);
        }
        Ok(())
    }

    fn node(&mut self, node: Node<'static>, anchor: usize, line: usize) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err("yaml: document contains excessive aliasing".into());
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        if self.wants_key() {
            let name = match node {
                Node::String(s) => s.into_owned(),
                Node::Number(n) => n.into_owned(),
                Node::Bool(b) => b.to_string(),
                _ => return Err("Unsupported map key: null cannot be a key in JSON".into()),
            };
            return self.take_key(name, line);
        }
        match self.stack.last_mut() {
            None => self.document = Some(node),
            Some((Open::List(items), ..)) => items.push(node),
            Some((Open::Map { members, key, merged }, ..)) => match key.take() {
                Some(name) if name == MERGE => merged.push(node),
                Some(name) => {
                    members.retain(|(k, _)| *k != name);
                    members.push((name, node));
                }
                None => {}
            },
        }
        Ok(())
    }
}

fn count(node: &Node<'_>) -> usize {
    match node {
        Node::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Node::Object(members) => 1 + members.iter().map(|(_, v)| count(v)).sum::<usize>(),
        _ => 1,
    }
}

fn close(open: Open) -> Result<Node<'static>, String> {
    match open {
        Open::List(items) => Ok(Node::List(items)),
        Open::Map { mut members, merged, .. } => {
            for node in merged {
                let sources = match node {
                    Node::List(items) => items,
                    one => vec![one],
                };
                for source in sources {
                    let Node::Object(inherited) = source else {
                        return Err("yaml: map merge requires map or sequence of maps as the value".into());
                    };
                    for (key, value) in inherited {
                        if !members.iter().any(|(k, _)| *k == key) {
                            members.push((key.into_owned(), value));
                        }
                    }
                }
            }
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Ok(Node::Object(members.into_iter().map(|(k, v)| (Cow::Owned(k), v)).collect()))
        }
    }
}

#[cfg(test)]
mod tests;
