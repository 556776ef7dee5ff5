//! Behaviour of the facade through its public API.

mod rootfs;
mod validate;
