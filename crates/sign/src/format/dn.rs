//! Distinguished names in text (RFC 4514), as policies name the signers of the Notary
//! Project: `C=US, ST=WA, O=Example`.
//!
//! Names that could be read in two ways are refused: several values in one part
//! (`+`), one kind twice, kinds that are unknown, and values in hexadecimal (`=#`),
//! which have led another reader to use up all memory (CVE-2023-25656).

/// The kinds of parts that are known, by the last number of their identifiers.
pub(crate) const NAMES: [(u8, &str); 9] = [
    (0x03, "CN"),
    (0x05, "SERIALNUMBER"),
    (0x06, "C"),
    (0x07, "L"),
    (0x08, "ST"),
    (0x09, "STREET"),
    (0x0a, "O"),
    (0x0b, "OU"),
    (0x11, "POSTALCODE"),
];

/// The longest name that is read.
const LONGEST: usize = 4096;

/// The parts of a name.
pub type Name = Vec<(String, String)>;

/// Reads a name; the reason why not is for people.
pub fn parse(text: &str) -> Result<Name, String> {
    if text.len() > LONGEST {
        return Err(format!("more than {LONGEST} bytes"));
    }
    let mut name = Name::new();
    let mut rest = text;
    loop {
        let (kind, more) = rest.split_once('=').ok_or("a part without \"=\"")?;
        let kind = kind.trim().to_ascii_uppercase();
        // Some write S for the state.
        let kind = if kind == "S" { "ST" } else { &kind };
        if !NAMES.iter().any(|(_, known)| *known == kind) {
            return Err(format!("a part {kind:?}, which is not known"));
        }
        let (value, more) = value(more)?;
        if value.is_empty() {
            return Err(format!("{kind} without a value"));
        }
        if name.iter().any(|(known, _)| known == kind) {
            return Err(format!("{kind} twice"));
        }
        name.push((kind.to_owned(), value));
        match more {
            None => return Ok(name),
            Some(more) => rest = more,
        }
    }
}

/// The value of a part, and what stands behind its comma.
fn value(text: &str) -> Result<(String, Option<&str>), String> {
    let text = text.trim_start_matches(' ');
    if text.starts_with('#') {
        return Err("a value in hexadecimal".to_owned());
    }
    let mut bytes = Vec::new();
    // How much of it is kept although it is spaces: they were escaped.
    let mut kept = 0;
    let mut letters = text.char_indices();
    let mut rest = None;
    while let Some((at, letter)) = letters.next() {
        match letter {
            ',' | ';' => {
                rest = Some(&text[at + 1..]);
                break;
            }
            '+' | '"' | '<' | '>' | '\0' => return Err(format!("{letter:?} without a \\")),
            '\\' => {
                let (at, next) = letters.next().ok_or("a \\ at the end")?;
                if " \"#+,;<=>\\".contains(next) {
                    bytes.push(next as u8);
                } else {
                    let pair = text.get(at..at + 2).filter(|_| next.is_ascii_hexdigit());
                    let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
                    bytes.push(byte.ok_or("a \\ before something else")?);
                    letters.next();
                }
                kept = bytes.len();
            }
            other => bytes.extend(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    while bytes.len() > kept && bytes.last() == Some(&b' ') {
        bytes.pop();
    }
    String::from_utf8(bytes).map(|value| (value, rest)).map_err(|_| "bytes that are no text".into())
}

/// Writes a name, so that it is read as it was.
pub fn write(name: &[(String, String)]) -> String {
    let part = |(kind, value): &(String, String)| {
        let mut text = format!("{kind}=");
        for (at, letter) in value.char_indices() {
            let edge = letter == ' ' && (at == 0 || at + 1 == value.len());
            if "\"+,;<>\\".contains(letter) || edge || (letter == '#' && at == 0) {
                text.push('\\');
            }
            if letter == '\0' { text.push_str("\\00") } else { text.push(letter) }
        }
        text
    };
    name.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// Whether a subject has all parts of a name, and each of them once.
pub fn has(subject: &[(String, String)], name: &[(String, String)]) -> bool {
    name.iter().all(|(kind, value)| {
        let mut of_kind = subject.iter().filter(|(own, _)| own == kind);
        of_kind.next().is_some_and(|(_, own)| own == value) && of_kind.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_in_parts() {
        let of = |text: &str| parse(text).expect(text);
        let part = |kind: &str, value: &str| (kind.to_owned(), value.to_owned());
        assert_eq!(
            of("C=US, S=WA,O = a\\, b \\;\\\\ ,CN=\\ x\\ "),
            [part("C", "US"), part("ST", "WA"), part("O", "a, b ;\\"), part("CN", " x ")]
        );
        assert_eq!(of("o=\\C3\\A4;L=b=c"), [part("O", "ä"), part("L", "b=c")]);
    }

    /// A value in hexadecimal, as in CVE-2023-25656, and all else that has two readings.
    #[test]
    fn t17_names_with_two_readings_are_refused() {
        for bad in [
            "",
            "C",
            "C=",
            "=x",
            "C=US,",
            "C=US,C=DE",
            "ST=a,S=b",
            "C=#0500",
            "C=US,O=#04024869",
            "C= #0500",
            "C=US+O=x",
            "O=\"x\"",
            "O=x\\",
            "O=\\x",
            "O=\\C3",
            "O=\\Fü",
            "1.2.3=x",
            "emailAddress=a@example.com",
            "C=US,,O=x",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse(&format!("O={}", "x".repeat(LONGEST))).is_err());
        assert!(parse(&format!("O={}", "x".repeat(LONGEST - 2))).is_ok());
    }

    #[test]
    fn a_subject_has_each_part_once() {
        let of = |text: &str| parse(text).expect(text);
        let mut subject = of("C=US,ST=WA,O=Example,CN=x");
        assert!(has(&subject, &of("C=US,O=Example")));
        assert!(!has(&subject, &of("C=US,O=Other")) && !has(&subject, &of("OU=x")));
        subject.push(("O".to_owned(), "Other".to_owned()));
        assert!(!has(&subject, &of("O=Example")));
    }

    proptest! {
        #[test]
        fn t17_never_panics(text: String) {
            let _ = parse(&text);
            let _ = parse(&format!("C={text}"));
        }

        #[test]
        fn is_read_as_it_is_written(value in "[^\\x00]{1,40}") {
            let name = vec![("O".to_owned(), value), ("CN".to_owned(), "x".to_owned())];
            prop_assert_eq!(parse(&write(&name)), Ok(name));
        }
    }
}
