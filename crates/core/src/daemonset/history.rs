//! Revisions of a set: their hash and names, which is current, which may go (R80–R95).

/// State of a 32-bit FNV-1a hash before the first byte.
const BASIS: u32 = 2_166_136_261;
const PRIME: u32 = 16_777_619;

/// The alphabet of hashes and generated names (R89).
pub const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

fn feed(mut state: u32, bytes: &[u8]) -> u32 {
    for byte in bytes {
        state = (state ^ u32::from(*byte)).wrapping_mul(PRIME);
    }
    state
}

/// The hash state after the dump of a template; kept by [`crate::model::Template`].
#[must_use]
pub fn sum(dump: &[u8]) -> u32 {
    feed(BASIS, dump)
}

/// R88: the hash of a template whose dump has this [`sum`].
#[must_use]
pub fn hash(sum: u32, collision_count: Option<i32>) -> String {
    let state = match collision_count {
        None => sum,
        // Eight bytes: the count as a little-endian 32-bit number, then zeros.
        Some(count) => feed(feed(sum, &count.to_le_bytes()), &[0; 4]),
    };
    state.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R88, R89, appendix B.3: decimal digits become letters.
    #[test]
    fn a_sum_is_spelled_in_the_alphabet() {
        assert_eq!(hash(387_739_939, None), "7dcc7ff7f");
        assert_eq!(hash(352_373_592, None), "7967c79f6");
        assert_eq!(hash(387_739_939, Some(0)), "945d8bb9f");
        assert_eq!(hash(387_739_939, Some(1)), "7674595966");
    }

    /// T142.
    #[test]
    fn collision_counts_differ() {
        let of = |count| hash(sum(b""), count);
        assert_ne!(of(Some(1)), of(Some(2)));
        assert_ne!(of(None), of(Some(i32::MAX)));
        assert_ne!(of(None), of(Some(0)));
    }
}
