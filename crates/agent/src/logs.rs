//! Where logs lie and how they are named: log collectors take pod, namespace, container and id from these paths (N293–N295).
//!
//! The runtime's shim writes the lines; here are directories, links, clean-up, and the termination message.

pub(crate) mod read;

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use kube::api::ResourceExt;

use crate::Config;
use crate::kit::Kit;
use crate::runtime::{ContainerState, ContainerStatus};

/// File names are no longer than this, the suffix included (N293).
const NAME_MAX: usize = 255;
/// Limits of a termination message (N28).
const MESSAGE_FILE_BYTES: usize = 4096;
const MESSAGE_LOG_BYTES: u64 = 2048;
const MESSAGE_LOG_LINES: usize = 80;

/// `<log dir>/pods/<namespace>_<name>_<uid>`.
pub(crate) fn pod_dir(config: &Config, pod: &Pod) -> PathBuf {
    let (namespace, uid) = (pod.namespace().unwrap_or_default(), pod.uid().unwrap_or_default());
    config.log_dir.join("pods").join(format!("{namespace}_{}_{uid}", pod.name_any()))
}

/// Log of one instance.
pub(crate) fn file(config: &Config, pod: &Pod, container: &str, attempt: u32) -> PathBuf {
    pod_dir(config, pod).join(container).join(format!("{attempt}.log"))
}

fn link_path(config: &Config, pod: &Pod, container: &str, id: &str) -> PathBuf {
    let namespace = pod.namespace().unwrap_or_default();
    let mut name = format!("{}_{namespace}_{container}-{id}", pod.name_any());
    name.truncate(NAME_MAX - ".log".len());
    config.log_dir.join("containers").join(name + ".log")
}

/// The two directories of N4.
pub(crate) fn make_roots(config: &Config) -> io::Result<()> {
    make_dir(&config.log_dir.join("pods"), 0o750)?;
    make_dir(&config.log_dir.join("containers"), 0o755)
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// The directory of a pod's logs.
pub(crate) fn make_pod_dir(config: &Config, pod: &Pod) -> io::Result<()> {
    let dir = pod_dir(config, pod);
    make_dir(&dir, 0o755)?;
    crate::mark::put(&dir, config)
}

/// The directory of a container's logs.
pub(crate) fn make_container_dir(config: &Config, pod: &Pod, container: &str) -> io::Result<()> {
    make_dir(&pod_dir(config, pod).join(container), 0o755)
}

/// Links a running container's log where collectors look (N293).
pub(crate) fn link(config: &Config, pod: &Pod, container: &str, attempt: u32, id: &str) {
    let (target, link) = (file(config, pod, container, attempt), link_path(config, pod, container, id));
    if let Err(error) = std::os::unix::fs::symlink(&target, &link)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        tracing::warn!(link = %link.display(), %error, "log not linked");
    }
}

/// Removes the log of one instance, its rotated parts and its link (N295).
pub(crate) fn remove(config: &Config, pod: &Pod, container: &str, attempt: u32, id: &str) {
    let _ = fs::remove_file(link_path(config, pod, container, id));
    let dir = pod_dir(config, pod).join(container);
    let prefix = format!("{attempt}.log");
    for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Removes all logs of a pod that is gone, and links that lead nowhere.
pub(crate) fn remove_pod(config: &Config, pod: &Pod) {
    let dir = pod_dir(config, pod);
    let _ = fs::remove_dir_all(&dir);
    remove_links_into(config, &dir);
}

/// Removes links to logs below `dir`.
pub(crate) fn remove_links_into(config: &Config, dir: &Path) {
    for entry in fs::read_dir(config.log_dir.join("containers")).into_iter().flatten().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(dir)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Restart counts that follow from the logs alone, for containers whose records are gone (N139).
pub(crate) fn attempts(config: &Config, pod: &Pod) -> Vec<(String, u32)> {
    let number = |name: &str| name.split_once(".log").and_then(|(number, _)| number.parse::<u32>().ok());
    let dirs = fs::read_dir(pod_dir(config, pod)).into_iter().flatten().flatten();
    dirs.filter_map(|dir| {
        let files = fs::read_dir(dir.path()).ok()?.flatten();
        let highest = files.filter_map(|file| number(&file.file_name().to_string_lossy())).max()?;
        Some((dir.file_name().to_string_lossy().into_owned(), highest + 1))
    })
    .collect()
}

/// The file that a container may leave a message in: `<pod dir>/containers/<name>/<attempt>`.
pub(crate) fn message_file(config: &Config, uid: &str, container: &str, attempt: u32) -> PathBuf {
    config.kubelet_dir.join("pods").join(uid).join("containers").join(container).join(format!("{attempt:08x}"))
}

/// Makes that file, writable for whoever the container runs as (N135).
pub(crate) fn make_message_file(path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        make_dir(dir, 0o755)?;
    }
    fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))
}

/// What an ended container left to say (N287).
pub(crate) fn termination_message(kit: &Kit, pod: &Pod, status: &ContainerStatus) -> String {
    let ContainerState::Exited { exit_code, .. } = status.state else { return String::new() };
    if !kit.is_machine() {
        return String::new();
    }
    let path = message_file(&kit.config, &pod.uid().unwrap_or_default(), &status.name, status.attempt);
    let mut message = Vec::new();
    if let Ok(file) = fs::File::open(&path) {
        let limit = u64::try_from(MESSAGE_FILE_BYTES).unwrap_or(u64::MAX);
        // What cannot be read is not a message.
        let _ = file.take(limit).read_to_end(&mut message);
    }
    let policy = status.annotations.get("io.kubernetes.container.terminationMessagePolicy");
    if message.is_empty() && exit_code != 0 && policy.is_some_and(|policy| policy == "FallbackToLogsOnError") {
        return status.log_path.as_deref().and_then(|path| log_tail(path).ok()).unwrap_or_default();
    }
    String::from_utf8_lossy(&message).into_owned()
}

/// The last lines of a log without their prefixes.
fn log_tail(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    // Prefixes are part of the file but not of the message; twice the limit is enough for usual lines.
    file.seek(SeekFrom::Start(length.saturating_sub(2 * MESSAGE_LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let contents: Vec<_> = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
    let from = contents.len().saturating_sub(MESSAGE_LOG_LINES);
    let mut tail = contents[from..].join("\n");
    if !tail.is_empty() {
        tail.push('\n');
    }
    let limit = usize::try_from(MESSAGE_LOG_BYTES).unwrap_or(usize::MAX);
    let mut cut = tail.len().saturating_sub(limit);
    while !tail.is_char_boundary(cut) {
        cut += 1;
    }
    Ok(tail.split_off(cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"name": name, "namespace": "ns", "uid": "u"}})).unwrap()
    }

    #[test]
    fn links_have_the_name_that_collectors_read_n293_t4() {
        let config = Config::of_machine("n", "/tmp".into(), ("h".into(), 1));
        assert_eq!(
            link_path(&config, &pod("web"), "app", "abc").to_str(),
            Some("/var/log/containers/web_ns_app-abc.log")
        );
        let long = link_path(&config, &pod(&"x".repeat(253)), "app", &"f".repeat(64));
        let name = long.file_name().unwrap().to_str().unwrap();
        assert!(name.len() == NAME_MAX && name.ends_with(".log"));
    }

    #[test]
    fn restart_counts_go_on_from_the_logs_n139() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::of_machine("n", dir.path().into(), ("h".into(), 1));
        config.log_dir = dir.path().into();
        make_container_dir(&config, &pod("web"), "app").unwrap();
        for name in ["0.log", "3.log", "3.log.20260101-000000.gz", "x"] {
            fs::write(pod_dir(&config, &pod("web")).join("app").join(name), "").unwrap();
        }
        assert_eq!(attempts(&config, &pod("web")), [("app".to_owned(), 4)]);
    }

    #[test]
    fn the_tail_of_a_log_is_a_message_n287() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        fs::write(&path, "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:01Z stderr F two words\n").unwrap();
        assert_eq!(log_tail(&path).unwrap(), "one\ntwo words\n");
    }
}
