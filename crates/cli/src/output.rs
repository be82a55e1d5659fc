//! The only printer. A reader that has gone away (`| head`) is no error.

use std::io::Write;

use clap::ValueEnum;
use everynode_control::explain::shape;
use serde_json::Value;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// What fits on a screen: nodes that are alike share a line
    #[default]
    Text,
    /// Every node on a line of its own
    Wide,
    /// One JSON document
    Json,
    /// One YAML document
    Yaml,
}

/// Prints a document, if the form is that of one; else does nothing.
pub(crate) fn document(form: Form, document: impl FnOnce() -> Value) -> bool {
    match form {
        Form::Text | Form::Wide => return false,
        Form::Json => say(&format!("{:#}", document())),
        Form::Yaml => say(&shape::yaml(&document())),
    }
    true
}

/// One line on stdout.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// One line on stderr.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Rows under a header, in columns as `kubectl` prints them: padded to the widest cell, three blanks between.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    say(&line(&mut header.iter().copied()));
    for row in rows {
        say(&line(&mut row.iter().map(String::as_str)));
    }
}

/// A table without the columns in which nothing stands; empty cells are dashes.
pub(crate) fn sparse_table(header: &[&str], rows: &[Vec<String>]) {
    let is_used = |column: usize| rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()));
    let columns: Vec<usize> = (0..header.len()).filter(|column| is_used(*column)).collect();
    let header: Vec<&str> = columns.iter().map(|column| header[*column]).collect();
    let or_dash = |cell: &str| if cell.is_empty() { "-".to_owned() } else { cell.to_owned() };
    let cells = |row: &Vec<String>| columns.iter().map(|column| or_dash(&row[*column])).collect();
    table(&header, &rows.iter().map(cells).collect::<Vec<_>>());
}
