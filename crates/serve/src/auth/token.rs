//! Tokens: what somebody may do for some minutes, signed by this registry for
//! itself (distribution's "token authentication" has the requests; what stands
//! in a token is nobody else's matter).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::StatusCode;
use plimsoll_content::{Code, Error};
use plimsoll_registry::protocol::{ErrorCode, Repository};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Access, Action, now};
use crate::reply::{Refusal, Replied, Reply};

/// Where tokens are given out. It is no address of the protocol.
pub(super) const PATH: &str = "/auth/token";

/// How long a token is good, in seconds.
const LIFE: u64 = 300;

/// How many repositories one token may be for.
const SCOPES: usize = 64;

/// The longest token that is looked at.
const LENGTH: usize = 16 << 10;

/// What tokens are signed with: known to all servers of one registry, and to
/// nobody else.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Key {
    /// A key of 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A key made of at least 32 secret bytes, the same for the same bytes.
    ///
    /// Errors with [`Code::Usage`] if there are fewer.
    pub fn from_secret(secret: &[u8]) -> plimsoll_content::Result<Self> {
        if secret.len() < 32 {
            return Err(Error::new(Code::Usage, "reading the key for tokens")
                .found(format!("{} bytes", secret.len()))
                .expected("at least 32, which nobody can guess")
                .fix("head -c 32 /dev/urandom > FILE"));
        }
        Ok(Self(blake3::derive_key("plimsoll registry tokens v1", secret)))
    }

    /// Signs what somebody may do.
    fn seal(&self, grant: &Grant) -> String {
        let text = serde_json::to_vec(grant).unwrap_or_default();
        let mark = blake3::keyed_hash(&self.0, &text);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(mark.as_bytes()))
    }

    /// What a token allows, if it is from here and not too old.
    pub(super) fn open(&self, token: &str, now: u64) -> Option<Grant> {
        if token.len() > LENGTH {
            return None;
        }
        let (text, mark) = token.split_once('.')?;
        let text = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mark: [u8; 32] = URL_SAFE_NO_PAD.decode(mark).ok()?.try_into().ok()?;
        // The comparison takes the same time whatever is compared.
        if blake3::keyed_hash(&self.0, &text) != blake3::Hash::from_bytes(mark) {
            return None;
        }
        let grant: Grant = serde_json::from_slice(&text).ok()?;
        (now < grant.until).then_some(grant)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// What somebody may do.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Grant {
    pub(super) user: Option<String>,
    /// The second from which on it is too old.
    until: u64,
    /// Whether the repositories may be listed.
    pub(super) catalog: bool,
    /// Repositories, and what may be done with them.
    repositories: Vec<(String, Vec<String>)>,
}

impl Grant {
    pub(super) fn allows(&self, name: &Repository, action: Action) -> bool {
        self.repositories.iter().any(|(repository, actions)| {
            repository == name.as_str() && actions.iter().any(|may| may == action.as_str())
        })
    }

    /// What is granted of the scopes that are asked for
    /// (`repository:NAME:ACTION,ACTION`). What is not understood or not
    /// allowed is left out, which is how the protocol says no.
    fn of(user: Option<String>, scopes: &[String], now: u64) -> Self {
        let mut grant = Self { until: now + LIFE, user, ..Self::default() };
        // One parameter may hold several, with blanks between them.
        for scope in scopes.iter().flat_map(|scopes| scopes.split(' ')).take(SCOPES) {
            let (Some((kind, rest)), known) = (scope.split_once(':'), grant.user.is_some()) else {
                continue;
            };
            let Some((name, actions)) = rest.rsplit_once(':') else { continue };
            if kind == "registry" && name == "catalog" {
                grant.catalog |= known;
            }
            if kind != "repository" || name.parse::<Repository>().is_err() {
                continue;
            }
            let wanted = |action: &Action| {
                actions.split(',').any(|text| text == action.as_str() || text == "*")
            };
            let may = Action::ALL.iter().filter(|action| wanted(action));
            let may = may.filter(|action| known || **action == Action::Pull);
            let may: Vec<_> = may.map(|action| action.as_str().to_owned()).collect();
            if !may.is_empty() {
                grant.repositories.push((name.to_owned(), may));
            }
        }
        grant
    }
}

/// Gives a token to who asks for one.
pub(crate) async fn respond(
    access: &Access,
    login: Option<(String, String)>,
    scopes: &[String],
) -> Replied {
    let (Some(users), Some(key)) = (&access.users, &access.tokens) else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, ErrorCode::Unsupported, "no tokens here"));
    };
    let refused = |why: &str| {
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, why);
        Err(refusal.header("WWW-Authenticate", "Basic realm=\"registry\""))
    };
    let user = match login {
        Some((user, password)) => {
            if !users.check(&user, password).await {
                return refused("the user or the password is wrong");
            }
            Some(user)
        }
        None if access.anonymous_pull => None,
        None => return refused("a login is wanted"),
    };
    let now = now();
    let token = key.seal(&Grant::of(user, scopes, now));
    let answer = json!({"token": token, "access_token": token, "expires_in": LIFE});
    Ok(Reply::new(StatusCode::OK)
        .header("Cache-Control", "no-store")
        .json("application/json", &answer))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Repository {
        text.parse().expect("repository")
    }

    #[test]
    fn a_token_is_good_for_what_was_asked_until_it_is_too_old() {
        let key = Key::new([7; 32]);
        let scopes = [
            "repository:org/app:pull,push repository:b:delete".to_owned(),
            "registry:catalog:*".to_owned(),
        ];
        let token = key.seal(&Grant::of(Some("me".into()), &scopes, 1000));
        let grant = key.open(&token, 1000 + LIFE - 1).expect("a token");
        assert!(grant.allows(&name("org/app"), Action::Push) && grant.catalog);
        assert!(grant.allows(&name("b"), Action::Delete));
        assert!(!grant.allows(&name("b"), Action::Pull));
        assert!(!grant.allows(&name("org"), Action::Pull));
        assert_eq!(key.open(&token, 1000 + LIFE), None);
        assert_eq!(Key::new([8; 32]).open(&token, 1000), None);
        let (text, mark) = token.split_once('.').expect("two parts");
        let forged = URL_SAFE_NO_PAD.encode(
            String::from_utf8(URL_SAFE_NO_PAD.decode(text).expect("text"))
                .expect("JSON")
                .replace("org/app", "org/bpp"),
        );
        assert_eq!(key.open(&format!("{forged}.{mark}"), 1000), None);
    }

    #[test]
    fn who_is_nobody_may_pull_at_most() {
        let scopes = ["repository:a:*".to_owned(), "registry:catalog:*".to_owned(), "x".to_owned()];
        let grant = Grant::of(None, &scopes, 0);
        assert_eq!(grant.repositories, [("a".to_owned(), vec!["pull".to_owned()])]);
        assert!(!grant.catalog);
    }

    proptest! {
        #[test]
        fn opening_never_panics(token in "\\PC{0,60}", scope in "[a-z:,* ]{0,40}") {
            prop_assert_eq!(Key::new([7; 32]).open(&token, 0), None);
            let _ = Grant::of(None, &[scope], 0);
        }
    }
}
