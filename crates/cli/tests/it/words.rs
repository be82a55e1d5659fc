//! What is typed wrongly or started badly: exit codes and messages that name the thing and the mend.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use everynode_e2e::process::Everynode;

use crate::{binary, hollow, tempdir};

fn run(words: &[&str]) -> Output {
    Command::new(binary()).args(words).output().expect("everynode runs")
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_words_end_with_2_and_say_what_is_wrong() {
    let dir = tempdir();
    let config = dir.path().join("config.yaml");
    std::fs::write(&config, "datadir: /x\n").expect("written");
    let config = config.to_str().expect("text");
    for (words, expect) in [
        (&["serve"][..], "unrecognized subcommand"),
        (&["up", "--nodes", "0"], "0 is not in 1..=200"),
        (&["up", "--listen", "localhost"], "--listen"),
        (&["agent"], "--server is missing"),
        (&["agent", "--server", "https://127.0.0.1:1", "--runtime", "cri"], "CRI"),
        (&["up", "--register-with-taints", "a=b"], "key=value:Effect"),
        (&["server", "--config", config], "datadir"),
        (&["sim", "--nodes", "0"], "0 is not in 1..=5000"),
        (&["sim", "--pod-start", "fast"], "--pod-start"),
        (&["server", "--controllers", "*,-nonsense"], "nonsense"),
        (&["controller", "--leader-elect", "--leader-elect-lease-duration=5s"], "renew deadline"),
        (&["explain", "deploy/web"], "deploy/web is no DaemonSet"),
        (&["explain", "ds/web", "-o", "table"], "invalid value 'table'"),
        (&["plan"], "--filename"),
        (&["plan", "-f", "-", "--pod-start", "soon"], "no duration"),
        (&["token", "create", "--ttl", "soon", "--kubeconfig", "/none"], "soon"),
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", err(&output));
        assert!(err(&output).contains(expect), "{words:?}: {}", err(&output));
    }
}

#[test]
fn help_and_version_end_with_0_and_help_has_examples() {
    for (words, expect) in [
        (&["--help"][..], "kubectl apply -f"),
        (&["up", "--help"], "--nodes 3"),
        (&["version"], "Kubernetes API 1.36"),
        (&["version", "-o", "json"], "\"kubernetes\""),
        (&["completions", "bash"], "_everynode()"),
        (&["sim", "--nodes", "3"], "at most 1 at a time; the budget allows 1"),
        (&["sim", "--nodes", "3", "-o", "json"], "\"replacedPods\": 3"),
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(expect), "{words:?}");
    }
}

/// Every command has examples, and lines that fit.
#[test]
fn the_help_of_each_command_has_examples() {
    let help = String::from_utf8(run(&["--help"]).stdout).expect("text");
    let list = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list");
    let commands = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let help = String::from_utf8(run(&[command, "--help"]).stdout).expect("text");
        assert!(help.contains("Examples:\n  everynode") || command == "completions", "{command}: {help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{command}: {help}");
        let examples = help.split("Examples:\n").nth(1).expect("examples").lines();
        let broken = examples.take_while(|line| !line.is_empty()).find(|line| !line.starts_with("  "));
        assert_eq!(broken, None, "{command}: a line is too long");
    }
}

/// Of several kubeconfigs the first one that says something counts, those that are not there are passed over, and a context is
/// chosen by name.
#[test]
fn a_context_is_found_in_any_of_several_kubeconfigs() {
    let dir = tempdir();
    let server = Everynode::start(binary(), &dir.path().join("server"), &["server"]).expect("starts");
    let admin = std::fs::read_to_string(server.kubeconfig()).expect("readable");
    let (whole, edge) = (dir.path().join("whole"), dir.path().join("edge"));
    std::fs::write(&whole, &admin).expect("written");
    let contexts = "apiVersion: v1\nkind: Config\ncurrent-context: nowhere\ncontexts:\n\
                    - {name: nowhere, context: {cluster: none, user: none}}\n\
                    - {name: edge, context: {cluster: everynode, user: kubernetes-admin, namespace: far}}\n";
    std::fs::write(&edge, contexts).expect("written");
    let listed = format!("/none:{}:{}", edge.display(), whole.display());
    let explain = |words: &[&str]| {
        let words = [&["explain", "ds/web"], words].concat();
        err(&Command::new(binary()).args(words).env("KUBECONFIG", &listed).output().expect("runs"))
    };
    let told = explain(&["--context", "edge"]);
    assert!(told.contains("there is no DaemonSet web in namespace far"), "{told}");
    let told = explain(&["--context", "moon"]);
    assert!(told.contains("it has no context moon") && told.contains("it has: nowhere, edge, "), "{told}");
    assert!(explain(&[]).contains("cannot connect"), "the first file's current context names no cluster");
    assert!(server.end().expect("ends").success());
}

#[test]
fn a_start_that_cannot_work_ends_with_1_and_names_the_mend() {
    let dir = tempdir();
    let first = Everynode::start(binary(), &dir.path().join("first"), &["server"]).expect("starts");
    let port = first.url.rsplit(':').next().expect("a port");
    let second = dir.path().join("second").display().to_string();
    let taken = format!("127.0.0.1:{port}");
    let in_use = first.data_dir.display().to_string();
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let file = file.display().to_string();
    for (words, expect) in [
        (["server", "--listen", &taken, "--data-dir", &second], "choose another --listen"),
        (["server", "--listen", "127.0.0.1:0", "--data-dir", &in_use], "in use by another process"),
        (["server", "--listen", "127.0.0.1:0", "--data-dir", &file], &*file),
    ] {
        let output = run(&words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", err(&output));
        assert!(err(&output).contains(expect), "{words:?}: {}", err(&output));
    }
    assert!(first.end().expect("ends").success(), "SIGTERM ends with 0");
}

#[test]
fn keys_and_the_admin_kubeconfig_are_private() {
    let dir = tempdir();
    let server = hollow(dir.path(), 1);
    let mode = |path: std::path::PathBuf| path.metadata().expect("exists").permissions().mode() & 0o777;
    assert_eq!(mode(server.kubeconfig()), 0o600);
    let keys = std::fs::read_dir(dir.path().join("pki")).expect("listed").flatten();
    for key in keys.filter(|file| file.path().extension().is_some_and(|end| end == "key")) {
        assert_eq!(mode(key.path()), 0o600, "{:?}", key.path());
    }
    assert!(server.end().expect("ends").success());
}
