//! `everynode sim`: plays the rollout of a manifest on a pretend fleet, in virtual time, with the engine that would do it.

use std::path::PathBuf;

use clap::Args;
use everynode_sim::Millis;
use everynode_sim::play::{Moment, Options, Play, Summary, What, daemon_sets, play, sample};
use jiff::SignedDuration;

use crate::exit::CommandError;
use crate::output::{Form, document, say};

/// Nodes that a pretend fleet may have: more take minutes and gigabytes.
const NODES_MAX: u32 = 5_000;
/// Replaced pods that are told one by one; of more, every tenth part is told.
const TOLD_MAX: usize = 40;

/// Plays a rollout on a pretend fleet and tells what happens: nothing is contacted, nothing is changed.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  everynode sim --nodes 50                            a sample DaemonSet\n  everynode sim -f node-exporter.yaml --nodes 200     yours\n  everynode sim -f agent.yaml --fail-percent 20       with pods that fail to start"
)]
pub(crate) struct SimArgs {
    /// A manifest with DaemonSets, YAML or JSON [default: a sample]
    #[arg(short, long, value_name = "FILE")]
    filename: Option<PathBuf>,
    /// Nodes of the fleet
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(NODES_MAX)))]
    nodes: u32,
    /// Sample DaemonSets, when there is no manifest
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50), conflicts_with = "filename")]
    sets: u32,
    /// The same seed plays the same
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How long a pod takes from bound to ready, give or take a quarter
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pod_start: SignedDuration,
    /// How many of a hundred starts of new pods fail
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    fail_percent: u32,
    /// The form of the answer; wide tells every node
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    let span: SignedDuration = text.parse().map_err(|error| format!("{error}; write it as 500ms, 2s or 1m"))?;
    let longest = SignedDuration::from_mins(60);
    if span.is_positive() && span <= longest { Ok(span) } else { Err("it is between 1ms and 1h".to_owned()) }
}

pub(crate) fn run(args: &SimArgs) -> Result<(), CommandError> {
    let sets = match &args.filename {
        Some(path) => {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|source| CommandError::failed(format!("cannot read {shown}"), source))?;
            daemon_sets(&text).map_err(|source| CommandError::failed(format!("cannot play {shown}"), source))?
        }
        None => (1..=args.sets).map(|at| sample(&format!("sample-{at}"))).collect(),
    };
    let pod_start = Millis(i64::try_from(args.pod_start.as_millis()).unwrap_or(i64::MAX));
    let nodes = usize::try_from(args.nodes).unwrap_or(1);
    let options = Options { seed: args.seed, nodes, sets, pod_start, fail_percent: args.fail_percent };
    let play = play(&options).map_err(|source| CommandError::failed("cannot play this", source))?;
    if !document(args.output, || serde_json::to_value(&play).unwrap_or_default()) {
        tell(&play, args.output == Form::Wide);
    }
    Ok(())
}

fn tell(play: &Play, is_wide: bool) {
    say(&format!("{} pretend nodes, seed {}; the templates change at t+0s", play.nodes, play.seed));
    let replaced = play.timeline.iter().filter(|moment| matches!(moment.what, What::Replaced { .. })).count();
    let step = if is_wide || replaced <= TOLD_MAX { 1 } else { replaced.div_ceil(10) };
    let mut count = 0;
    for moment in &play.timeline {
        match &moment.what {
            What::Replaced { .. } => {
                count += 1;
                if step == 1 {
                    say(&line(moment));
                } else if count % step == 0 || count == replaced {
                    say(&format!("{:<10} {count} of {replaced} pods replaced", at(moment.at_ms)));
                }
            }
            What::Failed { .. } if step > 1 => {}
            _ => say(&line(moment)),
        }
    }
    for summary in &play.summaries {
        say("");
        summarise(summary);
    }
}

fn at(ms: i64) -> String {
    format!("t+{}", seconds(ms))
}

fn seconds(ms: i64) -> String {
    if ms % 1000 == 0 { format!("{}s", ms / 1000) } else { format!("{}.{}s", ms / 1000, ms % 1000 / 100) }
}

fn line(moment: &Moment) -> String {
    let place = moment.node.as_deref().unwrap_or_default();
    let words = match &moment.what {
        What::Revision { number, hash } => format!("revision {number} ({hash})"),
        What::Replaced { pod, gap_ms: 0 } => format!("{place}: replaced by {pod}, without a gap"),
        What::Replaced { pod, gap_ms } => {
            format!("{place}: replaced by {pod}, {} without a ready pod", seconds(*gap_ms))
        }
        What::Failed { pod } => format!("{place}: {pod} failed"),
        What::Done => "done".to_owned(),
    };
    format!("{:<10} {}: {words}", at(moment.at_ms), moment.set)
}

fn summarise(summary: &Summary) {
    let state = if summary.is_done { "done in" } else { "NOT done; nothing has moved since" };
    say(&format!("{}: {state} {} ({})", summary.set, seconds(summary.duration_ms), summary.strategy));
    match &summary.excluded_because {
        None => say(&format!("  nodes               {}", summary.eligible_nodes)),
        Some(why) => say(&format!("  nodes               {}, the others not: {why}", summary.eligible_nodes)),
    }
    say(&format!("  pods replaced       {}", summary.replaced_pods));
    say(&format!("  pods failed         {}", summary.failed_pods));
    say(&format!(
        "  nodes without one   at most {} at a time; the budget allows {}",
        summary.worst_unavailable, summary.max_unavailable
    ));
    if summary.max_surge > 0 {
        say(&format!(
            "  nodes with two      at most {} at a time; {} may surge",
            summary.worst_surge, summary.max_surge
        ));
    }
}
