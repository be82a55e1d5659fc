//! subPath: one part of a volume, opened so that no link can lead out of it, and bound where nobody can change it (N201).

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};

use super::{make_dir, mounted};

/// Binds `sub` of the volume at `volume` onto `target`, and gives back `target`.
pub(super) fn bind(volume: &Path, sub: &str, target: PathBuf) -> io::Result<PathBuf> {
    let parts = parts(sub)?;
    let opened = open(volume, &parts)?;
    let is_dir = rustix::fs::fstat(&opened).is_ok_and(|stat| stat.st_mode & 0o170_000 == 0o040_000);
    mounted::unmount(&target)?;
    if let Some(parent) = target.parent() {
        make_dir(parent, 0o750)?;
    }
    if is_dir {
        make_dir(&target, 0o750)?;
    } else if !target.exists() {
        fs::File::create(&target)?;
    }
    // What was opened is bound, not the path: a link swapped in meanwhile changes nothing.
    mounted::bind(&PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())), &target)?;
    Ok(target)
}

fn parts(sub: &str) -> io::Result<Vec<&str>> {
    let bad = || io::Error::new(io::ErrorKind::InvalidInput, "must be relative and must not contain '..'");
    let mut out = Vec::new();
    for component in Path::new(sub).components() {
        match component {
            Component::Normal(part) => out.push(part.to_str().ok_or_else(bad)?),
            Component::CurDir => {}
            _ => return Err(bad()),
        }
    }
    Ok(out)
}

/// Opens the part, making directories that are missing; links are followed only inside the volume.
fn open(volume: &Path, parts: &[&str]) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let base = rustix::fs::open(volume, flags | OFlags::DIRECTORY, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let joined = |count: usize| if count == 0 { ".".to_owned() } else { parts[..count].join("/") };
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&base)?.st_mode & 0o777);
    for count in 1..=parts.len() {
        match openat2(&base, joined(count), flags, Mode::empty(), resolve) {
            Ok(_) => {}
            Err(rustix::io::Errno::NOENT) => {
                let parent = openat2(&base, joined(count - 1), flags | OFlags::DIRECTORY, Mode::empty(), resolve)?;
                mkdirat(&parent, parts[count - 1], mode)?;
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(openat2(&base, joined(parts.len()), flags, Mode::empty(), resolve)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_volume_n201_t27() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("volume");
        fs::create_dir(&volume).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        for (link, to) in [("up", "../outside"), ("far", "/etc"), ("near", "inner")] {
            std::os::unix::fs::symlink(to, volume.join(link)).unwrap();
        }
        fs::create_dir(volume.join("inner")).unwrap();
        for (sub, works) in [
            ("inner", true),
            ("near", true),
            ("new/deep", true),
            (".", true),
            ("up", false),
            ("far", false),
            ("up/x", false),
            ("far/passwd", false),
        ] {
            assert_eq!(open(&volume, &parts(sub).unwrap()).is_ok(), works, "{sub}");
        }
        for sub in ["/etc", "..", "a/../b"] {
            assert!(parts(sub).is_err(), "{sub}");
        }
        assert!(volume.join("new/deep").is_dir());
    }
}
