//! Times as documents write them: `2026-11-26T03:00:00Z`. The clock itself is
//! always an argument.

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Code, Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds since 1970, in UTC.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Time(pub i64);

/// Seconds of a day.
pub const DAY: i64 = 86_400;

impl Time {
    /// So many seconds later.
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl FromStr for Time {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = || -> Option<Self> {
            let bytes = text.as_bytes();
            let shape = bytes.len() == 20
                && text.is_ascii()
                && [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')]
                    .iter()
                    .all(|(at, mark)| bytes[*at] == *mark);
            if !shape {
                return None;
            }
            let number = |from: usize, to: usize| -> Option<i64> {
                let digits = &text[from..to];
                digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
            };
            let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
            let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
            let days = days(year, month, day);
            let good = (1..=12).contains(&month)
                && day >= 1
                && civil(days) == (year, month, day)
                && hour < 24
                && minute < 60
                && second < 60;
            good.then_some(Self(days * DAY + hour * 3600 + minute * 60 + second))
        };
        read().ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Error::new(Code::Malformed, "reading a time")
                .found(format!("{shown:?}"))
                .expected("UTC, as in 2026-11-26T03:00:00Z")
        })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(DAY));
        let second = self.0.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Days since 1970 of a day of the calendar; years begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The day of the calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days - era * 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-26T03:00:00Z", 1_795_662_000),
            ("2024-02-29T23:59:59Z", 1_709_251_199),
            ("1969-12-31T23:59:59Z", -1),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(text.parse::<Time>().expect(text), Time(seconds), "{text}");
            assert_eq!(Time(seconds).to_string(), text);
        }
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-26T24:00:00Z",
            "2026-11-26T03:00:00",
            "2026-11-26T03:00:00.0Z",
            "2026-11-26 03:00:00Z",
            "+026-11-26T03:00:00Z",
            "",
        ] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
    }
}
