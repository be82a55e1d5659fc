//! emptyDir: a directory that lives as long as the pod, on disk or in memory (N186, N187).

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use everynode_core::selector::Quantity;
use k8s_openapi::api::core::v1::EmptyDirVolumeSource;

use super::{make_dir, mounted, ownership};

/// Makes the directory once; what is in it stays.
pub(super) fn set_up(dir: &Path, source: &EmptyDirVolumeSource, group: Option<u32>) -> io::Result<()> {
    make_dir(dir, 0o777)?;
    if source.medium.as_deref() == Some("Memory") {
        let size = source.size_limit.as_ref().and_then(|limit| Quantity::parse(&limit.0)).map(Quantity::units);
        mounted::tmpfs_if_possible(dir, size.and_then(|size| u64::try_from(size).ok()).filter(|size| *size > 0))?;
    }
    // The mode holds whatever the umask says.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777))?;
    match group {
        Some(group) => ownership::give(dir, group, false),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anyone_may_write_whatever_the_umask_n186() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v");
        set_up(&path, &EmptyDirVolumeSource::default(), None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o777);
        fs::write(path.join("kept"), "x").unwrap();
        set_up(&path, &EmptyDirVolumeSource::default(), None).unwrap();
        assert!(path.join("kept").exists());
    }
}
