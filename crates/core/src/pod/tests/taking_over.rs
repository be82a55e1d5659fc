//! A new agent, old containers (section 25).

use super::*;
use RestartPolicy::Always;

fn running(name: &str, attempt: u32) -> RecoveredContainer {
    let id = format!("x://{name}{attempt}");
    RecoveredContainer {
        name: name.to_owned(),
        started: Started { id, attempt, ..Started::default() },
        state: RecoveredState::Running,
        in_sandbox: true,
        was_started: true,
        was_ready: true,
    }
}

fn ended(name: &str, attempt: u32, exit_code: i32) -> RecoveredContainer {
    let finished_at = Some(Millis(0));
    let end = Termination { id: format!("x://{name}{attempt}"), exit_code, finished_at, ..Termination::default() };
    RecoveredContainer { state: RecoveredState::Ended(end), ..running(name, attempt) }
}

fn take_over(spec: Spec, sandbox_runs: bool, containers: Vec<RecoveredContainer>) -> Play {
    let found = Recovered { sandbox_runs, sandbox_attempt: Some(0), containers };
    let now = Millis(5_000_000);
    let machine = Machine::recovered(spec, found, Millis(1_000_000), now);
    let mut play = Play { machine, now, asked: Vec::new(), made: 10 };
    play.input(Input::Tick);
    play
}

#[test]
fn what_runs_goes_on_n319() {
    let mut play = take_over(spec(Always, &["init:a", "app"]), true, vec![ended("a", 0, 0), running("app", 3)]);
    assert_eq!((play.phase(), play.ready()), ("Running", true));
    play.input(Input::VolumesReady);
    assert_eq!(play.asked(), "volumes");
    assert_eq!(play.machine.status().app[0].restart_count, 3);
}

#[test]
fn what_ended_meanwhile_starts_again_n320() {
    let mut play = take_over(spec(Always, &["app"]), true, vec![ended("app", 3, 1), ended("app", 2, 0)]);
    play.input(Input::VolumesReady);
    assert_eq!(play.asked(), "volumes, start app 4");
}

#[test]
fn readiness_does_not_flap_n259() {
    let mut with = spec(Always, &["app"]);
    with.containers[0].startup = Some(Probe::default());
    with.containers[0].readiness = Some(Probe::default());
    let mut play = take_over(with, true, vec![running("app", 0)]);
    assert!(play.ready());
    assert_eq!(play.asked(), "volumes, readiness app");
}

#[test]
fn after_a_reboot_init_runs_again_and_counts_go_on_n325() {
    let mut play = take_over(spec(Always, &["init:a", "app"]), false, vec![ended("a", 0, 0), ended("app", 3, 255)]);
    play.input(Input::VolumesReady);
    assert_eq!(play.asked(), "volumes, sandbox 1");
    play.input(Input::SandboxReady);
    assert_eq!(play.asked(), "start a 1");
    play.started("a");
    play.exits("a", 0);
    assert_eq!(play.asked(), "start app 4");
}

#[test]
fn a_container_known_by_its_logs_only_counts_on_n139() {
    let mut play = Play::new(Always, &["app"]);
    play.machine.set_first_attempt("app", 5);
    play.input(Input::VolumesReady);
    play.input(Input::SandboxReady);
    assert_eq!(play.asked(), "volumes, sandbox 0, start app 5");
}
