//! What a pod asks for, and what libcontainer is told.

use super::*;
use crate::runtime::{Capabilities, ContainerId, ContainerSpec, HostNamespaces, SandboxId, SandboxSpec};

fn record(spec: ContainerSpec) -> ContainerRecord {
    ContainerRecord {
        id: ContainerId("c1".into()),
        sandbox: SandboxId("s1".into()),
        sandbox_dir: "/s/s1".into(),
        pod: SandboxSpec { hostname: "pod-1".into(), ..Default::default() },
        spec,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        image_id: "sha256:0".into(),
        image_ref: "sha256:0".into(),
        layers: Vec::new(),
        layers_dir: "/l".into(),
        config: Default::default(),
        cgroup: "/kubepods/pod1/c1".into(),
        log_path: None,
        shim: Vec::new(),
    }
}

fn machine() -> Machine {
    Machine { capabilities: u64::MAX, oom_score_min: 0, hostname: "node".into(), ..Default::default() }
}

fn of(record: &ContainerRecord, pointer: &str) -> Value {
    let user = UserStatus { uid: 1, gid: 2, groups: vec![2, 3] };
    configuration(record, &user, &machine()).pointer(pointer).cloned().unwrap_or_default()
}

fn caps(spec: ContainerSpec) -> Vec<String> {
    serde_json::from_value(of(&record(spec), "/process/capabilities/effective")).unwrap()
}

/// N209, N210.
#[test]
fn capabilities_are_added_and_dropped() {
    let with = |add: &[&str], drop: &[&str]| ContainerSpec {
        capabilities: Capabilities {
            add: add.iter().map(|c| (*c).to_owned()).collect(),
            drop: drop.iter().map(|c| (*c).to_owned()).collect(),
        },
        ..Default::default()
    };
    assert_eq!(caps(ContainerSpec::default()).len(), DEFAULT_CAPABILITIES.len());
    assert_eq!(caps(with(&["NET_ADMIN"], &["ALL"])), ["CAP_NET_ADMIN"]);
    assert_eq!(caps(with(&["cap_sys_time"], &["ALL"])), ["CAP_SYS_TIME"]);
    assert!(!caps(with(&[], &["KILL"])).contains(&"CAP_KILL".to_owned()));
    assert_eq!(caps(with(&["ALL"], &["KILL"])).len(), ALL_CAPABILITIES.len() - 1);
    assert_eq!(caps(ContainerSpec { privileged: true, ..Default::default() }).len(), ALL_CAPABILITIES.len());
}

#[test]
fn capabilities_this_process_lacks_are_not_asked_for() {
    let record = record(ContainerSpec { privileged: true, ..Default::default() });
    let machine = Machine { capabilities: !(1 << 24), ..machine() };
    let text = configuration(&record, &UserStatus::default(), &machine).to_string();
    assert!(!text.contains("CAP_SYS_RESOURCE") && text.contains("CAP_SYS_TTY_CONFIG"));
}

#[test]
fn the_environment_of_the_pod_wins_over_the_image() {
    let mut record = record(ContainerSpec {
        env: vec![("A".into(), "pod".into()), ("PATH".into(), "/p".into())],
        ..Default::default()
    });
    record.config.config.env = vec!["A=image".into(), "B=b=c".into()];
    let env: Vec<String> = serde_json::from_value(of(&record, "/process/env")).unwrap();
    assert_eq!(env, ["HOSTNAME=pod-1", "B=b=c", "A=pod", "PATH=/p"]);
}

/// N211.
#[test]
fn namespaces_of_the_node_are_left_out() {
    let kinds = |host: HostNamespaces| -> Vec<String> {
        let mut record = record(ContainerSpec::default());
        record.pod.host = host;
        let all = of(&record, "/linux/namespaces");
        all.as_array().unwrap().iter().map(|n| n["type"].as_str().unwrap().to_owned()).collect()
    };
    let host = |network, pid, ipc| HostNamespaces { network, pid, ipc };
    assert_eq!(kinds(host(false, false, false)), ["mount", "network", "uts", "ipc", "pid"]);
    assert_eq!(kinds(host(true, false, false)), ["mount", "ipc", "pid"]);
    assert_eq!(kinds(host(true, true, true)), ["mount"]);
}

/// N203–N205.
#[test]
fn mounts_of_the_pod_replace_ours_and_lie_over_their_parents() {
    let mount = |target: &str, propagation| Mount {
        host_path: "/h".into(),
        container_path: target.into(),
        readonly: true,
        recursive_readonly: false,
        propagation,
    };
    let record = record(ContainerSpec {
        mounts: vec![
            mount("/a/b/c", Propagation::None),
            mount("/a", Propagation::HostToContainer),
            mount("/sys", Propagation::None),
            mount("/etc/resolv.conf", Propagation::None),
        ],
        ..Default::default()
    });
    let all = of(&record, "/mounts");
    let all = all.as_array().unwrap();
    let at = |target: &str| all.iter().position(|m| m["destination"] == target).unwrap();
    assert!(at("/a") < at("/a/b/c") && at("/sys") < at("/sys/fs/cgroup") && at("/dev") < at("/dev/pts"));
    assert_eq!(all.iter().filter(|m| m["destination"] == "/sys").count(), 1);
    assert_eq!(all[at("/sys")]["type"], "bind");
    assert_eq!(all[at("/etc/resolv.conf")]["source"], "/h");
    assert_eq!(all[at("/a")]["options"], json!(["rbind", "rslave", "ro"]));
}

#[test]
fn a_mounted_dev_takes_all_of_ours_away() {
    let record = record(ContainerSpec {
        mounts: vec![Mount { host_path: "/dev".into(), container_path: "/dev".into(), ..Default::default() }],
        ..Default::default()
    });
    let all = of(&record, "/mounts");
    let below = all.as_array().unwrap().iter().filter(|m| m["destination"].as_str().unwrap().starts_with("/dev"));
    assert_eq!(below.count(), 1);
}

/// N217, N237, N238.
#[test]
fn limits_and_hidden_paths() {
    let mut spec = ContainerSpec::default();
    spec.resources.cpu_shares = Some(102);
    spec.resources.cpu_quota_us = Some(-1);
    spec.resources.memory_limit_bytes = Some(1 << 20);
    spec.resources.oom_score_adj = Some(-997);
    let limited = record(spec.clone());
    assert_eq!(of(&limited, "/linux/resources/cpu"), json!({ "shares": 102 }));
    assert_eq!(of(&limited, "/linux/resources/memory/limit"), json!(1 << 20));
    assert_eq!(of(&limited, "/process/oomScoreAdj"), json!(0), "clamped to what we may set");
    assert_eq!(of(&limited, "/linux/maskedPaths").as_array().unwrap().len(), MASKED_PATHS.len());
    spec.privileged = true;
    assert_eq!(of(&record(spec), "/linux/maskedPaths"), json!([]));
}
