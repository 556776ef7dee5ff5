//! Computing digests, one algorithm at a time, chosen at run time.

use std::fmt;
use std::io;

use sha2::Digest as _;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};

use crate::{Algorithm, Digest};

/// A running digest.
pub struct Hasher(State);

enum State {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// A hasher of nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            Algorithm::Blake3 => State::Blake3(Box::default()),
        })
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
            State::Blake3(state) => {
                state.update(bytes);
            }
        }
    }

    /// Where it stands, so that another process can go on with it
    /// ([`Hasher::from_state`]): the bytes are none of a digest, and mean
    /// something to this software alone. `None` for algorithms whose state can
    /// not be written (BLAKE3).
    pub fn state(&self) -> Option<Vec<u8>> {
        match &self.0 {
            State::Sha256(state) => Some(state.serialize().to_vec()),
            State::Sha512(state) => Some(state.serialize().to_vec()),
            State::Blake3(_) => None,
        }
    }

    /// Goes on from a state that [`Hasher::state`] gave; `None` if it is none
    /// of that algorithm. Whoever can change the state can change the digest:
    /// it has to be kept where the content is.
    pub fn from_state(algorithm: Algorithm, state: &[u8]) -> Option<Self> {
        fn read<H: SerializableState>(state: &[u8]) -> Option<H> {
            let state = SerializedState::<H>::try_from(state).ok()?;
            H::deserialize(&state).ok()
        }
        Some(Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(read(state)?),
            Algorithm::Sha512 => State::Sha512(read(state)?),
            Algorithm::Blake3 => return None,
        }))
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => Digest::sha256(state.finalize().into()),
            State::Sha512(state) => Digest::sha512(state.finalize().into()),
            State::Blake3(state) => Digest::blake3(state.finalize().into()),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Sha256(_) => "Hasher(sha256)",
            State::Sha512(_) => "Hasher(sha512)",
            State::Blake3(_) => "Hasher(blake3)",
        })
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn another_process_goes_on_from_any_state(
            content in prop::collection::vec(any::<u8>(), 0..600),
            cut in any::<prop::sample::Index>(),
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let cut = cut.index(content.len() + 1);
            for algorithm in [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Blake3] {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(&content[..cut]);
                let Some(state) = hasher.state() else {
                    prop_assert_eq!(algorithm, Algorithm::Blake3);
                    continue;
                };
                let mut other = Hasher::from_state(algorithm, &state).expect("a state");
                other.update(&content[cut..]);
                prop_assert_eq!(other.finish(), Digest::of(algorithm, &content));
                prop_assert!(Hasher::from_state(algorithm, &state[1..]).is_none());
                // Whatever it is, it is read or refused.
                let _ = Hasher::from_state(algorithm, &noise);
            }
        }
    }
}
