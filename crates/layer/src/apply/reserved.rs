//! Names that do not mean what names of files and attributes mean: packing
//! keeps them out of layers, applying out of trees.

/// What starts the name of a whiteout (`layer.md`, "Whiteouts").
pub(crate) const WHITEOUT: &[u8] = b".wh.";

/// Where the owner is recorded that an ordinary user can not give to a file.
pub(crate) const RECORDED: &[u8] = b"user.rootlesscontainers";

/// The capabilities of a file.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Belongs to the policy of a machine, not to a file tree (MD06).
pub(crate) const SELINUX: &[u8] = b"security.selinux";

/// Whether applying leaves an attribute out.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    name == SELINUX || name == RECORDED || is_overlay(name)
}

/// Whether an attribute is private to overlay mounts: in a tree that becomes
/// a lower layer of one, it would hide or redirect files (WH15).
pub(crate) fn is_overlay(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}
