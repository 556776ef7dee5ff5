//! Parts of an address as they are sent: percent signs and the query.

/// How many parameters a query may have.
const PARAMETERS: usize = 256;

/// The parameters of a query, in their order; `None` if it is no text or far
/// too long. What has no `=` has an empty value.
pub fn pairs(query: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if pairs.len() == PARAMETERS {
            return None;
        }
        pairs.push((decoded(name, true)?, decoded(value, true)?));
    }
    Some(pairs)
}

/// Text without percent signs (RFC 3986, section 2.1); `plus` says whether a
/// plus sign is a blank, as it is in forms.
pub(super) fn decoded(text: &str, plus: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => nibble(rest.next()?)? << 4 | nibble(rest.next()?)?,
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encoded;
    use super::*;

    #[test]
    fn queries_are_pairs_in_their_order() {
        let pairs = pairs("a=1&b&&c=x%20y+z%2B&a=2=3").expect("a query");
        let expected = [("a", "1"), ("b", ""), ("c", "x y z+"), ("a", "2=3")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for bad in ["a=%", "a=%2", "a=%zz", "a=%ff", &"a&".repeat(257)] {
            assert_eq!(super::pairs(bad), None, "{bad}");
        }
        assert_eq!(decoded("a+b%2Fc", false).as_deref(), Some("a+b/c"));
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(text in "\\PC{0,40}") {
            prop_assert_eq!(decoded(&encoded(&text), true), Some(text));
        }
    }
}
