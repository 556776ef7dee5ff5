//! Ways to say which content of a place is meant.

use std::str::FromStr;

use plimsoll_content::{Code, Digest, Error, Result, Source};

use super::Layout;
use crate::catalog::{Catalog, Entry, listed};
use crate::reachable;

/// How many digits a part of a digest must have to be looked for.
const PREFIX: usize = 8;

/// What is meant in a layout, as it is written after the path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Selector {
    /// The one thing that the layout lists (nothing is written).
    Only,
    /// A name (`v1`, `example.com/app:v1`).
    Name(String),
    /// A digest (`@sha256:…`) of an entry, or of something that an entry
    /// leads to.
    Digest(Digest),
    /// The place in the list, from 0 on (`@0`), as skopeo has it.
    Position(usize),
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(rest) = text.strip_prefix('@') else {
            return Ok(if text.is_empty() { Self::Only } else { Self::Name(text.to_owned()) });
        };
        if rest.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(position) = rest.parse()
        {
            return Ok(Self::Position(position));
        }
        rest.parse().map(Self::Digest).map_err(|error: Error| {
            error
                .recode(Code::Reference)
                .context(format!("reading {text:?}"))
                .fix("write @ALGORITHM:VALUE, @POSITION, or a name")
        })
    }
}

impl Layout {
    /// What `selector` means in this layout ([`Catalog::find`]).
    pub fn find(&self, selector: &Selector) -> Result<Entry> {
        self.catalog()?.find(self, selector)
    }

    /// What has a digest that starts with these digits
    /// ([`Catalog::find_prefix`]).
    pub fn find_prefix(&self, prefix: &str) -> Result<Entry> {
        self.catalog()?.find_prefix(self, prefix)
    }
}

impl Catalog {
    /// What `selector` means in this place, whose content `source` has.
    ///
    /// Errors with [`Code::NotFound`] and what there is, or with
    /// [`Code::Reference`] and the possible meanings if there are several.
    pub fn find(&self, source: &dyn Source, selector: &Selector) -> Result<Entry> {
        match selector {
            Selector::Name(name) => self.find_name(name),
            Selector::Only => self.find_only(),
            Selector::Position(position) => self
                .entries
                .get(*position)
                .cloned()
                .ok_or_else(|| self.not_found(&format!("@{position}"))),
            Selector::Digest(digest) => {
                let found = self.search(source, |other| other == digest);
                found.into_iter().next().ok_or_else(|| self.not_found(&format!("@{digest}")))
            }
        }
    }

    fn find_only(&self) -> Result<Entry> {
        let Some(first) = self.entries.first() else {
            return Err(self.not_found("an image"));
        };
        if self.entries.iter().any(|entry| entry.descriptor.digest != first.descriptor.digest) {
            return Err(Error::new(Code::Reference, format!("choosing an image in {}", self.path))
                .found(listed(&self.entries))
                .expected("one image, or a name")
                .fix(format!("say which: {}{}:NAME", self.form, self.path)));
        }
        Ok(first.clone())
    }

    /// What has a digest that starts with these digits (at least 8), with or
    /// without the algorithm before them.
    ///
    /// Errors with [`Code::Reference`] if several have.
    pub fn find_prefix(&self, source: &dyn Source, prefix: &str) -> Result<Entry> {
        let doing = || format!("looking for digest {prefix:?} in {}", self.path);
        let (algorithm, digits) = match prefix.split_once(':') {
            Some((algorithm, digits)) => (Some(algorithm), digits),
            None => (None, prefix),
        };
        if !is_prefix(digits) {
            return Err(Error::new(Code::Reference, doing())
                .found(format!("{prefix:?}"))
                .expected("at least 8 lower-case hexadecimal digits"));
        }
        let found = self.search(source, |digest| {
            algorithm.is_none_or(|algorithm| algorithm == digest.algorithm_name())
                && digest.encoded().starts_with(digits)
        });
        match &found[..] {
            [] => Err(self.not_found(&format!("digest {prefix:?}"))),
            [one] => Ok(one.clone()),
            several => {
                let digests: Vec<_> =
                    several.iter().map(|entry| entry.descriptor.digest.to_string()).collect();
                Err(Error::new(Code::Reference, doing())
                    .found(digests.join(", "))
                    .expected("one")
                    .fix("write more digits"))
            }
        }
    }

    /// The entries whose digests match, each digest once; if there are none,
    /// what matches among all that entries lead to.
    fn search(&self, source: &dyn Source, matches: impl Fn(&Digest) -> bool) -> Vec<Entry> {
        let mut found: Vec<Entry> = Vec::new();
        for entry in &self.entries {
            let digest = &entry.descriptor.digest;
            if matches(digest) && !found.iter().any(|other| other.descriptor.digest == *digest) {
                found.push(entry.clone());
            }
        }
        if !found.is_empty() {
            return found;
        }
        for entry in &self.entries {
            // One broken image must not hide the others.
            let Ok(reachable) = reachable(source, &entry.descriptor) else { continue };
            for descriptor in reachable.present {
                let digest = &descriptor.digest;
                if matches(digest) && !found.iter().any(|other| other.descriptor.digest == *digest)
                {
                    found.push(Entry { position: entry.position, descriptor });
                }
            }
        }
        found
    }
}

/// Whether text can be a part of a digest rather than a name.
pub(crate) fn is_prefix(digits: &str) -> bool {
    digits.len() >= PREFIX && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
