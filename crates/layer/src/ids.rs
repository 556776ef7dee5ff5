//! Maps of user and group ids: what the ids of an image are outside of it.

use std::fmt;
use std::str::FromStr;

use plimsoll_content::{Code, Error, Result};

/// A range of ids, in an image and outside. Written as
/// `CONTAINER:HOST:SIZE`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IdRange {
    container: u32,
    host: u32,
    size: u32,
}

impl IdRange {
    /// A range; neither side may reach the last number, which is no id.
    pub fn new(container: u32, host: u32, size: u32) -> Result<Self> {
        let fits = |start: u32| start.checked_add(size).is_some();
        if size == 0 || !fits(container) || !fits(host) {
            return Err(Error::new(Code::Usage, "making a range of ids")
                .found(format!("{container}:{host}:{size}"))
                .expected("one or more ids below 4294967295"));
        }
        Ok(Self { container, host, size })
    }

    /// The first id in the image.
    pub fn container(self) -> u32 {
        self.container
    }

    /// The first id outside.
    pub fn host(self) -> u32 {
        self.host
    }

    /// How many ids there are.
    pub fn size(self) -> u32 {
        self.size
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.container, self.host, self.size)
    }
}

impl FromStr for IdRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[container, host, size]) => Self::new(container, host, size),
            _ => Err(Error::new(Code::Usage, "reading a range of ids")
                .found(format!("{text:?}"))
                .expected("CONTAINER:HOST:SIZE, such as 0:100000:65536")),
        }
    }
}

/// What ids are outside of an image, and back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdMap {
    uids: Vec<IdRange>,
    gids: Vec<IdRange>,
}

impl IdMap {
    /// A map of these ranges, which must not overlap on either side.
    pub fn new(uids: Vec<IdRange>, gids: Vec<IdRange>) -> Result<Self> {
        for (what, ranges) in [("user", &uids), ("group", &gids)] {
            let clash = |start: fn(&IdRange) -> u32| {
                ranges.iter().enumerate().any(|(position, one)| {
                    let meets = |other: &IdRange| {
                        start(one) < start(other) + other.size
                            && start(other) < start(one) + one.size
                    };
                    ranges[..position].iter().any(meets)
                })
            };
            if clash(|range| range.container) || clash(|range| range.host) {
                return Err(Error::new(Code::Usage, format!("mapping {what} ids"))
                    .found("ranges that overlap")
                    .expected("one id for each, on either side"));
            }
        }
        Ok(Self { uids, gids })
    }

    /// The ranges of users.
    pub fn uids(&self) -> &[IdRange] {
        &self.uids
    }

    /// The ranges of groups.
    pub fn gids(&self) -> &[IdRange] {
        &self.gids
    }

    /// What a user and a group of an image are outside, where the map says.
    pub fn outside(&self, uid: u32, gid: u32) -> (Option<u32>, Option<u32>) {
        let find =
            |ranges: &[IdRange], id: u32| map(ranges, id, |range| (range.container, range.host));
        (find(&self.uids, uid), find(&self.gids, gid))
    }

    /// What a user and a group outside are in an image, where the map says.
    pub fn inside(&self, uid: u32, gid: u32) -> (Option<u32>, Option<u32>) {
        let find =
            |ranges: &[IdRange], id: u32| map(ranges, id, |range| (range.host, range.container));
        (find(&self.uids, uid), find(&self.gids, gid))
    }
}

fn map(ranges: &[IdRange], id: u32, sides: impl Fn(&IdRange) -> (u32, u32)) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let (from, to) = sides(range);
        id.checked_sub(from).filter(|offset| *offset < range.size).map(|offset| to + offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_out_and_come_back() {
        let ranges = || {
            vec![IdRange::new(0, 100_000, 1000).expect("good"), "1000:7:1".parse().expect("good")]
        };
        let map = IdMap::new(ranges(), ranges()).expect("good");
        for (inside, outside) in [(0, 100_000), (999, 100_999), (1000, 7)] {
            assert_eq!(map.outside(inside, 0), (Some(outside), Some(100_000)));
            assert_eq!(map.inside(7, outside), (Some(1000), Some(inside)));
        }
        assert_eq!(map.outside(1001, u32::MAX), (None, None));
        assert_eq!(map.inside(8, 0), (None, None));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "0",
            "0:1",
            "0:1:0",
            "0:1:2:3",
            "a:b:c",
            "-1:0:1",
            "0:4294967295:1",
            "1:0:4294967295",
        ] {
            assert_eq!(bad.parse::<IdRange>().expect_err(bad).code(), Code::Usage);
        }
        let range = |text: &str| text.parse::<IdRange>().expect("good");
        for (one, two) in [("0:0:10", "9:50:1"), ("0:0:10", "50:9:10"), ("5:5:1", "5:6:1")] {
            assert!(IdMap::new(vec![range(one), range(two)], Vec::new()).is_err(), "{one} {two}");
        }
        IdMap::new(vec![range("0:0:10"), range("10:10:1")], Vec::new()).expect("side by side");
    }
}
