//! Unpacks one layer of an image into a directory of its own, in the form in which overlayfs wants lower directories:
//! whiteouts become character devices 0:0, opaque markers become an extended attribute.
//!
//! Invariants:
//! * Nothing outside the directory is touched: names with `..` are refused, and every parent is opened with
//!   `RESOLVE_IN_ROOT`, so that links in the layer cannot lead out.
//! * What a layer does not say about an implied parent directory is taken from the layers below.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Component, Path, PathBuf},
};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RawMode, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chownat,
    fsetxattr, linkat, makedev, mkdirat, mknodat, openat, openat2, statat, symlinkat, unlinkat, utimensat,
};
use tar::EntryType;

/// Most bytes that one layer may unpack to.
pub const LAYER_UNPACKED_BYTES_MAX: u64 = 64 << 30;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The tar stream is broken.
    #[error("the layer is not a readable tar archive")]
    Read(#[source] io::Error),
    /// A name leads out of the layer.
    #[error("the layer holds the unsafe path {0:?}")]
    UnsafePath(PathBuf),
    /// The layer is larger than [`LAYER_UNPACKED_BYTES_MAX`].
    #[error("the layer unpacks to more than {LAYER_UNPACKED_BYTES_MAX} bytes")]
    TooLarge,
    /// One entry could not be written.
    #[error("cannot unpack {path:?}")]
    Entry {
        /// Its path in the layer.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Unpacks the tar stream `source` into the empty directory `target`; `below` are the unpacked layers under it, topmost
/// first. Returns the number of bytes in regular files.
pub fn unpack(source: impl Read, target: &Path, below: &[PathBuf]) -> Result<u64, UnpackError> {
    let root = rustix::fs::open(target, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| UnpackError::Entry { path: target.to_owned(), source: e.into() })?;
    let mut unpacker = Unpacker { root, below, dirs: Vec::new(), bytes: 0 };
    let mut archive = tar::Archive::new(source);
    for entry in archive.entries().map_err(UnpackError::Read)? {
        let mut entry = entry.map_err(UnpackError::Read)?;
        let Some(path) = inner_path(&entry.path_bytes())? else { continue };
        unpacker.entry(&mut entry, &path).map_err(|source| match source {
            Failure::Read(e) => UnpackError::Read(e),
            Failure::Write(source) => UnpackError::Entry { path: path.clone(), source },
            Failure::TooLarge => UnpackError::TooLarge,
            Failure::UnsafePath(p) => UnpackError::UnsafePath(p),
        })?;
    }
    unpacker.finish();
    Ok(unpacker.bytes)
}

/// The path relative to the root; `None` for the root itself.
fn inner_path(raw: &[u8]) -> Result<Option<PathBuf>, UnpackError> {
    let given = Path::new(OsStr::from_bytes(raw));
    let mut path = PathBuf::new();
    for part in given.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(UnpackError::UnsafePath(given.to_owned())),
        }
    }
    Ok((!path.as_os_str().is_empty()).then_some(path))
}

enum Failure {
    Read(io::Error),
    Write(io::Error),
    TooLarge,
    UnsafePath(PathBuf),
}

impl From<rustix::io::Errno> for Failure {
    fn from(e: rustix::io::Errno) -> Self {
        Self::Write(e.into())
    }
}

struct Unpacker<'a> {
    root: OwnedFd,
    below: &'a [PathBuf],
    /// Directories whose time is set at the end, when nothing is written into them any more.
    dirs: Vec<(PathBuf, u64)>,
    bytes: u64,
}

impl Unpacker<'_> {
    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>, path: &Path) -> Result<(), Failure> {
        let Some(name) = path.file_name().map(OsStr::to_owned) else { return Ok(()) };
        let parent_path = path.parent().unwrap_or(Path::new(""));
        let parent = self.parent(parent_path)?;
        if name.as_bytes() == OPAQUE {
            fsetxattr_path(&parent, OPAQUE_XATTR, b"y")?;
            return Ok(());
        }
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            return whiteout(&parent, OsStr::from_bytes(hidden), path);
        }
        let header = entry.header().clone();
        let kind = header.entry_type();
        let was_whiteout = clear(&parent, &name, kind == EntryType::Directory)?;
        let mode = header.mode().map_err(Failure::Read)?;
        match kind {
            EntryType::Directory => {
                match mkdirat(&parent, &name, Mode::from_raw_mode(0o755)) {
                    Err(rustix::io::Errno::EXIST) | Ok(()) => {}
                    Err(e) => return Err(e.into()),
                }
                if was_whiteout {
                    let dir =
                        openat(&parent, &name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
                    fsetxattr(&dir, OPAQUE_XATTR, b"y", XattrFlags::empty())?;
                }
                self.dirs.push((path.to_owned(), header.mtime().unwrap_or(0)));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => self.regular(entry, &parent, &name)?,
            EntryType::Symlink => {
                let to = link_target(entry)?;
                symlinkat(to.as_os_str(), &parent, &name)?;
            }
            EntryType::Link => return self.hardlink(entry, &parent, &name),
            EntryType::Char | EntryType::Block | EntryType::Fifo => special(&parent, &name, &header, kind)?,
            // Global headers and the like carry nothing for the file system.
            _ => return Ok(()),
        }
        chownat(&parent, &name, owner(header.uid()).map(uid), owner(header.gid()).map(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        if kind != EntryType::Symlink {
            chmod(&parent, &name, mode)?;
        }
        xattrs(entry, &parent, &name)?;
        if kind != EntryType::Directory {
            set_mtime(&parent, &name, header.mtime().unwrap_or(0));
        }
        Ok(())
    }

    fn regular<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        parent: &OwnedFd,
        name: &OsStr,
    ) -> Result<(), Failure> {
        self.bytes = self.bytes.saturating_add(entry.size());
        if self.bytes > LAYER_UNPACKED_BYTES_MAX {
            return Err(Failure::TooLarge);
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
        copy(entry, &mut file)
    }

    /// A second name; the first one may be in a layer below, then its content is copied up.
    fn hardlink<R: Read>(&self, entry: &tar::Entry<'_, R>, parent: &OwnedFd, name: &OsStr) -> Result<(), Failure> {
        let raw = link_target(entry)?;
        let target = match inner_path(raw.as_os_str().as_bytes()) {
            Ok(Some(target)) => target,
            _ => return Err(Failure::UnsafePath(raw)),
        };
        let (dir, file) = (target.parent().unwrap_or(Path::new("")), target.file_name().unwrap_or(OsStr::new("")));
        match open_dir(&self.root, dir).and_then(|dir| linkat(&dir, file, parent, name, AtFlags::empty())) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
        for layer in self.below {
            let Ok(layer) = rustix::fs::open(layer, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            else {
                continue;
            };
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(from) = openat2(&layer, &target, flags, Mode::empty(), ResolveFlags::IN_ROOT) else { continue };
            let stat = rustix::fs::fstat(&from)?;
            if !FileType::from_raw_mode(stat.st_mode).is_file() {
                break;
            }
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut to = File::from(openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
            copy(&mut File::from(from), &mut to)?;
            chownat(parent, name, Some(uid(stat.st_uid)), Some(gid(stat.st_gid)), AtFlags::SYMLINK_NOFOLLOW)?;
            return chmod(parent, name, stat.st_mode & 0o7777);
        }
        Err(Failure::Write(io::Error::other(format!("its link target {} is not in the image", target.display()))))
    }

    /// Opens a directory of the layer, and makes it with its parents when the layer only implies it.
    fn parent(&self, path: &Path) -> Result<OwnedFd, Failure> {
        match open_dir(&self.root, path) {
            Ok(dir) => Ok(dir),
            Err(rustix::io::Errno::NOENT) => {
                let above = self.parent(path.parent().unwrap_or(Path::new("")))?;
                let name = path.file_name().unwrap_or(OsStr::new(""));
                mkdirat(&above, name, Mode::from_raw_mode(0o755))?;
                if let Some(stat) = self.stat_below(path) {
                    chownat(&above, name, Some(uid(stat.st_uid)), Some(gid(stat.st_gid)), AtFlags::SYMLINK_NOFOLLOW)?;
                    chmod(&above, name, stat.st_mode & 0o7777)?;
                }
                Ok(open_dir(&self.root, path)?)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn stat_below(&self, path: &Path) -> Option<rustix::fs::Stat> {
        self.below.iter().find_map(|layer| {
            let stat = statat(CWD, layer.join(path), AtFlags::SYMLINK_NOFOLLOW).ok()?;
            FileType::from_raw_mode(stat.st_mode).is_dir().then_some(stat)
        })
    }

    fn finish(&self) {
        for (path, mtime) in self.dirs.iter().rev() {
            let (dir, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or(OsStr::new("")));
            if let Ok(dir) = open_dir(&self.root, dir) {
                set_mtime(&dir, name, *mtime);
            }
        }
    }
}

fn open_dir(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

fn copy(from: &mut impl Read, to: &mut File) -> Result<(), Failure> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => io::Write::write_all(to, buffer.get(..n).unwrap_or_default()).map_err(Failure::Write)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Failure::Read(e)),
        }
    }
}

fn link_target<R: Read>(entry: &tar::Entry<'_, R>) -> Result<PathBuf, Failure> {
    let name = entry.link_name_bytes().ok_or_else(|| Failure::Read(io::Error::other("a link without a target")))?;
    Ok(PathBuf::from(OsString::from(OsStr::from_bytes(&name))))
}

fn whiteout(parent: &OwnedFd, hidden: &OsStr, path: &Path) -> Result<(), Failure> {
    if hidden.is_empty() || hidden == "." || hidden == ".." {
        return Err(Failure::UnsafePath(path.to_owned()));
    }
    match statat(parent, hidden, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => {
            Ok(mknodat(parent, hidden, FileType::CharacterDevice, Mode::empty(), makedev(0, 0))?)
        }
        // The layer has the name itself: only what is below is hidden, which for a directory has to be said.
        Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
            let dir = openat(parent, hidden, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            Ok(fsetxattr(&dir, OPAQUE_XATTR, b"y", XattrFlags::empty())?)
        }
        Ok(_) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Takes away what an earlier entry of the same name left; true when that was a whiteout.
fn clear(parent: &OwnedFd, name: &OsStr, keep_dir: bool) -> Result<bool, Failure> {
    let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => return Ok(false),
        other => other?,
    };
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind.is_dir() {
        if !keep_dir {
            remove_tree(parent, name)?;
        }
        return Ok(false);
    }
    unlinkat(parent, name, AtFlags::empty())?;
    Ok(kind.is_char_device() && stat.st_rdev == makedev(0, 0))
}

fn remove_tree(parent: &OwnedFd, name: &OsStr) -> Result<(), Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat(parent, name, flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&dir)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
        }
    }
    for child in names {
        let stat = statat(&dir, &child, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode).is_dir() {
            remove_tree(&dir, &child)?;
        } else {
            unlinkat(&dir, &child, AtFlags::empty())?;
        }
    }
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

fn special(parent: &OwnedFd, name: &OsStr, header: &tar::Header, kind: EntryType) -> Result<(), Failure> {
    let major = header.device_major().ok().flatten().unwrap_or(0);
    let minor = header.device_minor().ok().flatten().unwrap_or(0);
    let kind = match kind {
        EntryType::Char => FileType::CharacterDevice,
        EntryType::Block => FileType::BlockDevice,
        _ => FileType::Fifo,
    };
    let device = if kind == FileType::Fifo { 0 } else { makedev(major, minor) };
    Ok(mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device)?)
}

/// Extended attributes that mean something in a container; those of overlayfs itself are never taken from an image.
fn xattrs<R: Read>(entry: &mut tar::Entry<'_, R>, parent: &OwnedFd, name: &OsStr) -> Result<(), Failure> {
    let Some(extensions) = entry.pax_extensions().map_err(Failure::Read)? else { return Ok(()) };
    for extension in extensions {
        let extension = extension.map_err(Failure::Read)?;
        let Some(attribute) = extension.key().ok().and_then(|k| k.strip_prefix("SCHILY.xattr.")) else { continue };
        if !(attribute.starts_with("user.") || attribute == "security.capability") {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = openat(parent, name, flags, Mode::empty()) else { continue };
        match fsetxattr(&file, attribute, extension.value_bytes(), XattrFlags::empty()) {
            // Not every file system has them; a missing user attribute harms nobody.
            Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::PERM) if attribute.starts_with("user.") => {}
            other => other?,
        }
    }
    Ok(())
}

fn fsetxattr_path(dir: &OwnedFd, name: &str, value: &[u8]) -> Result<(), Failure> {
    let dir = openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(fsetxattr(&dir, name, value, XattrFlags::empty())?)
}

fn chmod(parent: &OwnedFd, name: &OsStr, mode: u32) -> Result<(), Failure> {
    Ok(rustix::fs::chmodat(parent, name, Mode::from_raw_mode(RawMode::from(mode & 0o7777)), AtFlags::empty())?)
}

fn set_mtime(parent: &OwnedFd, name: &OsStr, seconds: u64) {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    // A wrong time is not worth a failed image.
    let _ = utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW);
}

fn owner(id: io::Result<u64>) -> Option<u32> {
    id.ok().and_then(|id| u32::try_from(id).ok()).filter(|id| *id != u32::MAX)
}

fn uid(raw: u32) -> Uid {
    Uid::from_raw(raw)
}

fn gid(raw: u32) -> Gid {
    Gid::from_raw(raw)
}
