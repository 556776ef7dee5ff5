//! Being let in: what a registry asks for, and the tokens that answer it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_content::{Code, Error, Result};
use serde::Deserialize;

use super::credential::{Credential, Secret};
use super::wire::{Answer, Body, Method, Request};
use super::{Client, locked};
use crate::protocol::{Challenge, Endpoint, Host, Repository, Scheme, Url, challenges, encoded};

/// The largest answer of a token server.
const TOKEN: u64 = 1 << 20;

/// How long a token is good for if nothing is said (the token specification).
const LIFETIME: u64 = 60;

/// What something is done to, and so which leave it needs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Scope {
    repository: Option<Repository>,
    texts: Vec<String>,
}

impl Scope {
    /// To a repository: `pull`, `pull,push` or the like.
    pub(super) fn of(repository: &Repository, actions: &str) -> Self {
        let texts = vec![format!("repository:{repository}:{actions}")];
        Self { repository: Some(repository.clone()), texts }
    }

    /// The same, and reading another repository.
    pub(super) fn and_pull(mut self, other: &Repository) -> Self {
        self.texts.push(format!("repository:{other}:pull"));
        self
    }

    /// To the list of repositories.
    pub(super) fn catalogue() -> Self {
        Self { repository: None, texts: vec!["registry:catalog:*".into()] }
    }

    /// To nothing.
    pub(super) fn none() -> Self {
        Self { repository: None, texts: Vec::new() }
    }
}

/// What a registry said when it was first asked.
#[derive(Debug)]
pub(super) struct Contact {
    pub(super) scheme: Scheme,
    pub(super) challenges: Vec<Challenge>,
}

/// A token, and when it is no longer good.
pub(super) struct Token {
    secret: Secret,
    until: Instant,
}

#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Client {
    /// How a registry is spoken to; it is asked once.
    pub(super) fn contact(&self, host: &Host) -> Result<Arc<Contact>> {
        if let Some(contact) = locked(&self.contacts).get(host) {
            return Ok(Arc::clone(contact));
        }
        self.online(|| format!("asking {host} whether it is a registry"))?;
        let contact = Arc::new(self.greet(host)?);
        locked(&self.contacts).insert(host.clone(), Arc::clone(&contact));
        Ok(contact)
    }

    fn greet(&self, host: &Host) -> Result<Contact> {
        let api = host.api();
        // On this machine plain HTTP is usual; elsewhere it is the last resort
        // of those who allow it.
        let schemes: &[Scheme] = if api.is_loopback() {
            &[Scheme::Http, Scheme::Https]
        } else if self.wire.may_be_plain(&api) {
            &[Scheme::Https, Scheme::Http]
        } else {
            &[Scheme::Https]
        };
        let mut first = None;
        for (at, scheme) in schemes.iter().enumerate() {
            let url = Url::new(*scheme, api.clone(), Endpoint::Base.to_string());
            let doing = format!("asking whether {host} is a registry");
            let more = at + 1 < schemes.len();
            let mut request = Request::new(Method::GET, url);
            // Who waits for the first word wants to know soon that none comes.
            let retries = self.wire.options().patience.retries.min(1);
            match self.insist_within(&mut request, None, retries) {
                // What a server of TLS says to those who speak in the clear.
                Ok(answer) if more && answer.status == 400 => {}
                Ok(answer) => {
                    if !matches!(answer.status, 200..=299 | 401 | 403 | 404) {
                        return Err(answer.refusal(&doing));
                    }
                    let answer =
                        if answer.status == 401 { answer } else { answer.no_page(&doing)? };
                    let challenges = Self::challenges(&answer)?;
                    return Ok(Contact { scheme: *scheme, challenges });
                }
                Err(error) if error.code() == Code::Interrupted => return Err(error),
                Err(error) => {
                    let error = error.context(doing);
                    if !more {
                        return Err(first.unwrap_or(error));
                    }
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or_else(|| Error::new(Code::Bug, "greeting a registry")))
    }

    /// What an answer asks for. What can not be read is passed over: another
    /// header may hold what is known here.
    pub(super) fn challenges(answer: &Answer) -> Result<Vec<Challenge>> {
        let mut all = Vec::new();
        let mut unread = None;
        for header in answer.headers("www-authenticate") {
            match challenges(header) {
                Ok(found) => all.extend(found),
                Err(error) => unread = Some(error),
            }
        }
        match unread {
            Some(error) if all.is_empty() => Err(error.tried(&answer.url)),
            _ => Ok(all),
        }
    }

    /// What is sent as `Authorization`. `refused` is what the registry asked
    /// for after it refused, so that what is remembered is no good.
    pub(super) fn secret(
        &self,
        host: &Host,
        scope: &Scope,
        challenges: &[Challenge],
        refused: Option<&[Challenge]>,
    ) -> Result<Option<Secret>> {
        let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        if let Some(challenge) = of("bearer") {
            let credential = self.credential(host, scope)?;
            if let Credential::Token(token) = credential {
                return Ok(Some(Secret::new(format!("Bearer {}", token.reveal()))));
            }
            return self.token(host, scope, challenge, credential, refused.is_some()).map(Some);
        }
        if of("basic").is_some() {
            return Ok(self.credential(host, scope)?.basic());
        }
        Ok(None)
    }

    fn credential(&self, host: &Host, scope: &Scope) -> Result<Credential> {
        self.wire.options().keyring.find(host, scope.repository.as_ref())
    }

    fn token(
        &self,
        host: &Host,
        scope: &Scope,
        challenge: &Challenge,
        credential: Credential,
        refused: bool,
    ) -> Result<Secret> {
        let key = (host.clone(), scope.clone());
        if refused {
            locked(&self.tokens).remove(&key);
        } else if let Some(token) = locked(&self.tokens).get(&key)
            && token.until > Instant::now()
        {
            return Ok(token.secret.clone());
        }
        let mut scopes = scope.texts.clone();
        // A registry that refused knows best what was missing.
        for more in challenge.get("scope").into_iter().flat_map(|text| text.split(' ')) {
            if refused && !more.is_empty() && !scopes.iter().any(|scope| scope == more) {
                scopes.push(more.to_owned());
            }
        }
        let asked = Instant::now();
        let granted = self.grant(host, challenge, &scopes, &credential)?;
        let doing = || format!("asking for a token for {host}");
        let Some(text) = granted.token.or(granted.access_token).filter(|text| !text.is_empty())
        else {
            return Err(Error::new(Code::Registry, doing()).found("an answer without a token"));
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::new(Code::Registry, doing()).found("a token of odd characters"));
        }
        let secret = Secret::new(format!("Bearer {text}"));
        // A tenth less, so that it does not end on the way.
        let life = granted.expires_in.unwrap_or(LIFETIME).min(24 * 3600);
        let until = asked + Duration::from_secs(life) * 9 / 10;
        locked(&self.tokens).insert(key, Token { secret: secret.clone(), until });
        Ok(secret)
    }

    /// Asks the token server that the registry names.
    fn grant(
        &self,
        host: &Host,
        challenge: &Challenge,
        scopes: &[String],
        credential: &Credential,
    ) -> Result<Granted> {
        let doing = format!("asking for a token for {host}");
        let realm = challenge.get("realm").ok_or_else(|| {
            Error::new(Code::Registry, &doing)
                .found("no realm")
                .expected("the address of a token server")
        })?;
        let realm = Url::parse(realm).map_err(|error| error.context(&doing))?;
        self.wire.check_plain(&realm, &doing)?;
        // Credentials for a registry that is reached by TLS stay in TLS, even
        // where the token server is on this machine.
        let contact = self.contact(host).ok();
        if contact.is_some_and(|contact| contact.scheme == Scheme::Https)
            && realm.scheme() == Scheme::Http
            && !self.wire.options().insecure.contains(realm.host())
        {
            return Err(Error::new(Code::PlainHttp, &doing)
                .found(format!("{realm}, which is not encrypted"))
                .expected("https, as the registry itself"));
        }
        let service = challenge.get("service");
        let form;
        let (mut request, secret) = if let Credential::Identity(token) = credential {
            let mut pairs = vec![
                ("grant_type", "refresh_token".to_owned()),
                ("client_id", "plimsoll".to_owned()),
                ("refresh_token", token.reveal().to_owned()),
                ("scope", scopes.join(" ")),
            ];
            pairs.extend(service.map(|service| ("service", service.to_owned())));
            let pairs: Vec<_> =
                pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
            form = pairs.join("&");
            let mut request = Request::new(Method::POST, realm)
                .with("content-type", "application/x-www-form-urlencoded");
            request.body = Body::Bytes(form.as_bytes());
            (request, None)
        } else {
            let mut url = realm;
            if let Some(service) = service {
                url = url.with("service", service);
            }
            for scope in scopes {
                url = url.with("scope", scope);
            }
            (Request::new(Method::GET, url), credential.basic())
        };
        let answer = self.insist(&mut request, secret.as_ref())?;
        if answer.status != 200 {
            let error = answer.refusal(&doing);
            return Err(if error.code() == Code::Auth {
                refused(error, host, credential)
            } else {
                error
            });
        }
        let bytes = answer.no_page(&doing)?.read(TOKEN, "a token")?;
        // The cause could show a part of the token.
        serde_json::from_slice(&bytes).map_err(|_| {
            Error::new(Code::Registry, doing).found("an answer that is no JSON document of a token")
        })
    }
}

/// The error of one who is not let in, with what to do.
pub(super) fn refused(error: Error, host: &Host, credential: &Credential) -> Error {
    match credential {
        Credential::Anonymous => error
            .tried("without a login: none is known for it")
            .fix(format!("plimsoll login {host}")),
        Credential::Basic { user, .. } => error
            .tried(format!("the login of user {user:?}"))
            .fix(format!("plimsoll login {host}   with one that may do this")),
        Credential::Identity(_) | Credential::Token(_) => error
            .tried("the token that is stored for it")
            .fix(format!("plimsoll login {host}   for a new one")),
    }
}

impl Client {
    /// The error of an answer to something that was done to a registry.
    pub(super) fn refusal(&self, host: &Host, scope: &Scope, answer: Answer, doing: &str) -> Error {
        let error = answer.refusal(doing);
        if error.code() != Code::Auth {
            return error;
        }
        match self.credential(host, scope) {
            Ok(credential) => refused(error, host, &credential),
            Err(_) => error,
        }
    }

    /// Says whether the credentials that are known let us in at a registry.
    pub fn check_login(&self, host: &Host) -> Result<()> {
        let contact = self.contact(host)?;
        let url = Url::new(contact.scheme, host.api(), Endpoint::Base.to_string());
        let scope = Scope::none();
        let answer = self.ask(host, &scope, Request::new(Method::GET, url))?;
        if answer.status != 200 {
            return Err(self.refusal(host, &scope, answer, &format!("logging in to {host}")));
        }
        Ok(())
    }
}
