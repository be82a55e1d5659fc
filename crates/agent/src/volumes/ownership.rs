//! fsGroup: who may read and write the files of a volume (N206).

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

/// The pod's `fsGroup`.
pub(super) fn fs_group(pod: &Pod) -> Option<u32> {
    let group = pod.spec.as_ref()?.security_context.as_ref()?.fs_group?;
    u32::try_from(group).ok()
}

/// Gives a tree to the group: its members may read it, and write it unless it is read-only.
pub(super) fn give(path: &Path, group: u32, readonly: bool) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.gid() != group {
        lchown(path, None, Some(group))?;
    }
    if found.is_symlink() {
        return Ok(());
    }
    let mut mode = found.mode() & 0o7777 | if readonly { 0o440 } else { 0o660 };
    if found.is_dir() {
        mode |= 0o2110;
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), group, readonly)?;
        }
    }
    if mode != found.mode() & 0o7777 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_may_read_and_write_n206() {
        let dir = tempfile::tempdir().unwrap();
        let group = fs::metadata(dir.path()).unwrap().gid();
        let file = dir.path().join("f");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        for (readonly, expect) in [(true, 0o640), (false, 0o660)] {
            give(dir.path(), group, readonly).unwrap();
            assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, expect);
        }
        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o2770, 0o2770);
    }
}
