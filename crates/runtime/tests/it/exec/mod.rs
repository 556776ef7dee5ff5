//! The embedded executor, driven by the example `execute`: as root if the
//! tests run as root, and in user namespaces.

mod confine;
mod process;
mod refuse;
mod support;
