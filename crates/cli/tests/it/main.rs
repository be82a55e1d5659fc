//! Black-box tests: the binary, a real `kubectl`, and as root real containers. Only wiring is tested here; what decides has its
//! tests beside it.

mod around;
mod containers;
mod controller;
mod daemonsets;
mod explain;
mod fleet;
mod in_cluster;
mod kubectl;
mod letter;
mod manifests;
mod refusals;
mod restart;
mod rights;
mod words;
mod world;

use std::path::Path;
use std::time::Duration;

use everynode_e2e::process::Everynode;

/// No wait of a test is longer. Generous: a machine may be slow, and a wait that ends well costs nothing.
const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test.
fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_everynode"))
}

/// `everynode up` with hollow nodes on a fresh data directory, which must outlive it.
fn hollow(dir: &Path, nodes: usize) -> Everynode {
    let nodes = nodes.to_string();
    let words = ["up", "--runtime", "hollow", "--node-name", "node", "--nodes", &nodes];
    Everynode::start(binary(), dir, &words).expect("everynode starts")
}

/// Directories of tests begin so, and go on with the number of their process: `containers` finds what a killed one left.
const DIRS: &str = "everynode-it-";

fn tempdir() -> tempfile::TempDir {
    let prefix = format!("{DIRS}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir().expect("temporary directory")
}
