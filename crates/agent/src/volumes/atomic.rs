//! Files that change all at once: readers see the old set or the new one, never a mixture (N197–N199).
//!
//! ```text
//!   key   -> ..data/key
//!   ..data -> ..2026_11_21_10_00_00.123456     renamed over in one step
//!   ..2026_11_21_10_00_00.123456/key            the files themselves
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Component, Path};

use super::payload::{File, Files};
use super::{make_dir, ownership};

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";
const PATH_MAX: usize = 4096;
const PART_MAX: usize = 255;

/// Makes `dir` show exactly these files; does nothing when it does already.
pub(super) fn write(dir: &Path, files: &Files, group: Option<u32>) -> io::Result<()> {
    for path in files.keys() {
        check(path).map_err(|problem| io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?}: {problem}")))?;
    }
    let former = fs::read_link(dir.join(DATA)).ok();
    if let Some(former) = &former
        && shows(&dir.join(former), files, group).unwrap_or(false)
    {
        return link(dir, files);
    }
    let now = jiff::Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S");
    let fresh = format!("..{now}.{:09}", rand::random::<u32>());
    let place = dir.join(&fresh);
    make_dir(&place, 0o755)?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
    for (path, file) in files {
        put(&place.join(path), file)?;
    }
    if let Some(group) = group {
        ownership::give(&place, group, true)?;
    }
    let _ = fs::remove_file(dir.join(DATA_NEW));
    symlink(&fresh, dir.join(DATA_NEW))?;
    fs::rename(dir.join(DATA_NEW), dir.join(DATA))?;
    link(dir, files)?;
    if let Some(former) = former {
        fs::remove_dir_all(dir.join(former))?;
    }
    Ok(())
}

fn check(path: &str) -> Result<(), &'static str> {
    let parts: Vec<_> = Path::new(path).components().collect();
    if path.is_empty() || path.len() > PATH_MAX {
        return Err("empty or too long");
    }
    if path.starts_with("..") || !parts.iter().all(|part| matches!(part, Component::Normal(_))) {
        return Err("must be relative and stay in the volume");
    }
    if path.split('/').any(|part| part.len() > PART_MAX) {
        return Err("has a part that is too long");
    }
    Ok(())
}

fn put(path: &Path, file: &File) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        make_dir(parent, 0o755)?;
    }
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut out, &file.data)?;
    out.set_permissions(fs::Permissions::from_mode(file.mode))?;
    match file.owner {
        Some(owner) => chown(path, Some(owner), None),
        None => Ok(()),
    }
}

/// Whether the directory holds these files, with these modes, and no others.
fn shows(place: &Path, files: &Files, group: Option<u32>) -> io::Result<bool> {
    let mut present = BTreeMap::new();
    collect(place, "", &mut present)?;
    if present.len() != files.len() {
        return Ok(false);
    }
    for (path, file) in files {
        let Some((mode, data)) = present.get(path) else { return Ok(false) };
        let wanted = if group.is_some() { file.mode | 0o440 } else { file.mode };
        if *mode != wanted || *data != file.data {
            return Ok(false);
        }
    }
    Ok(true)
}

fn collect(dir: &Path, prefix: &str, into: &mut BTreeMap<String, (u32, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let found = entry.metadata()?;
        if found.is_dir() {
            collect(&entry.path(), &format!("{name}/"), into)?;
        } else {
            into.insert(name, (found.mode() & 0o7777, fs::read(entry.path())?));
        }
    }
    Ok(())
}

/// One link for each first part of a path; links to what is gone are removed.
fn link(dir: &Path, files: &Files) -> io::Result<()> {
    let first = |path: &str| path.split('/').next().unwrap_or(path).to_owned();
    let wanted: BTreeSet<_> = files.keys().map(|path| first(path)).collect();
    for name in &wanted {
        match symlink(Path::new(DATA).join(name), dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !wanted.contains(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Files {
        let file = |text: &str| File { data: text.into(), mode: 0o644, owner: None };
        list.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    fn visible(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names.retain(|name| !name.starts_with("..2"));
        names
    }

    #[test]
    fn files_are_links_into_one_directory_n197() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &files(&[("a", "1"), ("deep/b", "2")]), None).unwrap();
        assert_eq!(visible(dir.path()), ["..data", "a", "deep"]);
        assert_eq!(fs::read_link(dir.path().join("a")).unwrap(), Path::new("..data/a"));
        assert_eq!(fs::read_to_string(dir.path().join("deep/b")).unwrap(), "2");
    }

    #[test]
    fn a_change_replaces_everything_at_once_n198_t23() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &files(&[("a", "1"), ("gone", "x")]), None).unwrap();
        let before = fs::read_link(dir.path().join(DATA)).unwrap();
        write(dir.path(), &files(&[("a", "1"), ("gone", "x")]), None).unwrap();
        assert_eq!(fs::read_link(dir.path().join(DATA)).unwrap(), before, "the same content changes nothing");
        write(dir.path(), &files(&[("a", "2"), ("new", "y")]), None).unwrap();
        assert_eq!(visible(dir.path()), ["..data", "a", "new"]);
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "2");
        assert!(!dir.path().join(before).exists(), "the old directory is gone");
    }

    #[test]
    fn paths_stay_in_the_volume_n199() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["/etc/passwd", "../x", "a/../../x", "..x", "", &"x".repeat(256)] {
            assert!(write(dir.path(), &files(&[(path, "1")]), None).is_err(), "{path:?}");
        }
    }
}
