//! PAX extended headers: the grammar of the records and the keys with a
//! meaning. Values are bytes; nothing is decoded as UTF-8 (TP36).

use super::fault::{Fault, Result};
use crate::entry::Timestamp;
use crate::finding::{Finding, Findings};
use crate::limits::Limits;
use crate::path::shown;

/// What a local extended header (`x`) says about the entry behind it.
#[derive(Debug, Default)]
pub(super) struct Pax<'a> {
    pub(super) path: Option<&'a [u8]>,
    pub(super) link: Option<&'a [u8]>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<Timestamp>,
    /// Sorted by name.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: Option<Box<Sparse<'a>>>,
    /// The major and minor number of a device, as star and libarchive say it.
    pub(super) device: [Option<u64>; 2],
}

/// The GNU.sparse keys, of all three versions.
#[derive(Debug, Default)]
pub(super) struct Sparse<'a> {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<&'a [u8]>,
    pub(super) size: Option<u64>,
    pub(super) pieces: Option<u64>,
    /// Offsets and lengths in turn (versions 0.0 and 0.1).
    pub(super) map: Vec<u64>,
    /// Whether the map came as one record (0.1) or as many (0.0).
    pub(super) map_in_one: bool,
}

/// Walks over the records of an extended header: `LENGTH KEY=VALUE\n`.
///
/// Strict, because lenient readers differ (TP06 to TP08): the length is
/// decimal without sign, space or leading zero, it covers the record exactly,
/// and nothing is left over.
struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    fn next(&mut self) -> Result<Option<(&'a [u8], &'a [u8])>> {
        let data = self.0;
        if data.is_empty() {
            return Ok(None);
        }
        let bad = |found: &str| {
            let start = shown(&data[..data.len().min(40)]);
            Fault::layer(
                format!("a PAX record {found}: {start:?}"),
                "records of the form LENGTH KEY=VALUE and a line feed",
            )
        };
        let digits = data.iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
        let length = decimal(&data[..digits]).ok_or_else(|| bad("without a length"))?;
        if data[0] == b'0' || data.get(digits) != Some(&b' ') {
            return Err(bad("whose length is not followed by one space, or starts with 0"));
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= data.len());
        let Some(length) = length else {
            return Err(bad("that is longer than its header"));
        };
        if length < digits + 4 {
            return Err(bad("too short for a key"));
        }
        let (record, rest) = data.split_at(length);
        let Some(body) = record[digits + 1..].strip_suffix(b"\n") else {
            return Err(bad("that does not end in a line feed"));
        };
        let Some(equals) = body.iter().position(|byte| *byte == b'=') else {
            return Err(bad("without ="));
        };
        let (key, value) = (&body[..equals], &body[equals + 1..]);
        if key.is_empty() || key.contains(&0) {
            return Err(bad("with a key that is empty or holds a NUL"));
        }
        self.0 = rest;
        Ok(Some((key, value)))
    }
}

impl<'a> Pax<'a> {
    /// Reads the content of a local extended header.
    pub(super) fn parse(data: &'a [u8], limits: &Limits, findings: &mut Findings) -> Result<Self> {
        let mut pax = Self::default();
        let mut records = Records(data);
        while let Some((key, value)) = records.next()? {
            match key {
                b"path" => once(&mut pax.path, text(value)?, key)?,
                b"linkpath" => once(&mut pax.link, text(value)?, key)?,
                b"size" => once(&mut pax.size, size(key, value)?, key)?,
                b"uid" => once(&mut pax.uid, id(key, value)?, key)?,
                b"gid" => once(&mut pax.gid, id(key, value)?, key)?,
                b"mtime" => once(&mut pax.mtime, time(value, findings)?, key)?,
                b"SCHILY.devmajor" => once(&mut pax.device[0], size(key, value)?, key)?,
                b"SCHILY.devminor" => once(&mut pax.device[1], size(key, value)?, key)?,
                b"SCHILY.realsize" => {
                    return Err(Fault::layer(
                        "a sparse file as star writes it (SCHILY.realsize)",
                        "sparse files as GNU tar writes them, or none",
                    ));
                }
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        pax.xattr(name, value.to_vec(), limits, findings)?;
                    } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                        // bsdtar writes both forms; name and value are encoded.
                        let (name, value) = (unpercent(name), unbase64(value));
                        let (Some(name), Some(value)) = (name, value) else {
                            return Err(Fault::layer(
                                format!("{} that can not be decoded", shown(key)),
                                "a name in percent and a value in base64 encoding",
                            ));
                        };
                        pax.xattr(&name, value, limits, findings)?;
                    } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        let sparse = pax.sparse.get_or_insert_default();
                        sparse.take(key, value, limits)?;
                    } else if key.starts_with(b"SCHILY.acl.") || key.starts_with(b"RHT.security.") {
                        findings.note("pax-ignored", || {
                            let what =
                                format!("{} is not applied, as in other engines", shown(key));
                            Finding::new("pax-ignored", what)
                        });
                    }
                    // Others (atime, ctime, uname, comments, vendors' keys)
                    // say nothing about the file tree.
                }
            }
        }
        pax.xattrs.sort();
        Ok(pax)
    }

    fn xattr(
        &mut self,
        name: &[u8],
        value: Vec<u8>,
        limits: &Limits,
        findings: &mut Findings,
    ) -> Result<()> {
        if name.is_empty() || name.len() > 255 || name.contains(&0) {
            return Err(Fault::layer(
                format!("an extended attribute named {:?}", shown(&name[..name.len().min(300)])),
                "a name of 1 to 255 bytes without NUL",
            ));
        }
        if value.len() > limits.xattr {
            return Err(Fault::limit(
                format!("extended attribute {} of {} bytes", shown(name), value.len()),
                format!("at most {}", limits.xattr),
            ));
        }
        if name.contains(&b'%') {
            findings.note("xattr-percent", || {
                let what = format!(
                    "the % in extended attribute {} is kept; GNU tar would decode %25 and %3D",
                    shown(name)
                );
                Finding::new("xattr-percent", what)
            });
        }
        if let Some((_, other)) = self.xattrs.iter().find(|(known, _)| known == name) {
            if *other != value {
                return Err(twice(name));
            }
            return Ok(());
        }
        if self.xattrs.len() == limits.xattrs {
            return Err(Fault::limit(
                format!("more than {} extended attributes", limits.xattrs),
                "fewer",
            ));
        }
        self.xattrs.push((name.to_vec(), value));
        Ok(())
    }
}

impl<'a> Sparse<'a> {
    fn take(&mut self, key: &[u8], value: &'a [u8], limits: &Limits) -> Result<()> {
        let number = || size(key, value);
        let room = |map: &Vec<u64>| {
            if map.len() / 2 < limits.sparse {
                return Ok(());
            }
            Err(Fault::limit(
                "a sparse file of more pieces than that",
                format!("at most {}", limits.sparse),
            ))
        };
        match key {
            b"major" => once(&mut self.major, number()?, key),
            b"minor" => once(&mut self.minor, number()?, key),
            b"name" => once(&mut self.name, text(value)?, key),
            // Two names of one thing in different versions.
            b"size" | b"realsize" => once(&mut self.size, number()?, key),
            b"numblocks" => once(&mut self.pieces, number()?, key),
            b"offset" | b"numbytes" => {
                if self.map_in_one || self.map.len().is_multiple_of(2) != (key == b"offset") {
                    return Err(Fault::hostile(
                        format!("GNU.sparse.{} out of its order", shown(key)),
                        "offset and numbytes in turn",
                    ));
                }
                room(&self.map)?;
                self.map.push(number()?);
                Ok(())
            }
            b"map" => {
                if !self.map.is_empty() {
                    return Err(twice(key));
                }
                self.map_in_one = true;
                for number in value.split(|byte| *byte == b',') {
                    room(&self.map)?;
                    self.map.push(size(key, number)?);
                }
                Ok(())
            }
            _ => Err(Fault::layer(
                format!("GNU.sparse.{}", shown(key)),
                "sparse files of version 0.0, 0.1 or 1.0",
            )),
        }
    }
}

/// Checks a global header (`g`): it may not say anything about entries,
/// because common readers apply it, ignore it, or take it for a file (TP10).
pub(super) fn check_global(data: &[u8]) -> Result<()> {
    let mut records = Records(data);
    while let Some((key, _)) = records.next()? {
        let harmless = matches!(
            key,
            b"comment" | b"charset" | b"hdrcharset" | b"atime" | b"ctime" | b"uname" | b"gname"
        ) || key == b"SCHILY.archtype"
            || key == b"SCHILY.release"
            || key.starts_with(b"SCHILY.volhdr.");
        if !harmless {
            return Err(Fault::hostile(
                format!(
                    "{} for all entries, in a global PAX header",
                    shown(&key[..key.len().min(80)])
                ),
                "it in the header of each entry: readers disagree about global ones",
            ));
        }
    }
    Ok(())
}

fn once<T: PartialEq>(place: &mut Option<T>, value: T, key: &[u8]) -> Result<()> {
    match place {
        Some(other) if *other != value => Err(twice(key)),
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

fn twice(key: &[u8]) -> Fault {
    Fault::hostile(
        format!("{} twice with different values", shown(&key[..key.len().min(300)])),
        "each key once",
    )
}

/// A path: not empty, since that means "as in the header" to some readers
/// and "no name" to others. NUL is refused where the path is used (TP09).
fn text(value: &[u8]) -> Result<&[u8]> {
    if value.is_empty() {
        return Err(Fault::hostile("an empty path in a PAX header", "a path"));
    }
    Ok(value)
}

/// Digits only, no saturation (TP03, TP04).
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

fn size(key: &[u8], value: &[u8]) -> Result<u64> {
    decimal(value).filter(|size| i64::try_from(*size).is_ok()).ok_or_else(|| {
        Fault::layer(
            format!("{} {:?}", shown(key), shown(&value[..value.len().min(40)])),
            "a decimal number below 2^63",
        )
    })
}

/// The last id means "no id" to the kernel, so it can be nobody's (MD15).
fn id(key: &[u8], value: &[u8]) -> Result<u32> {
    decimal(value).and_then(|id| u32::try_from(id).ok()).filter(|id| *id != u32::MAX).ok_or_else(
        || {
            Fault::hostile(
                format!("{} {:?}", shown(key), shown(&value[..value.len().min(40)])),
                "a decimal number below 4294967295",
            )
        },
    )
}

/// Seconds with an optional fraction, possibly negative. Digits beyond the
/// nanosecond are rounded down. Times beyond 64 bits are clamped (MD11).
fn time(value: &[u8], findings: &mut Findings) -> Result<Timestamp> {
    let bad = || {
        Fault::layer(
            format!("mtime {:?}", shown(&value[..value.len().min(40)])),
            "seconds with an optional fraction",
        )
    };
    let (negative, number) = match value.strip_prefix(b"-") {
        Some(number) => (true, number),
        None => (false, value),
    };
    let point = number.iter().position(|byte| *byte == b'.').unwrap_or(number.len());
    let (whole, fraction) = (&number[..point], number.get(point + 1..).unwrap_or_default());
    if whole.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let mut nanoseconds = 0u32;
    for place in 0..9 {
        let digit = fraction.get(place).map_or(0, |digit| u32::from(digit - b'0'));
        nanoseconds = nanoseconds * 10 + digit;
    }
    let finer = fraction.iter().skip(9).any(|digit| *digit != b'0');
    let Some(whole) = decimal(whole).and_then(|whole| i64::try_from(whole).ok()) else {
        findings.note("time-clamped", || {
            let what = format!("mtime {} is beyond 64 bits", shown(&value[..value.len().min(40)]));
            Finding::new("time-clamped", what)
        });
        return Ok(Timestamp::from_seconds(if negative { i64::MIN } else { i64::MAX }));
    };
    let (seconds, nanoseconds) = if negative {
        match nanoseconds + u32::from(finer) {
            0 => (-whole, 0),
            below => (-whole - 1, 1_000_000_000 - below),
        }
    } else {
        (whole, nanoseconds)
    };
    Timestamp::new(seconds, nanoseconds).map_err(|_| bad())
}

fn unpercent(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        bytes.push((digit(high)? << 4 | digit(low)?) as u8);
        rest = tail;
    }
    Some(bytes)
}

/// Base64 with or without padding.
fn unbase64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    if text.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0u32, 0);
    for letter in text {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(data: &[u8]) -> Result<Pax<'_>> {
        Pax::parse(data, &Limits::default(), &mut Findings::default())
    }

    #[test]
    fn tp06_to_tp08_the_grammar_is_strict() {
        assert_eq!(parse(b"9 path=x\n").expect("good").path, Some(&b"x"[..]));
        for data in [
            &b"99 path=x\n"[..],
            b"0 path=x\n",
            b"+9 path=x\n",
            b"-9 path=x\n",
            b" 9 path=x\n",
            b"09 path=x\n",
            b"10  path=x",
            b"9 path=xy",
            b"9 path=x",
            b"8 path=x\n",
            b"11 path=x\n",
            b"9 pathxy\n",
            b"5 =x\n",
            b"9 path=x\n\0",
            b"9 path=x\n\n",
            b"99999999999999999999999 path=x\n",
            b"7 a\0=x\n",
            b"1",
            b"10",
        ] {
            assert!(parse(data).is_err(), "{}", data.escape_ascii());
        }
    }

    #[test]
    fn times_are_exact_and_rounded_down() {
        for (text, seconds, nanoseconds) in [
            ("0", 0, 0),
            ("1.", 1, 0),
            ("1.5", 1, 500_000_000),
            ("1.0000000019", 1, 1),
            ("-1", -1, 0),
            ("-0.5", -1, 500_000_000),
            ("-1.5", -2, 500_000_000),
            ("-1.0000000001", -2, 999_999_999),
            ("-0.9999999999", -1, 0),
            ("9223372036854775807", i64::MAX, 0),
            ("9223372036854775808", i64::MAX, 0),
            ("10000000000000000000000", i64::MAX, 0),
        ] {
            let time = time(text.as_bytes(), &mut Findings::default()).expect(text);
            assert_eq!((time.seconds(), time.nanoseconds()), (seconds, nanoseconds), "{text}");
        }
        for text in ["", "-", ".5", "+1", "1e3", "1,5", " 1", "1 ", "1.5.5", "--1"] {
            assert!(time(text.as_bytes(), &mut Findings::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn both_encodings_of_bsdtar_are_read() {
        assert_eq!(unbase64(b"AQID/w").as_deref(), Some(&[1, 2, 3, 255][..]));
        assert_eq!(unbase64(b"AQID/w==").as_deref(), Some(&[1, 2, 3, 255][..]));
        assert!(unbase64(b"A").is_none() && unbase64(b"A!==").is_none());
        assert_eq!(unpercent(b"user.a%3Db").as_deref(), Some(&b"user.a=b"[..]));
        assert!(unpercent(b"%4").is_none() && unpercent(b"%g0").is_none());
    }
}
