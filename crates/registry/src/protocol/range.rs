//! Parts of content: `Content-Range` of downloads, `Range` of uploads.

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
