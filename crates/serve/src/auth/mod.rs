//! Who may do what: users of an htpasswd file, by basic authentication or by
//! tokens that this very registry signs.

mod bcrypt;
mod htpasswd;
mod token;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{HeaderMap, Method, StatusCode};
use plimsoll_registry::protocol::{ErrorCode, Repository, Route};

pub use htpasswd::Users;
pub use token::Key;
pub(crate) use token::respond;

use crate::reply::Refusal;

/// Who may use a registry.
#[derive(Debug, Default)]
pub struct Access {
    /// Its users; without any, everybody may do everything.
    pub users: Option<Users>,
    /// Users get tokens signed with this key, as docker clients know it;
    /// without it, they send their password each time.
    pub tokens: Option<Key>,
    /// Whether everybody may pull.
    pub anonymous_pull: bool,
}

/// What somebody wants to do with a repository.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Action {
    Pull,
    Push,
    Delete,
}

impl Action {
    pub(crate) const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Delete];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }

    /// What a request is.
    pub(crate) fn of(method: &Method, route: &Route) -> Self {
        match (method, route) {
            (&Method::GET | &Method::HEAD, Route::Upload(..)) => Self::Push,
            (&Method::GET | &Method::HEAD, _) => Self::Pull,
            (&Method::DELETE, Route::Upload(..)) => Self::Push,
            (&Method::DELETE, _) => Self::Delete,
            _ => Self::Push,
        }
    }
}

/// What a request needs to be let in.
pub(crate) enum Need<'a> {
    /// To be known, whoever it is.
    Login,
    /// The list of all repositories, or figures about the registry.
    Registry,
    /// To do something with a repository, and, to take a blob over, to pull
    /// from another one.
    Repository(&'a Repository, Action, Option<&'a Repository>),
}

/// What a request brings to be let in.
enum Brought {
    Nothing,
    Basic(String, String),
    Bearer(String),
    Unknown,
}

impl Access {
    /// Lets a request in, and gives the name of the user.
    pub(crate) async fn check(
        &self,
        headers: &HeaderMap,
        need: &Need<'_>,
        secure: bool,
    ) -> Result<Option<String>, Refusal> {
        let Some(users) = &self.users else { return Ok(None) };
        let pull = matches!(need, Need::Repository(_, Action::Pull, None));
        match brought(headers) {
            Brought::Nothing if self.anonymous_pull && pull => Ok(None),
            Brought::Basic(user, password) => {
                if users.check(&user, password).await {
                    return Ok(Some(user));
                }
                Err(self.challenge(headers, need, secure, "the user or the password is wrong"))
            }
            Brought::Bearer(text) => {
                let Some(key) = &self.tokens else {
                    return Err(self.challenge(headers, need, secure, "no tokens are taken here"));
                };
                let Some(token) = key.open(&text, now()) else {
                    let why = "the token is too old, or not from here";
                    return Err(self.challenge(headers, need, secure, why));
                };
                let allowed = match need {
                    Need::Login => true,
                    Need::Registry => token.catalog,
                    Need::Repository(name, action, from) => {
                        token.allows(name, *action)
                            && from.is_none_or(|from| token.allows(from, Action::Pull))
                    }
                };
                if allowed {
                    return Ok(token.user);
                }
                Err(self.challenge(headers, need, secure, "the token is for something else"))
            }
            Brought::Nothing | Brought::Unknown => {
                Err(self.challenge(headers, need, secure, "a login is wanted"))
            }
        }
    }

    /// The answer that says how to be let in.
    fn challenge(&self, headers: &HeaderMap, need: &Need<'_>, secure: bool, why: &str) -> Refusal {
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, why);
        let challenge = if self.tokens.is_some() {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            // It comes back in a header: nothing may end the quotes.
            let host: String = host.chars().filter(|c| !"\"\\ ,".contains(*c)).collect();
            // A proxy may have taken the encryption away.
            let outside = headers.get("X-Forwarded-Proto").is_some_and(|proto| proto == "https");
            let scheme = if secure || outside { "https" } else { "http" };
            let scope = match need {
                Need::Login => String::new(),
                Need::Registry => ",scope=\"registry:catalog:*\"".to_owned(),
                Need::Repository(name, action, from) => {
                    let push = if *action == Action::Push { "pull," } else { "" };
                    let from = from.map(|from| format!(" repository:{from}:pull"));
                    let from = from.unwrap_or_default();
                    format!(",scope=\"repository:{name}:{push}{}{from}\"", action.as_str())
                }
            };
            format!("Bearer realm=\"{scheme}://{host}{}\",service=\"{host}\"{scope}", token::PATH)
        } else {
            "Basic realm=\"registry\"".to_owned()
        };
        refusal.header("WWW-Authenticate", challenge)
    }

    /// The path at which tokens are given out, if they are.
    pub(crate) fn token_path(&self) -> Option<&'static str> {
        (self.users.is_some() && self.tokens.is_some()).then_some(token::PATH)
    }
}

/// The user and password of a request, if it brings them.
pub(crate) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    match brought(headers) {
        Brought::Basic(user, password) => Some((user, password)),
        _ => None,
    }
}

fn brought(headers: &HeaderMap) -> Brought {
    let Some(value) = headers.get(AUTHORIZATION) else { return Brought::Nothing };
    let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.trim().split_once(' '))
    else {
        return Brought::Unknown;
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Brought::Bearer(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Brought::Unknown;
    }
    let text = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match text.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, password)) => Brought::Basic(user.to_owned(), password.to_owned()),
        None => Brought::Unknown,
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
