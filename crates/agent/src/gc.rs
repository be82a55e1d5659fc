//! What pods leave behind: directories and logs of pods that nobody knows any more (N87, N295, N308).

use std::fs;

use crate::kit::Kit;
use crate::{logs, mark, volumes};

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
        if gone && mark::is_own(&entry.path(), &kit.config) {
            let _ = fs::remove_dir_all(entry.path());
            logs::remove_links_into(&kit.config, &entry.path());
        }
    }
    for entry in fs::read_dir(kit.config.kubelet_dir.join("pods")).into_iter().flatten().flatten() {
        let uid = entry.file_name().to_string_lossy().into_owned();
        if !known(&uid) && mark::is_own(&entry.path(), &kit.config) {
            let config = kit.config.clone();
            tokio::spawn(async move {
                if let Err(error) = volumes::release(&config, &uid).await {
                    tracing::warn!(uid, error = &error as &dyn std::error::Error, "leftovers of a pod not removed");
                }
            });
        }
    }
}
