//! hostPath: a path of the machine, checked against its type before every mount (N188).

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Component, Path};

use k8s_openapi::api::core::v1::HostPathVolumeSource;

/// Checks the path, and makes it where its type asks for that.
pub(super) fn check(source: &HostPathVolumeSource) -> Result<(), String> {
    let path = Path::new(&source.path);
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("path {} must not contain '..'", source.path));
    }
    let kind = source.type_.as_deref().unwrap_or_default();
    if kind == "DirectoryOrCreate" && !path.exists() {
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
        made.map_err(|error| format!("mkdir {}: {error}", source.path))?;
    }
    if kind == "FileOrCreate" && !path.exists() {
        let made = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path);
        made.map_err(|error| format!("open {}: {error}", source.path))?;
    }
    let (words, fits): (&str, fn(&fs::FileType) -> bool) = match kind {
        "" => return Ok(()),
        "Directory" | "DirectoryOrCreate" => ("a directory", fs::FileType::is_dir),
        "File" | "FileOrCreate" => ("a file", fs::FileType::is_file),
        "Socket" => ("a socket file", |kind| kind.is_socket()),
        "CharDevice" => ("a character device", |kind| kind.is_char_device()),
        "BlockDevice" => ("a block device", |kind| kind.is_block_device()),
        other => return Err(format!("hostPath type {other} is not known")),
    };
    match fs::metadata(path) {
        Ok(found) if fits(&found.file_type()) => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("stat {}: {error}", source.path)),
        _ => Err(format!("hostPath type check failed: {} is not {words}", source.path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked_n188_t28() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir(at("dir")).unwrap();
        fs::write(at("file"), "").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (name, kind, expect) in [
            ("dir", "Directory", Ok(())),
            ("dir", "DirectoryOrCreate", Ok(())),
            ("dir", "File", Err("is not a file")),
            ("file", "File", Ok(())),
            ("file", "FileOrCreate", Ok(())),
            ("file", "Directory", Err("is not a directory")),
            ("dir", "FileOrCreate", Err("is not a file")),
            ("socket", "Socket", Ok(())),
            ("file", "Socket", Err("is not a socket file")),
            ("file", "CharDevice", Err("is not a character device")),
            ("file", "BlockDevice", Err("is not a block device")),
            ("none", "Directory", Err("is not a directory")),
            ("none", "", Ok(())),
            ("made", "DirectoryOrCreate", Ok(())),
            ("made-file", "FileOrCreate", Ok(())),
        ] {
            let source = HostPathVolumeSource { path: at(name), type_: Some(kind.to_owned()) };
            let got = check(&source);
            match expect {
                Ok(()) => assert_eq!(got, Ok(()), "{name} as {kind}"),
                Err(words) => {
                    let expect = format!("hostPath type check failed: {} {words}", at(name));
                    assert_eq!(got, Err(expect), "{name} as {kind}");
                }
            }
        }
        let null = HostPathVolumeSource { path: "/dev/null".into(), type_: Some("CharDevice".into()) };
        assert_eq!(check(&null), Ok(()));
        assert!(check(&HostPathVolumeSource { path: "/a/../b".into(), type_: None }).is_err());
    }
}
