//! What the options of a mount mean.

use rustix::mount::MountAttrFlags;

use crate::spec::Mount;

/// What an option list of a mount means.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Options {
    /// `MOUNT_ATTR_*`.
    pub(super) attributes: u32,
    /// `dev` was given.
    pub(super) devices: bool,
    /// A bind mount; `true` with what is mounted below.
    pub(super) bind: Option<bool>,
    /// What the file system itself is told.
    pub(super) data: Vec<(String, Option<String>)>,
}

pub(super) const READ_ONLY: u32 = MountAttrFlags::MOUNT_ATTR_RDONLY.bits();
pub(super) const NO_SETUID: u32 = MountAttrFlags::MOUNT_ATTR_NOSUID.bits();
pub(super) const NO_DEVICES: u32 = MountAttrFlags::MOUNT_ATTR_NODEV.bits();
pub(super) const NO_EXEC: u32 = MountAttrFlags::MOUNT_ATTR_NOEXEC.bits();

impl Options {
    /// Reads an option list; the error is the option that is not known.
    pub(super) fn parse(mount: &Mount) -> Result<Self, String> {
        let atime = MountAttrFlags::MOUNT_ATTR__ATIME.bits();
        let mut options = Self::default();
        if mount.kind.as_deref() == Some("bind") {
            options.bind = Some(false);
        }
        for option in &mount.options {
            let (clear, set) = match option.as_str() {
                "ro" => (0, READ_ONLY),
                "rw" => (READ_ONLY, 0),
                "nosuid" => (0, NO_SETUID),
                "suid" => (NO_SETUID, 0),
                "nodev" => {
                    options.devices = false;
                    (0, NO_DEVICES)
                }
                "dev" => {
                    options.devices = true;
                    (NO_DEVICES, 0)
                }
                "noexec" => (0, NO_EXEC),
                "exec" => (NO_EXEC, 0),
                "relatime" => (atime, 0),
                "noatime" => (atime, MountAttrFlags::MOUNT_ATTR_NOATIME.bits()),
                "strictatime" => (atime, MountAttrFlags::MOUNT_ATTR_STRICTATIME.bits()),
                "nodiratime" => (0, MountAttrFlags::MOUNT_ATTR_NODIRATIME.bits()),
                "nosymfollow" => (0, MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW.bits()),
                // Everything here is private anyway.
                "defaults" | "private" | "rprivate" => (0, 0),
                "bind" => {
                    options.bind = Some(options.bind.unwrap_or(false));
                    (0, 0)
                }
                "rbind" => {
                    options.bind = Some(true);
                    (0, 0)
                }
                other => {
                    let (name, value) = match other.split_once('=') {
                        Some((name, value)) => (name, Some(value.to_owned())),
                        None => (other, None),
                    };
                    let known = match mount.kind.as_deref() {
                        Some("tmpfs") => {
                            &["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"][..]
                        }
                        Some("devpts") => &["mode", "ptmxmode", "newinstance", "gid", "uid"],
                        Some("proc") => &["hidepid", "subset"],
                        _ => &[],
                    };
                    if !known.contains(&name) {
                        return Err(option.clone());
                    }
                    options.data.push((name.to_owned(), value));
                    (0, 0)
                }
            };
            options.attributes = options.attributes & !clear | set;
        }
        if options.bind.is_some() && !options.data.is_empty() {
            return Err(options.data.swap_remove(0).0);
        }
        Ok(options)
    }

    /// Whether it is a bind mount.
    pub(super) fn is_bind(&self) -> bool {
        self.bind.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, options: &[&str]) -> Mount {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Mount { kind: Some(kind.to_owned()), options, ..Mount::default() }
    }

    #[test]
    fn later_options_win_and_unknown_ones_are_named() {
        let tmpfs =
            Options::parse(&mount("tmpfs", &["nosuid", "ro", "rw", "size=64k", "mode=755"]))
                .expect("known");
        assert_eq!(tmpfs.attributes, NO_SETUID);
        assert_eq!(tmpfs.data.len(), 2);
        let bind = Options::parse(&mount("bind", &["rbind", "ro"])).expect("known");
        assert_eq!((bind.bind, bind.attributes), (Some(true), READ_ONLY));
        for (kind, option) in [("tmpfs", "tmpcopyup"), ("bind", "size=1"), ("proc", "rshared")] {
            assert!(option.starts_with(&Options::parse(&mount(kind, &[option])).expect_err(kind)));
        }
    }
}
