//! Writes container output in the CRI log format and rotates by size (N294–N296).
//!
//! `<RFC 3339 time with nanoseconds> stdout|stderr F|P <text>`: `P` marks a piece without its line's end. A failing write
//! (disk full) loses output rather than stopping the container.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

/// Text of one entry at most; longer lines are split.
pub(crate) const ENTRY_BYTES_MAX: usize = 16 << 10;
/// Size at which a log is rotated.
pub(crate) const ROTATE_BYTES: u64 = 10 << 20;
/// Files of one log kept, the current one included.
pub(crate) const FILES_MAX: usize = 5;

/// Which output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The log of one container.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    rotate_bytes: u64,
    /// What came since the last line's end, per stream.
    pending: [Vec<u8>; 2],
    out: Vec<u8>,
}

impl Log {
    /// Opens (or continues) a log; its directory is made if missing. Without a path output is dropped.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let mut log = Self {
            path: path.unwrap_or(Path::new("")).to_owned(),
            file: None,
            bytes: 0,
            rotate_bytes: ROTATE_BYTES,
            pending: [Vec::new(), Vec::new()],
            out: Vec::new(),
        };
        if let Some(path) = path {
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir)?;
            }
            log.reopen()?;
        }
        Ok(log)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.bytes = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    /// Takes output as it comes. Returns the rotated file that should now be compressed, if any.
    pub(crate) fn write(&mut self, stream: Stream, chunk: &[u8]) -> Option<PathBuf> {
        let now = Timestamp::now();
        self.format(stream, chunk, now);
        self.flush_out();
        if self.bytes >= self.rotate_bytes { self.rotate(now) } else { None }
    }

    /// The stream ended: what is left has no line's end.
    pub(crate) fn finish(&mut self, stream: Stream) {
        let rest = std::mem::take(self.pending_of(stream));
        if !rest.is_empty() {
            entry(&mut self.out, stream, 'P', &rest, Timestamp::now());
        }
        self.flush_out();
    }

    fn pending_of(&mut self, stream: Stream) -> &mut Vec<u8> {
        let [stdout, stderr] = &mut self.pending;
        if stream == Stream::Stdout { stdout } else { stderr }
    }

    fn format(&mut self, stream: Stream, chunk: &[u8], now: Timestamp) {
        let mut pending = std::mem::take(self.pending_of(stream));
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            pending.extend_from_slice(text);
            while pending.len() > ENTRY_BYTES_MAX || (pending.len() == ENTRY_BYTES_MAX && !ended) {
                let rest = pending.split_off(ENTRY_BYTES_MAX);
                entry(&mut self.out, stream, 'P', &pending, now);
                pending = rest;
            }
            if ended {
                entry(&mut self.out, stream, 'F', &pending, now);
                pending.clear();
            }
        }
        *self.pending_of(stream) = pending;
    }

    fn flush_out(&mut self) {
        if let Some(file) = &mut self.file
            && file.write_all(&self.out).is_ok()
        {
            self.bytes += self.out.len() as u64;
        }
        self.out.clear();
    }

    /// Renames the log, so that the newest rotated one stays readable as text, and starts a new one.
    fn rotate(&mut self, now: Timestamp) -> Option<PathBuf> {
        let stamp = now.strftime("%Y%m%d-%H%M%S").to_string();
        let rotated = with_suffix(&self.path, &stamp);
        if rotated.exists() {
            // Twice in a second: go on in the same file, it is the next second's turn.
            return None;
        }
        let before = self.rotated();
        if let Some((oldest, _)) = before.split_at_checked((before.len() + 2).saturating_sub(FILES_MAX)) {
            for path in oldest {
                let _ = fs::remove_file(path);
            }
        }
        fs::rename(&self.path, &rotated).ok()?;
        if self.reopen().is_err() {
            let _ = fs::rename(&rotated, &self.path);
            let _ = self.reopen();
            return None;
        }
        before.into_iter().next_back().filter(|path| path.exists() && path.extension().is_none_or(|e| e != "gz"))
    }

    /// Rotated files of this log, oldest first.
    fn rotated(&self) -> Vec<PathBuf> {
        let mut prefix = self.path.file_name().unwrap_or_default().to_owned();
        prefix.push(".");
        let prefix = prefix.to_string_lossy().into_owned();
        let entries = self.path.parent().and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_none_or(|e| e != "tmp"))
            .collect();
        found.sort();
        found
    }
}

fn entry(out: &mut Vec<u8>, stream: Stream, tag: char, text: &[u8], now: Timestamp) {
    // Writing to memory does not fail.
    let _ = write!(out, "{now} {} {tag} ", stream.name());
    out.extend_from_slice(text);
    out.push(b'\n');
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// Compresses a rotated log in place of the original.
pub(crate) fn compress(path: &Path) -> io::Result<()> {
    let temporary = with_suffix(path, "tmp");
    let mut encoder = flate2::write::GzEncoder::new(File::create(&temporary)?, flate2::Compression::fast());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?;
    fs::rename(&temporary, with_suffix(path, "gz"))?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(path: &Path) -> Vec<(String, String)> {
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| {
                let (time, rest) = line.split_once(' ').unwrap();
                time.parse::<Timestamp>().unwrap();
                let (head, text) = rest.split_at(8);
                (head.trim().to_owned(), text.trim_start().to_owned())
            })
            .collect()
    }

    /// N294.
    #[test]
    fn lines_are_whole_or_marked_as_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app/0.log");
        let mut log = Log::open(Some(&path)).unwrap();
        log.write(Stream::Stdout, b"one\ntw");
        log.write(Stream::Stderr, b"oops\n");
        log.write(Stream::Stdout, b"o\n\nthr");
        log.write(Stream::Stdout, b"ee");
        log.finish(Stream::Stdout);
        let got: Vec<String> = entries(&path).into_iter().map(|(head, text)| format!("{head} {text}")).collect();
        assert_eq!(got, ["stdout F one", "stderr F oops", "stdout F two", "stdout F ", "stdout P three"]);
    }

    #[test]
    fn long_lines_are_split() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut log = Log::open(Some(&path)).unwrap();
        for (length, expect) in [
            (ENTRY_BYTES_MAX - 1, vec![("F", ENTRY_BYTES_MAX - 1)]),
            (ENTRY_BYTES_MAX, vec![("F", ENTRY_BYTES_MAX)]),
            (ENTRY_BYTES_MAX + 1, vec![("P", ENTRY_BYTES_MAX), ("F", 1)]),
            (3 * ENTRY_BYTES_MAX, vec![("P", ENTRY_BYTES_MAX), ("P", ENTRY_BYTES_MAX), ("F", ENTRY_BYTES_MAX)]),
        ] {
            fs::write(&path, "").unwrap();
            let mut line = vec![b'x'; length];
            line.push(b'\n');
            log.write(Stream::Stdout, &line);
            let got: Vec<(String, usize)> =
                entries(&path).into_iter().map(|(head, text)| (head.replace("stdout ", ""), text.len())).collect();
            let expect: Vec<(String, usize)> = expect.into_iter().map(|(tag, n)| (tag.to_owned(), n)).collect();
            assert_eq!(got, expect, "length {length}");
        }
    }

    /// N296.
    #[test]
    fn a_full_log_is_rotated_and_the_one_before_compressed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        for stamp in ["20200101-000001.gz", "20200101-000002.gz", "20200101-000003.gz", "20200101-000004"] {
            fs::write(with_suffix(&path, stamp), "old").unwrap();
        }
        let mut log = Log::open(Some(&path)).unwrap();
        log.rotate_bytes = 100;
        assert_eq!(log.write(Stream::Stdout, b"short\n"), None);
        let compressible = log.write(Stream::Stdout, &[b'y'; 200]).or_else(|| log.write(Stream::Stdout, b"\n"));
        assert_eq!(compressible, Some(with_suffix(&path, "20200101-000004")));
        compress(&compressible.unwrap()).unwrap();
        let names: Vec<String> =
            log.rotated().iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names.len(), FILES_MAX - 1, "{names:?}");
        assert!(names.contains(&"0.log.20200101-000004.gz".to_owned()), "{names:?}");
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 0);
    }

    #[test]
    fn without_a_path_output_is_dropped() {
        let mut log = Log::open(None).unwrap();
        assert_eq!(log.write(Stream::Stdout, b"x\n"), None);
    }
}
