//! `cargo xtask test`: everything that must hold before a change lands.

use std::time::{Duration, Instant};

use everynode_e2e::exists;

use crate::shell::{must, say};
use crate::tidy;

/// Debian packages that black-box tests use, each with a program that shows whether it is there.
const PACKAGES: &[(&str, &str)] = &[("ip", "iproute2"), ("busybox", "busybox-static")];

/// Seconds before each try to install them.
const PAUSES: [u64; 4] = [0, 5, 15, 30];

/// Runs the whole suite and says how long each part took.
pub(crate) fn run() -> anyhow::Result<()> {
    install_packages();
    let parts: [(&str, &dyn Fn() -> anyhow::Result<()>); 4] = [
        ("format", &|| must("cargo", &["fmt", "--all", "--check"])),
        ("tidy", &tidy::run),
        ("clippy", &|| must("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
        ("tests", &|| must("cargo", &["test", "--workspace"])),
    ];
    let mut took = Vec::new();
    for (name, part) in parts {
        let start = Instant::now();
        part()?;
        took.push(format!("{name} {:.0} s", start.elapsed().as_secs_f64()));
    }
    say(&format!("all good: {}", took.join(", ")));
    Ok(())
}

/// Installs what is missing when it can (root on Debian). Tests that still miss something say so and skip.
fn install_packages() {
    let missing: Vec<_> =
        PACKAGES.iter().filter(|(program, _)| !exists(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() || !exists("apt-get") {
        return;
    }
    let options = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "-o=DPkg::Lock::Timeout=120"];
    let update = [&options[..], &["update", "--quiet"]].concat();
    let install = [&options[..], &["install", "--no-install-recommends"], &missing[..]].concat();
    for pause in PAUSES {
        if pause > 0 {
            say(&format!("another apt may be at work, or the mirror slow: once more in {pause} s"));
            std::thread::sleep(Duration::from_secs(pause));
        }
        // Its lists may be there already, or be absent, or old.
        let installed = must("env", &install).or_else(|_| must("env", &update).and_then(|()| must("env", &install)));
        if installed.is_ok() {
            return;
        }
    }
    say(&format!("could not install {}: tests that need them will skip and say so", missing.join(", ")));
}
