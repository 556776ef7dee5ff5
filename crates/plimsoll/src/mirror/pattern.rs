//! Which tags: by wildcards, and by versions.

use std::cmp::Ordering;

use plimsoll_content::{Code, Error, Result};

/// The longest pattern.
const LENGTH: usize = 256;

/// A tag with wildcards: `*` is any characters, `?` is one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Glob(String);

impl Glob {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-*?".contains(&b);
        if text.is_empty() || text.len() > LENGTH || !text.bytes().all(plain) {
            return Err(bad("a pattern of tags", text, "characters of tags, * and ?"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether a tag is meant.
    pub fn matches(&self, tag: &str) -> bool {
        let (pattern, tag) = (self.0.as_bytes(), tag.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where the last star was, and how much of the tag it stands for.
        let mut star = None;
        while t < tag.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(b'?') => (p, t) = (p + 1, t + 1),
                Some(byte) if *byte == tag[t] => (p, t) = (p + 1, t + 1),
                _ => match star {
                    Some((at, from)) => {
                        star = Some((at, from + 1));
                        (p, t) = (at + 1, from + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }

    /// The tag, if it is no pattern.
    pub fn plain(&self) -> Option<&str> {
        (!self.0.contains(['*', '?'])).then_some(self.0.as_str())
    }
}

/// A version in a tag: `v1.2.3-rc.1`. Missing numbers are 0; what stands behind
/// a `+`, or a `_` as tags have it, does not count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    numbers: [u64; 3],
    pre: Vec<String>,
}

impl Version {
    /// The version that a tag is.
    pub fn of(tag: &str) -> Option<Self> {
        let text = tag.strip_prefix('v').unwrap_or(tag);
        let text = text.split(['+', '_']).next().unwrap_or(text);
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let (numbers, _) = numbers(core)?;
        let pre: Vec<_> =
            pre.map_or_else(Vec::new, |pre| pre.split('.').map(str::to_owned).collect());
        pre.iter().all(|part| !part.is_empty()).then_some(Self { numbers, pre })
    }

    /// Whether it is one before a release.
    pub fn is_before_release(&self) -> bool {
        !self.pre.is_empty()
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let pre = || match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => parts(&self.pre, &other.pre),
        };
        self.numbers.cmp(&other.numbers).then_with(pre)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As semver.org has it: numbers before words, shorter before longer.
fn parts(one: &[String], other: &[String]) -> Ordering {
    for (one, other) in one.iter().zip(other) {
        let order = match (number(one), number(other)) {
            (Some(one), Some(other)) => one.cmp(&other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => one.cmp(other),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    one.len().cmp(&other.len())
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// One to three numbers, and how many they are.
fn numbers(text: &str) -> Option<([u64; 3], usize)> {
    let mut found = [0; 3];
    let mut count = 0;
    for part in text.split('.') {
        *found.get_mut(count)? = number(part).filter(|_| !part.is_empty())?;
        count += 1;
    }
    Some((found, count))
}

/// A range of versions: bounds that all hold, as in `>=1.2, <2`, `^1.4`,
/// `~1.4.2`, `1.x`. Versions before a release are in it only if it names one of
/// the same numbers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Versions(Vec<Bound>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Bound {
    sign: Sign,
    version: Version,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sign {
    Less,
    LessOrSame,
    Same,
    SameOrMore,
    More,
}

impl Versions {
    /// Reads a range.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            bad("a range of versions", text, "bounds such as >=1.2, <2 or ^1.4 or ~1.4.2 or 1.x")
        };
        if text.len() > LENGTH {
            return Err(wrong());
        }
        let mut bounds = Vec::new();
        for part in text.split(',') {
            add(part.trim(), &mut bounds).ok_or_else(wrong)?;
        }
        Ok(Self(bounds))
    }

    /// Whether a version is in the range.
    pub fn holds(&self, version: &Version) -> bool {
        let named = |bound: &Bound| {
            bound.version.is_before_release() && bound.version.numbers == version.numbers
        };
        if version.is_before_release() && !self.0.iter().any(named) {
            return false;
        }
        self.0.iter().all(|Bound { sign, version: bound }| match sign {
            Sign::Less => version < bound,
            Sign::LessOrSame => version <= bound,
            Sign::Same => version == bound,
            Sign::SameOrMore => version >= bound,
            Sign::More => version > bound,
        })
    }
}

/// The bounds that one part of a range stands for.
fn add(part: &str, bounds: &mut Vec<Bound>) -> Option<()> {
    let signs = [
        (">=", Sign::SameOrMore),
        ("<=", Sign::LessOrSame),
        (">", Sign::More),
        ("<", Sign::Less),
        ("=", Sign::Same),
    ];
    let mut push = |sign, version| bounds.push(Bound { sign, version });
    let release = |numbers| Version { numbers, pre: Vec::new() };
    if let Some((text, sign)) =
        signs.iter().find_map(|(text, sign)| Some((part.strip_prefix(text)?, *sign)))
    {
        push(sign, Version::of(text.trim())?);
        return Some(());
    }
    let (caret, tilde) = (part.strip_prefix('^'), part.strip_prefix('~'));
    let text = caret.or(tilde).unwrap_or(part).trim();
    let text = text.strip_prefix('v').unwrap_or(text);
    let open = [".x", ".X", ".*"].iter().find_map(|end| text.strip_suffix(end));
    if text == "*" || text == "x" {
        push(Sign::SameOrMore, release([0; 3]));
        return Some(());
    }
    let core = open.unwrap_or(text);
    let (found, count) = numbers(core.split('-').next().unwrap_or(core))?;
    let first = Version::of(core)?;
    // Which of the numbers may not grow.
    let fixed = if caret.is_some() {
        found[..count].iter().position(|number| *number > 0).unwrap_or(count - 1)
    } else if tilde.is_some() {
        usize::from(count > 1)
    } else if open.is_some() || count < 3 {
        count - 1
    } else {
        push(Sign::Same, first);
        return Some(());
    };
    let mut end = found;
    end[fixed] = end[fixed].checked_add(1)?;
    end[fixed + 1..].fill(0);
    push(Sign::SameOrMore, first);
    push(Sign::Less, release(end));
    Some(())
}

fn bad(what: &str, text: &str, expected: &str) -> Error {
    let shown: String = text.chars().take(100).collect();
    Error::new(Code::Usage, format!("reading {what}"))
        .found(format!("{shown:?}"))
        .expected(expected)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_stand_for_characters() {
        for (pattern, tag, fits) in [
            ("*", "", true),
            ("*", "v1", true),
            ("v1.*", "v1.2.3", true),
            ("v1.*", "v1", false),
            ("v?", "v1", true),
            ("v?", "v12", false),
            ("*-rc*", "v1-rc1", true),
            ("*-rc*", "v1", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXc", false),
            ("v1", "v1", true),
            ("v1", "v10", false),
        ] {
            assert_eq!(Glob::parse(pattern).expect(pattern).matches(tag), fits, "{pattern} {tag}");
        }
        for bad in ["", "a b", "a/b", "[a]"] {
            assert!(Glob::parse(bad).is_err(), "{bad}");
        }
        // Many stars take no time.
        assert!(!Glob::parse(&"*a".repeat(100)).expect("a pattern").matches(&"a".repeat(99)));
    }

    #[test]
    fn versions_are_in_the_order_of_semver() {
        let ordered = [
            "0.9",
            "1.0.0-1",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-rc.2",
            "1.0.0-rc.11",
            "v1",
            "1.0.1",
            "1.2",
            "1.10.0",
            "2",
        ];
        let versions: Vec<_> = ordered.iter().map(|tag| Version::of(tag).expect(tag)).collect();
        for (one, other) in versions.iter().zip(&versions[1..]) {
            assert!(one < other, "{one:?} {other:?}");
        }
        assert_eq!(Version::of("v1.2.3_build"), Version::of("1.2.3"));
        for other in ["", "v", "latest", "1.2.3.4", "1..2", "1.2-", "1.x", "+1"] {
            assert_eq!(Version::of(other), None, "{other}");
        }
    }

    #[test]
    fn ranges_hold_what_they_say() {
        for (range, inside, outside) in [
            (">=1.2, <2", &["1.2", "1.9.9", "v1.2.0"][..], &["1.1.9", "2", "2.0.1", "1.5-rc1"][..]),
            ("^1.4", &["1.4", "1.9"], &["1.3", "2.0"]),
            ("^0.4.1", &["0.4.1", "0.4.9"], &["0.5", "0.4.0"]),
            ("^0.0.3", &["0.0.3"], &["0.0.4"]),
            ("~1.4.2", &["1.4.2", "1.4.9"], &["1.5", "1.4.1"]),
            ("~1.4", &["1.4", "1.4.9"], &["1.5"]),
            ("~1", &["1.0", "1.9"], &["2"]),
            ("1.x", &["1.0", "1.9.1"], &["2", "0.9"]),
            ("1.2", &["1.2", "1.2.7"], &["1.3"]),
            ("1.2.*", &["1.2", "1.2.7"], &["1.3"]),
            ("=1.2.3", &["1.2.3"], &["1.2.4"]),
            ("1.2.3", &["1.2.3"], &["1.2.4"]),
            (">1.2.3", &["1.2.4"], &["1.2.3"]),
            ("<=1.2.3", &["1.2.3"], &["1.2.4"]),
            (">=1.0.0-rc.1", &["1.0.0-rc.2", "1.0.0"], &["1.0.0-alpha", "1.1.0-rc.1"]),
            ("*", &["0.0.1", "99"], &["1-rc"]),
        ] {
            let versions = Versions::parse(range).expect(range);
            let holds = |tag: &&str| versions.holds(&Version::of(tag).expect("a version"));
            assert!(inside.iter().all(holds), "{range}");
            assert!(!outside.iter().any(holds), "{range}");
        }
        for bad in ["", "latest", ">=", ">=1.x.y", "^", ",", "1.2.3.4", "18446744073709551615"] {
            assert!(Versions::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "[\\^~<>=*xv0-9., -]{0,30}", tag in "\\PC{0,30}") {
            if let (Ok(range), Some(version)) = (Versions::parse(&text), Version::of(&tag)) {
                let _ = range.holds(&version);
            }
            if let Ok(glob) = Glob::parse(&text) {
                let _ = glob.matches(&tag);
            }
        }

        #[test]
        fn a_wildcard_is_what_a_search_finds(pattern in "[ab*?]{1,8}", tag in "[ab]{0,8}") {
            fn naive(pattern: &[u8], tag: &[u8]) -> bool {
                match (pattern.first(), tag.first()) {
                    (None, None) => true,
                    (Some(b'*'), _) => {
                        naive(&pattern[1..], tag) || (!tag.is_empty() && naive(pattern, &tag[1..]))
                    }
                    (Some(b'?'), Some(_)) => naive(&pattern[1..], &tag[1..]),
                    (Some(one), Some(other)) => one == other && naive(&pattern[1..], &tag[1..]),
                    _ => false,
                }
            }
            let glob = Glob::parse(&pattern).expect("a pattern");
            prop_assert_eq!(glob.matches(&tag), naive(pattern.as_bytes(), tag.as_bytes()));
        }
    }
}
