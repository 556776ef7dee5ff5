//! What a place lists: which images, under which names.

use plimsoll_content::{Code, Descriptor, Error, Result};
use plimsoll_spec::annotations::REF_NAME;

/// One line of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place in the list, from 0 on.
    pub position: usize,
    /// What it points at.
    pub descriptor: Descriptor,
}

impl Entry {
    /// The name of the entry. Several entries may have one name, and some
    /// have none (LA18).
    pub fn name(&self) -> Option<&str> {
        self.descriptor.annotations.get(REF_NAME).map(String::as_str)
    }
}

/// How many names an error lists.
const LISTED: usize = 10;

/// The list of a place at one moment.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// How references to the place begin, such as `oci:`.
    pub(crate) form: &'static str,
    /// Where the place is, for messages.
    pub(crate) path: String,
    pub(crate) entries: Vec<Entry>,
}

impl Catalog {
    /// The list of a place whose references begin with `form`.
    pub fn new(form: &'static str, path: String, list: Vec<Descriptor>) -> Self {
        let entries = list
            .into_iter()
            .enumerate()
            .map(|(position, descriptor)| Entry { position, descriptor })
            .collect();
        Self { form, path, entries }
    }

    /// The lines, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The lines, in their order.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// The entry of that name.
    ///
    /// Errors with [`Code::Reference`] if entries of that name point at
    /// different content (hostile case GR10).
    pub fn find_name(&self, name: &str) -> Result<Entry> {
        let mut named = self.entries.iter().filter(|entry| entry.name() == Some(name));
        let Some(first) = named.next() else {
            return Err(self.not_found(&format!("{name:?}")));
        };
        let mut digests = vec![&first.descriptor.digest];
        for other in named {
            if !digests.contains(&&other.descriptor.digest) {
                digests.push(&other.descriptor.digest);
            }
        }
        if digests.len() > 1 {
            let digests: Vec<_> = digests.iter().map(|digest| format!("@{digest}")).collect();
            return Err(Error::new(
                Code::Reference,
                format!("looking for {name:?} in {}", self.path),
            )
            .found(format!("entries for {}", digests.join(", ")))
            .expected("one")
            .fix("say which by its digest; giving the name anew leaves one"));
        }
        Ok(first.clone())
    }

    /// The error that nothing is called so.
    pub(crate) fn not_found(&self, what: &str) -> Error {
        let error = Error::new(Code::NotFound, format!("looking for {what} in {}", self.path));
        if self.entries.is_empty() {
            let found = if self.form == "oci:" { "an empty layout" } else { "no images" };
            return error
                .found(found)
                .fix(format!("plimsoll pack FOLDER {}{}:NAME", self.form, self.path));
        }
        error.found(listed(&self.entries)).fix(format!(
            "take one of these names, or @DIGEST; `plimsoll ls {}{}` lists all",
            self.form, self.path
        ))
    }
}

/// The names of entries, as an error shows them.
pub(crate) fn listed(entries: &[Entry]) -> String {
    // Names come from outside: they are quoted, and cut.
    let shown: Vec<String> = entries
        .iter()
        .take(LISTED)
        .map(|entry| match entry.name() {
            Some(name) => format!("{:?}", name.chars().take(100).collect::<String>()),
            None => format!("@{}", entry.descriptor.digest),
        })
        .collect();
    let more = match entries.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}
