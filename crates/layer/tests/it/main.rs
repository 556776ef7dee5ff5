//! Behaviour of the layer room through its public API.

mod codec;
mod tar_hostile;
mod tar_raw;
mod tar_roundtrip;
