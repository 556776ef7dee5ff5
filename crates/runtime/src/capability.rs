//! Capabilities: their names, the default ones, and the five sets of a
//! process.

use std::collections::BTreeSet;

use plimsoll_content::{Code, Error, Result};

use crate::spec::Capabilities;

/// All capabilities by their numbers (`linux/capability.h`).
pub const NAMES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What a container holds by default: enough for packages to install and
/// servers to start, nothing that makes devices or raw packets. The set is
/// podman's (as a mask 0x800405fb).
pub const DEFAULT: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_SETFCAP",
];

/// Capabilities beyond or below the default ones: names with or without
/// `CAP_`, in upper or lower case, or `ALL`. What is both added and dropped
/// by its own name is a contradiction; `ALL` gives way to single names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Added.
    pub add: Vec<String>,
    /// Dropped.
    pub drop: Vec<String>,
}

/// The number of a capability, by its full name.
pub fn number(name: &str) -> Option<u32> {
    NAMES.iter().position(|known| *known == name).map(|number| number as u32)
}

/// The sets of a process that starts as `uid`.
///
/// The bounding set says what can ever be held. User 0 holds all of it; other
/// users hold nothing, and get something only by executing a file that gives
/// it. Inheritable and ambient sets are always empty (CVE-2022-24769).
pub fn sets(uid: u32, changes: &Changes) -> Result<Capabilities> {
    let (add, all_added) = parse(&changes.add)?;
    let (drop, all_dropped) = parse(&changes.drop)?;
    if let Some(number) = add.intersection(&drop).next() {
        return Err(Error::new(Code::Usage, "choosing capabilities")
            .found(format!("{} both added and dropped", NAMES[*number])));
    }
    if all_added && all_dropped {
        return Err(
            Error::new(Code::Usage, "choosing capabilities").found("ALL both added and dropped")
        );
    }
    let bounding: Vec<String> = NAMES
        .iter()
        .enumerate()
        .filter(|(number, name)| {
            let base = all_added || (DEFAULT.contains(name) && !all_dropped);
            (base || add.contains(number)) && !drop.contains(number)
        })
        .map(|(_, name)| (*name).to_owned())
        .collect();
    let held = if uid == 0 { bounding.clone() } else { Vec::new() };
    Ok(Capabilities {
        bounding,
        effective: held.clone(),
        permitted: held,
        ..Capabilities::default()
    })
}

fn parse(names: &[String]) -> Result<(BTreeSet<usize>, bool)> {
    let mut all = false;
    let mut numbers = BTreeSet::new();
    for name in names {
        let upper = name.to_ascii_uppercase();
        if upper == "ALL" {
            all = true;
            continue;
        }
        let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        let number = NAMES.iter().position(|known| *known == full).ok_or_else(|| {
            Error::new(Code::Usage, format!("capability {name:?}: no such capability"))
                .expected("a name such as CAP_NET_RAW or net_raw, or ALL")
        })?;
        numbers.insert(number);
    }
    Ok((numbers, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(add: &[&str], drop: &[&str]) -> Changes {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Changes { add: own(add), drop: own(drop) }
    }

    fn mask(names: &[String]) -> u64 {
        names.iter().map(|name| 1 << number(name).expect("known")).sum()
    }

    #[test]
    fn the_default_is_the_mask_that_podman_has() {
        let sets = sets(0, &Changes::default()).expect("sets");
        for set in [&sets.bounding, &sets.effective, &sets.permitted] {
            assert_eq!(mask(set), 0x8004_05fb);
        }
        assert!(sets.inheritable.is_empty() && sets.ambient.is_empty());
    }

    #[test]
    fn rt14_other_users_hold_nothing_and_nothing_is_inheritable() {
        let sets = sets(1000, &changes(&["ALL"], &[])).expect("sets");
        assert_eq!(sets.bounding.len(), NAMES.len());
        for set in [&sets.effective, &sets.permitted, &sets.inheritable, &sets.ambient] {
            assert!(set.is_empty());
        }
    }

    #[test]
    fn names_are_added_and_dropped_and_all_gives_way_to_them() {
        let bounding =
            |add: &[&str], drop: &[&str]| sets(0, &changes(add, drop)).map(|sets| sets.bounding);
        assert!(bounding(&["net_raw"], &["Cap_Chown"]).is_ok_and(|set| mask(&set) == 0x8004_25fa));
        assert_eq!(bounding(&["kill"], &["ALL"]).expect("one"), ["CAP_KILL"]);
        assert_eq!(bounding(&["all"], &["KILL"]).expect("all but one").len(), NAMES.len() - 1);
        assert!(bounding(&["kill"], &["kill"]).is_err());
        assert!(bounding(&["all"], &["all"]).is_err());
        assert!(bounding(&["nosuch"], &[]).is_err());
    }
}
