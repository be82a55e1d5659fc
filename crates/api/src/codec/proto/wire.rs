//! The wire format itself: tags, varints, lengths.

use super::ProtoError;

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Four bytes; nothing in the API has them.
    Fixed32,
}

impl<'a> Field<'a> {
    fn wire_type(self) -> u8 {
        match self {
            Field::Varint(_) => 0,
            Field::Fixed64(_) => 1,
            Field::Bytes(_) => 2,
            Field::Fixed32 => 5,
        }
    }

    pub(super) fn wrong(self) -> ProtoError {
        ProtoError::WireType(self.wire_type())
    }

    pub(super) fn as_bytes(self) -> Result<&'a [u8], ProtoError> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            other => Err(other.wrong()),
        }
    }

    pub(super) fn as_varint(self) -> Result<u64, ProtoError> {
        match self {
            Field::Varint(n) => Ok(n),
            other => Err(other.wrong()),
        }
    }
}

/// The fields of a message, one by one.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn next(&mut self) -> Result<Option<(u32, Field<'a>)>, ProtoError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = read_varint(&mut self.0)?;
        let number = u32::try_from(tag >> 3).map_err(|_| ProtoError::Overflow)?;
        let field = match tag & 7 {
            0 => Field::Varint(read_varint(&mut self.0)?),
            1 => {
                let eight = self.take(8)?;
                Field::Fixed64(u64::from_le_bytes(eight.try_into().map_err(|_| ProtoError::Truncated)?))
            }
            2 => {
                let length = usize::try_from(read_varint(&mut self.0)?).map_err(|_| ProtoError::Overflow)?;
                Field::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Field::Fixed32
            }
            other => return Err(ProtoError::WireType(u8::try_from(other).unwrap_or_default())),
        };
        Ok(Some((number, field)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtoError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ProtoError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }
}

pub(super) fn read_varint(from: &mut &[u8]) -> Result<u64, ProtoError> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first().ok_or(ProtoError::Truncated)?;
        *from = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(n);
        }
    }
    Err(ProtoError::Overflow)
}

fn write_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    out.push(n.to_le_bytes()[0]);
}

pub(crate) fn varint(out: &mut Vec<u8>, number: u32, n: u64) {
    write_varint(out, u64::from(number) << 3);
    write_varint(out, n);
}

pub(super) fn fixed64(out: &mut Vec<u8>, number: u32, n: u64) {
    write_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&n.to_le_bytes());
}

pub(crate) fn bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    write_varint(out, u64::from(number) << 3 | 2);
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn string(out: &mut Vec<u8>, number: u32, text: &str) {
    bytes(out, number, text.as_bytes());
}
