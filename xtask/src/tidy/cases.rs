//! docs/cases.md names a test for every case of the catalogue (T1–T154), and each of these tests is one and cites its case: in its
//! name, in the words above it, or in a row of its table. What is said elsewhere in its file, or in a comment, counts for nothing.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Context;

use crate::shell::root;

const TABLE: &str = "docs/cases.md";
/// The cases of the catalogue.
const CASES: std::ops::RangeInclusive<u32> = 1..=154;

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    cases: BTreeSet<u32>,
    file: &'a str,
    tests: Vec<&'a str>,
}

pub(super) fn check() -> anyhow::Result<Vec<String>> {
    let table = fs::read_to_string(root().join(TABLE)).with_context(|| format!("cannot read {TABLE}"))?;
    Ok(complaints(&table, |file| fs::read_to_string(root().join(file)).ok()))
}

fn complaints(table: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut missing: BTreeSet<u32> = CASES.collect();
    for row in table.lines().filter_map(row) {
        let Some(text) = read(row.file) else {
            complaints.push(format!("{TABLE}: there is no {}", row.file));
            continue;
        };
        let mut cited = BTreeSet::new();
        for test in &row.tests {
            match test_named(&text, test) {
                Some(test) => cited.extend(cases_in(&test)),
                None => complaints.push(format!("{TABLE}: there is no test {test} in {}", row.file)),
            }
        }
        for case in &row.cases {
            missing.remove(case);
            if !cited.contains(case) {
                complaints.push(format!("{TABLE}: {} of {} does not cite T{case}", row.tests.join(", "), row.file));
            }
        }
    }
    complaints.extend(missing.iter().map(|case| format!("{TABLE}: T{case} has no test")));
    complaints
}

/// The text of a test, from the words above it to its end; nothing where there is none. (An ignored one is untidy.)
fn test_named(text: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_start = |line: &&str| {
        let line = line.trim_start();
        line.starts_with(&format!("fn {name}(")) || line.starts_with(&format!("async fn {name}("))
    };
    let start = lines.iter().position(is_start)?;
    let is_above = |line: &&&str| line.trim_start().starts_with("///") || line.trim_start().starts_with("#[");
    let above = lines[..start].iter().rev().take_while(is_above).count();
    let head = &lines[start - above..start];
    let has = |word: &str| head.iter().any(|line| line.trim_start().starts_with("#[") && line.contains(word));
    if !(has("test]") || has("::test(")) {
        return None;
    }
    let indent = lines[start].len() - lines[start].trim_start().len();
    let is_end = |line: &&str| line.trim_start() == "}" && line.len() == indent + 1;
    let end = if lines[start].ends_with('}') { 0 } else { lines[start..].iter().position(is_end)? };
    let body = lines[start..=start + end].iter().map(|line| line.split("//").next().unwrap_or_default());
    Some(head.iter().copied().chain(body).collect::<Vec<_>>().join("\n"))
}

/// `| T5, T6 | path | `test`, `test` |`
fn row(line: &str) -> Option<Row<'_>> {
    let mut columns = line.strip_prefix('|')?.split('|').map(str::trim);
    let (cases, file, tests) = (columns.next()?, columns.next()?, columns.next()?);
    let cases = cases_in(cases);
    let tests = tests.split(',').map(|test| test.trim().trim_matches('`')).filter(|test| !test.is_empty()).collect();
    (!cases.is_empty()).then(|| Row { cases, file: file.trim_matches('`'), tests })
}

/// `T5`, `T59–T63`, `fn t5_t6_…`, `fn t64_to_t67_…`
fn cases_in(text: &str) -> BTreeSet<u32> {
    let mut cases = BTreeSet::new();
    let mut last: Option<(u32, usize)> = None;
    for (at, _) in text.match_indices(['T', 't']) {
        let digits: &str = text[at + 1..].split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let is_word = text[..at].chars().next_back().is_none_or(|c| c == '_' || !c.is_alphanumeric());
        let Ok(number) = digits.parse::<u32>() else { continue };
        if !is_word {
            continue;
        }
        let from = match last {
            Some((first, end)) if matches!(&text[end..at], "–" | "_to_") => first,
            _ => number,
        };
        cases.extend(from..=number);
        last = Some((number, at + 1 + digits.len()));
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_in_all_their_spellings() {
        for (text, expect) in [
            ("/// T5, R8: x", vec![5]),
            ("(\"T59: x\", 3)", vec![59]),
            ("T59–T62 and T7", vec![7, 59, 60, 61, 62]),
            ("fn t5_t6_both() {", vec![5, 6]),
            ("fn t64_to_t66_all() {", vec![64, 65, 66]),
            ("AT5 at6 Tx R7 u32", vec![]),
        ] {
            assert_eq!(cases_in(text).into_iter().collect::<Vec<_>>(), expect, "{text}");
        }
    }

    #[test]
    fn each_fault_of_the_table_is_named() {
        let all = "| Case | File | Tests |\n|---|---|---|\n| T1–T154 | `a.rs` | `t1_to_t154_all` |\n";
        let read = |file: &str| (file == "a.rs").then(|| "#[test]\nfn t1_to_t154_all() {}".to_owned());
        assert_eq!(complaints(all, read), [""; 0]);
        let less = complaints("| T2–T154 | a.rs | t1_to_t154_all |", read);
        assert_eq!(less, ["docs/cases.md: T1 has no test"]);
        let wrong = complaints(&format!("{all}| T3 | b.rs | x |\n| T155 | a.rs | y |"), read);
        let expect = [
            "docs/cases.md: there is no b.rs",
            "docs/cases.md: there is no test y in a.rs",
            "docs/cases.md: y of a.rs does not cite T155",
        ];
        assert_eq!(wrong, expect);
    }

    /// A test cites what stands in its name, above it or in its table; and has to be one.
    #[test]
    fn a_comment_cites_nothing() {
        for (text, expect) in [
            ("/// T5: x\n#[test]\nfn x() {\n    y();\n}", Some(vec![5])),
            ("    /// T5, T6\n    #[tokio::test]\n    async fn x() {\n        y();\n    }", Some(vec![5, 6])),
            ("#[test]\nfn x() {\n    for case in [\"T5\", \"T7\"] {\n    }\n}", Some(vec![5, 7])),
            ("#[test]\nfn x() {\n    // T5\n    y(); // T6\n}\n/// T7", Some(vec![])),
            ("/// T5\n\n#[test]\nfn x() {}\nfn t6() {}", Some(vec![])),
            ("/// T5\nfn x() {}", None),
            ("/// T5\n#[cfg(test)]\nfn x() {}", None),
            ("// #[test]\n// fn x() {}", None),
            ("#[test]\nfn xx() {}", None),
        ] {
            let cited = test_named(text, "x").map(|test| cases_in(&test).into_iter().collect::<Vec<_>>());
            assert_eq!(cited, expect, "{text}");
        }
    }
}
