//! What pods leave behind: directories and logs of pods that nobody knows any more (N87, N295, N308).

use std::fs;
use std::io;
use std::path::Path;

use crate::Config;
use crate::kit::Kit;
use crate::{logs, volumes};

/// File in each pod's directories: whose they are. Another agent on this machine, a kubelet for one, has the same places.
const MARK: &str = ".everynode";

/// Marks a pod's directory as this node's own.
pub(crate) fn mark(dir: &Path, config: &Config) -> io::Result<()> {
    fs::write(dir.join(MARK), config.data_dir.as_os_str().as_encoded_bytes())
}

fn is_own(dir: &Path, config: &Config) -> bool {
    fs::read(dir.join(MARK)).is_ok_and(|owner| owner == config.data_dir.as_os_str().as_encoded_bytes())
}

/// Removes what belongs to no pod of `uids`.
pub(crate) fn sweep(kit: &Kit, uids: &[String]) {
    if !kit.is_machine() {
        return;
    }
    let known = |uid: &str| uids.iter().any(|known| known == uid);
    for entry in fs::read_dir(kit.config.log_dir.join("pods")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Namespaces and names have no underscore, so the uid is what follows the last one.
        let gone = !name.rsplit_once('_').is_some_and(|(_, uid)| known(uid));
        if gone && is_own(&entry.path(), &kit.config) {
            let _ = fs::remove_dir_all(entry.path());
            logs::remove_links_into(&kit.config, &entry.path());
        }
    }
    for entry in fs::read_dir(kit.config.kubelet_dir.join("pods")).into_iter().flatten().flatten() {
        let uid = entry.file_name().to_string_lossy().into_owned();
        if !known(&uid) && is_own(&entry.path(), &kit.config) {
            let config = kit.config.clone();
            tokio::spawn(async move {
                if let Err(error) = volumes::release(&config, &uid).await {
                    tracing::warn!(uid, error = &error as &dyn std::error::Error, "leftovers of a pod not removed");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_other_agents_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let config = |data: &str| Config::of_machine("n", data.into(), ("h".into(), 1));
        assert!(!is_own(dir.path(), &config("/a")));
        mark(dir.path(), &config("/a")).unwrap();
        assert!(is_own(dir.path(), &config("/a")));
        assert!(!is_own(dir.path(), &config("/b")));
    }
}
