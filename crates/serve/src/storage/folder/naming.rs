//! Which names of a layout are which tags of which repository.

use std::path::PathBuf;

use plimsoll_registry::protocol::{Repository, Tag};

/// The tag of a name that has none, where names are of many repositories.
const LATEST: &str = "latest";

/// How the names in one layout are read.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    /// The repository whose tags are names as they are.
    pub(super) base: Option<Repository>,
    /// Whether a name such as `org/app:v1` is a tag of that repository.
    pub(super) others: bool,
}

impl Naming {
    /// What a name is a tag of; names that no registry could have are not
    /// served. The flag says whether it is written as [`Naming::written`]
    /// would do it: where two names are one tag, that one counts.
    pub(super) fn read(&self, name: &str) -> Option<(Repository, Tag, bool)> {
        if let Some(base) = &self.base
            && let Ok(tag) = name.parse()
        {
            return Some((base.clone(), tag, true));
        }
        if !self.others {
            return None;
        }
        let (repository, tag, said) = match name.rsplit_once(':') {
            Some((repository, tag)) => (repository, tag, true),
            None if self.base.is_none() => (name, LATEST, false),
            None => return None,
        };
        let repository: Repository = repository.parse().ok()?;
        let usual = said && self.base.as_ref() != Some(&repository);
        Some((repository, tag.parse().ok()?, usual))
    }

    /// How a tag is written.
    pub(super) fn written(&self, repository: &Repository, tag: &Tag) -> String {
        if self.base.as_ref() == Some(repository) {
            tag.to_string()
        } else {
            format!("{repository}:{tag}")
        }
    }

    /// All names that are that tag.
    pub(super) fn spellings(&self, repository: &Repository, tag: &Tag) -> Vec<String> {
        let mut names = vec![self.written(repository, tag)];
        if self.others {
            let long = format!("{repository}:{tag}");
            if !names.contains(&long) {
                names.push(long);
            }
            if self.base.is_none() && tag.as_str() == LATEST {
                names.push(repository.to_string());
            }
        }
        names
    }

    /// Whether a name is a tag of that repository.
    pub(super) fn is_of(&self, name: &str, repository: &Repository) -> bool {
        self.read(name).is_some_and(|(other, ..)| other == *repository)
    }
}

/// Names in the folder of a layout, which no repository below it may have.
const TAKEN: [&str; 3] = ["blobs", "index.json", "oci-layout"];

/// Where the layout of a repository lies below the root. No repository is
/// called with `_` in front, so that is put before what a layout needs.
pub(super) fn path(repository: &Repository) -> PathBuf {
    let escaped = |part: &str| if TAKEN.contains(&part) { format!("_{part}") } else { part.into() };
    repository.as_str().split('/').map(escaped).collect()
}

/// The part of a repository's name that a folder stands for, if it may be one.
pub(super) fn part(folder: &str) -> Option<&str> {
    match folder.strip_prefix('_') {
        Some(rest) => TAKEN.contains(&rest).then_some(rest),
        None => (!folder.starts_with('.') && !TAKEN.contains(&folder)).then_some(folder),
    }
}

/// The repository for a layout at a path: the last part of that, as far as a
/// repository may be called so.
pub(super) fn repository_of(path: &std::path::Path) -> Repository {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut plain = String::new();
    for c in name.to_ascii_lowercase().chars() {
        let joint = !c.is_ascii_alphanumeric();
        if !joint {
            plain.push(c);
        } else if !plain.is_empty() && !plain.ends_with('-') {
            plain.push(if c == '.' || c == '_' { c } else { '-' });
            if plain[..plain.len() - 1].ends_with(['.', '_', '-']) {
                plain.pop();
            }
        }
    }
    let plain = plain.trim_end_matches(['.', '_', '-']);
    plain.parse().unwrap_or_else(|_| "image".parse().expect("because it follows the grammar"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Repository {
        text.parse().expect("repository")
    }

    fn read(naming: &Naming, text: &str) -> Option<(String, String, bool)> {
        let (repository, tag, usual) = naming.read(text)?;
        Some((repository.to_string(), tag.to_string(), usual))
    }

    #[test]
    fn names_of_a_layout_are_tags_of_its_repository_or_of_others() {
        let naming = Naming { base: Some(name("image")), others: true };
        let tag = |repository: &str, tag: &str, usual| {
            Some((repository.to_owned(), tag.to_owned(), usual))
        };
        assert_eq!(read(&naming, "v1"), tag("image", "v1", true));
        assert_eq!(read(&naming, "image:v1"), tag("image", "v1", false));
        assert_eq!(read(&naming, "org/app:v1"), tag("org/app", "v1", true));
        for other in ["org/app", "example.com:5000/app:v1", "App:v1", "app:", "app@v1"] {
            assert_eq!(read(&naming, other), None, "{other}");
        }
        let store = Naming { base: None, others: true };
        assert_eq!(read(&store, "app"), tag("app", "latest", false));
        assert_eq!(read(&store, "example.com/app:v1"), tag("example.com/app", "v1", true));
        let latest = "latest".parse().expect("tag");
        assert_eq!(store.spellings(&name("app"), &latest), ["app:latest", "app"]);
        assert_eq!(naming.spellings(&name("image"), &latest), ["latest", "image:latest"]);
        let only = Naming { base: Some(name("org/app")), others: false };
        assert_eq!(read(&only, "org/app:v1"), None);
        assert_eq!(only.spellings(&name("org/app"), &latest), ["latest"]);
    }

    #[test]
    fn a_repository_has_a_folder_that_no_layout_needs() {
        for (repository, folder) in [
            ("org/app", "org/app"),
            ("a/blobs/sha256", "a/_blobs/sha256"),
            ("index.json", "_index.json"),
        ] {
            assert_eq!(path(&name(repository)), Path::new(folder));
        }
        assert_eq!(part("_blobs"), Some("blobs"));
        for none in ["blobs", ".plimsoll", "_x", "oci-layout"] {
            assert_eq!(part(none), None, "{none}");
        }
    }

    #[test]
    fn a_layout_has_a_repository_by_its_folder() {
        for (path, repository) in [
            ("/srv/My Image", "my-image"),
            ("images/app.oci", "app.oci"),
            ("a/-._x__y--", "x_y"),
            ("/", "image"),
            ("/\u{e4}", "image"),
        ] {
            assert_eq!(repository_of(Path::new(path)).as_str(), repository, "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            base in "[a-z]{1,4}", repository in "[a-z]{1,4}(/[a-z]{1,4})?", tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,6}", which in 0..3u8,
        ) {
            let (repository, tag): (Repository, Tag) = (name(&repository), tag.parse().expect("tag"));
            let naming = match which {
                0 => Naming { base: Some(repository.clone()), others: false },
                1 => Naming { base: Some(name(&base)), others: true },
                _ => Naming { base: None, others: true },
            };
            let written = naming.written(&repository, &tag);
            prop_assert_eq!(naming.read(&written), Some((repository.clone(), tag.clone(), true)));
            for spelling in naming.spellings(&repository, &tag) {
                prop_assert!(naming.is_of(&spelling, &repository), "{}", spelling);
            }
            let folder = path(&repository);
            let parts: Option<Vec<_>> =
                folder.iter().map(|folder| part(folder.to_str().unwrap_or_default())).collect();
            prop_assert_eq!(parts.map(|parts| parts.join("/")), Some(repository.to_string()));
        }

        #[test]
        fn every_folder_has_a_repository(text in "\\PC{0,20}") {
            let _ = repository_of(Path::new(&text));
        }
    }
}
