//! How an image starts: the bundle, the user, the runtime that runs it.
//!
//! An image config becomes a runtime config ([`spec`]) with the user looked
//! up inside of the image's root filesystem.
//!
//! What does not live here: where images lie, how layers become a root
//! filesystem, and what is printed.

pub mod capability;
pub mod convert;
pub mod seccomp_profile;
pub mod spec;
pub mod user;
