//! Users in a file of `htpasswd -B`: a line `USER:HASH` for each.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_content::{Code, Error, Result};
use tokio::sync::Semaphore;

use super::bcrypt::Hash;

/// The longest password that is looked at: docker's tokens are shorter.
const PASSWORD: usize = 4096;

/// How many passwords are worked on at once. Each takes as long as its cost
/// says, on purpose, and guessers must not take all processors.
const WORKERS: usize = 2;

/// How many good logins are remembered.
const REMEMBERED: usize = 4096;

/// The users of a registry, with the hashes of their passwords.
pub struct Users {
    hashes: BTreeMap<String, Arc<Hash>>,
    /// What an unknown user is checked against, so that it takes as long.
    nobody: Arc<Hash>,
    workers: Semaphore,
    /// Logins that were good, by a keyed hash of the password: bcrypt is for
    /// files that get lost, and too slow for each of a hundred requests.
    good: Mutex<HashMap<String, blake3::Hash>>,
    secret: [u8; 32],
}

impl Users {
    /// Reads the text of an htpasswd file. `secret` is random, and for this
    /// process alone.
    ///
    /// Errors with [`Code::Malformed`] and the line if a line is no user with
    /// a bcrypt hash: the other forms that htpasswd writes are broken.
    pub fn parse(text: &str, secret: [u8; 32]) -> Result<Self> {
        let mut hashes = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line itself holds what nobody should see.
            let bad = |found: &str| {
                Error::new(Code::Malformed, format!("reading line {} of the users", number + 1))
                    .found(found)
                    .expected("USER:HASH with a hash of bcrypt")
                    .fix("htpasswd -B FILE USER")
            };
            let (user, hash) = line.split_once(':').ok_or_else(|| bad("no colon"))?;
            if user.is_empty() {
                return Err(bad("no user"));
            }
            let hash = Hash::parse(hash).ok_or_else(|| bad("a hash of another kind"))?;
            hashes.insert(user.to_owned(), Arc::new(hash));
        }
        let nobody = hashes.values().next().cloned().unwrap_or_else(|| Arc::new(Hash::of_nobody()));
        let (workers, good) = (Semaphore::new(WORKERS), Mutex::default());
        Ok(Self { hashes, nobody, workers, good, secret })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.hashes.len()
    }

    /// Whether that is the password of that user.
    pub(crate) async fn check(&self, user: &str, password: String) -> bool {
        if password.len() > PASSWORD || password.contains('\0') {
            return false;
        }
        let mark = blake3::keyed_hash(&self.secret, password.as_bytes());
        {
            let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
            // The comparison takes the same time whatever is compared.
            if good.get(user).is_some_and(|known| *known == mark) {
                return true;
            }
        }
        let known = self.hashes.get(user);
        let hash = Arc::clone(known.unwrap_or(&self.nobody));
        let Ok(_turn) = self.workers.acquire().await else { return false };
        let matches = tokio::task::spawn_blocking(move || hash.matches(password.as_bytes()));
        let right = matches.await.unwrap_or(false) && known.is_some();
        if right {
            let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
            if good.len() >= REMEMBERED {
                good.clear();
            }
            good.insert(user.to_owned(), mark);
        }
        right
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.hashes.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `htpasswd -bnBC 4 me secret`, as Apache writes it, for a small cost.
    const FILE: &str =
        "# people\nme:$2y$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";

    #[test]
    fn refuses_what_is_no_bcrypt_without_showing_it() {
        for bad in [
            "me",
            ":$2y$05$abc",
            "me:secret",
            "me:$apr1$x$y",
            "me:{SHA}x",
            "me:$2y$99$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "me:$2y$05$short",
        ] {
            let error = Users::parse(bad, [0; 32]).expect_err(bad);
            assert_eq!(error.code(), Code::Malformed);
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        assert_eq!(Users::parse(FILE, [0; 32]).expect("users").count(), 1);
        assert_eq!(Users::parse("", [0; 32]).expect("nobody").count(), 0);
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,80}") {
            let _ = Users::parse(&text, [0; 32]);
        }
    }
}
