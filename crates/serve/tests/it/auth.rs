//! Who is let in: basic and token authentication, TLS, warnings, figures.

use plimsoll_serve::{Access, Key, Options, Users};
use serde_json::Value;

use crate::client::Answer;
use crate::{Registry, sha256};

/// The user `me` with the password `secret`.
const USERS: &str = "me:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// `me:secret`, and two that are wrong, in base64.
const RIGHT: &str = "Basic bWU6c2VjcmV0";
const WRONG: [&str; 4] =
    ["Basic bWU6d3Jvbmc=", "Basic eW91OnNlY3JldA==", "Basic ???", "Negotiate x"];

fn registry(tokens: bool, anonymous_pull: bool) -> Registry {
    let users = Users::parse(USERS, [1; 32]).expect("users");
    let tokens = tokens.then(|| Key::new([2; 32]));
    let access = Access { users: Some(users), tokens, anonymous_pull };
    Registry::with(Options { access, ..Options::default() })
}

impl Registry {
    fn with_login(&self, method: &str, path: &str, login: &str, body: &[u8]) -> Answer {
        self.request(method, path, &[("Authorization", login)], body)
    }

    fn token(&self, login: Option<&str>, scopes: &[&str]) -> Answer {
        let scopes: Vec<_> = scopes.iter().map(|scope| format!("scope={scope}")).collect();
        let path = format!("/auth/token?service=x&{}", scopes.join("&"));
        match login {
            Some(login) => self.with_login("GET", &path, login, b""),
            None => self.get(&path),
        }
    }
}

fn bearer(answer: &Answer) -> String {
    answer.is(200);
    format!("Bearer {}", answer.json()["token"].as_str().expect("a token"))
}

#[test]
fn passwords_let_users_in_and_nobody_else() {
    let registry = registry(false, false);
    let challenged = registry.get("/v2/");
    challenged.refused(401, "UNAUTHORIZED");
    assert_eq!(challenged.header("www-authenticate"), "Basic realm=\"registry\"");
    for wrong in WRONG {
        registry.with_login("GET", "/v2/", wrong, b"").refused(401, "UNAUTHORIZED");
    }
    for _ in 0..2 {
        registry.with_login("GET", "/v2/", RIGHT, b"").is(200);
    }
    for path in
        ["/v2/a/tags/list", "/v2/_catalog", "/metrics", "/v2/a/manifests/v1", "/v2/a/blobs/x"]
    {
        registry.get(path).refused(401, "UNAUTHORIZED");
    }
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"x"));
    registry.send("POST", &path, b"x").refused(401, "UNAUTHORIZED");
    registry.with_login("POST", &path, RIGHT, b"x").is(201);
    let told = registry.log.requests.lock().expect("lock").last().cloned().expect("a request");
    assert_eq!((told.user.as_deref(), told.status, told.received), (Some("me"), 201, 1));
    registry.with_login("GET", "/metrics", RIGHT, b"").is(200);
}

#[test]
fn everybody_may_pull_where_that_is_allowed() {
    let registry = registry(false, true);
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"x"));
    registry.with_login("POST", &path, RIGHT, b"x").is(201);
    registry.get(&format!("/v2/a/blobs/{}", sha256(b"x"))).is(200);
    // How clients learn that there is a way to log in.
    registry.get("/v2/").is(401);
    registry.send("POST", &path, b"x").is(401);
    registry.delete(&format!("/v2/a/blobs/{}", sha256(b"x"))).is(401);
    registry.get("/v2/_catalog").is(401);
    // A wrong password is not the same as none.
    registry.with_login("GET", "/v2/a/tags/list", WRONG[0], b"").is(401);
}

#[test]
fn tokens_are_good_for_what_they_were_asked_for() {
    let registry = registry(true, false);
    let path = format!("/v2/a/b/blobs/uploads/?digest={}", sha256(b"x"));
    let challenged = registry.send("POST", &path, b"x");
    let host = registry.address;
    let expected = format!(
        "Bearer realm=\"http://{host}/auth/token\",service=\"{host}\",scope=\"repository:a/b:pull,push\""
    );
    assert_eq!(challenged.is(401).header("www-authenticate"), expected);
    let proxied = registry.request("GET", "/v2/", &[("X-Forwarded-Proto", "https")], b"");
    let realm = format!("Bearer realm=\"https://{host}/");
    assert!(proxied.is(401).header("www-authenticate").starts_with(&realm));
    registry.token(None, &["repository:a/b:pull"]).refused(401, "UNAUTHORIZED");
    registry.token(Some(WRONG[0]), &["repository:a/b:pull"]).refused(401, "UNAUTHORIZED");
    let pull = bearer(&registry.token(Some(RIGHT), &["repository:a/b:pull"]));
    registry.with_login("POST", &path, &pull, b"x").is(401);
    let push = bearer(&registry.token(Some(RIGHT), &["repository:a/b:pull,push"]));
    registry.with_login("POST", &path, &push, b"x").is(201);
    let blob = format!("/v2/a/b/blobs/{}", sha256(b"x"));
    registry.with_login("GET", &blob, &pull, b"").is(200);
    registry.with_login("GET", &blob.replace("a/b", "a"), &pull, b"").is(401);
    let refused = registry.with_login("DELETE", &blob, &push, b"");
    assert!(refused.is(401).header("www-authenticate").contains(":delete\""));
    let login = bearer(&registry.token(Some(RIGHT), &[]));
    registry.with_login("GET", "/v2/", &login, b"").is(200);
    registry.with_login("GET", "/v2/_catalog", &login, b"").is(401);
    registry.with_login("GET", "/v2/", &format!("{login}x"), b"").is(401);
    // A mount needs both ends, in one scope or in two.
    let mount = format!("/v2/c/blobs/uploads/?mount={}&from=a/b", sha256(b"x"));
    let half = bearer(&registry.token(Some(RIGHT), &["repository:c:pull,push"]));
    let challenged = registry.with_login("POST", &mount, &half, b"");
    let scope = "scope=\"repository:c:pull,push repository:a/b:pull\"";
    assert!(challenged.is(401).header("www-authenticate").ends_with(scope));
    for scopes in [
        &["repository:c:pull,push%20repository:a/b:pull"][..],
        &["repository:c:push", "repository:a/b:pull"],
    ] {
        let both = bearer(&registry.token(Some(RIGHT), scopes));
        registry.with_login("POST", &mount, &both, b"").is(201);
    }
    let form = b"grant_type=password&service=x&username=me&password=secret&scope=repository:a/b:*";
    let token = bearer(&registry.send("POST", "/auth/token", form));
    registry.with_login("DELETE", &blob, &token, b"").is(202);
}

#[test]
fn without_users_nobody_asks_for_tokens() {
    let registry = Registry::new();
    registry.get("/auth/token").is(404);
    let odd = [("Authorization", "Bearer whatever")];
    registry.request("GET", "/v2/", &odd, b"").is(200);
}

#[test]
fn answers_warn_and_figures_are_counted() {
    let warning = Some("moved to \"x\"".to_owned());
    let registry = Registry::with(Options { warning, ..Options::default() });
    registry.image("a", Some("v1"), b"layer");
    let answer = registry.get("/v2/a/manifests/v1");
    assert_eq!(answer.is(200).header("warning"), "299 - \"moved to \\\"x\\\"\"");
    registry.get("/v2/a/manifests/none").is(404);
    let figures = registry.get("/metrics");
    assert!(figures.is(200).header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = String::from_utf8(figures.body).expect("text");
    for line in [
        "plimsoll_registry_requests_total{method=\"GET\",endpoint=\"manifest\",status=\"200\"} 1",
        "plimsoll_registry_requests_total{method=\"GET\",endpoint=\"manifest\",status=\"404\"} 1",
        "plimsoll_registry_requests_total{method=\"POST\",endpoint=\"upload\",status=\"201\"} 2",
        "plimsoll_registry_requests_in_flight 1",
        "plimsoll_registry_uploads_in_flight 0",
        "# TYPE plimsoll_registry_request_seconds histogram",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    // What an attacker makes up becomes no metric of its own.
    registry.send("BREW", "/v2/", b"").is(405);
    assert!(!String::from_utf8(registry.get("/metrics").body).expect("text").contains("BREW"));
    let none = Registry::with(Options { metrics: false, ..Options::default() });
    none.get("/metrics").is(404);
}

#[test]
fn requests_are_told_when_they_are_over() {
    let registry = Registry::new();
    let digest = registry.blob("a", b"hello");
    let agent = [("User-Agent", "test/1")];
    registry.request("GET", &format!("/v2/a/blobs/{digest}?x=%22y"), &agent, b"").is(200);
    let requests = registry.log.requests.lock().expect("lock").clone();
    let told: Value = serde_json::to_value(requests.last().expect("a request")).expect("JSON");
    assert_eq!(told["path"], format!("/v2/a/blobs/{digest}?x=%22y"));
    assert_eq!(
        (&told["status"], &told["sent"], &told["agent"]),
        (&200.into(), &5.into(), &"test/1".into())
    );
    assert!(told["remote"].as_str().is_some_and(|remote| remote.starts_with("127.0.0.1:")));
    assert!(told["time"].as_u64() > Some(1_600_000_000_000));
}
