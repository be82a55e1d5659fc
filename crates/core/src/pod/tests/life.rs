//! Set-up, init containers, restarts, phases (sections 8, 10, 11, 20).

use super::*;
use RestartPolicy::{Always, Never, OnFailure};

#[test]
fn a_pod_is_set_up_in_order_n96() {
    let mut play = Play::new(Always, &["app"]);
    assert_eq!(play.asked(), "volumes");
    assert_eq!(play.state("app"), "ContainerCreating");
    play.input(Input::VolumesReady);
    assert_eq!(play.asked(), "sandbox 0");
    assert!(!play.condition("PodReadyToStartContainers").holds);
    play.input(Input::SandboxReady);
    assert_eq!(play.asked(), "start app 0");
    assert!(play.condition("PodReadyToStartContainers").holds, "N274: before the pull");
    assert_eq!(play.phase(), "Pending");
    play.started("app");
    assert_eq!((play.phase(), play.ready(), play.asked().as_str()), ("Running", true, ""));
}

#[test]
fn a_failed_volume_is_tried_again_n181() {
    let mut play = Play::new(Always, &["app"]);
    let mut waits = Vec::new();
    for _ in 0..4 {
        play.input(Input::VolumesFailed);
        let before = play.now;
        play.wait();
        waits.push(play.now.since_ms(before));
    }
    assert_eq!(waits, [500, 1000, 2000, 4000]);
    assert_eq!(play.asked(), "volumes, volumes, volumes, volumes, volumes");
}

#[test]
fn a_failed_sandbox_is_told_and_tried_again_n104() {
    let mut play = Play::new(Always, &["app"]);
    play.input(Input::VolumesReady);
    play.input(Input::SandboxFailed { message: "no bridge".into() });
    assert_eq!(play.asked(), "volumes, sandbox 0, event FailedCreatePodSandBox");
    assert_eq!(play.wait(), 10);
    assert_eq!(play.asked(), "sandbox 0");
}

#[test]
fn init_containers_run_one_by_one_n150() {
    let mut play = Play::set_up(Always, &["init:a", "init:b", "app", "more"]);
    assert_eq!(play.state("app"), "PodInitializing");
    play.asked();
    play.started("a");
    assert_eq!(play.asked(), "");
    play.exits("a", 0);
    assert_eq!(play.asked(), "start b 0");
    assert_eq!(play.condition("Initialized").message.as_deref(), Some("containers with incomplete status: [b]"));
    play.started("b");
    play.exits("b", 0);
    assert_eq!(play.asked(), "start app 0, start more 0");
    assert!(play.condition("Initialized").holds);
}

#[test]
fn a_failed_init_container_restarts_or_ends_the_pod_n152() {
    for (policy, expect) in [(Always, "start a 1"), (OnFailure, "start a 1"), (Never, "stop sandbox")] {
        let mut play = Play::set_up(policy, &["init:a", "app"]);
        play.started("a");
        play.asked();
        play.exits("a", 1);
        assert_eq!(play.asked(), expect, "{policy:?}");
    }
}

#[test]
fn a_sidecar_opens_the_way_when_it_started_and_is_restarted_n153() {
    let mut play = Play::set_up(Never, &["sidecar:proxy", "init:b", "app"]);
    assert_eq!(play.asked(), "volumes, sandbox 0, start proxy 0");
    play.started("proxy");
    assert_eq!(play.asked(), "start b 0");
    play.started("b");
    play.exits("b", 0);
    play.started("app");
    play.asked();
    play.exits("proxy", 0);
    assert_eq!(play.asked(), "start proxy 1");
}

#[test]
fn restart_policy_and_exit_code_decide_n142_t18() {
    for (policy, code, expect, phase) in [
        (Always, 0, "start app 1", "Running"),
        (Always, 1, "start app 1", "Running"),
        (OnFailure, 0, "stop sandbox", "Succeeded"),
        (OnFailure, 1, "start app 1", "Running"),
        (Never, 0, "stop sandbox", "Succeeded"),
        (Never, 1, "stop sandbox", "Failed"),
    ] {
        let mut play = Play::set_up(policy, &["app"]);
        play.started("app");
        play.asked();
        play.exits("app", code);
        assert_eq!(play.asked(), expect, "{policy:?} {code}");
        play.input(Input::SandboxStopped);
        assert_eq!(play.phase(), phase, "{policy:?} {code}");
    }
}

#[test]
fn a_crash_loop_waits_longer_each_time_t19() {
    let mut play = Play::set_up(Always, &["app"]);
    let mut waits = Vec::new();
    for _ in 0..8 {
        play.started("app");
        play.exits("app", 1);
        if play.state("app") == "CrashLoopBackOff" {
            waits.push(play.wait());
        } else {
            waits.push(0);
        }
    }
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
}

#[test]
fn a_crash_loop_reads_as_upstream_n146() {
    let mut play = Play::set_up(Always, &["app"]);
    for _ in 0..2 {
        play.started("app");
        play.exits("app", 3);
    }
    let status = play.machine.status().app.remove(0);
    let ContainerState::Waiting { reason, message } = status.state else { panic!("not waiting") };
    assert_eq!(reason, "CrashLoopBackOff");
    assert_eq!(message.as_deref(), Some("back-off 10s restarting failed container=app pod=web_ns(uid)"));
    assert_eq!(status.last.map(|end| end.exit_code), Some(3), "N284");
    assert_eq!(status.restart_count, 1);
    assert_eq!(play.phase(), "Running", "N272: a stopped container that restarts");
    assert!(play.asked().ends_with("event BackOff"));
}

#[test]
fn a_new_image_ends_the_wait_t21() {
    let mut play = Play::set_up(Always, &["app"]);
    for _ in 0..2 {
        play.started("app");
        play.exits("app", 3);
    }
    play.asked();
    let mut changed = spec(Always, &["app"]);
    changed.containers[0].image = "image:2".into();
    play.input(Input::Spec(changed));
    assert_eq!(play.asked(), "start app 2");
}

#[test]
fn a_new_image_replaces_a_running_container_n101() {
    let mut play = Play::set_up(Always, &["app"]);
    play.started("app");
    play.asked();
    let mut changed = spec(Always, &["app"]);
    changed.containers[0].image = "image:2".into();
    play.input(Input::Spec(changed));
    assert_eq!(play.asked(), "stop app 30s");
    play.input(Input::Tick);
    assert_eq!(play.asked(), "", "asked once");
    play.exits("app", 143);
    assert_eq!(play.asked(), "start app 1");
}

#[test]
fn a_missing_image_backs_off_n164() {
    let mut play = Play::set_up(Always, &["app"]);
    play.asked();
    play.fails("app", "ErrImagePull", "not there");
    assert_eq!(play.state("app"), "ErrImagePull");
    assert_eq!(play.wait(), 2);
    assert_eq!(play.state("app"), "ImagePullBackOff");
    assert_eq!(play.asked(), "event BackOff, event Failed");
    let ContainerState::Waiting { message, .. } = play.machine.status().app.remove(0).state else { panic!() };
    assert_eq!(message.as_deref(), Some("Back-off pulling image \"image:1\": ErrImagePull: not there"));
    assert_eq!(play.wait(), 8);
    assert_eq!(play.asked(), "start app 0");
    play.fails("app", "ErrImagePull", "not there");
    assert_eq!(play.wait() + play.wait(), 20);
}

#[test]
fn a_container_that_cannot_be_configured_is_tried_again_n140() {
    let mut play = Play::set_up(Always, &["app"]);
    play.asked();
    play.fails("app", "CreateContainerConfigError", "configmap \"x\" not found");
    assert_eq!((play.phase(), play.state("app").as_str()), ("Pending", "CreateContainerConfigError"));
    let waits: Vec<_> = (0..5)
        .map(|_| {
            let waited = play.wait();
            play.fails("app", "CreateContainerConfigError", "configmap \"x\" not found");
            waited
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 10]);
}

#[test]
fn a_command_that_cannot_run_counts_as_an_exit_n140() {
    let mut play = Play::set_up(Always, &["app"]);
    play.asked();
    let ended = Termination {
        id: "x://9".into(),
        exit_code: 128,
        reason: "StartError".into(),
        finished_at: Some(play.now),
        ..Termination::default()
    };
    let started = Started { id: "x://9".into(), ..Started::default() };
    let error = StartError { reason: "RunContainerError".into(), ended: Some((started, ended)), ..Default::default() };
    play.input(Input::StartFailed { container: "app".into(), error });
    assert_eq!((play.state("app").as_str(), play.asked().as_str()), ("RunContainerError", "start app 1"));
}

#[test]
fn an_exit_before_the_start_is_told_is_not_lost() {
    let mut play = Play::set_up(Always, &["app"]);
    play.asked();
    let termination = Termination { id: "x://1".into(), exit_code: 7, ..Termination::default() };
    play.input(Input::ContainerExited { container: "app".into(), termination });
    play.started("app");
    assert_eq!(play.asked(), "start app 1");
    assert_eq!(play.state("app"), " 7");
}

#[test]
fn a_deadline_ends_the_pod_n105() {
    let mut play = Play::of(Spec { deadline_seconds: Some(60), ..spec(Always, &["app"]) });
    play.input(Input::VolumesReady);
    play.input(Input::SandboxReady);
    play.started("app");
    play.asked();
    assert_eq!(play.wait(), 60);
    assert_eq!(play.asked(), "event DeadlineExceeded, stop app 30s");
    play.exits("app", 143);
    play.input(Input::SandboxStopped);
    let status = play.machine.status();
    assert_eq!((status.phase, status.reason.as_deref()), (Phase::Failed, Some("DeadlineExceeded")));
}

#[test]
fn a_refused_pod_never_starts_n89() {
    let verdict = Verdict { reason: "OutOfcpu".into(), message: "Pod was rejected: x".into() };
    let mut machine = Machine::rejected(spec(Always, &["app"]), verdict, Millis(0));
    assert_eq!(machine.step(Input::Tick, Millis(0)), [Effect::Clean]);
    assert_eq!(machine.step(Input::Cleaned, Millis(0)), []);
    let status = machine.status();
    assert_eq!((status.phase, status.reason.as_deref()), (Phase::Failed, Some("OutOfcpu")));
    let delete = Input::Delete { grace_seconds: 30, object_gone: false };
    assert_eq!(machine.step(delete, Millis(0)), [Effect::DeleteObject]);
}

#[test]
fn a_lost_sandbox_starts_everything_again_n100() {
    let mut play = Play::set_up(Always, &["init:a", "app"]);
    play.started("a");
    play.exits("a", 0);
    play.started("app");
    play.asked();
    play.input(Input::SandboxLost);
    assert_eq!(play.asked(), "event SandboxChanged, stop sandbox");
    play.exits("app", 137);
    assert_eq!(play.asked(), "");
    play.input(Input::SandboxStopped);
    assert_eq!(play.asked(), "sandbox 1");
    play.input(Input::SandboxReady);
    assert_eq!(play.asked(), "start a 1");
}

#[test]
fn readiness_gates_hold_the_pod_back_n276() {
    let mut play = Play::of(Spec { gates: vec!["example.com/lb".into()], ..spec(Always, &["app"]) });
    play.input(Input::VolumesReady);
    play.input(Input::SandboxReady);
    play.started("app");
    assert_eq!(play.condition("Ready").reason, Some("ReadinessGatesNotReady"));
    assert!(play.condition("ContainersReady").holds);
    play.input(Input::Gates(vec!["example.com/lb".into()]));
    assert!(play.ready());
}
