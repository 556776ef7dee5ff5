//! Who the process runs as: `Config.User` looked up in `/etc/passwd` and
//! `/etc/group` of the image (CV21 to CV28).
//!
//! The files are the image's, so they are read through [`Root`]: links stay
//! inside, FIFOs and devices are refused, and everything has a budget.
//! Nothing of the host's user database is ever asked.

use plimsoll_content::{Code, Error, Result};
use plimsoll_layer::Root;

/// The largest number that a user or a group may have. Larger ones are
/// negative to programs that hold them in 32 signed bits, and 2^32 is root
/// to those that cut them (CVE-2024-40635).
pub const MOST: u32 = 2_147_483_647;

/// The longest `/etc/passwd` or `/etc/group` that is read, in bytes
/// (CVE-2026-47262).
pub const FILE: u64 = 10 << 20;

/// How many lines such a file may have (hostile case RT03). It also bounds
/// the number of supplementary groups below what Linux takes (65,536).
pub const LINES: usize = 10_000;

/// The longest line of such a file, in bytes.
pub const LINE: usize = 64 << 10;

/// The longest name of a user or a group, in bytes: LOGIN_NAME_MAX.
pub const NAME: usize = 256;

/// The longest home folder, in bytes: PATH_MAX.
const HOME: usize = 4096;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// A user as numbers, and what the image says about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The supplementary groups, without repetitions. The first one is
    /// always [`User::gid`], as POSIX wants it: a process could otherwise
    /// drop a group that was meant to take rights away (CVE-2022-36109).
    pub additional_gids: Vec<u32>,
    /// The home folder: `/` for a user that the image does not know.
    pub home: String,
    /// What was odd about the text, but has one meaning. Safe to print.
    pub findings: Vec<String>,
}

/// Finds out who `user` is in the image whose root filesystem `root` is.
///
/// The text is one of nothing, `user`, `uid`, `user:group`, `uid:gid`,
/// `uid:group` and `user:gid`; with a finding also `:group` (user 0) and
/// `user:` (the same as `user`). Nothing at all means user 0.
///
/// A text of digits is a number and never a name (CVE-2026-46680); it needs
/// no line in `/etc/passwd`. Without a group, the group is that of the
/// user's line, else 0, and the supplementary groups are those that list the
/// user's name. Image-spec says that a numeric user SHOULD NOT get them
/// (CV26); every engine gives them to numbers that have a line, so do we.
///
/// Only what is asked for must be right: a broken line of another user
/// changes nothing.
///
/// # Errors
///
/// [`Code::Config`] for a text without meaning, a name that the image does
/// not know (CV28), a number above [`MOST`], a broken line, a file that is
/// no regular file; [`Code::Limit`] for budgets.
pub fn resolve(root: &Root, user: &str) -> Result<User> {
    look_up(user, |file| Table::of(file, root.read_file(file.as_bytes(), FILE)?))
}

/// The same by what `/etc/passwd` and `/etc/group` hold, where there is no
/// root filesystem. `None` stands for a file that is not there.
pub fn resolve_from(passwd: Option<&[u8]>, group: Option<&[u8]>, user: &str) -> Result<User> {
    look_up(user, |file| {
        let bytes = if file == PASSWD { passwd } else { group };
        Table::of(file, bytes.map(<[u8]>::to_vec))
    })
}

fn look_up(user: &str, read: impl Fn(&'static str) -> Result<Table>) -> Result<User> {
    let mut findings = Vec::new();
    let (name, group) = parts(user, &mut findings)?;
    let wanted = match name {
        "" => Wanted::Number(0),
        name => Wanted::parse("user", name)?,
    };
    let group = group.map(|group| Wanted::parse("group", group)).transpose()?;

    let passwd = read(PASSWD)?;
    let account = passwd.account(&wanted)?;
    let (uid, account) = match (wanted, account) {
        (Wanted::Number(uid), account) => (uid, account),
        (Wanted::Name(_), Some(account)) => (account.uid, Some(account)),
        (Wanted::Name(name), None) => return Err(passwd.unknown("user", name)),
    };
    let home = account.as_ref().map_or("/", |account| &account.home).to_owned();

    let (gid, memberships) = match (group, account) {
        (Some(Wanted::Number(gid)), _) => (gid, Vec::new()),
        (Some(Wanted::Name(name)), _) => (read(GROUP)?.group(name)?, Vec::new()),
        (None, Some(account)) => (account.gid, read(GROUP)?.memberships(account.name)?),
        (None, None) => (0, Vec::new()),
    };
    let mut additional_gids = vec![gid];
    for member in memberships {
        if !additional_gids.contains(&member) {
            additional_gids.push(member);
        }
    }
    Ok(User { uid, gid, additional_gids, home, findings })
}

/// Splits `user[:group]`.
fn parts<'a>(user: &'a str, findings: &mut Vec<String>) -> Result<(&'a str, Option<&'a str>)> {
    let Some((name, group)) = user.split_once(':') else { return Ok((user, None)) };
    match (name, group) {
        ("", "") => Err(Error::new(Code::Config, format!("user {user:?}: names nobody"))
            .expected("USER or USER:GROUP")),
        ("", group) => {
            findings.push(format!("user {user:?} names only a group; taken as 0:{group:?}"));
            Ok(("", Some(group)))
        }
        (name, "") => {
            findings.push(format!("user {user:?} ends with a colon; taken as {name:?}"));
            Ok((name, None))
        }
        (name, group) => Ok((name, Some(group))),
    }
}

/// What a part of the text asks for.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Number(u32),
    Name(&'a str),
}

impl<'a> Wanted<'a> {
    /// Reads a part. `what` is "user" or "group".
    ///
    /// Refused are also texts that other readers of numbers take for one
    /// (RT01): signs, spaces, `0x0`.
    fn parse(what: &str, text: &'a str) -> Result<Self> {
        let refuse = |found: &str| {
            let shown: String = text.chars().take(NAME).collect();
            Err(Error::new(Code::Config, format!("{what} {shown:?}: {found}")))
        };
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match number(text.as_bytes()) {
                Some(number) => Ok(Self::Number(number)),
                None => refuse(&format!("out of range 0–{MOST}")),
            };
        }
        if let Some(digits) = text.strip_prefix(['+', '-']) {
            return if text.starts_with('-') && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                refuse(&format!("out of range 0–{MOST}"))
            } else {
                refuse("starts with a sign, so neither a number nor a name")
            };
        }
        let after_zero = text.strip_prefix('0').unwrap_or("");
        if after_zero.starts_with(['x', 'X', 'o', 'O', 'b', 'B']) {
            return refuse("not a decimal number, and no name looks like this");
        }
        if text.len() > NAME {
            return refuse(&format!("longer than {NAME} bytes"));
        }
        if let Some(bad) =
            text.chars().find(|c| c.is_whitespace() || c.is_control() || ":,/".contains(*c))
        {
            return refuse(&format!("no name holds {bad:?}"));
        }
        Ok(Self::Name(text))
    }
}

/// A decimal number without sign or spaces, if it is at most [`MOST`].
fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })?;
    u32::try_from(value).ok().filter(|value| *value <= MOST)
}

/// `/etc/passwd` or `/etc/group`, as bytes.
struct Table {
    file: &'static str,
    /// `None` if the image has no such file.
    bytes: Option<Vec<u8>>,
}

/// A line of `/etc/passwd`, as far as it matters.
struct Account<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: String,
}

impl Table {
    fn of(file: &'static str, bytes: Option<Vec<u8>>) -> Result<Self> {
        let table = Self { file, bytes };
        let limit = |found: String, expected: String| {
            Error::new(Code::Limit, format!("reading the image's {file}"))
                .found(found)
                .expected(expected)
        };
        for (n, line) in table.lines().enumerate() {
            if n >= LINES {
                return Err(limit(
                    format!("more than {LINES} lines"),
                    format!("at most {LINES} lines"),
                ));
            }
            if line.len() > LINE {
                return Err(limit(
                    format!("a line {} of {} bytes", n + 1, line.len()),
                    format!("lines of at most {LINE} bytes"),
                ));
            }
        }
        Ok(table)
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.bytes.as_deref().unwrap_or_default();
        bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n')
    }

    /// The fields of the lines that are neither empty nor a comment, with the
    /// numbers of the lines. There is always a first field.
    fn rows(&self) -> impl Iterator<Item = (usize, Vec<&[u8]>)> {
        self.lines()
            .enumerate()
            .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
            .map(|(n, line)| (n + 1, line.split(|byte| *byte == b':').collect()))
    }

    /// The line of a user: `name:password:uid:gid:comment:home:shell`. The
    /// first that matches counts.
    fn account(&self, wanted: &Wanted<'_>) -> Result<Option<Account<'_>>> {
        let row = self.rows().find(|(_, fields)| match wanted {
            Wanted::Name(name) => fields[0] == name.as_bytes(),
            Wanted::Number(uid) => fields.get(2).and_then(|field| number(field)) == Some(*uid),
        });
        let Some((n, fields)) = row else { return Ok(None) };
        let bad = |found: &str, expected: &str| self.bad_line(n, found, expected);
        let id = |at: usize, what: &str| {
            fields.get(at).and_then(|field| number(field)).ok_or_else(|| {
                bad(&format!("no usable {what}"), &format!("a number from 0 to {MOST}"))
            })
        };
        let home = match fields.get(5).copied().unwrap_or_default() {
            b"" => "/".to_owned(),
            home if home.len() > HOME => {
                return Err(bad("a home folder above 4096 bytes", "a path"));
            }
            home => match str::from_utf8(home) {
                Ok(home) if !home.contains(|c: char| c.is_control() || c == '=') => home.to_owned(),
                _ => {
                    return Err(bad(
                        "a home folder with a control character, a = or broken UTF-8",
                        "a path that fits into an environment",
                    ));
                }
            },
        };
        Ok(Some(Account {
            name: fields[0],
            uid: id(2, "user number")?,
            gid: id(3, "group number")?,
            home,
        }))
    }

    /// The number of a group: `name:password:gid:members`.
    fn group(&self, name: &str) -> Result<u32> {
        let row = self.rows().find(|(_, fields)| fields[0] == name.as_bytes());
        let Some((n, fields)) = row else { return Err(self.unknown("group", name)) };
        self.gid(n, &fields)
    }

    /// The groups that list a user, in the order of the file.
    fn memberships(&self, name: &[u8]) -> Result<Vec<u32>> {
        self.rows()
            .filter(|(_, fields)| {
                let members = fields.get(3).copied().unwrap_or_default();
                !name.is_empty() && members.split(|byte| *byte == b',').any(|member| member == name)
            })
            .map(|(n, fields)| self.gid(n, &fields))
            .collect()
    }

    fn gid(&self, n: usize, fields: &[&[u8]]) -> Result<u32> {
        fields.get(2).and_then(|field| number(field)).ok_or_else(|| {
            self.bad_line(n, "no usable group number", &format!("a number from 0 to {MOST}"))
        })
    }

    fn bad_line(&self, n: usize, found: &str, expected: &str) -> Error {
        Error::new(Code::Config, format!("reading line {n} of the image's {}", self.file))
            .found(found)
            .expected(expected)
    }

    fn unknown(&self, what: &str, name: &str) -> Error {
        let error =
            Error::new(Code::Config, format!("{what} {name:?}: not in the image's {}", self.file))
                .fix("give numbers with --user UID:GID");
        if self.bytes.is_none() { error.found("no such file in the image") } else { error }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_do_not_wrap() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"0001000"), Some(1000));
        assert_eq!(number(b"2147483647"), Some(MOST));
        for bad in [
            &b""[..],
            b"2147483648",
            b"4294967296",
            b"18446744073709551616",
            b"340282366920938463463374607431768211456",
            b"-1",
            b"+0",
            b" 0",
            b"0 ",
            b"0x0",
            b"1\0",
        ] {
            assert_eq!(number(bad), None, "{:?}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        /// Whatever the files hold, a look-up ends, and never gives a number
        /// that was not asked for.
        #[test]
        fn a_number_stays_that_number(
            passwd in "([a-z0-9:\\n,=\\x00-]{0,12}|app:x:1000:1000::/h:\n){0,8}",
            group in "([a-z0-9:\\n,=-]{0,12}|g:x:5:app\n){0,8}",
            uid in 0..=MOST,
        ) {
            let folder = tempfile::tempdir().expect("folder");
            std::fs::create_dir(folder.path().join("etc")).expect("made");
            std::fs::write(folder.path().join("etc/passwd"), passwd).expect("written");
            std::fs::write(folder.path().join("etc/group"), group).expect("written");
            let root = Root::open(folder.path()).expect("opened");
            if let Ok(user) = resolve(&root, &uid.to_string()) {
                prop_assert_eq!(user.uid, uid);
                prop_assert_eq!(user.additional_gids[0], user.gid);
            }
            let _ = resolve(&root, "app:g");
        }
    }
}
