//! Files of the certificate folder: written whole or not at all, private ones with mode 0600.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::PkiError;

/// No file here comes near this; a larger one is not ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Makes the folder with mode 0700.
pub(super) fn prepare(folder: &Path) -> Result<(), PkiError> {
    let failed = |source| PkiError::Prepare { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Reads a text file; `None` if it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<String>, PkiError> {
    let failed = |source| PkiError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(Some(text))
}

/// Replaces a file that only its owner may read.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    replace(path, bytes, 0o600).map_err(|source| PkiError::Write { path: path.to_owned(), source })
}

/// Replaces a file that anybody may read.
pub(super) fn write_public(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    replace(path, bytes, 0o644).map_err(|source| PkiError::Write { path: path.to_owned(), source })
}

/// Writes beside the target, syncs, renames, syncs the folder: a crash leaves the old file or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let mut beside = name.to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = folder.join(beside);
    // A leftover of a crash may have another mode, and a symbolic link must not be followed: start from nothing.
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&beside, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&beside);
        return renamed;
    }
    File::open(folder)?.sync_all()
}
