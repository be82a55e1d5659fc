//! Who a container's process runs as: names are looked up in the image's own /etc/passwd and /etc/group (N212).

use std::{fs::File, io::Read, os::fd::OwnedFd, path::Path};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::runtime::{UserSpec, UserStatus};

/// Bytes read of a user database.
const DATABASE_BYTES_MAX: u64 = 4 << 20;

/// Finds user, group and further groups. `image_user` is `user[:group]` of the image.
pub(crate) fn resolve(rootfs: &Path, spec: &UserSpec, image_user: &str) -> Result<UserStatus, String> {
    let passwd = database(rootfs, "etc/passwd");
    let groups = database(rootfs, "etc/group");
    let (image_name, image_group) = match image_user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (image_user, None),
    };
    let wanted = spec.uid.map(|uid| uid.to_string());
    let user = wanted.as_deref().unwrap_or(if image_name.is_empty() { "0" } else { image_name });
    let known = passwd.iter().find(|line| line.first() == Some(&user)).or_else(|| {
        let number = user.parse::<u32>().ok()?;
        passwd.iter().find(|line| number_at(line, 2) == Some(number))
    });
    let uid = match (user.parse::<u32>(), known) {
        (Ok(uid), _) => uid,
        (Err(_), Some(line)) => {
            number_at(line, 2).ok_or_else(|| format!("user {user} has no number in /etc/passwd"))?
        }
        (Err(_), None) => return Err(format!("unable to find user {user}: no matching entries in passwd file")),
    };
    let gid = match (spec.gid, image_group.filter(|_| spec.uid.is_none())) {
        (Some(gid), _) => gid,
        (None, Some(group)) => find_group(&groups, group)?,
        (None, None) => known.and_then(|line| number_at(line, 3)).unwrap_or(0),
    };
    let mut further = vec![gid];
    further.extend(&spec.supplemental_groups);
    if let Some(name) = known.and_then(|line| line.first()) {
        let member = |line: &&Vec<&str>| line.get(3).is_some_and(|names| names.split(',').any(|n| n == *name));
        further.extend(groups.iter().filter(member).filter_map(|line| number_at(line, 2)));
    }
    let mut seen = std::collections::BTreeSet::new();
    further.retain(|gid| seen.insert(*gid));
    Ok(UserStatus { uid, gid, groups: further })
}

fn find_group(groups: &[Vec<&str>], name: &str) -> Result<u32, String> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    let line = groups.iter().find(|line| line.first() == Some(&name));
    line.and_then(|line| number_at(line, 2))
        .ok_or_else(|| format!("unable to find group {name}: no matching entries in group file"))
}

fn number_at(line: &[&str], at: usize) -> Option<u32> {
    line.get(at)?.parse().ok()
}

/// The lines of a user database in their fields; none when there is no such file.
fn database(rootfs: &Path, name: &str) -> Vec<Vec<&'static str>> {
    let mut text = String::new();
    if let Some(file) = open_in(rootfs, name) {
        let _ = File::from(file).take(DATABASE_BYTES_MAX).read_to_string(&mut text);
    }
    // The shim looks up one user in its life.
    let text: &'static str = text.leak();
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(':').collect()).collect()
}

fn open_in(rootfs: &Path, name: &str) -> Option<OwnedFd> {
    let flags = OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::PATH;
    let root = rustix::fs::open(rootfs, flags, Mode::empty()).ok()?;
    openat2(&root, name, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty(), ResolveFlags::IN_ROOT).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N212.
    #[test]
    fn users_come_from_the_pod_then_the_image() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:\n").unwrap();
        std::fs::write(root.path().join("etc/group"), "root:x:0:\nlogs:x:50:app,x\napp:x:1001:\n").unwrap();
        let spec = |uid, gid, groups: &[u32]| UserSpec { uid, gid, supplemental_groups: groups.to_vec() };
        for (spec, image, expect) in [
            (spec(None, None, &[]), "", "0:0 [0]"),
            (spec(None, None, &[]), "app", "1000:1001 [1001, 50]"),
            (spec(None, None, &[]), "app:logs", "1000:50 [50]"),
            (spec(None, None, &[7]), "65534", "65534:0 [0, 7]"),
            (spec(None, None, &[]), "65534:65534", "65534:65534 [65534]"),
            (spec(Some(1000), None, &[]), "root:root", "1000:1001 [1001, 50]"),
            (spec(Some(5), Some(6), &[6, 7]), "app", "5:6 [6, 7]"),
        ] {
            let got = resolve(root.path(), &spec, image).unwrap();
            assert_eq!(format!("{}:{} {:?}", got.uid, got.gid, got.groups), expect, "{spec:?} {image}");
        }
        assert!(
            resolve(root.path(), &spec(None, None, &[]), "ghost").unwrap_err().contains("unable to find user ghost")
        );
        assert!(resolve(root.path(), &spec(None, None, &[]), "app:ghosts").is_err());
    }
}
