//! Behaviour of the layer room through its public API.

mod apply_metadata;
mod apply_model;
mod apply_paths;
mod apply_support;
mod apply_whiteouts;
mod check;
mod codec;
mod differential;
mod links_model;
mod pack;
mod tar_hostile;
mod tar_peers;
mod tar_raw;
mod tar_roundtrip;
