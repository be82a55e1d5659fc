//! Nodes in namespaces of their own, as root; else skipped loudly.

use std::{ffi::OsString, fs, path::Path, time::Duration};

use everynode_agent::netns::{NetnsError, NodePlan, Plan, remove_all};

const PATIENCE: Duration = Duration::from_secs(60);

/// The directory begins so, and goes on with the number of the process.
const DIRS: &str = "evn-net-";

/// Ends and removes the nodes of processes that were killed: they keep their ranges of addresses.
fn clear_up() {
    for dir in fs::read_dir(std::env::temp_dir()).unwrap().flatten().map(|entry| entry.path()) {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let process = name.strip_prefix(DIRS).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            remove_all(&dir).unwrap();
            let _ = fs::remove_dir_all(&dir);
        }
    }
}

fn shim() -> Vec<OsString> {
    vec![env!("CARGO_BIN_EXE_everynode-shim").into()]
}

fn script(text: &str) -> Vec<OsString> {
    ["/bin/busybox", "sh", "-c", text].map(OsString::from).to_vec()
}

fn possible() -> bool {
    let possible = nix::unistd::geteuid().is_root() && Path::new("/bin/busybox").exists();
    if !possible {
        eprintln!("SKIPPED: tests of nodes in namespaces need root and a static busybox");
    }
    possible
}

async fn content(node: &NodePlan, name: &str) -> String {
    let path = node.dir.join(name);
    let wait = async {
        loop {
            match fs::read_to_string(&path) {
                Ok(text) if text.ends_with("end\n") => return text,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the node writes its file")
}

#[tokio::test]
async fn nodes_have_their_own_network_names_and_directories() {
    if !possible() {
        return;
    }
    clear_up();
    let dir = tempfile::Builder::new().prefix(&format!("{DIRS}{}-", std::process::id())).tempdir().unwrap();
    let plan = Plan::new(dir.path().to_owned()).unwrap();
    assert_eq!(Plan::new(dir.path().to_owned()).unwrap(), plan);
    plan.up().unwrap();
    plan.up().unwrap();
    let nodes: Vec<NodePlan> = (0..2).map(|index| plan.node(&format!("n-{index}"), index)).collect();
    let mut children = Vec::new();
    for node in &nodes {
        let text = format!(
            "b=/bin/busybox; ($b hostname; $b ls /sys/class/net; $b cat /proc/sys/net/ipv4/ip_forward; echo end) > {dir}/out; \
             echo mine > /run/file; echo mine > /var/log/file; \
             while true; do echo pong $($b hostname) | $b nc -l -p 80; done",
            dir = node.dir.display()
        );
        children.push(plan.spawn(node, &shim(), &script(&text)).unwrap());
    }
    assert_eq!(plan.free_index(), 2);
    for node in &nodes {
        assert_eq!(content(node, "out").await, format!("{}\neth0\nlo\n1\nend\n", node.name));
        let answer = async {
            loop {
                use tokio::io::AsyncReadExt;
                let mut text = String::new();
                if let Ok(mut stream) = tokio::net::TcpStream::connect((node.address, 80)).await
                    && stream.read_to_string(&mut text).await.is_ok()
                    && !text.is_empty()
                {
                    return text;
                }
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(tokio::time::timeout(PATIENCE, answer).await.unwrap(), format!("pong {}\n", node.name));
        assert_eq!(fs::read_to_string(node.dir.join("run/file")).unwrap(), "mine\n");
        assert_eq!(fs::read_to_string(node.dir.join("log/file")).unwrap(), "mine\n");
    }
    let third = plan.node("n-2", 2);
    let text = format!(
        "until /bin/busybox nc {} 80 > {dir}/peer && [ -s {dir}/peer ]; do :; done; echo end >> {dir}/peer",
        nodes[0].address,
        dir = third.dir.display()
    );
    children.push(plan.spawn(&third, &shim(), &script(&text)).unwrap());
    assert_eq!(content(&third, "peer").await, "pong n-0\nend\n");
    plan.remove_node(&nodes[0]).unwrap();
    assert!(!nodes[0].dir.exists());
    remove_all(dir.path()).unwrap();
    remove_all(dir.path()).unwrap();
    for child in &mut children {
        assert!(!child.wait().await.unwrap().success() || child.id().is_none());
    }
    assert!(!Path::new("/sys/class/net").join(&plan.bridge).exists());
    assert!(!dir.path().join("nodes").exists());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*dir.path().to_string_lossy()));
}

#[tokio::test]
async fn a_place_that_nodes_have_for_themselves_is_refused() {
    if !possible() {
        return;
    }
    let dir = tempfile::Builder::new().tempdir_in("/run").unwrap();
    assert!(matches!(Plan::new(dir.path().to_owned()), Err(NetnsError::Hidden { hidden: "/run", .. })));
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Plan::existing(dir.path()), Err(NetnsError::NoPlan(_))));
}
