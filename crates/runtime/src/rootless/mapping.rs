//! Which users and groups exist in a user namespace.

use plimsoll_content::{Code, Error, Result};

use super::ranges::{Ranges, user_name};
use super::read;
use crate::convert::IdMappings;
use crate::spec::{IdMapping, ProcessUser};

/// One line of a mapping: ids from `inside` on stand for those from `outside` on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Range {
    inside: u32,
    outside: u32,
    count: u32,
}

/// Which users and groups exist in a user namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mapping {
    uids: Vec<Range>,
    gids: Vec<Range>,
    /// Whether the kernel lets supplementary groups be set.
    set_groups: bool,
}

impl Mapping {
    /// The mapping of this process's user namespace.
    pub fn current() -> Result<Self> {
        let map = |path: &str| -> Result<Vec<Range>> {
            let text = read(path)?;
            text.lines().map(parse_range).collect::<Option<_>>().ok_or_else(|| {
                Error::new(Code::UserNamespace, format!("reading {path}")).found("no mapping")
            })
        };
        Ok(Self {
            uids: map("/proc/self/uid_map")?,
            gids: map("/proc/self/gid_map")?,
            set_groups: read("/proc/self/setgroups").is_ok_and(|text| text.trim() == "allow"),
        })
    }

    /// The mapping in the words of the runtime config.
    pub fn to_spec(&self) -> IdMappings {
        let lines = |ranges: &[Range]| {
            let line = |range: &Range| IdMapping {
                container_id: range.inside,
                host_id: range.outside,
                size: range.count,
                other: serde_json::Map::new(),
            };
            ranges.iter().map(line).collect()
        };
        IdMappings { uids: lines(&self.uids), gids: lines(&self.gids), setgroups: self.set_groups }
    }

    /// Whether every id stands for itself, as outside of all user namespaces.
    pub fn is_initial(&self) -> bool {
        self.uids == [Range { inside: 0, outside: 0, count: u32::MAX }]
    }

    /// Whether there is only one user.
    pub fn is_single(&self) -> bool {
        matches!(self.uids[..], [Range { count: 1, .. }])
    }

    /// Whether the user exists.
    pub fn has_uid(&self, uid: u32) -> bool {
        contains(&self.uids, uid)
    }

    /// Whether the group exists.
    pub fn has_gid(&self, gid: u32) -> bool {
        contains(&self.gids, gid)
    }

    /// The supplementary groups of a user that can not be had here. A caller
    /// that starts a process without them should say so.
    pub fn unavailable_groups(&self, user: &ProcessUser) -> Vec<u32> {
        let lost = |gid: &&u32| !(**gid == user.gid || self.set_groups && self.has_gid(**gid));
        user.additional_gids.iter().filter(lost).copied().collect()
    }

    /// Refuses a user or groups that do not exist here ([`Code::UserNamespace`]).
    pub fn allows(&self, user: &ProcessUser) -> Result<()> {
        let wanted = if !self.has_uid(user.uid) {
            format!("uid {}", user.uid)
        } else if !self.has_gid(user.gid) {
            format!("gid {}", user.gid)
        } else if let Some(gid) = self.unavailable_groups(user).first() {
            format!("supplementary gid {gid}")
        } else {
            return Ok(());
        };
        let outside =
            self.uids.iter().find(|range| range.inside == 0).map_or(0, |range| range.outside);
        let error = |headline: String| {
            Error::new(Code::UserNamespace, headline).found(format!("image wants {wanted}"))
        };
        if !self.is_single() {
            return Err(error("starting a process in this user namespace".to_owned())
                .expected("an id that is mapped in it"));
        }
        let why = match Ranges::of(outside) {
            Ok(_) => "newuidmap did not map the ranges".to_owned(),
            Err(why) => why,
        };
        Err(error(format!(
            "no user namespace with more ids for uid {outside}: {why}, so only uid 0 of the image \
             can exist"
        ))
        .fix(format!(
            "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {}",
            user_name(outside).unwrap_or_else(|| outside.to_string())
        )))
    }
}

fn contains(ranges: &[Range], id: u32) -> bool {
    ranges.iter().any(|range| id.checked_sub(range.inside).is_some_and(|at| at < range.count))
}

fn parse_range(line: &str) -> Option<Range> {
    let mut numbers = line.split_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Range { inside: next()?, outside: next()?, count: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single() -> Mapping {
        let one = |outside| vec![Range { inside: 0, outside, count: 1 }];
        Mapping { uids: one(4_000_000_000), gids: one(4_000_000_000), set_groups: false }
    }

    #[test]
    fn a_single_user_is_told_what_is_missing() {
        let user = |uid, gid, groups: &[u32]| ProcessUser {
            uid,
            gid,
            additional_gids: groups.to_vec(),
            ..ProcessUser::default()
        };
        let mapping = single();
        assert!(mapping.allows(&user(0, 0, &[0])).is_ok());
        assert_eq!(mapping.unavailable_groups(&user(0, 0, &[0, 5])), [5]);
        let error = mapping.allows(&user(1000, 0, &[])).expect_err("unmapped");
        assert_eq!(error.code(), Code::UserNamespace);
        assert!(error.to_string().contains("no range in /etc/subuid"), "{error}");
        assert!(error.to_string().contains("image wants uid 1000"), "{error}");
    }

    #[test]
    fn the_whole_range_is_the_initial_mapping() {
        assert_eq!(
            parse_range("         0          0 4294967295").map(|range| range.count),
            Some(u32::MAX)
        );
        assert!(parse_range("0 0").is_none());
        assert!(contains(&[Range { inside: 1, outside: 9, count: 2 }], 2));
        assert!(!contains(&[Range { inside: 1, outside: 9, count: 2 }], 3));
    }
}
