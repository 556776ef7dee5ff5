//! The grammars that values follow: times, URIs, references, licences, names
//! of signals and ports.

/// RFC 3339, section 5.6, with a day that the month has.
pub(super) fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u32> {
        let digits = bytes.get(from..to)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
    };
    let is = |at: usize, letters: &[u8]| bytes.get(at).is_some_and(|byte| letters.contains(byte));
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else {
        return false;
    };
    let (Some(hour), Some(minute), Some(second)) = (number(11, 13), number(14, 16), number(17, 19))
    else {
        return false;
    };
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt") && is(13, b":") && is(16, b":")) {
        return false;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return false;
    }
    let mut at = 19;
    if is(at, b".") {
        let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        at += 1 + digits;
    }
    if is(at, b"Zz") {
        return at + 1 == bytes.len();
    }
    let offset = (number(at + 1, at + 3), number(at + 4, at + 6));
    is(at, b"+-")
        && is(at + 3, b":")
        && at + 6 == bytes.len()
        && matches!(offset, (Some(0..=23), Some(0..=59)))
}

/// RFC 3986: a scheme, a colon, and characters that a URI may have.
pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let starts = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !starts || !scheme || rest.matches('#').count() > 1 {
        return false;
    }
    let brackets = rest.strip_prefix("//").map_or(rest, |rest| {
        // An address of IPv6 is the one place for brackets.
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        host.strip_prefix('[').and_then(|host| host.split_once(']')).map_or(rest, |(_, rest)| rest)
    });
    if brackets.contains(['[', ']']) {
        return false;
    }
    let bytes = rest.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
        byte => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(byte),
    })
}

/// Whether the scheme of a URI is http or https.
pub(super) fn is_web(text: &str) -> bool {
    let scheme = text.split(':').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// Whether a double holds the number as it is written.
pub(super) fn is_double(digits: &str) -> bool {
    let Ok(value) = digits.parse::<f64>() else { return false };
    if !value.is_finite() {
        return false;
    }
    if let Ok(whole) = digits.parse::<i128>() {
        // Beyond 2^53 neighbours are one number.
        #[expect(clippy::cast_possible_truncation, reason = "the value is compared")]
        return value.abs() < 1e37 && value as i128 == whole;
    }
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let significant =
        mantissa.bytes().filter(u8::is_ascii_digit).skip_while(|b| *b == b'0').count();
    // What is too small for a double becomes 0.
    let zero = mantissa.bytes().all(|byte| !(b'1'..=b'9').contains(&byte));
    significant <= 17 && (value != 0.0 || zero)
}

/// A reference of the distribution specification: how far it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reference {
    /// None.
    No,
    /// Without a registry.
    Short,
    /// With one.
    Full,
}

/// Reads `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.
pub(super) fn reference(text: &str) -> Reference {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|digest| digest.parse::<plimsoll_content::Digest>().is_err()) {
        return Reference::No;
    }
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Reference::No;
    }
    let (host, path) = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':', '[']) || first == "localhost" => {
            (Some(first), path)
        }
        _ => (None, name),
    };
    if host.is_some_and(|host| !is_host(host)) || !path.split('/').all(is_component) {
        return Reference::No;
    }
    if host.is_some() { Reference::Full } else { Reference::Short }
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag.bytes().enumerate().all(|(at, byte)| {
            byte.is_ascii_alphanumeric() || byte == b'_' || at > 0 && b".-".contains(&byte)
        })
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let port = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return port && address.parse::<core::net::Ipv6Addr>().is_ok();
    }
    port && name.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// Runs of lower-case letters and digits, joined by `.`, `_`, `__` or hyphens.
fn is_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_word(*first)
        && is_word(*last)
        && bytes.iter().all(|byte| is_word(*byte) || b"._-".contains(byte))
        && text
            .split(|letter: char| letter.is_ascii_alphanumeric())
            .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|b| b == b'-'))
}

/// The shape of an SPDX licence expression; which licences there are is not
/// known here.
pub(super) fn is_licence(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let (mut depth, mut wanted) = (0u32, true);
    for word in spaced.split_ascii_whitespace() {
        match word {
            "(" if wanted => depth += 1,
            ")" if !wanted && depth > 0 => depth -= 1,
            "AND" | "OR" | "WITH" if !wanted => wanted = true,
            _ if wanted && is_licence_id(word) => wanted = false,
            _ => return false,
        }
    }
    depth == 0 && !wanted
}

fn is_licence_id(word: &str) -> bool {
    !matches!(word, "AND" | "OR" | "WITH")
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+:".contains(&byte))
        && word.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// How well a text follows a grammar that is written in words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fit {
    /// As the specification has it.
    Good,
    /// Otherwise, and with one meaning to engines.
    Odd,
    /// Without meaning.
    Bad,
}

/// A key of `ExposedPorts`.
pub(super) fn port(key: &str) -> Fit {
    let (ports, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let number = |text: &str| -> Option<u16> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    let range = match ports.split_once('-') {
        Some((first, last)) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => true,
            _ => return Fit::Bad,
        },
        None if number(ports).is_some() => false,
        None => return Fit::Bad,
    };
    match protocol {
        "tcp" | "udp" if !range => Fit::Good,
        "tcp" | "udp" | "sctp" | "TCP" | "UDP" | "SCTP" => Fit::Odd,
        _ => Fit::Bad,
    }
}

/// A `StopSignal`.
pub(super) fn signal(text: &str) -> Fit {
    const NAMES: &[&str] = &[
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "EMT", "FPE", "HUP", "ILL", "INFO", "INT",
        "IO", "IOT", "KILL", "LOST", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT",
        "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "UNUSED", "URG", "USR1", "USR2",
        "VTALRM", "WINCH", "XCPU", "XFSZ",
    ];
    let known = |name: &str| {
        let real_time = ["RTMIN", "RTMAX"].iter().find_map(|base| name.strip_prefix(base));
        let step = real_time.is_some_and(|step| {
            let digits = step.strip_prefix(['+', '-']);
            step.is_empty()
                || digits.is_some_and(|digits| digits.parse::<u8>().is_ok_and(|step| step <= 30))
        });
        NAMES.contains(&name) || step
    };
    if text.strip_prefix("SIG").is_some_and(known) {
        return Fit::Good;
    }
    let upper = text.to_ascii_uppercase();
    let number = text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    if number || known(upper.strip_prefix("SIG").unwrap_or(&upper)) { Fit::Odd } else { Fit::Bad }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for good in [
            "2024-05-01T12:00:00Z",
            "2024-02-29T23:59:60+14:00",
            "0001-01-01T00:00:00Z",
            "2015-10-31T22:22:56.015925234Z",
            "1985-04-12t23:20:50.52-00:00",
        ] {
            assert!(is_time(good), "{good}");
        }
        for bad in [
            "",
            "2024-05-01",
            "2024-05-01 12:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-05-01T24:00:00Z",
            "2024-05-01T12:00:00",
            "2024-05-01T12:00:00.Z",
            "2024-05-01T12:00:00+0200",
            "2024-05-01T12:00:00Zx",
            "20240-05-01T12:00:00Z",
            "é024-05-01T12:00:00Z",
        ] {
            assert!(!is_time(bad), "{bad}");
        }
    }

    #[test]
    fn uris_and_numbers() {
        for good in ["https://a.b/c?d=e#f", "urn:x:y", "http://[::1]:80/", "a:", "https://h/%20"] {
            assert!(is_uri(good), "{good}");
        }
        for bad in
            ["", "a/b", "//h/x", "https://h/a b", "https://h/%2", "1a:b", "https://h/[x]", "a:ü"]
        {
            assert!(!is_uri(bad), "{bad}");
        }
        for good in ["0", "-0", "9007199254740992", "1e308", "0.1", "5e-324", "0e-999"] {
            assert!(is_double(good), "{good}");
        }
        for bad in
            ["9007199254740993", "1e309", "0.12345678901234567890", "1e-999", &"9".repeat(50)]
        {
            assert!(!is_double(bad), "{bad}");
        }
    }

    #[test]
    fn references_have_a_registry_or_not() {
        for (text, says) in [
            ("docker.io/library/debian:12", Reference::Full),
            ("localhost:5000/a/b-c__d", Reference::Full),
            ("[::1]:5000/a", Reference::Full),
            ("localhost/a", Reference::Full),
            ("debian", Reference::Short),
            ("library/debian:12", Reference::Short),
            ("", Reference::No),
            ("https://a.b/c", Reference::No),
            ("a.b/C", Reference::No),
            ("a.b/c:", Reference::No),
            ("a.b/c..d", Reference::No),
            ("a.b/c@sha256:1", Reference::No),
            ("a.b/", Reference::No),
        ] {
            assert_eq!(reference(text), says, "{text}");
        }
    }

    #[test]
    fn licences_ports_and_signals() {
        for good in
            ["MIT", "MIT OR (Apache-2.0 AND BSD-3-Clause)", "GPL-2.0+ WITH Classpath-exception-2.0"]
        {
            assert!(is_licence(good), "{good}");
        }
        for bad in ["", "MIT, BSD", "MIT OR", "(MIT", "MIT BSD", "OR", "MIT/BSD"] {
            assert!(!is_licence(bad), "{bad}");
        }
        for (key, fit) in [
            ("80", Fit::Good),
            ("80/tcp", Fit::Good),
            ("53/udp", Fit::Good),
            ("80/sctp", Fit::Odd),
            ("80-90/tcp", Fit::Odd),
            ("90-80/tcp", Fit::Bad),
            ("http", Fit::Bad),
            ("80/", Fit::Bad),
            ("65536", Fit::Bad),
            ("+80", Fit::Bad),
            ("", Fit::Bad),
        ] {
            assert_eq!(port(key), fit, "{key}");
        }
        for (text, fit) in [
            ("SIGKILL", Fit::Good),
            ("SIGRTMIN+3", Fit::Good),
            ("SIGRTMAX-14", Fit::Good),
            ("KILL", Fit::Odd),
            ("sigterm", Fit::Odd),
            ("9", Fit::Odd),
            ("0", Fit::Bad),
            ("SIGNOTHING", Fit::Bad),
            ("SIGRTMIN+99", Fit::Bad),
            ("", Fit::Bad),
        ] {
            assert_eq!(signal(text), fit, "{text}");
        }
    }
}
