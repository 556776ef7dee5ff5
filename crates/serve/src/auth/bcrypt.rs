//! bcrypt, as htpasswd writes it: `$2y$COST$` with 22 characters of salt and
//! 31 of hash, in an alphabet of its own.

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use blowfish::Blowfish;

/// The largest cost that is worked on: a login of some seconds.
const COST: u32 = 16;

/// What the text of bcrypt is, 64 times encrypted.
const TEXT: &[u8; 24] = b"OrpheanBeholderScryDoubt";

/// The longest part of a password that counts, with the zero behind it.
const KEY: usize = 72;

/// How many of the 24 bytes are written.
const WRITTEN: usize = 23;

/// The hash of a password.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Hash {
    cost: u32,
    salt: [u8; 16],
    value: [u8; WRITTEN],
}

impl Hash {
    /// Reads what stands in the file.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = ["$2y$", "$2b$", "$2a$"].iter().find_map(|form| text.strip_prefix(form))?;
        let (cost, rest) = rest.split_once('$')?;
        let digits = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
        let cost = cost.parse().ok().filter(|cost| digits && (4..=COST).contains(cost))?;
        if rest.len() != 53 || !rest.is_ascii() {
            return None;
        }
        let (salt, value) = rest.split_at(22);
        Some(Self {
            cost,
            salt: decoded(salt)?.try_into().ok()?,
            value: decoded(value)?.try_into().ok()?,
        })
    }

    /// A hash that no password has, of the usual cost.
    pub(super) fn of_nobody() -> Self {
        Self { cost: 10, salt: [0; 16], value: [0; WRITTEN] }
    }

    /// Whether it is the hash of that password, which holds no zero byte.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let found = compute(self.cost, self.salt, password);
        // Every byte is looked at, whatever the first ones are.
        found.iter().zip(&self.value).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

fn compute(cost: u32, salt: [u8; 16], password: &[u8]) -> [u8; WRITTEN] {
    let mut key = password[..password.len().min(KEY)].to_vec();
    if key.len() < KEY {
        key.push(0);
    }
    let mut state = Blowfish::bc_init_state();
    state.salted_expand_key(&salt, &key);
    for _ in 0..1_u64 << cost {
        state.bc_expand_key(&key);
        state.bc_expand_key(&salt);
    }
    let mut value = [0; WRITTEN + 1];
    for (block, text) in value.chunks_exact_mut(8).zip(TEXT.chunks_exact(8)) {
        let word =
            |at: usize| text[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        let mut halves = [word(0), word(4)];
        for _ in 0..64 {
            halves = state.bc_encrypt(halves);
        }
        block[..4].copy_from_slice(&halves[0].to_be_bytes());
        block[4..].copy_from_slice(&halves[1].to_be_bytes());
    }
    std::array::from_fn(|at| value[at])
}

/// Bits that are left over at the end say nothing, and some writers set them.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone);
    GeneralPurpose::new(&BCRYPT, config).decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_passwords_match_and_others_do_not() {
        // From the tests of OpenBSD's and Solar Designer's implementations.
        for (password, hash) in [
            ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            ("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
            ("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"),
            ("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"),
            (
                "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored",
                "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
            ),
        ] {
            let known = Hash::parse(hash).expect(hash);
            assert!(known.matches(password.as_bytes()), "{hash}");
            assert!(!known.matches(b"another"), "{hash}");
            let apache = Hash::parse(&hash.replacen("$2a$", "$2y$", 1)).expect(hash);
            assert!(apache == known, "{hash}");
        }
    }
}
