//! What a registry wants before it answers: `WWW-Authenticate` (RFC 9110,
//! section 11.6.1).

use plimsoll_content::{Code, Error, Result};

/// The longest header that is read.
const LENGTH: usize = 8 << 10;

/// How many challenges one header may hold.
const CHALLENGES: usize = 16;

/// How many parameters a challenge may have.
const PARAMETERS: usize = 32;

/// One way to be let in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenge {
    /// The scheme, in lower case: `bearer` and `basic` are known here.
    pub scheme: String,
    /// Its parameters, the names in lower case, in their order.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter; the first, if it stands there more than once.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The challenges of one header, in their order.
pub fn challenges(header: &str) -> Result<Vec<Challenge>> {
    if header.len() > LENGTH {
        return Err(bad(header, "at most 8 KiB"));
    }
    let mut reader = Reader { rest: header, whole: header };
    let mut found: Vec<Challenge> = Vec::new();
    loop {
        reader.separators();
        if reader.rest.is_empty() {
            return Ok(found);
        }
        let word = reader.token()?;
        reader.blanks();
        // `name = value` goes on with the challenge before; a word alone
        // begins the next one.
        if reader.rest.starts_with('=') {
            let Some(challenge) = found.last_mut() else {
                return Err(bad(header, "a scheme before its parameters"));
            };
            reader.skip();
            reader.blanks();
            let value = reader.value()?;
            if challenge.parameters.len() == PARAMETERS {
                return Err(bad(header, "at most 32 parameters"));
            }
            challenge.parameters.push((word.to_ascii_lowercase(), value));
            continue;
        }
        if found.len() == CHALLENGES {
            return Err(bad(header, "at most 16 challenges"));
        }
        found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
        reader.token68();
    }
}

fn bad(header: &str, expected: &str) -> Error {
    let shown: String = header.chars().take(100).collect();
    Error::new(Code::Registry, "reading WWW-Authenticate")
        .found(format!("{shown:?}"))
        .expected(expected)
}

struct Reader<'a> {
    rest: &'a str,
    whole: &'a str,
}

impl<'a> Reader<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn separators(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
    }

    /// Goes past one ASCII character.
    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn token(&mut self) -> Result<&'a str> {
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(bad(self.whole, "a scheme or the name of a parameter"));
        }
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(token)
    }

    /// Goes past the bare value that some schemes have instead of parameters.
    fn token68(&mut self) {
        let more = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let end = self.rest.find(|c| !more(c)).unwrap_or(self.rest.len());
        let padding = self.rest[end..].trim_start_matches('=');
        let after = padding.trim_start_matches([' ', '\t']);
        if end > 0 && (after.is_empty() || after.starts_with(',')) {
            self.rest = after;
        }
    }

    fn value(&mut self) -> Result<String> {
        if !self.rest.starts_with('"') {
            return self.token().map(str::to_owned);
        }
        self.skip();
        let mut value = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(value);
                }
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                other => value.push(other),
            }
        }
        Err(bad(self.whole, "a closing quote"))
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_registries_ask_for() {
        let found = challenges(
            "Bearer realm=\"https://auth.example/token\",service=\"r.example\",\
             scope=\"repository:org/app:pull,push\"",
        )
        .expect("challenge");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].scheme, "bearer");
        assert_eq!(found[0].get("realm"), Some("https://auth.example/token"));
        assert_eq!(found[0].get("scope"), Some("repository:org/app:pull,push"));
        let found =
            challenges("Negotiate YII=, BASIC Realm = \"a \\\"b\\\"\" , charset=utf-8,,Bearer x=y")
                .expect("challenges");
        let schemes: Vec<_> = found.iter().map(|challenge| challenge.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "basic", "bearer"]);
        assert_eq!(found[1].get("realm"), Some("a \"b\""));
        assert_eq!(found[1].get("charset"), Some("utf-8"));
        assert_eq!(found[2].get("x"), Some("y"));
    }

    #[test]
    fn refuses_what_is_no_challenge_or_too_much() {
        for bad in [
            "realm=\"x\"",
            "Bearer realm=\"x",
            "=",
            "\"",
            &"a ".repeat(5_000),
            &"a, ".repeat(17),
            &format!("Bearer {}", "a=b,".repeat(33)),
        ] {
            assert_eq!(challenges(bad).expect_err(bad).code(), Code::Registry);
        }
        assert_eq!(challenges("").expect("nothing"), []);
    }

    proptest! {
        #[test]
        fn reading_never_panics(header in "[\\PC\"=, ]{0,80}") {
            let _ = challenges(&header);
        }
    }
}
