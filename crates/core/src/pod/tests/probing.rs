//! Probes: thresholds, order, kills (section 18).

use super::*;
use RestartPolicy::Always;

fn probed(play: &mut Play, kind: ProbeKind, outcome: Outcome) {
    let id = play.id("app");
    play.input(Input::Probed { container: "app".into(), id, kind, outcome });
}

fn failure() -> Outcome {
    Outcome::Failure("no".into())
}

fn running(change: impl FnOnce(&mut Container)) -> Play {
    let mut with = spec(Always, &["app"]);
    change(&mut with.containers[0]);
    let mut play = Play::of(with);
    play.input(Input::VolumesReady);
    play.input(Input::SandboxReady);
    play.asked();
    play.started("app");
    play
}

#[test]
fn without_probes_a_running_container_is_ready_n251() {
    let play = running(|_| {});
    assert!(play.ready());
    assert!(play.machine.status().app[0].started);
}

#[test]
fn readiness_follows_its_thresholds_n249() {
    let mut play = running(|c| c.readiness = Some(Probe { failure_threshold: 2, ..Probe::default() }));
    assert_eq!(play.asked(), "readiness app");
    assert!(!play.ready(), "N247: a new container is not ready");
    probed(&mut play, ProbeKind::Readiness, Outcome::Success);
    assert!(play.ready());
    for expect in [true, false] {
        assert_eq!(play.wait(), 10);
        probed(&mut play, ProbeKind::Readiness, failure());
        assert_eq!(play.ready(), expect);
    }
    assert_eq!(play.condition("Ready").message.as_deref(), Some("containers with unready status: [app]"));
}

#[test]
fn a_young_container_is_asked_again_soon_and_silently() {
    let mut play = running(|c| c.readiness = Some(Probe::default()));
    play.asked();
    for _ in 0..3 {
        probed(&mut play, ProbeKind::Readiness, failure());
        assert_eq!(play.wait(), 0);
        assert_eq!(play.asked(), "readiness app");
    }
    probed(&mut play, ProbeKind::Readiness, Outcome::Success);
    assert!(play.ready());
}

#[test]
fn liveness_kills_after_its_threshold_n250() {
    let mut play = running(|c| c.liveness = Some(Probe { grace_seconds: Some(5), ..Probe::default() }));
    play.asked();
    for expect in ["event Unhealthy", "event Unhealthy", "event Unhealthy, stop app 5s"] {
        probed(&mut play, ProbeKind::Liveness, failure());
        assert_eq!(play.asked(), expect);
        if play.machine.wake_at().is_some() {
            play.wait();
            assert_eq!(play.asked(), "liveness app");
        }
    }
    play.exits("app", 137);
    assert_eq!(play.asked(), "start app 1");
}

#[test]
fn startup_blocks_the_others_n248() {
    let mut play = running(|c| {
        c.startup = Some(Probe::default());
        c.liveness = Some(Probe::default());
        c.readiness = Some(Probe::default());
    });
    assert_eq!(play.asked(), "startup app");
    assert!(!play.machine.status().app[0].started);
    probed(&mut play, ProbeKind::Startup, Outcome::Success);
    assert_eq!(play.asked(), "liveness app, readiness app");
    assert!(play.machine.status().app[0].started);
}

#[test]
fn an_initial_delay_is_kept_n248() {
    let mut play = running(|c| c.liveness = Some(Probe { initial_delay_seconds: 7, ..Probe::default() }));
    assert_eq!(play.asked(), "");
    assert_eq!(play.wait(), 7);
    assert_eq!(play.asked(), "liveness app");
}

#[test]
fn answers_about_a_former_instance_are_ignored() {
    let mut play = running(|c| c.liveness = Some(Probe { failure_threshold: 1, ..Probe::default() }));
    let old = play.id("app");
    play.exits("app", 1);
    play.started("app");
    play.asked();
    let input = Input::Probed { container: "app".into(), id: old, kind: ProbeKind::Liveness, outcome: failure() };
    play.input(input);
    assert_eq!(play.asked(), "");
}

#[test]
fn a_probe_that_cannot_be_asked_changes_nothing_n252() {
    let mut play = running(|c| c.liveness = Some(Probe { failure_threshold: 1, ..Probe::default() }));
    play.asked();
    probed(&mut play, ProbeKind::Liveness, Outcome::Error("no socket".into()));
    assert_eq!(play.asked(), "event Unhealthy");
}
