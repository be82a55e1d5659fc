//! Whose a pod's directory is. Another agent on this machine, a kubelet for one, has the same places.

use std::fs;
use std::io;
use std::path::Path;

use crate::Config;

/// File in each pod's directories: the data directory of the agent that made it.
const MARK: &str = ".everynode";

/// Marks a pod's directory as this node's own.
pub(crate) fn put(dir: &Path, config: &Config) -> io::Result<()> {
    fs::write(dir.join(MARK), config.data_dir.as_os_str().as_encoded_bytes())
}

/// Whether this node made the directory.
pub(crate) fn is_own(dir: &Path, config: &Config) -> bool {
    fs::read(dir.join(MARK)).is_ok_and(|owner| owner == config.data_dir.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_other_agents_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let config = |data: &str| Config::of_machine("n", data.into(), ("h".into(), 1));
        assert!(!is_own(dir.path(), &config("/a")));
        put(dir.path(), &config("/a")).unwrap();
        assert!(is_own(dir.path(), &config("/a")));
        assert!(!is_own(dir.path(), &config("/b")));
    }
}
