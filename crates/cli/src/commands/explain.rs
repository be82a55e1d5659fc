//! `everynode explain`: the decision for every node, asked of the same engine that decides.

use clap::Args;
use everynode_control::explain::{ExplainError, Explanation, Line, NameError, Row, ask, fold, one, parse_name, shape};

use crate::client::ClientFlags;
use crate::config::File;
use crate::exit::CommandError;
use crate::output::{Form, document, say, sparse_table};

/// So many nodes that are alike have a line each; more share one.
const ALIKE_MAX: usize = 10;

/// Says for every node why a DaemonSet's pod is there, or is not, and what happens next.
#[derive(Args)]
#[command(after_help = "\
Examples:
  everynode explain ds/fluent-bit                    the whole fleet; alike nodes share a line
  everynode explain ds/fluent-bit -n logging node-7  one node, with what would mend it
  everynode explain ds/fluent-bit -o wide            every node on a line of its own
  everynode explain ds/fluent-bit --context edge-1   in another cluster of your kubeconfig

It only reads, and works on any Kubernetes cluster.")]
pub(crate) struct ExplainArgs {
    /// The DaemonSet, as ds/NAME
    set: String,
    /// Only this node
    node: Option<String>,
    /// The namespace [default: the kubeconfig's]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) fn run(args: ExplainArgs, file: &File) -> Result<(), CommandError> {
    // What is typed wrongly is said before anybody is asked.
    let named = parse_name(&args.set, "").map_err(|error| wrong_name(&error))?;
    args.client.block_on(file, async |connection| {
        let mut key = named.clone();
        key.namespace = args.namespace.clone().unwrap_or(connection.namespace).into();
        let explanation = ask(connection.client, &key).await.map_err(failed)?;
        print(&explanation, &args)
    })
}

fn wrong_name(error: &NameError) -> CommandError {
    CommandError::usage(error.to_string())
}

fn failed(error: ExplainError) -> CommandError {
    match &error {
        ExplainError::NotFound { key, elsewhere } => {
            let hint = match elsewhere.as_slice() {
                [] => "`kubectl get daemonsets --all-namespaces` lists them".to_owned(),
                [namespace] => format!("there is one in another namespace: add -n {namespace}"),
                several => format!("there are some in other namespaces; add -n with one of: {}", several.join(", ")),
            };
            CommandError::plain(format!("there is no DaemonSet {} in namespace {}", key.name, key.namespace)).hint(hint)
        }
        _ => CommandError::failed("cannot explain", error),
    }
}

fn print(explanation: &Explanation, args: &ExplainArgs) -> Result<(), CommandError> {
    let wanted = |row: &&Row| args.node.as_ref().is_none_or(|node| row.node.as_str() == node);
    let rows: Vec<&Row> = explanation.rows.iter().filter(wanted).collect();
    if let (Some(node), true) = (&args.node, rows.is_empty()) {
        let key = &explanation.summary.key;
        let text = format!("there is no node {node}, and no pod of DaemonSet {key} is meant for one of this name");
        return Err(CommandError::plain(text).hint("`kubectl get nodes` lists the nodes"));
    }
    if document(args.output, || shape::document(explanation, &rows)) {
        return Ok(());
    }
    if let (Some(_), [row]) = (&args.node, rows.as_slice()) {
        one_node(explanation, row);
        return Ok(());
    }
    for line in explanation.summary.lines(explanation.now) {
        say(&line);
    }
    if explanation.rows.is_empty() {
        say("\nThere are no nodes.");
        return Ok(());
    }
    say("");
    let most = if args.output == Form::Wide { usize::MAX } else { ALIKE_MAX };
    let cells = |line: Line| {
        vec![line.who, line.verdict.to_owned(), line.pod, line.revision, line.health, line.because, line.next]
    };
    let header = ["NODE", "VERDICT", "POD", "REVISION", "HEALTH", "BECAUSE", "NEXT"];
    let lines = fold(&explanation.rows, most, explanation.now);
    sparse_table(&header, &lines.into_iter().map(cells).collect::<Vec<_>>());
    Ok(())
}

/// One node, in lines instead of columns.
fn one_node(explanation: &Explanation, row: &Row) {
    let (now, line) = (explanation.now, one(row, explanation.now));
    say(&row.verdict.sentence(&row.node, &explanation.summary.key));
    let mend = row.verdict.reason().map(|reason| reason.mend(&row.node)).unwrap_or_default();
    let mut facts = vec![("because", line.because), ("mend", mend)];
    for pod in &row.pods {
        let hash = pod.hash.as_deref().map(|hash| format!(" ({hash})")).unwrap_or_default();
        facts.push(("pod", format!("{}, {}{hash}, {}", pod.name, pod.revision(), pod.in_words(now))));
    }
    if row.pods.is_empty() {
        facts.push(("pod", "none".to_owned()));
    }
    facts.push(("charged", row.answers.map(|answers| answers.in_words(now)).unwrap_or_default()));
    facts.push(("next", if line.next.is_empty() { "nothing".to_owned() } else { line.next }));
    if let Some(refusal) = explanation.summary.refusal.as_ref().filter(|_| row.pods.is_empty() && row.verdict.runs()) {
        facts.push(("refused", refusal.in_words(now)));
    }
    for (what, words) in facts.iter().filter(|(_, words)| !words.is_empty()) {
        say(&format!("  {what:<8} {words}"));
    }
}
