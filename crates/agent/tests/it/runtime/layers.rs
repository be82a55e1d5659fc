//! The unpacker's traps.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::Path,
};

use everynode_agent::runtime::images::layer::{UnpackError, unpack};

use super::{archive::Layer, world::possible};

fn header(kind: tar::EntryType, path: &str) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(0);
    // `set_path` would refuse what an attacker would not.
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    header
}

fn link(kind: tar::EntryType, path: &str, to: &str) -> tar::Header {
    let mut header = header(kind, path);
    header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
    header.set_cksum();
    header
}

fn unpacked(layer: Layer<Vec<u8>>, below: &[&Path]) -> (tempfile::TempDir, Result<u64, UnpackError>) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("fs")).unwrap();
    let below: Vec<_> = below.iter().map(|path| path.to_path_buf()).collect();
    let bytes = layer.finish().unwrap();
    let result = unpack(bytes.as_slice(), &dir.path().join("fs"), &below);
    (dir, result)
}

#[test]
fn nothing_leaves_the_directory() {
    if !possible() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_string_lossy().into_owned();
    for (name, make) in [
        (
            "dots",
            Box::new(|l: &mut Layer<Vec<u8>>| l.raw(&header(tar::EntryType::Regular, "../evil"), b"").unwrap())
                as Box<dyn Fn(&mut Layer<Vec<u8>>)>,
        ),
        ("dots inside", Box::new(|l| l.raw(&header(tar::EntryType::Regular, "a/../../evil"), b"").unwrap())),
        (
            "absolute link",
            Box::new({
                let target = target.clone();
                move |l| {
                    l.symlink("out", &target).unwrap();
                    l.file("out/evil", 0o644, b"x").unwrap();
                }
            }),
        ),
        (
            "relative link",
            Box::new(|l| {
                l.symlink("out", "../../../../../../../../../../../tmp").unwrap();
                l.raw(&header(tar::EntryType::Regular, "out/evil-everynode"), b"").unwrap();
            }),
        ),
        (
            "hard link out",
            Box::new(|l| l.raw(&link(tar::EntryType::Link, "passwd", "../../../../etc/passwd"), b"").unwrap()),
        ),
        (
            "hard link over a link",
            Box::new(|l| {
                l.symlink("etc", "/etc").unwrap();
                l.raw(&link(tar::EntryType::Link, "passwd", "etc/passwd"), b"").unwrap();
            }),
        ),
        ("whiteout of the parent", Box::new(|l| l.raw(&header(tar::EntryType::Regular, "a/.wh..."), b"").unwrap())),
    ] {
        let mut layer = Layer::new();
        make(&mut layer);
        let (dir, result) = unpacked(layer, &[]);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{name}");
        assert!(!Path::new("/tmp/evil-everynode").exists(), "{name}");
        assert!(!dir.path().join("evil").exists() && !dir.path().join("fs/passwd").exists(), "{name}");
        if name.starts_with("dots") || name.starts_with("hard") || name.starts_with("white") {
            assert!(result.is_err(), "{name}");
        }
    }
}

#[test]
fn metadata_is_kept() {
    if !possible() {
        return;
    }
    let mut layer = Layer::new();
    let mut odd = header(tar::EntryType::Regular, "suid");
    odd.set_mode(0o4755);
    odd.set_uid(12);
    odd.set_gid(34);
    odd.set_mtime(1_000_000);
    odd.set_cksum();
    layer.raw(&odd, b"").unwrap();
    layer.dir("sticky", 0o1777).unwrap();
    layer.file("sticky/file", 0o600, b"abc").unwrap();
    layer.raw(&link(tar::EntryType::Link, "twin", "sticky/file"), b"").unwrap();
    let mut device = header(tar::EntryType::Char, "null");
    device.set_device_major(1).unwrap();
    device.set_device_minor(3).unwrap();
    device.set_cksum();
    layer.raw(&device, b"").unwrap();
    layer.raw(&header(tar::EntryType::Fifo, "pipe"), b"").unwrap();
    let (dir, result) = unpacked(layer, &[]);
    assert_eq!(result.unwrap(), 3);
    let meta = |name: &str| fs::symlink_metadata(dir.path().join("fs").join(name)).unwrap();
    let suid = meta("suid");
    assert_eq!((suid.permissions().mode() & 0o7777, suid.uid(), suid.gid(), suid.mtime()), (0o4755, 12, 34, 1_000_000));
    assert_eq!((meta("sticky").permissions().mode() & 0o7777, meta("sticky").mtime()), (0o1777, 0));
    assert_eq!(meta("twin").ino(), meta("sticky/file").ino());
    assert!(meta("null").file_type().is_char_device() && meta("null").rdev() == nix::sys::stat::makedev(1, 3));
    assert!(meta("pipe").file_type().is_fifo());
}

#[test]
fn whiteouts_hide_what_is_below() {
    if !possible() {
        return;
    }
    let mut layer = Layer::new();
    layer.file(".wh.gone", 0o644, b"").unwrap();
    layer.dir("fresh", 0o755).unwrap();
    layer.file("fresh/.wh..wh..opq", 0o644, b"").unwrap();
    layer.file("fresh/new", 0o644, b"").unwrap();
    layer.file(".wh.replaced", 0o644, b"").unwrap();
    layer.dir("replaced", 0o755).unwrap();
    layer.file("kept", 0o644, b"k").unwrap();
    layer.file(".wh.kept", 0o644, b"").unwrap();
    let (dir, result) = unpacked(layer, &[]);
    result.unwrap();
    let at = |name: &str| dir.path().join("fs").join(name);
    let gone = fs::symlink_metadata(at("gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let opaque = |name: &str| {
        let mut value = [0; 8];
        rustix::fs::getxattr(at(name), "trusted.overlay.opaque", &mut value).is_ok_and(|n| value[..n] == *b"y")
    };
    assert!(opaque("fresh") && opaque("replaced"));
    assert_eq!(fs::read(at("kept")).unwrap(), b"k");
}

#[test]
fn what_a_layer_implies_comes_from_below() {
    if !possible() {
        return;
    }
    let mut lower = Layer::new();
    lower.dir("tmp", 0o1777).unwrap();
    lower.file("data", 0o640, b"from below").unwrap();
    let (lower, result) = unpacked(lower, &[]);
    result.unwrap();
    let mut upper = Layer::new();
    upper.file("tmp/deep/file", 0o644, b"").unwrap();
    upper.raw(&link(tar::EntryType::Link, "copy", "data"), b"").unwrap();
    let (upper, result) = unpacked(upper, &[&lower.path().join("fs")]);
    result.unwrap();
    let mode = |name: &str| fs::metadata(upper.path().join("fs").join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("tmp"), mode("tmp/deep"), mode("copy")), (0o1777, 0o755, 0o640));
    assert_eq!(fs::read(upper.path().join("fs/copy")).unwrap(), b"from below");
}

#[test]
fn later_entries_replace_earlier_ones() {
    if !possible() {
        return;
    }
    let mut layer = Layer::new();
    layer.dir("x", 0o755).unwrap();
    layer.file("x/below", 0o644, b"").unwrap();
    layer.file("x", 0o644, b"now a file").unwrap();
    layer.symlink("y", "/nowhere").unwrap();
    layer.dir("y", 0o755).unwrap();
    layer.file("y/z", 0o644, b"").unwrap();
    let (dir, result) = unpacked(layer, &[]);
    result.unwrap();
    assert_eq!(fs::read(dir.path().join("fs/x")).unwrap(), b"now a file");
    assert!(dir.path().join("fs/y/z").is_file());
}

#[test]
fn a_broken_archive_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(unpack(&b"x".repeat(1000)[..], dir.path(), &[]), Err(UnpackError::Read(_))));
}
