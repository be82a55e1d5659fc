//! Which controllers run, in the words of kube-controller-manager's `--controllers`.

use std::collections::BTreeSet;

use crate::CONTROLLERS;

/// Names from before upstream gave all of them a common form.
const ALIASES: &[(&str, &str)] = &[
    ("daemonset", "daemonset-controller"),
    ("disruption", "disruption-controller"),
    ("garbagecollector", "garbage-collector-controller"),
    ("job", "job-controller"),
    ("namespace", "namespace-controller"),
    ("nodelifecycle", "node-lifecycle-controller"),
    ("podgc", "pod-garbage-collector-controller"),
    ("resourcequota", "resourcequota-controller"),
    ("root-ca-cert-publisher", "root-ca-certificate-publisher-controller"),
    ("serviceaccount", "serviceaccount-controller"),
];

/// A name that is none.
#[derive(Debug, thiserror::Error)]
#[error("{name:?} is not in the list of known controllers; known are: {}", names().collect::<Vec<_>>().join(", "))]
pub struct UnknownController {
    /// The name.
    pub name: String,
}

/// The names of all controllers.
pub fn names() -> impl Iterator<Item = &'static str> {
    CONTROLLERS.iter().map(|(name, _)| *name)
}

/// The controllers that `words` choose: `NAME` runs one, `-NAME` leaves it out, `*` runs all others. The first word that is about
/// a controller counts.
///
/// # Errors
/// When a word names no controller.
pub fn choose<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<BTreeSet<String>, UnknownController> {
    let mut chosen = BTreeSet::new();
    let mut left_out = BTreeSet::new();
    let mut has_star = false;
    for word in words {
        if word == "*" {
            has_star = true;
            continue;
        }
        let plain = word.strip_prefix('-').unwrap_or(word);
        let name = ALIASES.iter().find(|(alias, _)| *alias == plain).map_or(plain, |(_, name)| *name);
        if !names().any(|known| known == name) {
            return Err(UnknownController { name: plain.to_owned() });
        }
        let (one, other) = if plain == word { (&mut chosen, &left_out) } else { (&mut left_out, &chosen) };
        if !other.contains(name) {
            one.insert(name.to_owned());
        }
    }
    if has_star {
        chosen.extend(names().filter(|name| !left_out.contains(*name)).map(str::to_owned));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_choose_as_upstream() {
        let all = names().count();
        let table: &[(&[&str], usize, bool)] = &[
            (&["*"], all, true),
            (&["*", "-daemonset-controller"], all - 1, false),
            (&["-daemonset", "*"], all - 1, false),
            (&["daemonset"], 1, true),
            (&["daemonset-controller", "-daemonset-controller", "*"], all, true),
            (&["-daemonset-controller", "daemonset-controller"], 0, false),
            (&["-podgc"], 0, false),
            (&[], 0, false),
        ];
        for (words, count, has_daemonset) in table {
            let chosen = choose(words.iter().copied()).expect("known names");
            let got = (chosen.len(), chosen.contains("daemonset-controller"));
            assert_eq!(got, (*count, *has_daemonset), "{words:?}");
        }
        let error = choose(["*", "-deamonset"]).expect_err("a slip").to_string();
        assert!(error.contains("\"deamonset\"") && error.contains("daemonset-controller"), "{error}");
    }

    #[test]
    fn every_alias_names_a_controller() {
        for (alias, name) in ALIASES {
            assert!(names().any(|known| known == *name), "{alias}");
        }
    }
}
