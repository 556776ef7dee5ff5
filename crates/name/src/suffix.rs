//! Where domains of different owners meet: below `co.uk`, everybody's domain
//! is his own, and `co.uk` may speak for none of them.
//!
//! The list is that of publicsuffix.org, in a short form that
//! `cargo xtask suffixes LIST` writes: `uk(co,ac)` are the rules `uk`, `co.uk`
//! and `ac.uk`; `.` before a label says that it is no rule itself, `!` that it
//! is an exception, and `*` stands for any label.

/// The rules, by labels from the last to the first.
const RULES: &str = include_str!("suffix/rules.txt");

/// The domain that somebody registered, of which `name` is a part: `example.co.uk`
/// of `a.example.co.uk`. `None` for a suffix itself and for an address.
///
/// ```
/// use plimsoll_name::suffix::registrable;
/// assert_eq!(registrable("a.b.example.com"), Some("example.com"));
/// assert_eq!(registrable("foo.co.uk"), Some("foo.co.uk"));
/// assert_eq!(registrable("co.uk"), None);
/// assert_eq!(registrable("10.0.0.1"), None);
/// ```
pub fn registrable(name: &str) -> Option<&str> {
    if name.parse::<core::net::IpAddr>().is_ok() || name.starts_with('[') {
        return None;
    }
    let labels: Vec<&str> = name.split('.').collect();
    if labels.iter().any(|label| label.is_empty()) {
        return None;
    }
    let length = suffix(&labels);
    let more = labels.len().checked_sub(length + 1)?;
    let start: usize = labels[..more].iter().map(|label| label.len() + 1).sum();
    Some(&name[start..])
}

/// Whether both are parts of one registered domain, or the same host.
pub fn same_owner(one: &str, other: &str) -> bool {
    one == other
        || matches!((registrable(one), registrable(other)), (Some(one), Some(other)) if one == other)
}

/// The hosts above `name` that belong to the same owner, nearest first.
pub fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    let end = registrable(name).unwrap_or(name);
    std::iter::successors(Some(name), move |at| {
        if *at == end { None } else { at.split_once('.').map(|(_, rest)| rest) }
    })
    .skip(1)
}

/// How many labels of a name are its public suffix.
fn suffix(labels: &[&str]) -> usize {
    // Where no rule holds, the last label is the suffix.
    let mut longest = 1;
    // A wildcard and a label of its own may both lead on.
    let mut level = vec![(rules(), 0)];
    while let Some((rules, depth)) = level.pop() {
        let Some(label) = labels.len().checked_sub(depth + 1).map(|at| labels[at]) else {
            continue;
        };
        for rule in entries(rules) {
            if rule.label != label && rule.label != "*" {
                continue;
            }
            match rule.kind {
                Kind::Exception => return depth,
                Kind::Rule => longest = longest.max(depth + 1),
                Kind::Between => {}
            }
            level.push((rule.below, depth + 1));
        }
    }
    longest
}

/// The list without the lines that tell where it is from.
fn rules() -> &'static str {
    RULES.rsplit_once("\n\n").map_or(RULES, |(_, rules)| rules).trim_end()
}

enum Kind {
    Rule,
    Between,
    Exception,
}

struct Rule<'a> {
    label: &'a str,
    kind: Kind,
    below: &'a str,
}

/// The rules of one level.
fn entries(text: &str) -> impl Iterator<Item = Rule<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find([',', '(']).unwrap_or(rest.len());
        let written = &rest[..end];
        let mut below = "";
        rest = &rest[end..];
        if let Some(inside) = rest.strip_prefix('(') {
            let close = closing(inside);
            below = &inside[..close];
            rest = inside.get(close + 1..).unwrap_or_default();
        }
        rest = rest.strip_prefix(',').unwrap_or(rest);
        let (kind, label) = match written.as_bytes().first() {
            Some(b'!') => (Kind::Exception, &written[1..]),
            Some(b'.') => (Kind::Between, &written[1..]),
            _ => (Kind::Rule, written),
        };
        Some(Rule { label, kind, below })
    })
}

fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return at,
            b')' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a17_the_owner_of_a_suffix_speaks_for_nobody() {
        for (name, domain) in [
            ("com", None),
            ("example.com", Some("example.com")),
            ("www.example.com", Some("example.com")),
            ("foo.co.uk", Some("foo.co.uk")),
            ("a.b.foo.co.uk", Some("foo.co.uk")),
            ("co.uk", None),
            ("user.github.io", Some("user.github.io")),
            ("x.user.github.io", Some("user.github.io")),
            // Wildcards and exceptions.
            ("ck", None),
            ("x.ck", None),
            ("b.x.ck", Some("b.x.ck")),
            ("www.ck", Some("www.ck")),
            ("www.www.ck", Some("www.ck")),
            ("city.kawasaki.jp", Some("city.kawasaki.jp")),
            ("a.kawasaki.jp", None),
            // Not in the list at all.
            ("host.unlisted", Some("host.unlisted")),
            ("10.0.0.1", None),
            ("xn--85x722f.xn--55qx5d.cn", Some("xn--85x722f.xn--55qx5d.cn")),
            ("xn--55qx5d.cn", None),
            ("a..com", None),
        ] {
            assert_eq!(registrable(name), domain, "{name}");
        }
        let above: Vec<_> = ancestors("a.b.foo.co.uk").collect();
        assert_eq!(above, ["b.foo.co.uk", "foo.co.uk"]);
        assert_eq!(ancestors("foo.co.uk").count(), 0);
        assert_eq!(ancestors("10.0.0.1").count(), 0);
        assert!(same_owner("www.example.com", "cdn.example.com"));
        assert!(!same_owner("a.github.io", "b.github.io"));
        assert!(!same_owner("10.0.0.1", "10.0.0.2"));
    }
}
