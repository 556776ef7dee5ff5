//! Scopes: for which images a rule is. They are compared part by part, so that
//! `example.com/org` is not a scope of `example.com/organ`.

use std::fmt;

use crate::asked::{Asked, ImageName};

/// For which images a rule is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// For all.
    All,
    /// For all of one kind of place.
    Transport(String),
    /// For a file or folder and all below it, of one kind of place.
    Path {
        /// The kind of place.
        transport: String,
        /// The path, possibly with the name of an image.
        path: String,
    },
    /// For one repository, and not for those below it.
    Repository {
        /// The host, in lower case.
        host: String,
        /// The repository.
        repository: String,
    },
    /// For all hosts below a domain, and not for the domain itself.
    Wildcard(String),
    /// For all below a name.
    Name {
        /// The host, in lower case.
        host: String,
        /// Parts of the repository.
        parts: Vec<String>,
        /// The tag or digest, for one image.
        exact: Option<String>,
    },
}

impl Scope {
    /// Reads a scope: `*`, `*.DOMAIN`, a name or the beginning of one, `REPOSITORY:` for
    /// it alone, `TRANSPORT:` or `TRANSPORT:/PATH`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((transport, path)) = text.split_once(':')
            && ["oci", "oci-archive", "docker-archive", "dir", "store", "docker"]
                .contains(&transport)
            && (path.is_empty() || path.starts_with('/'))
        {
            return Self::of(transport, path);
        }
        if let Some(text) = text.strip_suffix(':')
            && let Some((host, _)) = text.split_once('/')
        {
            return ImageName::parse(text)
                .filter(|name| name.tag.is_none() && name.digest.is_none() && !host.is_empty())
                .map(|name| Self::Repository { host: name.host, repository: name.repository });
        }
        Self::of("docker", text)
    }

    /// The scope of that text among those of one kind of place, as
    /// `policy.json` has them; an empty one is for all of the kind.
    pub fn of(transport: &str, text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Transport(transport.to_owned()));
        }
        if transport != "docker" {
            return Some(Self::Path { transport: transport.to_owned(), path: text.to_owned() });
        }
        if let Some(domain) = text.strip_prefix("*.") {
            let good = !domain.is_empty() && !domain.contains(['/', '*', '@', ' ']);
            return good.then(|| Self::Wildcard(domain.to_ascii_lowercase()));
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        let (host, rest) = text.split_once('/').unwrap_or((text, ""));
        if host.is_empty() || host.contains(['*', '@', ' ']) {
            return None;
        }
        let (rest, exact) = match (rest.split_once('@'), rest.rsplit_once(':')) {
            (Some((rest, digest)), _) => (rest, Some(format!("@{digest}"))),
            (None, Some((rest, tag))) => (rest, Some(format!(":{tag}"))),
            (None, None) => (rest, None),
        };
        let parts: Vec<_> =
            rest.split('/').filter(|_| !rest.is_empty()).map(str::to_owned).collect();
        if parts.iter().any(|part| part.is_empty() || part.contains('*')) {
            return None;
        }
        Some(Self::Name { host: host.to_ascii_lowercase(), parts, exact })
    }

    /// How narrowly the scope covers what was asked for; `None` if it does not.
    /// The narrowest rule is the one that counts.
    pub fn covers(&self, asked: &Asked) -> Option<usize> {
        match self {
            Self::All => Some(0),
            Self::Transport(transport) => (*transport == asked.transport).then_some(1),
            Self::Path { transport, path } => {
                let of = asked.path.as_deref().filter(|_| *transport == asked.transport)?;
                let bare = path.trim_end_matches('/');
                let rest = of.strip_prefix(bare)?;
                let ends = rest.is_empty() || rest.starts_with(['/', ':']);
                ends.then(|| 2 + path.len())
            }
            Self::Repository { host, repository } => {
                let name = asked.name.as_ref()?;
                let same = *host == name.host && *repository == name.repository;
                // Narrower than a beginning that is the same, and wider than a tag of it.
                same.then(|| NAME + 3 * repository.split('/').count() + 1)
            }
            Self::Wildcard(domain) => {
                let host = &asked.name.as_ref()?.host;
                let below = host.strip_suffix(domain.as_str())?.strip_suffix('.')?;
                // More labels are narrower; every name is narrower than that.
                (!below.is_empty()).then(|| 2 + domain.split('.').count())
            }
            Self::Name { host, parts, exact } => {
                let name = asked.name.as_ref()?;
                let repository: Vec<_> = name.repository.split('/').collect();
                let starts = *host == name.host
                    && parts.len() <= repository.len()
                    && parts.iter().zip(&repository).all(|(part, of)| part == of);
                let narrow = NAME + 3 * parts.len();
                match exact {
                    None => starts.then_some(narrow),
                    Some(exact) => {
                        (starts && parts.len() == repository.len() && is_exactly(name, exact))
                            .then_some(narrow + 2)
                    }
                }
            }
        }
    }
}

/// As [`Scope::parse`] reads it.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Transport(transport) => write!(f, "{transport}:"),
            Self::Path { transport, path } => write!(f, "{transport}:{path}"),
            Self::Repository { host, repository } => write!(f, "{host}/{repository}:"),
            Self::Wildcard(domain) => write!(f, "*.{domain}"),
            Self::Name { host, parts, exact } => {
                f.write_str(host)?;
                parts.iter().try_for_each(|part| write!(f, "/{part}"))?;
                f.write_str(exact.as_deref().unwrap_or_default())
            }
        }
    }
}

fn is_exactly(name: &ImageName, exact: &str) -> bool {
    match (exact.strip_prefix('@'), exact.strip_prefix(':')) {
        (Some(digest), _) => name.digest.as_ref().is_some_and(|own| own.to_string() == digest),
        (None, Some(tag)) => name.tag.as_deref() == Some(tag),
        (None, None) => false,
    }
}

/// How narrow a bare host is, above all wildcards.
const NAME: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str) -> Asked {
        Asked { transport: "docker".to_owned(), path: None, name: ImageName::parse(name) }
    }

    fn covers(scope: &str, name: &str) -> bool {
        Scope::parse(scope).expect(scope).covers(&asked(name)).is_some()
    }

    #[test]
    fn a_scope_ends_at_a_part_of_the_name() {
        for (scope, name, expected) in [
            ("example.com/org", "example.com/org/app:v1", true),
            ("example.com/org/", "example.com/org/app:v1", true),
            ("example.com/org", "example.com/org:v1", true),
            ("example.com/org", "example.com/organ/app:v1", false),
            ("example.com", "example.com/org/app:v1", true),
            ("example.com", "example.com:5000/org/app:v1", false),
            ("example.com", "example.company/app", false),
            ("example.com", "evil.example.com/app", false),
            ("example.com:5000", "example.com:5000/app", true),
            ("example.com/app:v1", "example.com/app:v1", true),
            ("example.com/app:v1", "example.com/app:v10", false),
            ("example.com/app:v1", "example.com/app/more:v1", false),
            ("*.example.com", "a.b.example.com/app", true),
            ("*.example.com", "example.com/app", false),
            ("*.example.com", "evilexample.com/app", false),
            ("EXAMPLE.com", "example.com/app", true),
            ("*", "example.com/app", true),
            ("example.com/app:", "example.com/app:v1", true),
            ("example.com/app:", "example.com/app", true),
            ("example.com/app:", "example.com/app/more:v1", false),
            ("example.com/app:", "example.com/apple:v1", false),
            ("Example.com/app:", "example.com/app:v1", true),
        ] {
            assert_eq!(covers(scope, name), expected, "{scope} {name}");
        }
    }

    #[test]
    fn the_narrowest_is_the_one_that_counts() {
        let name = asked("r.example.com/org/app:v1");
        let scopes = [
            "*",
            "docker:",
            "*.com",
            "*.example.com",
            "r.example.com",
            "r.example.com/org",
            "r.example.com/org/app",
            "r.example.com/org/app:",
            "r.example.com/org/app:v1",
        ];
        let narrow: Vec<_> = scopes
            .iter()
            .map(|scope| Scope::parse(scope).expect(scope).covers(&name).expect(scope))
            .collect();
        assert!(narrow.is_sorted_by(|one, other| one < other), "{narrow:?}");
    }

    #[test]
    fn paths_end_at_slashes_too() {
        let scope = Scope::parse("oci:/srv/images").expect("a scope");
        let at = |path: &str| {
            scope
                .covers(&Asked {
                    transport: "oci".to_owned(),
                    path: Some(path.to_owned()),
                    name: None,
                })
                .is_some()
        };
        assert!(at("/srv/images") && at("/srv/images:v1") && at("/srv/images/x:v1"));
        assert!(!at("/srv/images2:v1") && !at("/srv"));
    }
}
