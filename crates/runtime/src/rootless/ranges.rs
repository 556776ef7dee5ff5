//! Ranges of subordinate ids, and the programs that map them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_content::{Code, Error, Result};
use rustix::fs::{Access, access};
use rustix::process::Pid;

use super::read;

/// Where the set-user-id programs that write mappings may lie. Not `PATH`:
/// what is there with this bit is trusted, what the environment names is not.
const HELPERS: &[&str] = &["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"];

/// The subordinate ids of a user, and who writes them into a mapping.
#[derive(Debug)]
pub(super) struct Ranges {
    uids: Vec<(u32, u32)>,
    gids: Vec<(u32, u32)>,
    new_uid_map: PathBuf,
    new_gid_map: PathBuf,
}

impl Ranges {
    /// The ranges of a user; the error says what is missing.
    pub(super) fn of(uid: u32) -> std::result::Result<Self, String> {
        let name = user_name(uid);
        let ranges = |path: &str| -> std::result::Result<Vec<(u32, u32)>, String> {
            let text = read(path).unwrap_or_default();
            let found = subordinate(&text, name.as_deref(), uid);
            if found.is_empty() { Err(format!("no range in {path}")) } else { Ok(found) }
        };
        let helper = |name: &str| -> std::result::Result<PathBuf, String> {
            HELPERS
                .iter()
                .map(|folder| Path::new(folder).join(name))
                .find(|path| access(path, Access::EXEC_OK).is_ok())
                .ok_or_else(|| format!("no program {name} (package uidmap)"))
        };
        Ok(Self {
            uids: ranges("/etc/subuid")?,
            gids: ranges("/etc/subgid")?,
            new_uid_map: helper("newuidmap")?,
            new_gid_map: helper("newgidmap")?,
        })
    }

    pub(super) fn map(&self, child: Pid, uid: u32, gid: u32) -> Result<()> {
        write_map(&self.new_uid_map, child, uid, &self.uids)?;
        write_map(&self.new_gid_map, child, gid, &self.gids)
    }
}

/// Maps id 0 to the user's own, and those from 1 on to the ranges.
fn write_map(program: &Path, child: Pid, own: u32, ranges: &[(u32, u32)]) -> Result<()> {
    let mut command = Command::new(program);
    command.env_clear().arg(child.as_raw_nonzero().to_string());
    command.args(["0", &own.to_string(), "1"]);
    let mut inside = 1u32;
    for (start, count) in ranges {
        // What does not fit in front of the number that means "no id" is left out.
        let count = (*count).min(u32::MAX - 1 - inside);
        if count == 0 {
            break;
        }
        command.args([inside, *start, count].map(|number| number.to_string()));
        inside += count;
    }
    let doing = format!("mapping ids with {}", program.display());
    let output = command.output().map_err(|cause| {
        Error::io("starting", program.display(), cause).recode(Code::UserNamespace)
    })?;
    if output.status.success() {
        return Ok(());
    }
    let mut found = format!("{}", output.status);
    let _ = write!(found, ": {}", String::from_utf8_lossy(&output.stderr).trim().escape_debug());
    Err(Error::new(Code::UserNamespace, doing).found(found))
}

/// The ranges of a user in the text of `/etc/subuid` or `/etc/subgid`.
fn subordinate(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let uid = uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            (Some(owner) == name || owner == uid).then_some(range)
        })
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// The name of a user of the host, as its `/etc/passwd` says.
pub(super) fn user_name(uid: u32) -> Option<String> {
    let uid = uid.to_string();
    read("/etc/passwd").ok()?.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_ids_are_found_by_name_and_by_number() {
        let text = "root:1:1\napp:100000:65536\n\n7:300000:10\nbad\napp:x:1\napp:5:0\n";
        assert_eq!(subordinate(text, Some("app"), 7), [(100_000, 65_536), (300_000, 10)]);
        assert!(subordinate(text, None, 8).is_empty());
    }
}
