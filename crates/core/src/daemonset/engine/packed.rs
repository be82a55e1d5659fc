//! The labels of a node in one piece of memory: every node that is told is compared with what is kept of it, and nearly always it
//! is the same. A tree of texts would have to be fetched from a dozen places.

use crate::model::Labels;
use crate::selector::Labelled;

/// Keys and values in order, each after its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed(Box<[u8]>);

/// Lengths are four bytes.
type Length = [u8; 4];

fn length(text: &[u8]) -> Length {
    u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes()
}

/// The first text and what comes after it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<{ size_of::<Length>() }>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// What comes after this text, if it is the first.
fn after<'a>(bytes: &'a [u8], text: &str) -> Option<&'a [u8]> {
    let rest = bytes.strip_prefix(&length(text.as_bytes()))?;
    rest.strip_prefix(text.as_bytes())
}

impl Packed {
    pub(super) fn new(labels: &Labels) -> Self {
        let texts = || labels.iter().flat_map(|(key, value)| [key, value]);
        let mut bytes = Vec::with_capacity(texts().map(|text| size_of::<Length>() + text.len()).sum());
        for text in texts() {
            bytes.extend(length(text.as_bytes()));
            bytes.extend(text.as_bytes());
        }
        Self(bytes.into())
    }

    /// True when these labels are kept here.
    pub(super) fn is(&self, labels: &Labels) -> bool {
        let mut texts = labels.iter().flat_map(|(key, value)| [key, value]);
        texts.try_fold(&*self.0, |rest, text| after(rest, text)).is_some_and(<[u8]>::is_empty)
    }
}

impl Labelled for Packed {
    fn label(&self, key: &str) -> Option<&str> {
        let mut rest = &*self.0;
        while let Some((found, after)) = split(rest) {
            let (value, after) = split(after)?;
            if found == key.as_bytes() {
                return std::str::from_utf8(value).ok();
            }
            rest = after;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemonset::mk;

    #[test]
    fn labels_are_packed_as_they_are() {
        let all = ["", "a=b", "a=,b=c", "a=b,c=", "a=bc", "ab=c", "a=b,c=d", "a=b,c=d,e=f"].map(mk::labels);
        for one in &all {
            let packed = Packed::new(one);
            for (key, value) in one {
                assert_eq!(packed.label(key), Some(value.as_str()));
            }
            assert_eq!((packed.label("x"), packed.label("")), (None, None));
            for other in &all {
                assert_eq!(packed.is(other), one == other, "{one:?} {other:?}");
            }
        }
    }
}
