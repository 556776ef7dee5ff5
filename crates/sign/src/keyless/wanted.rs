//! Who is wanted: issuer and subject, letter by letter or by a pattern.

use crate::format::fulcio::Identity;
use crate::reason::{Reason, Why};

/// Who may be the maker of a signature: issuer and subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Who has to have said who it is; nobody, where certificates need not say.
    pub issuer: Option<Pattern>,
    /// Who.
    pub subject: Pattern,
    /// Whether only an address for mail counts.
    pub mail: bool,
}

impl Wanted {
    /// Whether the identity is wanted.
    pub fn is(&self, identity: &Identity) -> bool {
        let issuer = match (&self.issuer, &identity.issuer) {
            (None, _) => true,
            (Some(wanted), Some(issuer)) => wanted.fits(issuer),
            (Some(_), None) => false,
        };
        issuer && self.subject.fits(&identity.subject) && (identity.mail || !self.mail)
    }
}

/// What a text has to be.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Pattern {
    /// This.
    Is(String),
    /// As a whole like this: `*` stands for any letters but `/` and `@`, `**` for any.
    Like(String),
}

impl Pattern {
    /// It as it is written.
    pub fn as_str(&self) -> &str {
        let (Self::Is(text) | Self::Like(text)) = self;
        text
    }

    /// Whether the text fits.
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted) => wanted == text,
            Self::Like(pattern) => like(pattern.as_bytes(), text.as_bytes()),
        }
    }
}

/// One pass over the text for each star: no pattern takes longer than their product.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    // Which places of the text the pattern so far may end at.
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    let mut rest = pattern;
    while let Some((&first, more)) = rest.split_first() {
        if first == b'*' {
            let any = more.first() == Some(&b'*');
            rest = if any { &more[1..] } else { more };
            for at in 0..text.len() {
                if ends[at] && (any || !matches!(text[at], b'/' | b'@')) {
                    ends[at + 1] = true;
                }
            }
        } else {
            for at in (0..text.len()).rev() {
                ends[at + 1] = ends[at] && text[at] == first;
            }
            ends[0] = false;
            rest = more;
        }
    }
    ends[text.len()]
}

/// The first of the wanted who is the identity.
pub(crate) fn wanted<'a>(
    identity: &Identity,
    wanted: impl Iterator<Item = &'a Wanted>,
) -> Result<(), Reason> {
    for one in wanted {
        if one.is(identity) {
            return Ok(());
        }
    }
    // Whole, because it is what one has to compare.
    let issuer = identity.issuer.as_deref().unwrap_or("nobody");
    let text = format!("signed by {:?} (says {issuer:?})", identity.subject);
    Err(Reason::new(Why::Identity, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_anchored_at_both_ends() {
        for (pattern, text, fits) in [
            ("https://example.com/*", "https://example.com/org", true),
            ("https://example.com/*", "https://example.com/org/app", false),
            ("https://example.com/**", "https://example.com/org/app", true),
            ("https://example.com/**", "https://evil.example/https://example.com/org", false),
            ("*@example.com", "someone@example.com", true),
            ("*@example.com", "someone@example.com.evil.example", false),
            ("*@example.com", "someone@evil.example@example.com", false),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("", "", true),
            ("", "a", false),
            ("a.c", "abc", false),
        ] {
            assert_eq!(Pattern::Like(pattern.into()).fits(text), fits, "{pattern} {text}");
        }
        let long = Pattern::Like("*a".repeat(2000));
        assert!(!long.fits(&"a".repeat(1999)));
        assert!(!Pattern::Is("*".into()).fits("a"));
    }
}
