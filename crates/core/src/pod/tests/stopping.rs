//! Termination: order, grace, the deletion handshake (sections 6 and 19).

use super::*;
use RestartPolicy::Always;

fn running(containers: &[&str]) -> Play {
    let mut play = Play::set_up(Always, containers);
    for text in containers {
        let name = text.split_once(':').map_or(*text, |(_, name)| name);
        play.started(name);
        if text.starts_with("init:") {
            play.exits(name, 0);
        }
    }
    play.asked();
    play
}

#[test]
fn a_deleted_pod_goes_in_order_n266_n268() {
    let mut play = running(&["app"]);
    play.delete(30);
    assert_eq!(play.asked(), "stop app 30s");
    assert_eq!(play.phase(), "Running", "the phase stays while containers run");
    play.exits("app", 0);
    assert_eq!(play.asked(), "stop sandbox");
    play.input(Input::SandboxStopped);
    assert_eq!((play.asked().as_str(), play.phase()), ("clean", "Succeeded"));
    play.input(Input::Cleaned);
    assert_eq!(play.asked(), "delete object");
    assert!(play.machine.is_finished());
    play.input(Input::Tick);
    assert_eq!(play.asked(), "", "asked once");
}

#[test]
fn a_pod_that_is_gone_from_the_api_is_not_deleted_again_n83() {
    let mut play = running(&["app"]);
    play.input(Input::Delete { grace_seconds: 30, object_gone: true });
    play.exits("app", 0);
    play.input(Input::SandboxStopped);
    play.input(Input::Cleaned);
    assert_eq!(play.asked(), "stop app 30s, stop sandbox, clean");
}

#[test]
fn grace_only_shrinks_n79_n269() {
    let mut play = running(&["app"]);
    play.delete(30);
    assert_eq!(play.asked(), "stop app 30s");
    for (grace, expect) in [(60, ""), (30, ""), (5, "stop app 5s"), (0, "stop app 2s"), (0, "")] {
        play.delete(grace);
        assert_eq!(play.asked(), expect, "second delete with grace {grace}");
    }
}

#[test]
fn nothing_restarts_in_a_deleted_pod_n141() {
    let mut play = running(&["app", "more"]);
    play.delete(30);
    play.asked();
    play.exits("app", 1);
    assert_eq!(play.asked(), "");
}

#[test]
fn sidecars_go_last_and_in_reverse_n155() {
    let mut play = running(&["sidecar:a", "sidecar:b", "app"]);
    play.delete(30);
    assert_eq!(play.asked(), "stop app 30s");
    play.now = play.now.plus_seconds(10);
    play.exits("app", 0);
    assert_eq!(play.asked(), "stop b 20s");
    play.exits("b", 0);
    assert_eq!(play.asked(), "stop a 20s");
    play.now = play.now.plus_seconds(100);
    play.exits("a", 0);
    assert_eq!(play.asked(), "stop sandbox");
}

#[test]
fn a_start_under_way_is_called_off_n78() {
    let mut play = Play::set_up(Always, &["app"]);
    play.asked();
    play.delete(30);
    assert_eq!(play.asked(), "cancel app");
    let error = StartError { cancelled: true, ..StartError::default() };
    play.input(Input::StartFailed { container: "app".into(), error });
    assert_eq!(play.asked(), "stop sandbox");
}

#[test]
fn a_start_that_wins_the_race_is_stopped() {
    let mut play = Play::set_up(Always, &["app"]);
    play.asked();
    play.delete(30);
    play.started("app");
    assert_eq!(play.asked(), "cancel app, stop app 30s");
}

#[test]
fn a_pod_deleted_before_its_start_is_gone_at_once_n270() {
    let mut play = Play::new(Always, &["app"]);
    play.delete(30);
    assert_eq!(play.asked(), "volumes", "volumes under way are waited for");
    play.input(Input::VolumesFailed);
    assert_eq!((play.asked().as_str(), play.phase()), ("clean", "Failed"));
    play.input(Input::Cleaned);
    assert_eq!(play.asked(), "delete object");
    assert_eq!(play.state("app"), "ContainerStatusUnknown 137", "N267");
}

#[test]
fn readiness_is_asked_until_the_end_and_liveness_is_not_n258() {
    let mut with = spec(Always, &["app"]);
    with.containers[0].liveness = Some(Probe::default());
    with.containers[0].readiness = Some(Probe::default());
    let mut play = Play::of(with);
    play.input(Input::VolumesReady);
    play.input(Input::SandboxReady);
    play.started("app");
    for kind in [ProbeKind::Liveness, ProbeKind::Readiness] {
        let id = play.id("app");
        play.input(Input::Probed { container: "app".into(), id, kind, outcome: Outcome::Success });
    }
    play.asked();
    play.delete(60);
    play.asked();
    play.wait();
    assert_eq!(play.asked(), "readiness app");
}

#[test]
fn an_evicted_pod_fails_with_its_reason_n315() {
    let mut play = running(&["app"]);
    let verdict = Verdict { reason: "Evicted".into(), message: "The node was low on resource: memory. ".into() };
    play.input(Input::Fail { verdict, grace_seconds: 1 });
    assert_eq!(play.asked(), "stop app 2s");
    play.exits("app", 0);
    play.input(Input::SandboxStopped);
    play.input(Input::Cleaned);
    assert_eq!((play.phase(), play.asked().as_str()), ("Failed", "stop sandbox, clean"));
}
