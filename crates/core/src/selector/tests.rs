//! What matches what.

use super::*;
use crate::model::{Labels, NodeName};

/// `k=v,k2=v2` as labels.
fn labels(text: &str) -> Labels {
    text.split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn requirement(text: &str) -> NodeRequirement {
    let mut words = text.split(' ');
    let key = words.next().unwrap_or_default().to_owned();
    let operator = match words.next().unwrap_or_default() {
        "In" => NodeOperator::In,
        "NotIn" => NodeOperator::NotIn,
        "Exists" => NodeOperator::Exists,
        "DoesNotExist" => NodeOperator::DoesNotExist,
        "Gt" => NodeOperator::Gt,
        "Lt" => NodeOperator::Lt,
        _ => NodeOperator::Unknown,
    };
    NodeRequirement { key, operator, values: words.map(str::to_owned).collect() }
}

/// R44: inside a term expressions and fields are ANDed; an unusable term matches nothing.
#[test]
fn a_node_term_matches_by_labels_and_name() {
    for (expressions, fields, expect) in [
        (vec!["zone In a b"], vec![], true),
        (vec!["zone In b"], vec![], false),
        (vec!["zone In"], vec![], false),
        (vec!["other NotIn a"], vec![], true),
        (vec!["zone NotIn a"], vec![], false),
        (vec!["zone Exists"], vec![], true),
        (vec!["zone Exists", "other Exists"], vec![], false),
        (vec!["other DoesNotExist"], vec![], true),
        (vec!["cores Gt 4"], vec![], true),
        (vec!["cores Gt 8"], vec![], false),
        (vec!["cores Lt 9"], vec![], true),
        (vec!["zone Gt 1"], vec![], false),
        (vec!["zone Between a"], vec![], false),
        (vec![], vec!["metadata.name In n1"], true),
        (vec![], vec!["metadata.name In n1 n2"], false),
        (vec![], vec!["metadata.name NotIn n2"], true),
        (vec![], vec!["metadata.uid NotIn n2"], false),
        (vec!["zone In a"], vec!["metadata.name In n2"], false),
        (vec![], vec![], false),
    ] {
        let term = NodeTerm {
            expressions: expressions.iter().map(|text| requirement(text)).collect(),
            fields: fields.iter().map(|text| requirement(text)).collect(),
        };
        let got = NodeSelector { terms: vec![term] }.matches(&NodeName::from("n1"), &labels("zone=a,cores=8"));
        assert_eq!(got, expect, "{expressions:?} {fields:?}");
    }
    assert!(!NodeSelector::default().matches(&NodeName::from("n1"), &labels("")), "no term matches nothing");
}

/// R45.
#[test]
fn a_toleration_tolerates() {
    let taint = Taint { key: "gpu".into(), value: "a100".into(), effect: Effect::NoSchedule, added: None };
    for (key, operator, value, effect, expect) in [
        ("gpu", TolerationOperator::Equal, "a100", Some(Effect::NoSchedule), true),
        ("gpu", TolerationOperator::Equal, "a100", None, true),
        ("gpu", TolerationOperator::Equal, "", None, false),
        ("gpu", TolerationOperator::Exists, "", None, true),
        ("", TolerationOperator::Exists, "", None, true),
        ("", TolerationOperator::Equal, "a100", None, true),
        ("gpu", TolerationOperator::Exists, "", Some(Effect::NoExecute), false),
        ("cpu", TolerationOperator::Exists, "", None, false),
        ("gpu", TolerationOperator::Unknown, "a100", None, false),
    ] {
        let toleration = Toleration { key: key.into(), operator, value: value.into(), effect, seconds: None };
        assert_eq!(toleration.tolerates(&taint), expect, "{toleration:?}");
    }
}

#[test]
fn quantities_are_read_and_rounded_up() {
    for (text, units, millis) in [
        ("2", 2, 2000),
        ("100m", 1, 100),
        ("0.5Gi", 536_870_912, 536_870_912_000),
        ("1e3", 1000, 1_000_000),
        ("1E", 1_000_000_000_000_000_000, i64::MAX),
        ("1500u", 1, 2),
        ("-1.5", -1, -1500),
        (".5", 1, 500),
        ("64Mi", 67_108_864, 67_108_864_000),
    ] {
        let quantity = Quantity::parse(text).unwrap_or_default();
        assert_eq!((quantity.units(), quantity.millis()), (units, millis), "{text}");
    }
    for text in ["", "x", "1.2.3", "1Q", "-", ".", "1ee"] {
        assert_eq!(Quantity::parse(text), None, "{text}");
    }
}

#[test]
fn a_label_selector_matches() {
    let expression = |operator, values: &[&str]| Requirement {
        key: "tier".into(),
        operator,
        values: values.iter().map(|v| (*v).to_owned()).collect(),
    };
    for (expressions, given, expect) in [
        (vec![], "app=x", true),
        (vec![], "app=y", false),
        (vec![expression(Operator::In, &["a", "b"])], "app=x,tier=b", true),
        (vec![expression(Operator::NotIn, &["a"])], "app=x", true),
        (vec![expression(Operator::Exists, &[])], "app=x", false),
        (vec![expression(Operator::DoesNotExist, &[])], "app=x", true),
        (vec![expression(Operator::Unknown, &[])], "app=x", false),
    ] {
        let selector = LabelSelector { labels: labels("app=x"), expressions };
        assert_eq!(selector.matches(&labels(given)), expect, "{selector:?} {given}");
    }
}
