//! Reading a log in CRI form: `<time> <stream> <P|F> <content>`, newest lines, since a time, and on as it grows (N297).

use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::Stream;
use jiff::Timestamp;
use tokio::fs::File;
use tokio::io::{self, AsyncBufReadExt as _, AsyncReadExt as _, AsyncSeekExt as _, BufReader};

use crate::runtime::{ContainerId, ContainerState, SharedRuntime};

/// Time between looks at a file that is followed.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Bytes read at once when looking for the last lines.
const CHUNK_BYTES: u64 = 64 << 10;
/// Bytes gathered before they are handed on.
const BATCH_BYTES: usize = 32 << 10;

/// What is wanted of a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) follow: bool,
    pub(crate) previous: bool,
    pub(crate) timestamps: bool,
    pub(crate) tail: Option<u64>,
    pub(crate) limit: Option<u64>,
    pub(crate) since: Option<Timestamp>,
}

/// How long to wait for more.
pub(crate) enum Follow {
    /// Not at all.
    No,
    /// The container has ended: what is there is all.
    ToTheEnd,
    /// As long as this container runs.
    WhileRunning(SharedRuntime, ContainerId),
}

struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    inode: u64,
    options: Options,
    follow: Follow,
    left: Option<u64>,
    /// A line that has no end yet.
    line: Vec<u8>,
    /// The line before was partial: the next one goes on in it.
    in_line: bool,
    ended: bool,
}

/// Opens the log and gives its content in pieces.
pub(crate) async fn open(
    path: &Path,
    options: Options,
    follow: Follow,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
    let mut file = File::open(path).await?;
    let inode = file.metadata().await?.ino();
    if let Some(lines) = options.tail {
        let start = tail_start(&mut file, lines).await?;
        file.seek(SeekFrom::Start(start)).await?;
    }
    let reader = Reader {
        path: path.to_owned(),
        file: BufReader::new(file),
        inode,
        left: options.limit,
        options,
        follow,
        line: Vec::new(),
        in_line: false,
        ended: false,
    };
    Ok(futures::stream::try_unfold(reader, async |mut reader| Ok(reader.next().await?.map(|bytes| (bytes, reader)))))
}

/// Where the last lines begin.
async fn tail_start(file: &mut File, lines: u64) -> io::Result<u64> {
    let length = file.metadata().await?.len();
    if lines == 0 {
        return Ok(length);
    }
    let (mut end, mut found) = (length, 0);
    let mut chunk = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(CHUNK_BYTES);
        file.seek(SeekFrom::Start(begin)).await?;
        chunk.clear();
        (&mut *file).take(end - begin).read_to_end(&mut chunk).await?;
        for (position, byte) in chunk.iter().enumerate().rev() {
            let at = begin + position as u64;
            // The break at the very end belongs to the last line.
            if *byte == b'\n' && at + 1 != length {
                found += 1;
                if found == lines {
                    return Ok(at + 1);
                }
            }
        }
        end = begin;
    }
    Ok(0)
}

impl Reader {
    /// The next piece, or `None` when there will be no more.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.ended || self.left == Some(0) {
            return Ok(None);
        }
        let mut out = BytesMut::new();
        while out.len() < BATCH_BYTES {
            let count = self.file.read_until(b'\n', &mut self.line).await?;
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.put(&line, &mut out);
                continue;
            }
            if count > 0 {
                continue;
            }
            if !out.is_empty() {
                break;
            }
            if !self.more().await? {
                self.ended = true;
                break;
            }
        }
        if let Some(left) = &mut self.left {
            out.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= out.len() as u64;
        }
        Ok(Some(out.freeze()).filter(|bytes| !bytes.is_empty()))
    }

    /// Waits until there may be more; false when there will not.
    async fn more(&mut self) -> io::Result<bool> {
        let Follow::WhileRunning(runtime, id) = &self.follow else { return Ok(false) };
        // Asked before the last look, so that nothing written before the end is missed.
        let runs = runtime
            .container_status(id)
            .await
            .is_ok_and(|status| matches!(status.state, ContainerState::Running { .. }));
        let rotated = match tokio::fs::metadata(&self.path).await {
            Ok(found) => found.ino() != self.inode,
            // Between rename and creation.
            Err(_) => false,
        };
        let position = self.file.stream_position().await?;
        let grown = self.file.get_ref().metadata().await?.len() > position;
        if grown {
            return Ok(true);
        }
        if rotated {
            let file = File::open(&self.path).await?;
            self.inode = file.metadata().await?.ino();
            self.file = BufReader::new(file);
            return Ok(true);
        }
        if runs {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(runs)
    }

    /// Hands on the content of one line.
    fn put(&mut self, line: &[u8], out: &mut BytesMut) {
        let Some(entry) = Entry::parse(line) else { return };
        if self.options.since.is_some_and(|since| entry.time().is_some_and(|time| time < since)) {
            return;
        }
        if self.options.timestamps && !self.in_line {
            out.put_slice(fixed(entry.stamp).as_bytes());
            out.put_u8(b' ');
        }
        out.put_slice(entry.content);
        if !entry.partial {
            out.put_u8(b'\n');
        }
        self.in_line = entry.partial;
    }
}

struct Entry<'a> {
    stamp: &'a str,
    partial: bool,
    content: &'a [u8],
}

impl<'a> Entry<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let stamp = std::str::from_utf8(parts.next()?).ok()?;
        let _stream = parts.next()?;
        let tags = parts.next()?;
        Some(Self {
            stamp,
            partial: tags.split(|byte| *byte == b':').next() == Some(b"P"),
            content: parts.next().unwrap_or_default(),
        })
    }

    fn time(&self) -> Option<Timestamp> {
        self.stamp.parse().ok()
    }
}

/// A time with nine digits behind the point (N297).
fn fixed(stamp: &str) -> String {
    match stamp.parse::<Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string(),
        Err(_) => stamp.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt as _;

    const LOG: &str = "2026-01-01T00:00:00Z stdout F one\n\
                       2026-01-01T00:00:01.5Z stderr P tw\n\
                       2026-01-01T00:00:01.6Z stderr F o\n\
                       2026-01-01T00:00:02Z stdout F \n\
                       2026-01-01T00:00:03Z stdout F four words are here\n";

    async fn read(options: Options) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        std::fs::write(&path, LOG).unwrap();
        let stream = open(&path, options, Follow::No).await.unwrap();
        let pieces: Vec<Bytes> = Box::pin(stream).try_collect().await.unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[tokio::test]
    async fn options_choose_lines_n297_t46() {
        let plain = Options::default;
        for (options, expect) in [
            (plain(), "one\ntwo\n\nfour words are here\n"),
            (Options { tail: Some(2), ..plain() }, "\nfour words are here\n"),
            (Options { tail: Some(0), ..plain() }, ""),
            (Options { tail: Some(99), ..plain() }, "one\ntwo\n\nfour words are here\n"),
            (Options { limit: Some(5), ..plain() }, "one\nt"),
            (Options { since: Some("2026-01-01T00:00:02Z".parse().unwrap()), ..plain() }, "\nfour words are here\n"),
            (
                Options { timestamps: true, tail: Some(4), ..plain() },
                "2026-01-01T00:00:01.500000000Z two\n2026-01-01T00:00:02.000000000Z \n\
                 2026-01-01T00:00:03.000000000Z four words are here\n",
            ),
        ] {
            assert_eq!(read(options.clone()).await, expect, "{options:?}");
        }
    }
}
