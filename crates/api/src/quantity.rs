//! `resource.Quantity`: reading, canonical text, arithmetic. Fixed point in billionths; finer amounts are rounded away from zero.
//!
//! Not here: what quantities mean (requests, limits, capacity).

use std::{cmp::Ordering, fmt, str::FromStr};

const NANO: i128 = 1_000_000_000;

/// Which suffixes an amount was written with, and will be written with again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `n u m k M G T P E`
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`
    BinarySi,
    /// `e3`
    DecimalExponent,
}

/// An amount. Equality and order are by amount alone; `Display` is the canonical text.
#[derive(Clone, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
    /// A spelling that upstream keeps although another would be shorter (such as `1.500`).
    kept: Option<Box<str>>,
}

/// Why a text is no quantity; upstream's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The whole does not look like a quantity.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number is none, or too large.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Quantity {
    /// A whole number.
    pub fn from_int(n: i64) -> Self {
        Quantity { nanos: i128::from(n) * NANO, format: Format::DecimalSi, kept: None }
    }

    /// Thousandths, as `250m`.
    pub fn from_milli(n: i64) -> Self {
        Quantity { nanos: i128::from(n) * (NANO / 1000), format: Format::DecimalSi, kept: None }
    }

    /// A number of bytes, written with binary suffixes.
    pub fn from_bytes(n: i64) -> Self {
        Quantity { nanos: i128::from(n) * NANO, format: Format::BinarySi, kept: None }
    }

    /// The amount in whole units, rounded up.
    pub fn value(&self) -> i64 {
        saturate(div_away(self.nanos, NANO))
    }

    /// The amount in thousandths, rounded up.
    pub fn milli_value(&self) -> i64 {
        saturate(div_away(self.nanos, NANO / 1000))
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        match self.nanos.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }

    /// Whether the amount is zero.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Whether the amount has no fraction.
    pub fn is_whole(&self) -> bool {
        self.nanos % NANO == 0
    }

    /// The amount rounded up to thousandths (A311), and its spelling made canonical if that changed anything.
    #[must_use]
    pub fn rounded_up_to_milli(&self) -> Self {
        let milli = NANO / 1000;
        if self.nanos % milli == 0 {
            self.clone()
        } else {
            self.with(div_away(self.nanos, milli).saturating_mul(milli))
        }
    }

    /// The sum; the format is this one's, or the other's if this is zero.
    #[must_use]
    pub fn plus(&self, other: &Quantity) -> Self {
        let base = if self.is_zero() { other } else { self };
        base.with(self.nanos.saturating_add(other.nanos))
    }

    /// The difference; the format as in [`Quantity::plus`].
    #[must_use]
    pub fn minus(&self, other: &Quantity) -> Self {
        let base = if self.is_zero() { other } else { self };
        base.with(self.nanos.saturating_sub(other.nanos))
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    fn with(&self, nanos: i128) -> Self {
        Quantity { nanos, format: self.format, kept: None }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

fn saturate(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

/// Division rounded away from zero.
fn div_away(n: i128, by: i128) -> i128 {
    let whole = n / by;
    if n % by == 0 { whole } else { whole + n.signum() }
}

/// The text cut into sign, digits before and behind the point, and suffix.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn cut(text: &str) -> Result<Parts<'_>, ParseError> {
    let (negative, rest) = match text.as_bytes().first() {
        None => return Err(ParseError::Format),
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) => (false, text),
    };
    let rest = rest.trim_start_matches('0');
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = rest.split_at(digits(rest));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let letters = suffix.bytes().take_while(|c| b"eEinumkKMGTP".contains(c)).count();
    let tail = suffix.as_bytes().get(letters..).unwrap_or_default();
    let tail = tail.strip_prefix(b"-").or_else(|| tail.strip_prefix(b"+")).unwrap_or(tail);
    if !tail.iter().all(u8::is_ascii_digit) {
        return Err(ParseError::Format);
    }
    Ok(Parts { negative, whole, fraction, suffix })
}

/// Format, and the power of ten or of two.
fn interpret(suffix: &str) -> Result<(Format, i32), ParseError> {
    let found = match suffix {
        "" => (Format::DecimalSi, 0),
        "n" => (Format::DecimalSi, -9),
        "u" => (Format::DecimalSi, -6),
        "m" => (Format::DecimalSi, -3),
        "k" => (Format::DecimalSi, 3),
        "M" => (Format::DecimalSi, 6),
        "G" => (Format::DecimalSi, 9),
        "T" => (Format::DecimalSi, 12),
        "P" => (Format::DecimalSi, 15),
        "E" => (Format::DecimalSi, 18),
        "Ki" => (Format::BinarySi, 10),
        "Mi" => (Format::BinarySi, 20),
        "Gi" => (Format::BinarySi, 30),
        "Ti" => (Format::BinarySi, 40),
        "Pi" => (Format::BinarySi, 50),
        "Ei" => (Format::BinarySi, 60),
        _ => {
            let power = suffix.strip_prefix(['e', 'E']).and_then(|p| p.parse().ok()).ok_or(ParseError::Suffix)?;
            (Format::DecimalExponent, power)
        }
    };
    Ok(found)
}

impl FromStr for Quantity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts = cut(text)?;
        let (format, power) = interpret(parts.suffix)?;
        let digits = format!("{}{}", parts.whole, parts.fraction);
        let scale = i32::try_from(parts.fraction.len()).map_err(|_| ParseError::Numeric)?;
        let mut nanos = match format {
            Format::BinarySi => {
                // Binary amounts are capped, silently.
                match scaled(&digits, 9 - scale, 1i128 << power) {
                    Ok(n) => n.min(i128::from(i64::MAX) * NANO),
                    Err(ParseError::Numeric) => i128::from(i64::MAX) * NANO,
                    Err(other) => return Err(other),
                }
            }
            _ => scaled(&digits, 9 - scale + power, 1)?,
        };
        if parts.negative {
            nanos = -nanos;
        }
        // Amounts below one are decimal, as upstream decides while reading.
        let format = if format == Format::BinarySi && nanos > 0 && nanos < NANO { Format::DecimalSi } else { format };
        let kept = keeps_spelling(&parts, &digits, format, power - scale).then(|| text.into());
        Ok(Quantity { nanos, format, kept })
    }
}

/// `digits × 10^power × factor`, rounded away from zero.
fn scaled(digits: &str, power: i32, factor: i128) -> Result<i128, ParseError> {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(0);
    }
    let power = usize::try_from(power.unsigned_abs()).map_err(|_| ParseError::Numeric).map(|p| (power < 0, p))?;
    match power {
        (false, up) => {
            if digits.len() + up > 38 {
                return Err(ParseError::Numeric);
            }
            let number: i128 = digits.parse().map_err(|_| ParseError::Numeric)?;
            let ten =
                10i128.checked_pow(u32::try_from(up).map_err(|_| ParseError::Numeric)?).ok_or(ParseError::Numeric)?;
            number.checked_mul(ten).and_then(|n| n.checked_mul(factor)).ok_or(ParseError::Numeric)
        }
        (true, down) => {
            // Digits below what can matter are only known to be there or not.
            let cut = digits.len().min(30);
            let dropped = digits.len() - cut;
            let number: i128 = digits[..cut].parse().map_err(|_| ParseError::Numeric)?;
            let rest_is_zero = digits[cut..].bytes().all(|c| c == b'0');
            let Some(down) = down.checked_sub(dropped) else {
                return Err(ParseError::Numeric);
            };
            let number = number.checked_mul(factor).ok_or(ParseError::Numeric)?;
            if down > 37 {
                return Ok(1);
            }
            let ten = 10i128.pow(u32::try_from(down).map_err(|_| ParseError::Numeric)?);
            let rounded = div_away(number, ten);
            Ok(if rest_is_zero || number % ten != 0 { rounded } else { rounded + 1 })
        }
    }
}

/// Upstream keeps some spellings as "canonical enough".
fn keeps_spelling(parts: &Parts<'_>, digits: &str, format: Format, scale: i32) -> bool {
    let fits = digits.len() <= 18;
    match format {
        Format::BinarySi => {
            parts.fraction.is_empty() && digits.len() <= 3 && digits.parse::<i64>().is_ok_and(|n| n & 7 != 0)
        }
        _ => {
            fits && !parts.whole.is_empty()
                && scale >= -9
                && scale % 3 == 0
                && !digits.is_empty()
                && !digits.ends_with("000")
                && !digits.starts_with('0')
                && !parts.suffix.ends_with('i')
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kept) = &self.kept {
            return f.write_str(kept);
        }
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let whole = self.nanos / NANO;
        if self.format == Format::BinarySi && self.is_whole() && whole.abs() >= 1024 {
            let (mut number, mut step) = (whole, 0);
            while number % 1024 == 0 && step < 6 {
                number /= 1024;
                step += 1;
            }
            return write!(f, "{number}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][step]);
        }
        let (mut number, mut power) = (self.nanos, -9);
        while number % 1000 == 0 {
            number /= 1000;
            power += 3;
        }
        let exponent = self.format == Format::DecimalExponent || power > 18;
        match power {
            0 => write!(f, "{number}"),
            _ if exponent => write!(f, "{number}e{power}"),
            -9 => write!(f, "{number}n"),
            -6 => write!(f, "{number}u"),
            -3 => write!(f, "{number}m"),
            3 => write!(f, "{number}k"),
            6 => write!(f, "{number}M"),
            9 => write!(f, "{number}G"),
            12 => write!(f, "{number}T"),
            15 => write!(f, "{number}P"),
            _ => write!(f, "{number}E"),
        }
    }
}

/// The canonical text of a quantity.
pub fn canonical(text: &str) -> Result<String, ParseError> {
    text.trim().parse::<Quantity>().map(|q| q.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_texts() {
        // A303b, A311 and the declared rules of the type.
        for (text, expect) in [
            ("0", "0"),
            ("0.0", "0"),
            ("00", "0"),
            ("1", "1"),
            ("2000m", "2"),
            ("1.5", "1500m"),
            ("0.5", "500m"),
            ("100m", "100m"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("1000k", "1M"),
            ("1e3", "1e3"),
            ("1000e3", "1e6"),
            ("12E", "12E"),
            ("1000E", "1e21"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1536Mi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("512", "512"),
            ("1023Ki", "1023Ki"),
            ("8Ei", "9223372036854775807"),
            ("-5", "-5"),
            ("-2000m", "-2"),
            ("0.1234567", "123456700n"),
            ("1n", "1n"),
            ("0.9n", "1n"),
            ("0.0000000001", "1n"),
            ("1.500", "1.500"),
            ("5.", "5."),
            (".5", "500m"),
            ("64Mi", "64Mi"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expect), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity() {
        for (text, expect) in [
            ("", ParseError::Format),
            ("lots", ParseError::Format),
            ("1 Gi", ParseError::Format),
            ("1.2.3", ParseError::Format),
            ("1GB", ParseError::Format),
            ("1mm", ParseError::Suffix),
            ("1GiM", ParseError::Suffix),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap_err(), expect, "{text}");
        }
    }

    #[test]
    fn amounts_compare_add_and_round() {
        let q = |t: &str| t.parse::<Quantity>().unwrap();
        assert!(q("1500m") < q("2"));
        assert_eq!(q("1Ki"), q("1024"));
        assert_eq!(q("1Gi").plus(&q("512Mi")).to_string(), "1536Mi");
        assert_eq!(q("0").plus(&q("512Mi")).to_string(), "512Mi");
        assert_eq!(q("2").minus(&q("500m")).to_string(), "1500m");
        // A311: 0.1234567 -> 124m
        assert_eq!(q("0.1234567").rounded_up_to_milli().to_string(), "124m");
        assert_eq!(q("1.500").rounded_up_to_milli().to_string(), "1.500");
        assert_eq!(q("1001m").value(), 2);
        assert_eq!(q("1.5").milli_value(), 1500);
        assert_eq!(Quantity::from_bytes(1 << 30).to_string(), "1Gi");
        assert_eq!(Quantity::from_milli(2500).to_string(), "2500m");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_canonical_is_stable(text in "[+-]?[0-9]{0,24}[.]?[0-9]{0,40}(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e[0-9]{1,3}|E-[0-9]{1,2})?") {
            if let Ok(q) = text.parse::<Quantity>() {
                let again = q.to_string().parse::<Quantity>();
                proptest::prop_assert_eq!(again.clone().map(|a| a.to_string()), Ok(q.to_string()));
                proptest::prop_assert_eq!(again, Ok(q));
            }
        }

        #[test]
        fn any_text_is_survived(text in "\\PC{0,20}") {
            let _ = text.parse::<Quantity>();
        }
    }
}
