//! The user in the namespaces that the container gets.

use plimsoll_content::{Code, Error, Result};

use super::{IdMappings, Overrides, Users};
use crate::spec::{IdMapping, ProcessUser};
use crate::user::User;

/// The mask that every shell starts with. It is given so that the same image
/// makes the same files whatever the mask of the caller is.
const UMASK: u32 = 0o022;

/// `process.user`. A user or group that the user namespace lacks is refused;
/// supplementary groups that it lacks are left out with a finding.
pub(super) fn process_user(
    user: &User,
    overrides: &Overrides,
    findings: &mut Vec<String>,
) -> Result<ProcessUser> {
    let mut additional_gids = user.additional_gids.clone();
    if let Users::New(mappings) | Users::Entered(mappings) = &overrides.users {
        mapped("uid", user.uid, &mappings.uids)?;
        mapped("gid", user.gid, &mappings.gids)?;
        let left = |gid: &u32| mappings.setgroups && has(&mappings.gids, *gid);
        let gone: Vec<String> = additional_gids
            .iter()
            .filter(|gid| !left(gid) && **gid != user.gid)
            .map(ToString::to_string)
            .collect();
        if !gone.is_empty() {
            findings.push(format!(
                "supplementary groups {} are left out: the user namespace does not have them",
                gone.join(", ")
            ));
        }
        additional_gids.retain(left);
    }
    Ok(ProcessUser {
        uid: user.uid,
        gid: user.gid,
        umask: Some(UMASK),
        additional_gids,
        ..ProcessUser::default()
    })
}

/// Whether the terminal group (5 by convention) exists in the container; a
/// `devpts` that is to give its files to a group which does not cannot be
/// mounted.
pub(super) fn has_tty_group(users: &Users) -> bool {
    match users {
        Users::Host => true,
        Users::New(mappings) | Users::Entered(mappings) => has(&mappings.gids, 5),
    }
}

/// Refuses an id that does not exist in the user namespace.
fn mapped(what: &str, id: u32, mappings: &[IdMapping]) -> Result<()> {
    if has(mappings, id) {
        return Ok(());
    }
    let wanted = format!("image wants {what} {id}");
    if let [only] = mappings
        && only.size == 1
    {
        let outside = only.host_id;
        return Err(Error::new(
            Code::UserNamespace,
            format!(
                "no user namespace with more ids for {what} {outside}, so only {what} {} of the \
                 image can exist",
                only.container_id
            ),
        )
        .found(wanted)
        .fix("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"));
    }
    Err(Error::new(Code::UserNamespace, "starting a process in this user namespace")
        .found(wanted)
        .expected("an id that is mapped in it"))
}

fn has(mappings: &[IdMapping], id: u32) -> bool {
    mappings.iter().any(|mapping| {
        id.checked_sub(mapping.container_id).is_some_and(|offset| offset < mapping.size)
    })
}

impl IdMappings {
    /// The mappings of an ordinary user who has no further ranges: user and
    /// group 0 of the container stand for him, and nobody else exists.
    pub fn only(uid: u32, gid: u32) -> Self {
        let one = |host_id| vec![IdMapping { host_id, size: 1, ..IdMapping::default() }];
        Self { uids: one(uid), gids: one(gid), setgroups: false }
    }
}
