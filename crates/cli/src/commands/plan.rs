//! `everynode plan`: what manifests would change, before they are applied.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use everynode_control::plan::{
    Count, Document, Fate, Millis, Options, Planned, SetPlan, Span, Wave, manifest, plan, shape, wave_in_words,
};
use jiff::SignedDuration;

use super::token::duration;
use crate::client::ClientFlags;
use crate::config::File;
use crate::exit::CommandError;
use crate::output::{Form, document, say, sparse_table};

/// Of so many waves each has a line; of more only the first ones and the last.
const WAVES_MAX: usize = 8;
/// So many nodes of a wave are named.
const NAMED: usize = 4;
/// So many fields that change are named.
const FIELDS_MAX: usize = 12;

/// Says what manifests would change: which DaemonSets, which nodes, in which order, for how long. Nothing is changed.
#[derive(Args)]
#[command(after_help = "\
Examples:
  everynode plan -f fluent-bit.yaml               before `kubectl apply -f fluent-bit.yaml`
  kustomize build overlay | everynode plan -f -   the DaemonSets among several documents
  everynode plan -f ds.yaml -o wide               every wave, every node
  everynode plan -f ds.yaml --pod-start 90s       when history says nothing of the new image
  everynode plan -f ds.yaml --context edge-1      in another cluster of your kubeconfig

The server itself says what it would make of each manifest (a dry run), so its defaults, checks
and admission count. What is refused is said object by object, and the exit code is 1.")]
pub(crate) struct PlanArgs {
    /// A manifest, a directory of manifests, or - for standard input; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    file: Vec<PathBuf>,
    /// The namespace of objects that name none [default: the kubeconfig's]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// As `kubectl apply --server-side` would apply it
    #[arg(long)]
    server_side: bool,
    /// How long a pod takes to start, instead of what this fleet's history says
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pod_start: Option<SignedDuration>,
    /// How long a pod takes to stop, instead of its grace period
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pod_stop: Option<SignedDuration>,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) fn run(args: &PlanArgs, file: &File) -> Result<(), CommandError> {
    let documents = documents(&args.file)?;
    args.client.block_on(file, async |connection| {
        let millis = |span: SignedDuration| Millis(i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(0));
        let options = Options {
            namespace: args.namespace.clone().unwrap_or(connection.namespace),
            is_namespace_fixed: args.namespace.is_some(),
            server_side: args.server_side,
            pod_start: args.pod_start.map(millis),
            pod_stop: args.pod_stop.map(millis),
        };
        let planned = plan(connection.client, &documents, &options)
            .await
            .map_err(|source| CommandError::failed("cannot plan", source))?;
        if !document(args.output, || shape::document(&planned)) {
            let (skipped, told): (Vec<_>, Vec<_>) =
                planned.iter().partition(|object| matches!(object.fate, Fate::Skipped));
            for (at, object) in told.iter().enumerate() {
                if at > 0 {
                    say("");
                }
                print(object, args.output);
            }
            if !told.is_empty() && !skipped.is_empty() {
                say("");
            }
            print_skipped(&skipped, args.output);
        }
        let refused = planned.iter().filter(|object| matches!(object.fate, Fate::Refused { .. })).count();
        if refused > 0 {
            let all = Count(planned.len(), "object");
            return Err(CommandError::plain(format!("{refused} of {all} cannot be applied as it stands")));
        }
        Ok(())
    })
}

/// All objects of all files.
fn documents(files: &[PathBuf]) -> Result<Vec<Document>, CommandError> {
    let mut documents = Vec::new();
    for path in files {
        if path.is_dir() {
            let inside = manifests_in(path).map_err(|source| {
                CommandError::failed(format!("cannot list the directory {}", path.display()), source)
            })?;
            if inside.is_empty() {
                let text = format!("there is no .yaml, .yml or .json file in {}", path.display());
                return Err(CommandError::plain(text));
            }
            for path in inside {
                documents.extend(read(&path)?);
            }
        } else {
            documents.extend(read(path)?);
        }
    }
    Ok(documents)
}

/// Files of a directory by name, as `kubectl apply -f DIRECTORY` takes them.
fn manifests_in(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries: Vec<_> = std::fs::read_dir(path)?.collect::<Result<_, _>>()?;
    let is_manifest =
        |path: &PathBuf| path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|e| end == *e));
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(is_manifest).collect();
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Vec<Document>, CommandError> {
    let mut text = String::new();
    let (name, outcome) = if path.as_os_str() == "-" {
        ("standard input".to_owned(), std::io::stdin().read_to_string(&mut text))
    } else {
        let read = std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
        (path.display().to_string(), read)
    };
    outcome.map_err(|source| CommandError::failed(format!("cannot read {name}"), source))?;
    manifest::read(&text).map_err(|source| CommandError::failed(format!("cannot read the manifest {name}"), source))
}

fn print(planned: &Planned, form: Form) {
    let what = format!("{} {}", planned.kind, planned.key);
    match &planned.fate {
        Fate::Skipped => print_skipped(&[planned], form),
        Fate::Refused { message, mend } => {
            say(&format!("{what} cannot be applied: {message}"));
            if let Some(mend) = mend {
                say(&format!("  mend: {mend}"));
            }
        }
        Fate::Set(set) => {
            say(&format!("{what} {}", set.class.words()));
            print_set(set, form);
        }
    }
}

/// Manifests of real projects hold a dozen other objects around a DaemonSet: a few are named, of more only how many.
fn print_skipped(skipped: &[&Planned], form: Form) {
    let name = |object: &&Planned| format!("{} {}", object.kind, object.key.name);
    let names: Vec<String> = skipped.iter().map(name).collect();
    match names.as_slice() {
        [] => {}
        [one] => say(&format!("skipped, being no DaemonSet of apps/v1: {one}")),
        several if several.len() <= NAMED || form == Form::Wide => {
            say(&format!("skipped, being no DaemonSets of apps/v1: {}", several.join(", ")));
        }
        many => say(&format!(
            "skipped, being no DaemonSets of apps/v1: {} and {} (-o wide names them)",
            many[..NAMED].join(", "),
            Count(many.len() - NAMED, "more object")
        )),
    }
}

fn print_set(set: &SetPlan, form: Form) {
    let most = if form == Form::Wide { usize::MAX } else { FIELDS_MAX };
    for change in set.changes.iter().take(most) {
        say(&format!("  {}", change.in_words()));
    }
    if set.changes.len() > most {
        say(&format!("  and {} (-o wide names them)", Count(set.changes.len() - most, "more field")));
    }
    for line in set.outlook.lines().into_iter().chain(set.notes.iter().map(|note| format!("note: {note}"))) {
        say(&format!("  {line}"));
    }
    let waves = &set.outlook.forecast.waves;
    if waves.is_empty() {
        return;
    }
    let is_wide = form == Form::Wide;
    let row = |(at, wave): (usize, &Wave)| {
        let named = if is_wide { usize::MAX } else { NAMED };
        vec![format!("  {}", at + 1), format!("+{}", Span(wave.at)), wave_in_words(wave, named)]
    };
    let all: Vec<_> = waves.iter().enumerate().collect();
    let rows: Vec<Vec<String>> = if is_wide || all.len() <= WAVES_MAX {
        all.into_iter().map(row).collect()
    } else {
        let (first, rest) = all.split_at(WAVES_MAX - 2);
        let hidden = Count(rest.len() - 1, "more wave").to_string();
        let gap = vec!["  …".to_owned(), "…".to_owned(), hidden];
        first.iter().copied().map(row).chain([gap]).chain(rest.last().copied().map(row)).collect()
    };
    sparse_table(&["  WAVE", "AT", "NODES"], &rows);
}
