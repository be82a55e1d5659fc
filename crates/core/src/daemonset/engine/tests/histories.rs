//! Random histories: the engine and its twin agree at every step, the judges are content, and when the faults stop the fleet
//! becomes right.

use proptest::prelude::{Just, ProptestConfig, any, prop_oneof, proptest};
use proptest::strategy::Strategy as _;

use super::world::{Event, Fate, World};
use crate::daemonset::mk;
use crate::model::{Key, Millis, NodeName, Phase, Ready, Strategy, Version};

#[derive(Clone, Debug)]
enum Op {
    NodeComes(u8),
    NodeGoes(u8),
    NodeTaint(u8, u8),
    PodStarts(u8),
    PodUnready(u8),
    PodEnds(u8, bool),
    PodVanishes(u8),
    UserDeletes(u8),
    Orphan(u8),
    Mislabel(u8),
    RevisionGoes(u8),
    RevisionOrphan(u8),
    RevisionTwin(u8),
    Roll(u8),
    Strategy(u8),
    MinReady(bool),
    HistoryLimit(u8),
    Tick(u16),
    Deliver(u8, u8),
    Decide,
    Answer(u8),
    /// The controller is started anew, after some of what it had asked for was done.
    Restart(u8),
    /// Two templates in a row, unseen in between.
    RollTwice(u8),
    /// The numbers of the rolling update alone, or a switch between its two ways.
    Budget(u8, bool),
}

fn op() -> impl proptest::strategy::Strategy<Value = Op> {
    prop_oneof![
        2 => any::<u8>().prop_map(Op::NodeComes),
        1 => any::<u8>().prop_map(Op::NodeGoes),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(node, kind)| Op::NodeTaint(node, kind)),
        12 => any::<u8>().prop_map(Op::PodStarts),
        3 => any::<u8>().prop_map(Op::PodUnready),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(pod, well)| Op::PodEnds(pod, well)),
        6 => any::<u8>().prop_map(Op::PodVanishes),
        2 => any::<u8>().prop_map(Op::UserDeletes),
        1 => any::<u8>().prop_map(Op::Orphan),
        1 => any::<u8>().prop_map(Op::Mislabel),
        1 => any::<u8>().prop_map(Op::RevisionGoes),
        1 => any::<u8>().prop_map(Op::RevisionOrphan),
        1 => any::<u8>().prop_map(Op::RevisionTwin),
        3 => any::<u8>().prop_map(Op::Roll),
        2 => any::<u8>().prop_map(Op::Strategy),
        2 => any::<bool>().prop_map(Op::MinReady),
        1 => any::<u8>().prop_map(Op::HistoryLimit),
        4 => any::<u16>().prop_map(Op::Tick),
        25 => (any::<u8>(), any::<u8>()).prop_map(|(lane, n)| Op::Deliver(lane, n)),
        20 => Just(Op::Decide),
        20 => any::<u8>().prop_map(Op::Answer),
        2 => any::<u8>().prop_map(Op::Restart),
        2 => any::<u8>().prop_map(Op::RollTwice),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(number, surges)| Op::Budget(number, surges)),
    ]
}

const NODES: [&str; 5] = ["n0", "n1", "n2", "n3", "n4"];

fn strategy(kind: u8) -> Strategy {
    match kind % 6 {
        0 => Strategy::OnDelete,
        1 => mk::rolling(0, 1),
        2 => mk::rolling(0, 2),
        3 => mk::rolling(2, 0),
        4 => mk::rolling(9, 0),
        _ => mk::rolling(1, 0),
    }
}

/// What users may break on purpose, beyond the engine's promises.
#[derive(Default)]
struct Excuses {
    /// Pods were orphaned, so their nodes got others meanwhile.
    orphaned: bool,
    /// Two pods a node were allowed at some time.
    surged: bool,
}

fn play(world: &mut World, op: &Op, excuses: &mut Excuses) {
    let pod_at = |world: &World, at: u8| -> Option<Key> {
        let count = world.truth.pods.len();
        (count > 0).then(|| world.truth.pods.keys().nth(usize::from(at) % count).cloned()).flatten()
    };
    let node_at = |at: u8| NODES[usize::from(at) % NODES.len()];
    match *op {
        Op::NodeComes(at) => world.tell(Event::Node(Box::new(mk::node(node_at(at))))),
        Op::NodeGoes(at) => {
            let name = NodeName::from(node_at(at));
            if world.truth.nodes.contains_key(&name) {
                world.tell(Event::NodeGone(name));
            }
        }
        Op::NodeTaint(at, kind) => {
            let mut node = mk::node(node_at(at));
            match kind % 4 {
                0 => node.taints.push(mk::taint("gpu:NoSchedule")),
                1 => node.taints.push(mk::taint("down:NoExecute")),
                2 => node.conditions.clear(),
                _ => {}
            }
            world.tell(Event::Node(Box::new(node)));
        }
        Op::RevisionGoes(at) | Op::RevisionOrphan(at) | Op::RevisionTwin(at) => play_revision(world, op, at),
        Op::Roll(_) | Op::RollTwice(_) | Op::Strategy(_) | Op::Budget(..) | Op::MinReady(_) | Op::HistoryLimit(_) => {
            play_set(world, op, excuses);
        }
        Op::Restart(seed) => {
            for (at, step) in std::mem::take(&mut world.open).into_iter().enumerate() {
                if (seed >> (at % 8)) & 1 == 1 {
                    world.answer(&step, Fate::Done);
                }
            }
            world.restart(u64::from(seed) + 1000 + u64::try_from(world.now.0).unwrap_or(0));
        }
        Op::Tick(ms) => world.now = world.now.plus(Millis(i64::from(ms % 20_000))),
        Op::Deliver(lane, n) => (0..n % 8).for_each(|_| world.deliver(usize::from(lane % 4))),
        Op::Decide => {
            world.decide();
        }
        Op::Answer(style) => answer(world, style),
        Op::PodStarts(at)
        | Op::PodUnready(at)
        | Op::PodEnds(at, _)
        | Op::PodVanishes(at)
        | Op::UserDeletes(at)
        | Op::Orphan(at)
        | Op::Mislabel(at) => {
            if let Some(key) = pod_at(world, at) {
                play_pod(world, op, &key, excuses);
            }
        }
    }
}

/// Users edit the set.
fn play_set(world: &mut World, op: &Op, excuses: &mut Excuses) {
    match *op {
        Op::Roll(template) => world.roll_to(u32::from(template % 4) + 1),
        Op::Strategy(kind) => {
            excuses.surged |= matches!(kind % 6, 1 | 2);
            world.set(|set| {
                set.strategy = strategy(kind);
                set.generation += 1;
            });
        }
        Op::RollTwice(template) => {
            world.roll_to(u32::from(template % 4) + 1);
            world.roll_to(u32::from(template / 4 % 4) + 1);
        }
        Op::Budget(number, surges) => {
            excuses.surged |= surges;
            let number = i32::from(number % 3) + 1;
            world.set(|set| {
                set.strategy = if surges { mk::rolling(0, number) } else { mk::rolling(number, 0) };
                set.generation += 1;
            });
        }
        Op::MinReady(on) => world.set(|set| {
            set.min_ready_seconds = if on { 7 } else { 0 };
            set.generation += 1;
        }),
        Op::HistoryLimit(limit) => world.set(|set| {
            set.history_limit = i32::from(limit % 4);
            set.generation += 1;
        }),
        _ => {}
    }
}

/// Users meddle with the history.
fn play_revision(world: &mut World, op: &Op, at: u8) {
    let count = world.truth.revisions.len();
    if count == 0 {
        return;
    }
    let Some(mut revision) = world.truth.revisions.values().nth(usize::from(at) % count).cloned() else { return };
    match op {
        Op::RevisionGoes(_) => world.tell(Event::RevisionGone(revision.key, Version(0))),
        Op::RevisionOrphan(_) => {
            revision.owner = None;
            world.tell(Event::Revision(revision));
        }
        _ => {
            let hash = format!("twin{at}");
            revision.key = Key::new("ns", &format!("web-{hash}"));
            revision.uid = format!("{hash}-{}", world.now.0).into();
            revision.number = i64::from(at % 5);
            revision.labels.insert("controller-revision-hash".into(), hash);
            world.tell(Event::Revision(revision));
        }
    }
}

fn answer(world: &mut World, style: u8) {
    let fate = match style % 12 {
        0 => Fate::Refused,
        1 => Fate::DoneUnheard,
        2 => Fate::Lost,
        3 => Fate::Doubled,
        _ => Fate::Done,
    };
    if world.open.is_empty() {
        return;
    }
    if style & 0x80 == 0 {
        world.answer_all(fate);
    } else {
        let at = usize::from(style) % world.open.len();
        let step = world.open.remove(at);
        world.answer(&step, fate);
    }
}

fn play_pod(world: &mut World, op: &Op, key: &Key, excuses: &mut Excuses) {
    let pod = world.truth.pods[key].clone();
    let since = Some(Millis(world.now.0 / 1000 * 1000));
    match *op {
        Op::PodStarts(_) if !pod.is_terminal() && !pod.is_terminating() => world.edit(key, |pod| {
            pod.node = pod.target().cloned();
            pod.phase = Phase::Running;
            if !pod.ready.is {
                pod.ready = Ready { is: true, since };
            }
        }),
        Op::PodUnready(_) if pod.ready.is => world.edit(key, |pod| pod.ready = Ready { is: false, since }),
        Op::PodEnds(_, well) if pod.node.is_some() && !pod.is_terminal() => world.edit(key, |pod| {
            pod.phase = if well { Phase::Succeeded } else { Phase::Failed };
            pod.ready = Ready { is: false, since };
        }),
        Op::PodVanishes(_) if pod.is_terminating() => world.tell(Event::PodGone(key.clone(), Version(0))),
        Op::UserDeletes(_) => world.delete_by(&pod),
        Op::Orphan(_) => {
            excuses.orphaned = true;
            world.edit(key, |pod| pod.owner = None);
        }
        Op::Mislabel(_) => {
            excuses.orphaned = true;
            world.edit(key, |pod| {
                pod.labels.insert("app".into(), "other".into());
            });
        }
        _ => {}
    }
}

/// P2 in truth, not only in the view.
fn at_most_one(world: &World, excuses: &Excuses) {
    if excuses.orphaned {
        return;
    }
    for (node, pods) in world.live() {
        let most = 1 + usize::from(excuses.surged);
        assert!(pods.len() <= most, "{} live pods on {node}: {pods:?}", pods.len());
    }
}

/// When nothing goes wrong any more the fleet becomes right, and stays so.
fn becomes_right(world: &mut World) {
    for step in std::mem::take(&mut world.open) {
        world.answer(&step, Fate::Done);
    }
    // Longer than any back-off and any patience.
    for _ in 0..80 {
        world.round();
        world.kubelets();
        world.now = world.now.plus(Millis::from_secs(60));
    }
    world.round();
    let is_rolling = !matches!(world.truth.set.as_ref().expect("a set").strategy, Strategy::OnDelete);
    let hash = world.hash();
    let live = world.live();
    for (name, node) in &world.truth.nodes {
        let pods = live.get(name).map_or(&[][..], Vec::as_slice);
        match node.taints.first().map(|taint| taint.key.as_str()) {
            None => {
                assert_eq!(pods.len(), 1, "on {name}: {pods:?}");
                assert!(pods[0].ready.is);
                if is_rolling {
                    assert!(
                        pods[0].labels.get("controller-revision-hash") == Some(&hash)
                            || pods[0].labels.get("pod-template-generation")
                                == world
                                    .truth
                                    .set
                                    .as_ref()
                                    .and_then(|s| s.template_generation)
                                    .map(|g| g.to_string())
                                    .as_ref(),
                        "{name} holds {:?}",
                        pods[0].labels
                    );
                }
            }
            Some("gpu") => assert!(pods.len() <= 1, "on {name}: {pods:?}"),
            Some(_) => assert_eq!(pods.len(), 0, "on {name}: {pods:?}"),
        }
    }
    let plan = world.decide();
    assert!(plan.steps.is_empty() && plan.status.is_none(), "not at rest: {plan:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engine_and_twin_agree_in_any_history(ops in proptest::collection::vec(op(), 1..160)) {
        let mut world = World::new(&NODES[..3], mk::set());
        let mut excuses = Excuses::default();
        for op in &ops {
            play(&mut world, op, &mut excuses);
            at_most_one(&world, &excuses);
            world.budget_holds();
        }
        becomes_right(&mut world);
    }
}
