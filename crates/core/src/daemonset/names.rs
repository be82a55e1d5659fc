//! Names of pods: as the server would generate them (R52), but chosen by us, so that a create can be asked twice.

use super::history::ALPHABET;

/// What is kept of the part before the random characters.
const BASE_MAX: usize = 58;
/// Random characters.
const RANDOM: usize = 5;
/// The longest name of an object.
const NAME_MAX: usize = 253;

/// The `serial`th name of a pod of this set.
#[must_use]
pub(super) fn pod(set: &str, seed: u64, serial: u64) -> String {
    let mut name = if set.len() < NAME_MAX { format!("{set}-") } else { set.to_owned() };
    // Names of objects are ASCII.
    name.truncate(BASE_MAX);
    let mut bits = mix(seed ^ mix(serial));
    for _ in 0..RANDOM {
        let symbol = usize::try_from(bits % 27).unwrap_or(0);
        name.push(char::from(ALPHABET[symbol]));
        bits /= 27;
    }
    name
}

/// SplitMix64's finaliser: neighbouring serials give unrelated names.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R52.
    #[test]
    fn a_name_is_prefix_and_five_characters() {
        let name = pod("web", 1, 1);
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert_ne!(name, pod("web", 1, 2));
        assert_ne!(name, pod("web", 2, 1));
        assert_eq!(pod(&"x".repeat(100), 1, 1).len(), 63);
    }
}
