//! docs/cases.md names a test for every case of the catalogue (T1–T154), and each of these tests exists and cites its case.

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
        let cited = cases_in(&text);
        for case in &row.cases {
            missing.remove(case);
            if !cited.contains(case) {
                complaints.push(format!("{TABLE}: {} does not cite T{case}", row.file));
            }
        }
        for test in row.tests.iter().filter(|test| !text.contains(&format!("fn {test}("))) {
            complaints.push(format!("{TABLE}: there is no test {test} in {}", row.file));
        }
    }
    complaints.extend(missing.iter().map(|case| format!("{TABLE}: T{case} has no test")));
    complaints
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
        let read = |file: &str| (file == "a.rs").then(|| "fn t1_to_t154_all() {}".to_owned());
        assert_eq!(complaints(all, read), [""; 0]);
        let less = complaints("| T2–T154 | a.rs | t1_to_t154_all |", read);
        assert_eq!(less, ["docs/cases.md: T1 has no test"]);
        let wrong = complaints(&format!("{all}| T3 | b.rs | x |\n| T155 | a.rs | y |"), read);
        let expect = [
            "docs/cases.md: there is no b.rs",
            "docs/cases.md: a.rs does not cite T155",
            "docs/cases.md: there is no test y in a.rs",
        ];
        assert_eq!(wrong, expect);
    }
}
