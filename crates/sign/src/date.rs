//! Dates as text, in the two forms that signatures have them in.

use crate::claim::Seconds;

/// Reads RFC 3339, with any offset.
pub(crate) fn rfc3339(text: &str) -> Option<Seconds> {
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if bytes.len() < 20
        || separators.iter().any(|(at, letter)| bytes[*at] != *letter)
        || !matches!(bytes[10], b'T' | b't')
    {
        return None;
    }
    let part = |from: usize, to: usize| digits(bytes.get(from..to)?);
    let whole = seconds(
        part(0, 4)?,
        part(5, 7)?,
        part(8, 10)?,
        part(11, 13)?,
        part(14, 16)?,
        part(17, 19)?,
    )?;
    let mut rest = bytes.get(19..)?;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = fraction.iter().take_while(|digit| digit.is_ascii_digit()).count();
        rest = fraction.get(length..).filter(|_| length > 0)?;
    }
    match rest {
        b"Z" | b"z" => Some(whole),
        [sign @ (b'+' | b'-'), hours @ .., b':', a, b] if hours.len() == 2 => {
            let offset = 3600 * digits(hours)? + 60 * digits(&[*a, *b])?;
            Some(if *sign == b'+' { whole - offset } else { whole + offset })
        }
        _ => None,
    }
}

/// Writes RFC 3339, in UTC and whole seconds.
pub(crate) fn to_rfc3339(time: Seconds) -> String {
    let (days, of_day) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    // Years that begin in March, as below.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + later;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads UTCTime (`utc`) or GeneralizedTime, as RFC 5280 has them.
pub(crate) fn asn1(bytes: &[u8], utc: bool) -> Option<Seconds> {
    let (year, rest) = bytes.split_at_checked(if utc { 2 } else { 4 })?;
    let year = match (utc, digits(year)?) {
        (true, year @ 0..50) => 2000 + year,
        (true, year) => 1900 + year,
        (false, year) => year,
    };
    let rest = rest.strip_suffix(b"Z").filter(|rest| rest.len() == 10)?;
    let part = |at: usize| digits(&rest[at..at + 2]);
    seconds(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?)
}

/// Reads the time of a time stamp: a GeneralizedTime that may have a fraction of a
/// second (RFC 3161, 2.4.2), which is left out.
pub(crate) fn stamped(bytes: &[u8]) -> Option<Seconds> {
    let dot = bytes.iter().position(|byte| *byte == b'.');
    let Some(dot) = dot else { return asn1(bytes, false) };
    let (whole, fraction) = bytes.split_at(dot);
    let digits = fraction.get(1..)?.strip_suffix(b"Z")?;
    if digits.is_empty() || digits.ends_with(b"0") || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    asn1(&[whole, b"Z"].concat(), false)
}

fn digits(text: &[u8]) -> Option<i64> {
    let all = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    all.then(|| text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

fn seconds(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970, with years that begin in March.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let of_year = (153 * m + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_are_read_as_they_are_written(time in -62_167_219_200i64..=253_402_300_799) {
            prop_assert_eq!(rfc3339(&to_rfc3339(time)), Some(time));
        }
    }

    #[test]
    fn dates_are_seconds() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:30:01Z", Some(951_827_401)),
            ("2026-11-26T05:00:00+01:00", Some(1_795_665_600)),
            ("2026-11-26T03:00:00.25-01:00", Some(1_795_665_600)),
            ("2100-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-26 05:00:00Z", None),
            ("2026-11-26T05:00:00", None),
            ("2026-11-26T05:00:00.Z", None),
            ("", None),
        ] {
            assert_eq!(rfc3339(text), expected, "{text}");
        }
        assert_eq!(to_rfc3339(951_827_401), "2000-02-29T12:30:01Z");
        assert_eq!(asn1(b"700101000000Z", true), Some(0));
        assert_eq!(asn1(b"491231235959Z", true), asn1(b"20491231235959Z", false));
        assert_eq!(asn1(b"20491231235959", false), None);
        assert_eq!(stamped(b"20491231235959.5Z"), stamped(b"20491231235959Z"));
        for bad in [&b"20491231235959.Z"[..], b"20491231235959.50Z", b"20491231235959.5", b"."] {
            assert_eq!(stamped(bad), None);
        }
    }
}
