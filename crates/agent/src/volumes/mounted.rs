//! Mounts of the node: what is mounted where, tmpfs, and unmounting all that lies below a directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Mount points at or below `dir`, deepest last.
fn below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
    Ok(points.filter(|point| point.starts_with(dir)).collect())
}

/// Octal escapes of mountinfo.
fn unescape(text: &str) -> PathBuf {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|octal| u8::from_str_radix(octal, 8).ok());
        match code {
            Some(code) => out.push(char::from(code)),
            None => out.push('\\'),
        }
        rest = &rest[at + if code.is_some() { 4 } else { 1 }..];
    }
    out.push_str(rest);
    PathBuf::from(out)
}

/// Whether something is mounted exactly here.
pub(super) fn is_mount_point(path: &Path) -> io::Result<bool> {
    Ok(below(path)?.iter().any(|point| point == path))
}

/// Mounts a tmpfs here unless one is; a node that may not mount keeps the files on disk, and says so once.
pub(super) fn tmpfs_if_possible(dir: &Path, size: Option<u64>) -> io::Result<()> {
    if is_mount_point(dir)? {
        return Ok(());
    }
    let options = size.map(|size| format!("size={size}"));
    match mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), options.as_deref()) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM | Errno::EACCES) => {
            tracing::warn!(dir = %dir.display(), "no right to mount a tmpfs; secret files stay on disk");
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Binds `source` onto `target`.
pub(super) fn bind(source: &Path, target: &Path) -> io::Result<()> {
    let none = None::<&str>;
    mount(Some(source), target, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).map_err(Into::into)
}

/// Unmounts what is mounted exactly here, if anything.
pub(super) fn unmount(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        // Somebody still looks in; it goes when they are done.
        Err(Errno::EBUSY) => umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).map_err(Into::into),
        Err(errno) => Err(errno.into()),
    }
}

/// Unmounts everything at or below `dir`; an error while something is left.
pub(super) fn unmount_below(dir: &Path) -> io::Result<()> {
    // Mounts may lie over each other: each round takes the topmost ones.
    for _ in 0..4 {
        let mut points = below(dir)?;
        if points.is_empty() {
            return Ok(());
        }
        points.reverse();
        for point in points {
            unmount(&point)?;
        }
    }
    match below(dir)?.first() {
        None => Ok(()),
        Some(point) => Err(io::Error::other(format!("{} is still mounted", point.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_mountinfo_are_read() {
        assert_eq!(unescape("/a\\040b\\134c"), Path::new("/a b\\c"));
        assert_eq!(unescape("/plain"), Path::new("/plain"));
    }
}
