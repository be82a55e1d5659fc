//! What the engine of `core` costs at many sizes of fleet, as tables in Markdown.
//!
//! `core`'s own benchmark measures one size in a process of its own, optimised and alone; here the sizes are chosen, and the growth
//! from one to the next is told.

use std::collections::BTreeMap;

use anyhow::Context;
use clap::Args;

use super::machine;
use crate::shell::{output, print, say};

/// Memory that a cell may need before it is measured: with it the sizes are chosen that this machine can hold.
const CELL_MAX: u64 = 1536;

/// Sizes to measure.
#[derive(Args)]
pub(crate) struct EngineArgs {
    /// Numbers of nodes.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    nodes: Vec<u64>,
    /// Numbers of sets.
    #[arg(long, value_delimiter = ',', default_value = "1,10,50")]
    sets: Vec<u64>,
}

/// Figures of one size, by name.
type Figures = BTreeMap<String, u64>;
/// Figures by sets and nodes.
type Sizes = BTreeMap<(u64, u64), Figures>;

/// Measures and prints.
pub(super) fn run(args: &EngineArgs) -> anyhow::Result<()> {
    print(&format!("machine: {}, load {}", machine(), load()));
    print("CPU time of the engine's thread: median / best tenth of the batches");
    let memory = available()?;
    let mut sizes = Sizes::new();
    for &sets in &args.sets {
        for &nodes in &args.nodes {
            if nodes * sets * CELL_MAX > memory / 2 {
                print(&format!("left out: {nodes} nodes x {sets} sets may need more than half of the free memory"));
                continue;
            }
            say(&format!("== {nodes} nodes x {sets} sets"));
            sizes.insert((sets, nodes), measure(nodes, sets)?);
        }
    }
    print(&table(&sizes));
    print(&growth(&sizes));
    Ok(())
}

/// How many programs want the machine's cores, over the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn available() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("cannot read the machine's memory")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("/proc/meminfo has no MemAvailable")?;
    Ok(kib * 1024)
}

fn measure(nodes: u64, sets: u64) -> anyhow::Result<Figures> {
    let (nodes, sets) = (nodes.to_string(), sets.to_string());
    let args = ["bench", "--quiet", "--package", "everynode-core", "--bench", "engine", "--", &nodes, &sets];
    Ok(figures(&output("cargo", &args)?))
}

fn figures(text: &str) -> Figures {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

/// The rows: what a figure is called here and there, and how it is shown.
const ROWS: &[(&str, &str, Unit)] = &[
    ("pod event", "pod_ns pod_best_ns", Unit::Nanos),
    ("status written, and seen", "status_ns status_best_ns", Unit::Nanos),
    ("node event: heartbeat", "heartbeat_ns heartbeat_best_ns", Unit::Nanos),
    ("label that no set wants, per set", "other_label_ns other_label_best_ns", Unit::NanosPerSet),
    ("taint, per set", "taint_ns taint_best_ns", Unit::NanosPerSet),
    ("wanted label lost, per set", "pool_lost_ns pool_lost_best_ns", Unit::NanosPerSet),
    ("wanted label gained, per set", "pool_gained_ns pool_gained_best_ns", Unit::NanosPerSet),
    ("rollout, per step", "rollout_step_ns rollout_step_best_ns", Unit::Nanos),
    ("rollout, whole", "rollout_ns rollout_best_ns", Unit::Seconds),
    ("decision with nothing to do", "idle_ns idle_best_ns", Unit::Nanos),
    ("one read that waits for memory", "miss_ns", Unit::Nanos),
    ("bytes per cell", "bytes_per_cell", Unit::Count),
    ("resident, all in all", "resident_bytes", Unit::Mebi),
    ("cells assessed: pod event, heartbeat, taint", "pod_cells heartbeat_cells taint_cells", Unit::Count),
    ("cells assessed in a rollout, per node", "rollout_cells", Unit::CountPerNode),
];

#[derive(Clone, Copy)]
enum Unit {
    Nanos,
    NanosPerSet,
    Seconds,
    Count,
    CountPerNode,
    Mebi,
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn shown(value: u64, unit: Unit, (sets, nodes): (u64, u64)) -> String {
    match unit {
        Unit::Nanos => format!("{:.2} µs", value as f64 / 1e3),
        Unit::NanosPerSet => format!("{:.2} µs", value as f64 / 1e3 / sets as f64),
        Unit::Seconds => format!("{:.3} s", value as f64 / 1e9),
        Unit::Count => value.to_string(),
        Unit::CountPerNode => format!("{:.1}", value as f64 / nodes as f64),
        Unit::Mebi => format!("{} MiB", value >> 20),
    }
}

/// One row per figure, one column per size.
fn table(sizes: &Sizes) -> String {
    let head = sizes.keys().map(|(sets, nodes)| format!(" {nodes} × {sets} |")).collect::<String>();
    let mut lines = vec![format!("| nodes × sets |{head}"), format!("|---|{}", "---|".repeat(sizes.len()))];
    for (title, names, unit) in ROWS {
        let mut line = format!("| {title} |");
        for (size, figures) in sizes {
            let cells =
                names.split(' ').map(|name| shown(figures.get(name).copied().unwrap_or_default(), *unit, *size));
            line.push_str(&format!(" {} |", cells.collect::<Vec<_>>().join(" / ")));
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// How costs grow with the number of nodes: the exponent of the power law nearest to the figures.
fn growth(sizes: &Sizes) -> String {
    let mut lines = Vec::new();
    for name in ["rollout_ns", "rollout_best_ns", "rollout_cells", "pod_ns", "pod_best_ns", "taint_ns", "taint_best_ns"]
    {
        for sets in sizes.keys().map(|(sets, _)| *sets).collect::<std::collections::BTreeSet<_>>() {
            let of_sets = sizes.iter().filter(|((of, _), _)| *of == sets);
            let points: Vec<_> = of_sets.filter_map(|((_, n), figures)| Some((*n, *figures.get(name)?))).collect();
            if let Some(exponent) = exponent(&points) {
                lines.push(format!("growth of {name} with the nodes, {sets} sets: exponent {exponent:.2}"));
            }
        }
    }
    lines.join("\n")
}

/// Least squares over the logarithms.
#[expect(clippy::cast_precision_loss, reason = "for people")]
fn exponent(points: &[(u64, u64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| ((*x as f64).ln(), (*y as f64).ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) =
        (logs.iter().map(|(x, _)| x).sum::<f64>() / count, logs.iter().map(|(_, y)| y).sum::<f64>() / count);
    let spread: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (spread > 0.0).then_some(slope / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_of_a_power_law_is_found() {
        for (points, expect) in [
            (&[(10, 50), (100, 500), (1000, 5000)][..], Some(1.0)),
            (&[(10, 100), (100, 10_000)], Some(2.0)),
            (&[(10, 7), (1000, 7)], Some(0.0)),
            (&[(10, 7)], None),
        ] {
            let found = exponent(points);
            assert_eq!(found.map(|e| (e * 1000.0).round() / 1000.0), expect, "{points:?}");
        }
    }

    #[test]
    fn figures_become_a_table() {
        let sizes = Sizes::from([((10, 1000), figures("pod_ns 1500\npod_best_ns 1000\ntaint_ns 20000\nnoise\n"))]);
        let table = table(&sizes);
        assert!(table.contains("| nodes × sets | 1000 × 10 |"), "{table}");
        assert!(
            table.contains("| pod event | 1.50 µs / 1.00 µs |")
                && table.contains("| taint, per set | 2.00 µs / 0.00 µs |"),
            "{table}"
        );
    }
}
