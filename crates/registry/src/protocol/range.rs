//! Parts of content: `Range` and `Content-Range` of downloads and of uploads.

use std::fmt;

/// Which part of how much is sent: `bytes 5-9/10` (RFC 9110, section 14.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ContentRange {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
    /// How much there is in all, if that is said.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads the header.
    pub fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = bounds(range)?;
        let total = match total.trim() {
            "*" => None,
            total => Some(number(total)?),
        };
        if total.is_some_and(|total| last >= total) {
            return None;
        }
        Some(Self { first, last, total })
    }
}

/// How much of an upload has come: `0-4`, both ends inclusive
/// (distribution-spec, "Pushing a blob in chunks"). The specification has no
/// word for nothing, which registries write as `0-0`, just as one byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UploadRange {
    /// The last byte that has come.
    pub last: u64,
}

impl UploadRange {
    /// Reads the header.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (first, last) = bounds(text.strip_prefix("bytes=").unwrap_or(text))?;
        (first == 0).then_some(Self { last })
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/", self.first, self.last)?;
        match self.total {
            Some(total) => write!(f, "{total}"),
            None => f.write_str("*"),
        }
    }
}

impl UploadRange {
    /// What is said when `length` bytes have come.
    pub fn of(length: u64) -> Self {
        Self { last: length.saturating_sub(1) }
    }
}

impl fmt::Display for UploadRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0-{}", self.last)
    }
}

/// What a `Range` of a download asks for (RFC 9110, section 14.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// All of it: no range, one in another unit, or several at once, which
    /// nobody needs to grant.
    Whole,
    /// The bytes from the first to the last, both inclusive.
    Part(u64, u64),
    /// Nothing that there is (416).
    Nothing,
}

impl Wanted {
    /// What the header asks for of content that is `total` bytes long.
    pub fn parse(text: &str, total: u64) -> Self {
        let Some(range) = text.trim().strip_prefix("bytes=").filter(|range| !range.contains(','))
        else {
            return Self::Whole;
        };
        let Some((first, last)) = range.split_once('-') else { return Self::Nothing };
        match (first.trim(), last.trim()) {
            ("", "") => Self::Nothing,
            ("", length) => match number(length) {
                None | Some(0) => Self::Nothing,
                Some(_) if total == 0 => Self::Nothing,
                Some(length) => Self::Part(total.saturating_sub(length), total - 1),
            },
            (first, last) => {
                let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
                match (number(first), last) {
                    (Some(first), Some(last)) if first <= last && first < total => {
                        Self::Part(first, last.min(total - 1))
                    }
                    _ => Self::Nothing,
                }
            }
        }
    }
}

/// Which part of a blob a chunk is: its `Content-Range`, both ends inclusive,
/// as the specification has it (`0-4`) and as clients who know RFC 9110 better
/// write it (`bytes 0-4/10`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChunkRange {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
}

impl ChunkRange {
    /// Reads the header.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text =
            text.strip_prefix("bytes").map_or(text, |rest| rest.trim_start_matches(['=', ' ']));
        let (first, last) = bounds(text.split('/').next()?)?;
        Some(Self { first, last })
    }

    /// How many bytes it has.
    pub fn length(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

fn bounds(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// A plain number: `u64::from_str` would also take a plus sign.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_cut_to_what_there_is() {
        for (text, wanted) in [
            ("bytes=0-0", Wanted::Part(0, 0)),
            ("bytes=5-", Wanted::Part(5, 9)),
            ("bytes=5-99", Wanted::Part(5, 9)),
            ("bytes=-3", Wanted::Part(7, 9)),
            ("bytes=-99", Wanted::Part(0, 9)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=5-4", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=x-1", Wanted::Nothing),
            ("bytes=-", Wanted::Nothing),
            ("bytes=5", Wanted::Nothing),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(Wanted::parse(text, 10), wanted, "{text}");
        }
        for text in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(Wanted::parse(text, 0), Wanted::Nothing, "{text}");
        }
    }

    #[test]
    fn chunks_are_written_in_two_ways() {
        for text in ["3-7", "bytes 3-7/10", "bytes 3-7/*", "bytes=3-7"] {
            let range = ChunkRange::parse(text).expect(text);
            assert_eq!((range.first, range.last, range.length()), (3, 7, 5), "{text}");
        }
        for bad in ["", "7-3", "3", "-3", "3-", "a-b", "bytes */10"] {
            assert_eq!(ChunkRange::parse(bad), None, "{bad}");
        }
        assert_eq!(UploadRange::of(0).to_string(), "0-0");
        assert_eq!(UploadRange::of(5).to_string(), "0-4");
        let range = ContentRange { first: 1, last: 2, total: Some(3) };
        assert_eq!(ContentRange::parse(&range.to_string()), Some(range));
    }

    #[test]
    fn ranges_are_whole_numbers_in_order() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        assert_eq!(ContentRange::parse("bytes 5-9/10"), range(5, 9, Some(10)));
        assert_eq!(ContentRange::parse("bytes 5-9/*"), range(5, 9, None));
        for bad in
            ["5-9/10", "bytes 9-5/10", "bytes 5-9", "bytes */10", "bytes 5-10/10", "bytes +1-2/3"]
        {
            assert_eq!(ContentRange::parse(bad), None, "{bad}");
        }
        assert_eq!(UploadRange::parse("0-41"), Some(UploadRange { last: 41 }));
        assert_eq!(UploadRange::parse("bytes=0-41"), Some(UploadRange { last: 41 }));
        for bad in ["", "-", "1-41", "0--1", "0-99999999999999999999"] {
            assert_eq!(UploadRange::parse(bad), None, "{bad}");
        }
    }
}
