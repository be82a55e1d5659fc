//! What the demo prints: the server's own tables, padded as kubectl pads them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::cluster::Cluster;

/// Prints lines on stdout.
#[expect(clippy::print_stdout, reason = "the demo is what it prints")]
pub(super) fn lines(lines: &[&str]) {
    for line in lines {
        println!("{line}");
    }
}

/// Prints the nodes, the DaemonSet and its pods.
pub(super) async fn tables(cluster: &Cluster) -> anyhow::Result<()> {
    for (title, path) in [
        ("kubectl get nodes", "/api/v1/nodes"),
        ("kubectl get daemonsets", "/apis/apps/v1/namespaces/default/daemonsets"),
        ("kubectl get pods -o wide", "/api/v1/namespaces/default/pods"),
    ] {
        lines(&["", &format!("$ {title}")]);
        let table = cluster.table(path).await?;
        for line in render(&table, title.ends_with("wide")) {
            lines(&[&line]);
        }
    }
    lines(&[""]);
    Ok(())
}

/// The rows of a server-side table, header first; columns of priority above 0 only when `wide`.
fn render(table: &Value, wide: bool) -> Vec<String> {
    let columns = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
    let shown: Vec<usize> = (0..columns.len()).filter(|at| wide || columns[*at]["priority"] == 0).collect();
    let header = shown.iter().map(|at| columns[*at]["name"].as_str().unwrap_or_default().to_uppercase()).collect();
    let rows = table["rows"].as_array().into_iter().flatten();
    let cells = rows.map(|row| shown.iter().map(|at| cell(&row["cells"][*at])).collect::<Vec<String>>());
    let grid: Vec<Vec<String>> = std::iter::once(header).chain(cells).collect();
    let widths: Vec<usize> =
        (0..shown.len()).map(|at| grid.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    grid.iter().map(line).collect()
}

fn cell(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Node → the address at which the demo's pod listens there.
pub(super) fn addresses(pods: &[Pod]) -> BTreeMap<String, String> {
    let pairs = pods.iter().filter_map(|pod| {
        let node = pod.spec.as_ref()?.node_name.clone()?;
        Some((node, pod.status.as_ref()?.pod_ip.clone()?))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_is_padded_and_wide_columns_wait_for_wide() {
        let table = json!({
            "columnDefinitions": [
                {"name": "Name", "priority": 0}, {"name": "Desired", "priority": 0}, {"name": "Images", "priority": 1},
            ],
            "rows": [{"cells": ["node-exporter", 3, "x:1"]}, {"cells": ["a", 10, "y:2"]}],
        });
        assert_eq!(render(&table, false), ["NAME            DESIRED", "node-exporter   3", "a               10"]);
        assert_eq!(render(&table, true)[1], "node-exporter   3         x:1");
    }
}
