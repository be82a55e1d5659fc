//! The last few events as the bytes of a plain JSON watch, so that an event is put into its envelope once and not once
//! per watcher.

use std::sync::{Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use everynode_store::Revision;

/// Events that are remembered. Watchers are woken together, so a few are enough.
const FRAMES: usize = 64;
/// Larger events are not kept.
const FRAME_BYTES_MAX: usize = 64 << 10;

type Slot = Option<(Revision, &'static str, Bytes)>;

/// A small cache, by revision and type of event.
pub(crate) struct Frames(Mutex<Vec<Slot>>);

impl Default for Frames {
    fn default() -> Self {
        Self(Mutex::new(vec![None; FRAMES]))
    }
}

impl Frames {
    /// The line of an event; `object` is its buffer.
    pub(crate) fn line(&self, revision: Revision, kind: &'static str, object: &Bytes) -> Bytes {
        let index = usize::try_from(revision.0 % FRAMES as u64).unwrap_or(0);
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get_mut(index) else { return line(kind, object) };
        if let Some((known, of, line)) = slot
            && *known == revision
            && *of == kind
        {
            return line.clone();
        }
        let made = line(kind, object);
        if made.len() <= FRAME_BYTES_MAX {
            *slot = Some((revision, kind, made.clone()));
        }
        made
    }
}

/// `{"type":"ADDED","object":{…}}` and a newline; `object` may end with a newline of its own.
pub(crate) fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(object.len() + 40);
    write_line(&mut out, kind, object);
    out.freeze()
}

/// Appends such a line.
pub(crate) fn write_line(out: &mut BytesMut, kind: &str, object: &[u8]) {
    out.put_slice(b"{\"type\":\"");
    out.put_slice(kind.as_bytes());
    out.put_slice(b"\",\"object\":");
    out.put_slice(object.strip_suffix(b"\n").unwrap_or(object));
    out.put_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A100: one line per event, the object as it is stored.
    #[test]
    fn a100_lines() {
        let frames = Frames::default();
        let object = Bytes::from_static(b"{\"kind\":\"Pod\"}\n");
        let first = frames.line(Revision(5), "ADDED", &object);
        assert_eq!(&first[..], b"{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\"}}\n");
        let again = frames.line(Revision(5), "ADDED", &object);
        assert_eq!(first.as_ptr(), again.as_ptr(), "made once");
        assert_eq!(&frames.line(Revision(5), "DELETED", &object)[..9], b"{\"type\":\"");
        assert!(frames.line(Revision(5 + 64), "ADDED", &Bytes::from_static(b"{}")).ends_with(b"{}}\n"));
    }
}
