//! One rollout on a pretend fleet, for people who want to see what a manifest does before it does it.
//!
//! The fleet is there and has the sets; then each gets a new template, as `kubectl rollout restart` does, and what follows is
//! told. Nothing goes wrong but what is asked for: pods that fail to start.
//!
//! Not here: printing (`everynode sim`), faults and judges of the wire (`crate::run`).

mod manifest;
mod tell;

use everynode_core::model::{Key, Millis};
use serde_json::{Value, json};

pub use self::manifest::{ManifestError, daemon_sets, sample};
pub use self::tell::{Moment, Summary, What};

use crate::Breach;
use crate::faults::Faults;
use crate::world::{Pace, Setup, World};

/// How long a play may last at most.
pub const LONGEST: Millis = Millis::from_secs(24 * 3600);
/// How often it is looked whether all is done.
const LOOK: Millis = Millis(250);
/// Nothing has moved for so long, and nothing will: longer than the longest back-off.
const STALLED: Millis = Millis::from_secs(3600);
/// Above so many nodes the judges, who look at the whole fleet with every decision, stay at home.
const JUDGED_NODES_MAX: usize = 200;

/// What is to be played.
#[derive(Clone, Debug)]
pub struct Options {
    /// The same seed plays the same.
    pub seed: u64,
    /// Nodes of the fleet.
    pub nodes: usize,
    /// The DaemonSets, as decoded objects.
    pub sets: Vec<Value>,
    /// From bound to ready, give or take a quarter.
    pub pod_start: Millis,
    /// Of a hundred starts of the new pods, so many fail.
    pub fail_percent: u32,
}

/// What happened.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Play {
    /// The seed.
    pub seed: u64,
    /// The nodes of the fleet.
    pub nodes: usize,
    /// Set by set.
    pub summaries: Vec<Summary>,
    /// Moment by moment; times count from the change of the templates.
    pub timeline: Vec<Moment>,
    /// One number over all that happened.
    pub trace_hash: String,
}

/// Why nothing could be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// There is no set.
    #[error("there is no DaemonSet to play")]
    NoSets,
    /// The API refuses the set.
    #[error("the API refuses the DaemonSet {name}: {why}")]
    Refused {
        /// Which.
        name: String,
        /// Its words.
        why: String,
    },
    /// The engine broke a rule, which is our fault.
    #[error("a rule was broken; please report it with the manifest and the seed")]
    Broken(#[source] Breach),
    /// The sets of the fleet never became right in the first place.
    #[error("the fleet was not ready within {hours} hours before the rollout: {what}", hours = LONGEST.0 / 3_600_000)]
    NeverReady {
        /// What was missing.
        what: String,
    },
}

/// Plays.
///
/// # Errors
/// When there is nothing to play, or the API refuses it.
pub fn play(options: &Options) -> Result<Play, PlayError> {
    if options.sets.is_empty() {
        return Err(PlayError::NoSets);
    }
    let start = options.pod_start.0.max(1);
    let spread = |ms: i64| (ms - ms / 4, ms + ms / 4);
    let pace = Pace {
        bind: (1, 20),
        run: spread(start / 2),
        ready: spread(start - start / 2),
        stop: (100, 1_500),
        failing_start: 0,
    };
    let judges = options.nodes <= JUDGED_NODES_MAX;
    let setup = Setup { seed: options.seed, faults: Faults::default(), pace, judges, trace: false, bug: None };
    let mut world = World::new(setup).map_err(PlayError::Broken)?;
    world.is_healed = true;
    let width = options.nodes.saturating_sub(1).to_string().len().max(3);
    for at in 0..options.nodes {
        let name = format!("node-{at:0width$}");
        let labels =
            json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
        world.join(&name, &labels);
    }
    let keys = install(&mut world, &options.sets)?;
    until_done(&mut world, &keys)?;
    if let Some(key) = keys.iter().find(|key| !is_done(&world, key)) {
        return Err(PlayError::NeverReady { what: key.to_string() });
    }
    // Let the last statuses settle, so that the rollout begins from rest.
    world.run_until(world.now.plus(Millis(5_000))).map_err(PlayError::Broken)?;
    let (begin, before) = (world.now, world.truth.clone());
    world.pace.failing_start = options.fail_percent.saturating_mul(10);
    world.history = Some(Vec::new());
    for key in &keys {
        restart(&mut world, key)?;
    }
    until_done(&mut world, &keys)?;
    let history = world.history.take().unwrap_or_default();
    let done: Vec<bool> = keys.iter().map(|key| is_done(&world, key)).collect();
    let told = tell::tell(&keys, &done, &before, &world.truth, &history, begin);
    let trace_hash = format!("{:016x}", world.trace.hash());
    Ok(Play { seed: options.seed, nodes: options.nodes, summaries: told.0, timeline: told.1, trace_hash })
}

fn path(key: &Key) -> String {
    format!("/apis/apps/v1/namespaces/{}/daemonsets", key.namespace)
}

fn install(world: &mut World, sets: &[Value]) -> Result<Vec<Key>, PlayError> {
    let mut keys = Vec::new();
    for set in sets {
        let text = |member: &str| set["metadata"][member].as_str().unwrap_or_default();
        let namespace = if text("namespace").is_empty() { "default" } else { text("namespace") };
        let key = Key::new(namespace, text("name"));
        world
            .send("POST", &path(&key), set)
            .map_err(|status| PlayError::Refused { name: key.to_string(), why: status.message().to_owned() })?;
        keys.push(key);
    }
    Ok(keys)
}

fn restart(world: &mut World, key: &Key) -> Result<(), PlayError> {
    let annotations = json!({"kubectl.kubernetes.io/restartedAt": "2027-01-15T08:00:00Z"});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
    world
        .send("PATCH", &format!("{}/{}", path(key), key.name), &patch)
        .map(drop)
        .map_err(|status| PlayError::Refused { name: key.to_string(), why: status.message().to_owned() })
}

/// As `kubectl rollout status` has it.
fn is_done(world: &World, key: &Key) -> bool {
    world.truth.sets.get(key).is_some_and(|item| {
        let (set, status) = (&item.set, &item.set.status);
        status.observed_generation == set.generation
            && status.updated == status.desired
            && status.available == status.desired
            && status.unavailable == 0
    })
}

/// Until all is done, or nothing moves any more.
fn until_done(world: &mut World, keys: &[Key]) -> Result<(), PlayError> {
    let end = world.now.plus(LONGEST);
    let (mut writes, mut moved) = (world.figures.writes, world.now);
    while world.now < end {
        world.run_until(world.now.plus(LOOK)).map_err(PlayError::Broken)?;
        if keys.iter().all(|key| is_done(world, key)) {
            break;
        }
        if world.figures.writes != writes {
            (writes, moved) = (world.figures.writes, world.now);
        } else if world.now.since(moved) > STALLED {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(nodes: usize, fail_percent: u32) -> Options {
        Options { seed: 1, nodes, sets: vec![sample("web")], pod_start: Millis(2_000), fail_percent }
    }

    #[test]
    fn a_rollout_replaces_every_pod_within_the_budget() {
        let play = play(&options(6, 0)).unwrap();
        let [summary] = play.summaries.as_slice() else { panic!("one set: {play:?}") };
        assert!(summary.is_done);
        assert_eq!((summary.eligible_nodes, summary.replaced_pods, summary.failed_pods), (6, 6, 0));
        assert_eq!((summary.worst_unavailable, summary.max_unavailable), (1, 1));
        assert!(summary.duration_ms > 6 * 1_500, "one after another: {} ms", summary.duration_ms);
        assert!(matches!(play.timeline.first().map(|moment| &moment.what), Some(What::Revision { number: 2, .. })));
    }

    #[test]
    fn a_rollout_with_failing_pods_takes_longer_and_still_ends() {
        let (well, badly) = (play(&options(6, 0)).unwrap(), play(&options(6, 40)).unwrap());
        assert!(badly.summaries[0].is_done && badly.summaries[0].failed_pods > 0);
        assert!(badly.summaries[0].duration_ms > well.summaries[0].duration_ms);
        assert!(badly.summaries[0].worst_unavailable <= 1, "{:?}", badly.summaries);
    }

    #[test]
    fn what_the_api_refuses_is_said_in_its_words() {
        let mut set = sample("web");
        set["spec"]["selector"]["matchLabels"]["app"] = json!("other");
        let error = play(&Options { sets: vec![set], ..options(1, 0) }).unwrap_err();
        assert!(error.to_string().contains("selector"), "{error}");
    }
}
