//! How an image starts: the bundle, the user, the runtime that runs it.
//!
//! An image config becomes a runtime config ([`spec`]) with the user looked
//! up inside of the image's root filesystem. The embedded executor ([`exec`])
//! starts its process, for ordinary users in a user namespace ([`rootless`]),
//! on a root filesystem that may be an [`overlay`].
//!
//! What does not live here: where images lie, how layers become a root
//! filesystem, and what is printed.

pub mod binfmt;
pub mod capability;
mod cgroup;
pub mod convert;
mod device_filter;
pub mod exec;
pub mod external;
pub mod image_mount;
pub mod network;
pub mod overlay;
pub mod rootless;
pub mod seccomp_file;
pub mod seccomp_profile;
mod signal;
pub mod spec;
mod sys;
pub mod user;
