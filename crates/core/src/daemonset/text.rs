//! Short texts that lie where they are kept: comparing one touches no memory elsewhere, copying one allocates nothing.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A text that is compared often and handed out seldom. Up to `ROOM` bytes of it lie here: a uid, and most names of pods.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Text<const ROOM: usize = 38> {
    /// Its length, and its bytes with zeros after them.
    Here(u8, [u8; ROOM]),
    /// A longer one.
    There(Arc<str>),
}

impl<const ROOM: usize> Text<ROOM> {
    pub(crate) fn new(text: &Arc<str>) -> Self {
        let mut bytes = [0; ROOM];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(text.as_bytes());
                Self::Here(len, bytes)
            }
            _ => Self::There(Arc::clone(text)),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Here(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::There(text) => text.as_bytes(),
        }
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        self.bytes() == text.as_bytes()
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// The text to hand out.
    pub(crate) fn shared(&self) -> Arc<str> {
        match self {
            Self::Here(..) => self.as_str().into(),
            Self::There(text) => Arc::clone(text),
        }
    }
}

impl<const ROOM: usize> PartialOrd for Text<ROOM> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As texts are ordered.
impl<const ROOM: usize> Ord for Text<ROOM> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl<const ROOM: usize> fmt::Debug for Text<ROOM> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short or long, it is the text that was put in.
    #[test]
    fn texts_are_kept_whole() {
        let texts = ["", "a", "ab", "b", "web-é", &"x".repeat(38), &"x".repeat(39), &"y".repeat(253)];
        for one in texts {
            let text: Text = Text::new(&one.into());
            assert_eq!((text.as_str(), &*text.shared()), (one, one));
            for other in texts {
                assert_eq!(text.is(other), one == other, "{one} {other}");
                assert_eq!(text.cmp(&Text::new(&other.into())), one.cmp(other), "{one} {other}");
            }
        }
    }
}
