//! Escalation: nobody hands out what they do not hold (A211).

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{ALL, Rule, has, names_path};

/// The single permissions of `wanted` that none of `held` covers, in order of appearance.
pub fn missing(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    wanted.iter().flat_map(break_down).filter(|single| !held.iter().any(|own| covers(own, single))).collect()
}

/// Joins single permissions on the same resource into one rule with all their verbs.
pub fn compact(rules: &[Rule]) -> Vec<Rule> {
    let mut merged: Vec<Rule> = Vec::new();
    let mut place: BTreeMap<(String, String, Option<String>), usize> = BTreeMap::new();
    for rule in rules {
        let simple = rule.api_groups.len() == 1
            && rule.resources.len() == 1
            && rule.resource_names.len() <= 1
            && rule.non_resource_urls.is_empty();
        if !simple {
            merged.push(rule.clone());
            continue;
        }
        let key = (rule.api_groups[0].clone(), rule.resources[0].clone(), rule.resource_names.first().cloned());
        let at = *place.entry(key).or_insert(merged.len());
        match merged.get_mut(at) {
            Some(earlier) => {
                for verb in &rule.verbs {
                    if !earlier.verbs.contains(verb) {
                        earlier.verbs.push(verb.clone());
                    }
                }
            }
            None => merged.push(rule.clone()),
        }
    }
    merged
}

/// `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
pub fn describe(rule: &Rule) -> String {
    let parts = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("ResourceNames", &rule.resource_names),
        ("Verbs", &rule.verbs),
    ];
    let mut text = String::from("{");
    for (name, list) in parts.into_iter().filter(|(_, list)| !list.is_empty()) {
        let quoted: Vec<String> = list.iter().map(|item| format!("{item:?}")).collect();
        let comma = if text.len() > 1 { ", " } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{name}:[{}]", quoted.join(" "));
    }
    text.push('}');
    text
}

/// One rule per group, resource, name and verb, and one per path and verb.
fn break_down(rule: &Rule) -> Vec<Rule> {
    let mut singles = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let single = Rule {
                    verbs: vec![verb.clone()],
                    api_groups: vec![group.clone()],
                    resources: vec![resource.clone()],
                    ..Rule::default()
                };
                if rule.resource_names.is_empty() {
                    singles.push(single);
                    continue;
                }
                for name in &rule.resource_names {
                    singles.push(Rule { resource_names: vec![name.clone()], ..single.clone() });
                }
            }
        }
    }
    for path in &rule.non_resource_urls {
        for verb in &rule.verbs {
            singles.push(Rule { verbs: vec![verb.clone()], non_resource_urls: vec![path.clone()], ..Rule::default() });
        }
    }
    singles
}

/// Whether `own` permits all that the single permission `wanted` does.
fn covers(own: &Rule, wanted: &Rule) -> bool {
    let all_in = |own: &[String], wanted: &[String]| wanted.iter().all(|item| has(own, item));
    all_in(&own.verbs, &wanted.verbs)
        && all_in(&own.api_groups, &wanted.api_groups)
        && wanted.resources.iter().all(|resource| covers_resource(&own.resources, resource))
        && wanted.non_resource_urls.iter().all(|path| own.non_resource_urls.iter().any(|own| covers_path(own, path)))
        && (own.resource_names.is_empty()
            || (!wanted.resource_names.is_empty()
                && wanted.resource_names.iter().all(|name| own.resource_names.contains(name))))
}

fn covers_resource(own: &[String], wanted: &str) -> bool {
    let by_sub = wanted.split_once('/').map(|(_, sub)| format!("{ALL}/{sub}"));
    own.iter().any(|own| own == ALL || own == wanted || Some(own) == by_sub.as_ref())
}

/// A wanted prefix is covered by an equal or shorter prefix.
fn covers_path(own: &str, wanted: &str) -> bool {
    own == wanted || names_path(own, wanted.strip_suffix('*').unwrap_or(wanted)) && own.ends_with('*')
}
