//! Files of credentials: `auth.json` of the containers tools, `config.json`
//! of docker. They share one form (containers-auth.json(5)):
//!
//! ```json
//! {
//!   "auths": {
//!     "registry.example.com": { "auth": "dXNlcjpwYXNzd29yZA==" },
//!     "registry.example.com/org": { "identitytoken": "…" }
//!   },
//!   "credHelpers": { "other.example.com": "pass" },
//!   "credsStore": "secretservice"
//! }
//! ```
//!
//! Here it is bytes; where the files lie, and running helpers, is for others.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use plimsoll_content::{Code, Error, Result};
use serde_json::{Map, Value, json};

use crate::client::{Credential, Secret};
use crate::protocol::{Host, Repository};

/// The largest file that is read.
pub const LIMIT: u64 = 4 << 20;

/// How Docker Hub is called in such files.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A file of credentials.
#[derive(Clone)]
pub struct AuthFile {
    value: Map<String, Value>,
}

/// What a file knows of a registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Known {
    /// The credential itself.
    Credential(Credential),
    /// The helper that knows it (`docker-credential-NAME`), and what the
    /// registry is called to it.
    Helper {
        /// The name of the helper.
        name: String,
        /// What is asked for.
        server: String,
    },
}

impl AuthFile {
    /// Reads a file; an empty one knows nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self { value: Map::new() });
        }
        // The error of the parser could show a part of a secret.
        let value = serde_json::from_slice(bytes).map_err(|_| {
            Error::new(Code::Malformed, "reading credentials")
                .found("something else")
                .expected("a JSON object with the member auths")
        })?;
        Ok(Self { value })
    }

    /// What the file knows of a registry or repository: the most specific
    /// entry decides.
    pub fn find(&self, host: &Host, repository: Option<&Repository>) -> Result<Option<Known>> {
        for key in keys(host, repository) {
            if let Some(helper) = self.text(&["credHelpers", &key]) {
                return Ok(Some(helped(helper, host)?));
            }
            let Some(Value::Object(auths)) = self.value.get("auths") else { continue };
            let entry = auths.get(&key).or_else(|| {
                let found = auths.iter().find(|(name, _)| normal(name) == key);
                found.map(|(_, entry)| entry)
            });
            if let Some(Value::Object(entry)) = entry
                && let Some(credential) = credential(entry, &key)?
            {
                return Ok(Some(Known::Credential(credential)));
            }
        }
        match self.text(&["credsStore"]) {
            Some(helper) => Ok(Some(helped(helper, host)?)),
            None => Ok(None),
        }
    }

    /// The helper that keeps the login for a registry as a whole, and what the
    /// registry is called to it.
    pub fn helper(&self, host: &Host) -> Result<Option<(String, String)>> {
        let own = keys(host, None).into_iter().find_map(|key| self.text(&["credHelpers", &key]));
        match own.or_else(|| self.text(&["credsStore"])) {
            Some(name) => {
                check_helper(name)?;
                Ok(Some((name.to_owned(), written(host))))
            }
            None => Ok(None),
        }
    }

    fn text(&self, path: &[&str]) -> Option<&str> {
        let mut value = self.value.get(path[0])?;
        for name in &path[1..] {
            value = value.get(name)?;
        }
        value.as_str().filter(|text| !text.is_empty())
    }

    /// Lets the file know a user and a password. All else stays.
    pub fn set(&mut self, host: &Host, user: &str, password: &Secret) {
        let auth = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
        let auths = self.value.entry("auths").or_insert_with(|| json!({}));
        if let Value::Object(auths) = auths {
            auths.insert(written(host), json!({ "auth": auth }));
        }
    }

    /// Lets the file forget a registry. `false` if it knew nothing.
    pub fn forget(&mut self, host: &Host) -> bool {
        let Some(Value::Object(auths)) = self.value.get_mut("auths") else { return false };
        let before = auths.len();
        let keys = keys(host, None);
        auths.retain(|name, _| !keys.contains(&normal(name)) && !keys.contains(name));
        auths.len() != before
    }

    /// The file as it is written.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(&self.value)
            .map_err(|_| Error::new(Code::Bug, "writing credentials"))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// What a helper printed for `get`.
pub fn from_helper(name: &str, output: &[u8]) -> Result<Credential> {
    let bad = || {
        Error::new(Code::Malformed, format!("asking docker-credential-{name}"))
            .found("an answer without Username and Secret")
    };
    let value: Value = serde_json::from_slice(output).map_err(|_| bad())?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let (user, secret) = (text("Username").ok_or_else(bad)?, text("Secret").ok_or_else(bad)?);
    Ok(match user.as_str() {
        "<token>" => Credential::Identity(Secret::new(secret)),
        _ => Credential::Basic { user, password: Secret::new(secret) },
    })
}

fn helped(name: &str, host: &Host) -> Result<Known> {
    check_helper(name)?;
    Ok(Known::Helper { name: name.to_owned(), server: written(host) })
}

/// Whether that may be the name of a helper: it becomes a part of the name of
/// a program.
pub(crate) fn check_helper(name: &str) -> Result<()> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(Error::new(Code::Malformed, "reading credentials")
            .found(format!("the helper {name:?}"))
            .expected("a name of letters, digits and - _ ."));
    }
    Ok(())
}

/// What a registry is called to helpers that settings name, the usual way
/// first: of Docker Hub, docker has its own idea.
pub fn servers(host: &Host) -> Vec<String> {
    match written(host) {
        hub if host.is_docker_hub() => vec!["docker.io".to_owned(), hub],
        server => vec![server],
    }
}

fn credential(entry: &Map<String, Value>, key: &str) -> Result<Option<Credential>> {
    let text = |name| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credential::Identity(Secret::new(token))));
    }
    if let Some(token) = text("registrytoken") {
        return Ok(Some(Credential::Token(Secret::new(token))));
    }
    if let Some(auth) = text("auth") {
        let pair = BASE64_STANDARD.decode(auth).ok().and_then(|pair| String::from_utf8(pair).ok());
        let pair = pair.as_deref().map(|pair| pair.trim_end_matches('\0'));
        let Some((user, password)) = pair.and_then(|pair| pair.split_once(':')) else {
            return Err(Error::new(Code::Malformed, format!("reading the credential for {key}"))
                .found("an auth that is not user:password in base64"));
        };
        return Ok(Some(Credential::Basic {
            user: user.to_owned(),
            password: Secret::new(password),
        }));
    }
    Ok(match (text("username"), text("password")) {
        (Some(user), Some(password)) => {
            Some(Credential::Basic { user: user.to_owned(), password: Secret::new(password) })
        }
        _ => None,
    })
}

/// How a registry is written in a file that others read too.
fn written(host: &Host) -> String {
    if host.is_docker_hub() { DOCKER_HUB.to_owned() } else { host.as_str().to_owned() }
}

/// The names under which an entry may stand, the most specific first.
fn keys(host: &Host, repository: Option<&Repository>) -> Vec<String> {
    let mut hosts = vec![host.as_str().to_owned()];
    if host.is_docker_hub() {
        hosts = vec!["docker.io".into(), "index.docker.io".into(), DOCKER_HUB.into()];
    }
    let mut keys = Vec::new();
    let mut path = repository.map(Repository::as_str);
    while let Some(name) = path {
        keys.extend(hosts.iter().map(|host| format!("{host}/{name}")));
        path = name.rsplit_once('/').map(|(parent, _)| parent);
    }
    keys.extend(hosts);
    keys
}

/// Old files have whole addresses: `https://HOST/v1/`.
fn normal(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    match bare {
        Some(bare) => bare.split('/').next().unwrap_or(bare).to_ascii_lowercase(),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, password: &str) -> Known {
        Known::Credential(Credential::Basic { user: user.into(), password: Secret::new(password) })
    }

    #[test]
    fn the_most_specific_entry_decides() {
        let file = AuthFile::parse(
            br#"{"auths":{
                "r.example":{"auth":"aDpw"},
                "r.example/org":{"auth":"bzpw"},
                "r.example/org/app":{"identitytoken":"t"},
                "https://old.example/v1/":{"username":"u","password":"p"},
                "https://index.docker.io/v1/":{"auth":"ZDpw"},
                "empty.example":{}
            },"credHelpers":{"h.example":"pass"},"credsStore":"store"}"#,
        )
        .expect("file");
        for (host, repository, expected) in [
            ("r.example", None, basic("h", "p")),
            ("r.example", Some("other"), basic("h", "p")),
            ("r.example", Some("org/x/y"), basic("o", "p")),
            (
                "r.example",
                Some("org/app"),
                Known::Credential(Credential::Identity(Secret::new("t"))),
            ),
            ("old.example", Some("a"), basic("u", "p")),
            ("docker.io", Some("library/x"), basic("d", "p")),
            (
                "h.example",
                Some("a"),
                Known::Helper { name: "pass".into(), server: "h.example".into() },
            ),
            (
                "empty.example",
                None,
                Known::Helper { name: "store".into(), server: "empty.example".into() },
            ),
        ] {
            let repository: Option<Repository> = repository.map(|name| name.parse().expect("name"));
            let found = file.find(&host.parse().expect("host"), repository.as_ref());
            assert_eq!(found.expect(host), Some(expected), "{host} {repository:?}");
        }
    }

    #[test]
    fn what_is_written_keeps_everything_else() {
        let host: Host = "r.example:5000".parse().expect("host");
        let mut file = AuthFile::parse(br#"{"x":1,"auths":{"o":{"auth":"bzpw"}}}"#).expect("file");
        file.set(&host, "u", &Secret::new("p:q"));
        let mut file = AuthFile::parse(&file.to_bytes().expect("written")).expect("read again");
        assert_eq!(file.find(&host, None).expect("found"), Some(basic("u", "p:q")));
        assert!(file.forget(&host) && !file.forget(&host));
        let value: Value =
            serde_json::from_slice(&file.to_bytes().expect("written")).expect("json");
        assert_eq!(value, json!({"x": 1, "auths": {"o": {"auth": "bzpw"}}}));
    }

    #[test]
    fn a_secret_is_in_no_error_and_no_debug_output() {
        for bad in [&br#"{"auths":{"r":{"auth":"hunter2"}}}"#[..], br#"{"auths": hunter2"#] {
            let host = "r".parse().expect("host");
            let error =
                AuthFile::parse(bad).and_then(|file| file.find(&host, None)).expect_err("bad");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        assert!(!format!("{:?}", basic("u", "hunter2")).contains("hunter2"));
        let evil = AuthFile::parse(br#"{"credsStore":"../../bin/x"}"#).expect("file");
        assert!(evil.find(&"r".parse().expect("host"), None).is_err());
    }

    #[test]
    fn helpers_give_passwords_and_identity_tokens() {
        let answer = br#"{"ServerURL":"r","Username":"u","Secret":"p"}"#;
        let Known::Credential(expected) = basic("u", "p") else { return };
        assert_eq!(from_helper("x", answer).expect("answer"), expected);
        let answer = br#"{"Username":"<token>","Secret":"t"}"#;
        let token = Credential::Identity(Secret::new("t"));
        assert_eq!(from_helper("x", answer).expect("answer"), token);
        assert!(from_helper("x", b"hunter2").is_err());
    }
}
