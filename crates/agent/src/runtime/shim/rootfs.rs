//! A container's root file system: the layers of its image under a writable one, and what must exist in it.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use nix::mount::{MsFlags, mount};
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};

use super::oci;
use crate::runtime::{Propagation, record::ContainerRecord};

/// Mounts the overlay at `DIR/rootfs`.
pub(crate) fn mount_overlay(dir: &Path, record: &ContainerRecord) -> Result<PathBuf, String> {
    let root = dir.join("rootfs");
    for name in ["rootfs", "upper", "work"] {
        let path = dir.join(name);
        fs::create_dir_all(&path).map_err(|e| format!("create {}: {e}", path.display()))?;
    }
    // The root of the overlay takes its mode from the upper directory.
    fs::set_permissions(dir.join("upper"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .map_err(|e| format!("set the mode of the root directory: {e}"))?;
    let failed = |e: nix::errno::Errno| format!("mount the root file system at {}: {e}", root.display());
    if record.layers.is_empty() {
        mount(Some(&dir.join("upper")), &root, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(failed)?;
        return Ok(root);
    }
    // Relative names, because all of them have to fit into one page.
    std::env::set_current_dir(&record.layers_dir).map_err(|e| format!("enter {}: {e}", record.layers_dir.display()))?;
    let lower: Vec<String> = record.layers.iter().map(|layer| format!("{layer}/fs")).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        escaped(&dir.join("upper")),
        escaped(&dir.join("work"))
    );
    mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str())).map_err(failed)?;
    std::env::set_current_dir("/").map_err(|e| format!("enter /: {e}"))?;
    Ok(root)
}

fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\").replace(',', "\\,").replace(':', "\\:")
}

/// Makes the working directory, and missing sources of mounts.
pub(crate) fn prepare(root: &Path, record: &ContainerRecord) -> Result<(), String> {
    let dir = oci::working_dir(record);
    make_dirs(root, Path::new(dir)).map_err(|e| format!("create the working directory {dir}: {e}"))?;
    for wanted in &record.spec.mounts {
        let source = &wanted.host_path;
        match fs::metadata(source) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let failed = |e| format!("create the missing host path {}: {e}", source.display());
                fs::create_dir_all(source).map_err(failed)?;
            }
            Err(e) => return Err(format!("look at the host path {}: {e}", source.display())),
            Ok(_) => {}
        }
        if wanted.propagation == Propagation::Bidirectional && !is_shared(source) {
            let source = source.display();
            let mend = "make it so on the node, for example with: mount --make-rshared /";
            return Err(format!(
                "path {source} is not on a shared mount, which bidirectional propagation needs; {mend}"
            ));
        }
    }
    Ok(())
}

/// Makes a directory and its parents inside of `root`, whatever links there are.
fn make_dirs(root: &Path, path: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty())?;
    let open = |path: &Path| -> rustix::io::Result<OwnedFd> {
        openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
    };
    if open(path).is_ok() {
        return Ok(());
    }
    let mut done = PathBuf::from("/");
    for part in path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir)) {
        let parent = open(&done)?;
        done.push(part);
        if open(&done).is_err() {
            mkdirat(&parent, Path::new(&part), Mode::from_raw_mode(0o755))?;
        }
    }
    Ok(())
}

/// Whether the mount that holds a path is shared.
fn is_shared(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    shared_in(&table, &path)
}

fn shared_in(mountinfo: &str, path: &Path) -> bool {
    let mut best: Option<(usize, bool)> = None;
    for line in mountinfo.lines() {
        let Some((left, _)) = line.split_once(" - ") else { continue };
        let fields: Vec<&str> = left.split(' ').collect();
        let Some(point) = fields.get(4).map(Path::new).filter(|point| path.starts_with(point)) else { continue };
        let depth = point.components().count();
        // Later lines cover earlier ones at the same place.
        if best.is_none_or(|(known, _)| depth >= known) {
            best = Some((depth, fields.iter().skip(6).any(|f| f.starts_with("shared:"))));
        }
    }
    best.is_some_and(|(_, shared)| shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_decides_about_sharing() {
        let table = "1 0 8:1 / / rw shared:1 - ext4 /dev/a rw\n\
                     2 1 8:2 / /data rw - ext4 /dev/b rw\n\
                     3 2 8:3 / /data/x rw master:1 shared:7 - ext4 /dev/c rw\n";
        for (path, expect) in [("/etc", true), ("/data/y", false), ("/data/x/y", true), ("/database", true)] {
            assert_eq!(shared_in(table, Path::new(path)), expect, "{path}");
        }
    }

    #[test]
    fn directories_are_made_inside_only() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/elsewhere", root.path().join("link")).unwrap();
        fs::create_dir(root.path().join("elsewhere")).unwrap();
        make_dirs(root.path(), Path::new("/link/a/b")).unwrap();
        make_dirs(root.path(), Path::new("/../c")).unwrap();
        assert!(root.path().join("elsewhere/a/b").is_dir());
        assert!(root.path().join("c").is_dir());
    }
}
