//! Behaviour of the layer room through its public API.

mod apply_metadata;
mod apply_model;
mod apply_paths;
mod apply_pipe;
mod apply_support;
mod apply_whiteouts;
mod check;
mod codec;
mod diff_model;
mod diff_state;
mod diff_support;
mod diff_trees;
mod diff_upper;
mod differential;
mod golden;
mod links_model;
mod outer;
mod pack;
mod pack_stack;
mod recode;
mod tar_hostile;
mod tar_peers;
mod tar_raw;
mod tar_roundtrip;
