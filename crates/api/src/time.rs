//! Times as the wire writes them (A41): RFC 3339 in UTC, whole seconds or exactly six digits; Go durations.
//!
//! Errors are upstream's texts, since they reach clients. Not here: a clock.

use jiff::{Timestamp, civil::DateTime, tz::Offset};

const SECONDS: &str = "2006-01-02T15:04:05Z07:00";
const MICROS: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Reads an RFC 3339 time with any offset and fraction; the fraction is dropped.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let time = Layout { name: SECONDS, micros: false, text, rest: text }.read()?;
    Ok(Timestamp::from_second(floor_seconds(time)).unwrap_or(time))
}

/// Reads an RFC 3339 time with exactly six digits of fraction (A400).
pub fn parse_micro(text: &str) -> Result<Timestamp, String> {
    Layout { name: MICROS, micros: true, text, rest: text }.read()
}

/// `2026-11-21T09:13:17Z`
pub fn format(time: Timestamp) -> String {
    Timestamp::from_second(floor_seconds(time)).unwrap_or(time).to_string()
}

/// `2026-11-21T09:13:17.000000Z`
pub fn format_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Whole seconds since 1970, rounded towards the past.
pub fn floor_seconds(time: Timestamp) -> i64 {
    time.as_second() - i64::from(time.subsec_nanosecond() < 0)
}

/// A reader of one layout, element by element, failing as Go's does.
struct Layout<'a> {
    name: &'static str,
    micros: bool,
    text: &'a str,
    rest: &'a str,
}

impl Layout<'_> {
    fn read(mut self) -> Result<Timestamp, String> {
        let year = self.digits(4, "2006")?;
        self.literal("-")?;
        let month = self.digits(2, "01")?;
        self.within("month", month, 1, 12)?;
        self.literal("-")?;
        let day = self.digits(2, "02")?;
        self.literal("T")?;
        let hour = self.digits(2, "15")?;
        self.within("hour", hour, 0, 23)?;
        self.literal(":")?;
        let minute = self.digits(2, "04")?;
        self.within("minute", minute, 0, 59)?;
        self.literal(":")?;
        let second = self.digits(2, "05")?;
        self.within("second", second, 0, 59)?;
        let nanos = self.fraction()?;
        let offset = self.offset()?;
        if !self.rest.is_empty() {
            return Err(format!("parsing time {}: extra text: {}", quote(self.text), quote(self.rest)));
        }
        let small = |n: i32| i8::try_from(n).unwrap_or_default();
        let civil = DateTime::new(
            i16::try_from(year).unwrap_or_default(),
            small(month),
            small(day),
            small(hour),
            small(minute),
            small(second),
            nanos,
        );
        let civil = civil.map_err(|_| self.out_of_range("day"))?;
        let utc = Offset::UTC.to_timestamp(civil).map_err(|_| self.out_of_range("year"))?;
        utc.checked_sub(jiff::SignedDuration::from_secs(i64::from(offset))).map_err(|_| self.out_of_range("year"))
    }

    fn bad(&self, element: &str) -> String {
        let (text, rest) = (quote(self.text), quote(self.rest));
        format!("parsing time {text} as {}: cannot parse {rest} as {}", quote(self.name), quote(element))
    }

    fn out_of_range(&self, what: &str) -> String {
        format!("parsing time {}: {what} out of range", quote(self.text))
    }

    fn within(&self, what: &str, value: i32, low: i32, high: i32) -> Result<(), String> {
        if (low..=high).contains(&value) { Ok(()) } else { Err(self.out_of_range(what)) }
    }

    fn digits(&mut self, count: usize, element: &str) -> Result<i32, String> {
        match self.rest.get(..count).filter(|d| d.bytes().all(|c| c.is_ascii_digit())).and_then(|d| d.parse().ok()) {
            Some(number) => {
                self.rest = &self.rest[count..];
                Ok(number)
            }
            None => Err(self.bad(element)),
        }
    }

    fn literal(&mut self, element: &str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(element).ok_or_else(|| self.bad(element))?;
        Ok(())
    }

    fn fraction(&mut self) -> Result<i32, String> {
        let digits = match self.rest.strip_prefix(['.', ',']) {
            Some(rest) => rest.bytes().take_while(u8::is_ascii_digit).count(),
            None => 0,
        };
        if self.micros {
            if digits < 6 || !self.rest.starts_with('.') {
                return Err(self.bad(".000000"));
            }
            let micros: i32 = self.rest[1..7].parse().unwrap_or_default();
            self.rest = &self.rest[7..];
            return Ok(micros * 1000);
        }
        if digits > 0 {
            self.rest = &self.rest[1 + digits..];
        }
        Ok(0)
    }

    fn offset(&mut self) -> Result<i32, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let bytes = self.rest.as_bytes();
        let sign = match bytes.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.bad("Z07:00")),
        };
        let two = |at: usize| -> Option<i32> {
            let pair = bytes.get(at..at + 2)?;
            pair.iter().all(u8::is_ascii_digit).then(|| i32::from(pair[0] - b'0') * 10 + i32::from(pair[1] - b'0'))
        };
        match (two(1), bytes.get(3), two(4)) {
            (Some(hours), Some(b':'), Some(minutes)) => {
                self.within("time zone offset hour", hours, 0, 24)?;
                self.within("time zone offset minute", minutes, 0, 60)?;
                self.rest = &self.rest[6..];
                Ok(sign * (hours * 3600 + minutes * 60))
            }
            _ => Err(self.bad("Z07:00")),
        }
    }
}

fn quote(text: &str) -> String {
    crate::quote::go_quote(text)
}

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a Go duration such as `1h30m` or `1.5s`; the result is in nanoseconds.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.bytes().take_while(|c| c.is_ascii_digit() || *c == b'.').count();
        let (number, after) = rest.split_at(number_end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && part.is_empty()) || part.contains('.') {
            return Err(invalid());
        }
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {} in duration {}", quote(unit), quote(text)));
        };
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        let mut amount = whole.checked_mul(i128::from(*nanos)).ok_or_else(invalid)?;
        let mut scale = i128::from(*nanos);
        for digit in part.bytes().take(18) {
            // Kept exact enough: Go drops what is below a nanosecond too.
            amount += i128::from(digit - b'0') * scale / 10;
            scale /= 10;
        }
        total += amount;
        if total > i128::from(i64::MAX) + i128::from(negative) {
            return Err(invalid());
        }
        rest = next;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

/// Writes nanoseconds as Go does: `1h30m0s`, `1.5s`, `100ms`, `0s`.
pub fn format_duration(nanos: i64) -> String {
    let size = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    let decimal = |unit: u64, name: &str| {
        let (whole, part) = (size / unit, size % unit);
        let width = unit.ilog10() as usize;
        let part = format!("{part:0width$}");
        let part = part.trim_end_matches('0');
        if part.is_empty() { format!("{sign}{whole}{name}") } else { format!("{sign}{whole}.{part}{name}") }
    };
    match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{size}ns"),
        1_000..1_000_000 => decimal(1_000, "µs"),
        1_000_000..1_000_000_000 => decimal(1_000_000, "ms"),
        1_000_000_000..60_000_000_000 => decimal(1_000_000_000, "s"),
        _ => {
            let minutes = size / 60_000_000_000;
            let rest = i64::try_from(size % 60_000_000_000).unwrap_or_default();
            let rest = if rest < 1_000_000_000 {
                format!("{}s", format!("0.{rest:09}").trim_end_matches('0').trim_end_matches('.'))
            } else {
                format_duration(rest)
            };
            match (minutes / 60, minutes % 60) {
                (0, m) => format!("{sign}{m}m{rest}"),
                (h, m) => format!("{sign}{h}h{m}m{rest}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_normalised() {
        // A41: any offset and fraction come in, UTC and whole seconds go out.
        for (text, expect) in [
            ("2026-11-21T09:13:17Z", "2026-11-21T09:13:17Z"),
            ("2026-11-21T09:13:17.999Z", "2026-11-21T09:13:17Z"),
            ("2026-11-21T11:13:17+02:00", "2026-11-21T09:13:17Z"),
            ("2026-11-20T23:43:17-09:30", "2026-11-21T09:13:17Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(format(parse(text).unwrap()), expect);
        }
        let micro = parse_micro("2026-11-21T09:13:17.000120Z").unwrap();
        assert_eq!(format_micro(micro), "2026-11-21T09:13:17.000120Z");
    }

    #[test]
    fn bad_times_are_refused_in_upstreams_words() {
        let rows = [
            ("soon", "parsing time \"soon\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"soon\" as \"2006\""),
            ("2026-13-01T00:00:00Z", "parsing time \"2026-13-01T00:00:00Z\": month out of range"),
            ("2026-02-30T00:00:00Z", "parsing time \"2026-02-30T00:00:00Z\": day out of range"),
            ("2026-02-03", "parsing time \"2026-02-03\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"T\""),
            (
                "2026-02-03T04:05:06",
                "parsing time \"2026-02-03T04:05:06\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"Z07:00\"",
            ),
            ("2026-02-03T04:05:06Zx", "parsing time \"2026-02-03T04:05:06Zx\": extra text: \"x\""),
        ];
        for (text, expect) in rows {
            assert_eq!(parse(text).unwrap_err(), expect);
        }
        // A400, as recorded.
        assert_eq!(
            parse_micro("2026-11-21T09:00:00Z").unwrap_err(),
            "parsing time \"2026-11-21T09:00:00Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\""
        );
    }

    #[test]
    fn durations_read_and_write() {
        for (text, nanos, written) in [
            ("0", 0, "0s"),
            ("90s", 90_000_000_000, "1m30s"),
            ("1h", 3_600_000_000_000, "1h0m0s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("100ms", 100_000_000, "100ms"),
            ("-2m", -120_000_000_000, "-2m0s"),
            ("1m0.25s", 60_250_000_000, "1m0.25s"),
            ("1500us", 1_500_000, "1.5ms"),
        ] {
            assert_eq!(parse_duration(text), Ok(nanos), "{text}");
            assert_eq!(format_duration(nanos), written);
        }
        assert_eq!(parse_duration("abc").unwrap_err(), "time: invalid duration \"abc\"");
        assert_eq!(parse_duration("5").unwrap_err(), "time: missing unit in duration \"5\"");
        assert_eq!(parse_duration("5x").unwrap_err(), "time: unknown unit \"x\" in duration \"5x\"");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,30}", digits in "[0-9T:Z.+-]{0,30}") {
            let _ = (parse(&text), parse_micro(&digits), parse(&digits), parse_duration(&text));
        }

        #[test]
        fn durations_round_trip(nanos in proptest::prelude::any::<i64>()) {
            proptest::prop_assert_eq!(parse_duration(&format_duration(nanos)), Ok(nanos));
        }
    }
}
