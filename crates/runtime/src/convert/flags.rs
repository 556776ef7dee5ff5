//! What people write behind `--volume`, `--tmpfs`, `--memory` and the like,
//! as docker has it, where it has one meaning here.
//!
//! What does not live here: which flags there are, and reading files.

use plimsoll_content::{Code, Error, Result};
use serde_json::Map;

use super::filesystem::place;
use crate::spec::{Mount, Rlimit};

/// What `--volume` asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Volume {
    /// A file or folder of the host. Its source is as it was written: make
    /// relative ones absolute.
    Bind(Mount),
    /// A folder of this run, with what the image has at the path.
    Anonymous(String),
}

/// Options of a bind mount that are passed on.
const BIND: &[&str] = &[
    "ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "private", "rprivate", "bind",
    "rbind",
];

/// Reads `SOURCE:TARGET[:OPTIONS]` or `TARGET`.
///
/// # Errors
///
/// [`Code::Usage`] for names of volumes, which nothing here keeps, and for
/// options that are not done; [`Code::Config`] for a place where nothing may
/// be mounted.
pub fn volume(text: &str) -> Result<Volume> {
    let bad = || Error::new(Code::Usage, format!("reading --volume {text:?}"));
    let mut parts = text.split(':');
    let (first, target, options) = (parts.next(), parts.next(), parts.next());
    if parts.next().is_some() {
        return Err(bad().found("more than three parts").expected("SOURCE:TARGET[:OPTIONS]"));
    }
    let (Some(source), Some(target)) = (first, target) else {
        return place("--volume", text).map(Volume::Anonymous);
    };
    if !source.starts_with('/') && !source.starts_with('.') {
        return Err(bad()
            .found(format!("the name of a volume, {source:?}"))
            .expected("a folder or file of this machine")
            .fix(format!(
                "--volume ./{source}:{target}   if it is one here; nothing keeps volumes by name"
            )));
    }
    let mut all = vec!["rbind".to_owned(), "rprivate".to_owned()];
    for option in options.unwrap_or_default().split(',').filter(|option| !option.is_empty()) {
        if !BIND.contains(&option) {
            return Err(bad()
                .found(format!("option {option:?}"))
                .expected(format!("some of {}", BIND.join(", "))));
        }
        all.push(option.to_owned());
    }
    Ok(Volume::Bind(Mount {
        destination: place("--volume", target)?,
        kind: Some("bind".to_owned()),
        source: Some(source.to_owned()),
        options: all,
        other: Map::new(),
    }))
}

/// Reads `PATH[:OPTIONS]` of `--tmpfs`: a file system in memory, by default
/// without devices, setuid programs and programs at all, as docker makes it.
pub fn tmpfs(text: &str) -> Result<Mount> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let mut all = vec!["nosuid".to_owned(), "nodev".to_owned(), "noexec".to_owned()];
    all.push("mode=1777".to_owned());
    all.extend(options.split(',').filter(|option| !option.is_empty()).map(str::to_owned));
    Ok(Mount {
        destination: place("--tmpfs", target)?,
        kind: Some("tmpfs".to_owned()),
        source: Some("tmpfs".to_owned()),
        options: all,
        other: Map::new(),
    })
}

/// Reads a number of bytes, optionally with `b`, `k`, `m`, `g` or `t` behind it,
/// in steps of 1024.
pub fn bytes(text: &str) -> Result<u64> {
    let bad = || {
        Error::new(Code::Usage, format!("reading {text:?}"))
            .expected("a number of bytes, such as 512m, 1g or 1048576")
    };
    let lower = text.trim().to_ascii_lowercase();
    let short = lower.strip_suffix("ib").or(lower.strip_suffix('b')).unwrap_or(&lower);
    let digits = short.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let step: u32 = match &short[digits.len()..] {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(bad()),
    };
    let number: u64 = digits.parse().map_err(|_| bad())?;
    number.checked_mul(1 << (10 * step)).filter(|bytes| *bytes > 0).ok_or_else(bad)
}

/// Reads a number of processors such as `1.5`, in thousandths.
pub fn milli_cpus(text: &str) -> Result<u64> {
    let bad = || {
        Error::new(Code::Usage, format!("reading --cpus {text:?}"))
            .expected("a number of processors from 0.01 on, such as 2 or 1.5")
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) || part.len() > 9 {
        return Err(bad());
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| bad())? };
    let part: u64 = format!("{part:0<9}")[..3].parse().map_err(|_| bad())?;
    // The kernel takes no quota of less than a millisecond in a period of a hundred.
    whole
        .checked_mul(1000)
        .and_then(|milli| milli.checked_add(part))
        .filter(|milli| *milli >= 10)
        .ok_or_else(bad)
}

/// Reads `--pids-limit`: -1 and 0 mean no limit.
pub fn pids(text: &str) -> Result<Option<u64>> {
    match text.parse::<i64>() {
        Ok(-1 | 0) => Ok(None),
        Ok(most) if most > 0 => Ok(Some(most.unsigned_abs())),
        _ => Err(Error::new(Code::Usage, format!("reading --pids-limit {text:?}"))
            .expected("a number of processes, or -1 for no limit")),
    }
}

/// Reads `NAME=SOFT[:HARD]` of `--ulimit`; -1 or `unlimited` is no limit.
pub fn ulimit(text: &str) -> Result<Rlimit> {
    let bad = || {
        Error::new(Code::Usage, format!("reading --ulimit {text:?}"))
            .expected("NAME=SOFT[:HARD], such as nofile=1024:2048")
    };
    let (name, values) = text.split_once('=').ok_or_else(bad)?;
    let value = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        number => number.parse().map_err(|_| bad()),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (value(soft)?, value(hard)?);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase()) || soft > hard {
        return Err(bad());
    }
    let kind = format!("RLIMIT_{}", name.to_ascii_uppercase());
    Ok(Rlimit { kind, hard, soft, other: Map::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_have_one_meaning_or_none() {
        let Ok(Volume::Bind(bind)) = volume("/src:/a//b/:ro,noexec") else { panic!("a bind") };
        assert_eq!((bind.destination.as_str(), bind.source.as_deref()), ("/a/b", Some("/src")));
        assert_eq!(bind.options, ["rbind", "rprivate", "ro", "noexec"]);
        assert_eq!(volume("/data").expect("anonymous"), Volume::Anonymous("/data".to_owned()));
        assert!(matches!(volume("./x:/y"), Ok(Volume::Bind(_))));
        for bad in [
            "name:/data",
            "/a:/b:ro:x",
            "/a:b",
            "/a:/",
            "/a:/proc/sys",
            "/a:/b:z",
            "/a:/b:shared",
            "/a:/b/../c",
            "/a:/dev",
            "data",
            "",
            ":",
            "/a:",
        ] {
            assert!(volume(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_whole_and_bounded() {
        assert_eq!(bytes("512m").expect("read"), 512 << 20);
        assert_eq!(bytes("1GiB").expect("read"), 1 << 30);
        assert_eq!(bytes("7b").expect("read"), 7);
        assert_eq!(milli_cpus("1.5").expect("read"), 1500);
        assert_eq!(milli_cpus(".25").expect("read"), 250);
        assert_eq!(milli_cpus("2").expect("read"), 2000);
        for bad in ["", "m", "-1", "1.5m", "99999999999999999999", "18446744073709551615k", "0"] {
            assert!(bytes(bad).is_err(), "{bad:?}");
        }
        for bad in ["", ".", "0", "0.001", "-1", "1e3", "1.5.2", "18446744073709551615"] {
            assert!(milli_cpus(bad).is_err(), "{bad:?}");
        }
        assert_eq!(pids("-1").expect("none"), None);
        assert_eq!(pids("5").expect("some"), Some(5));
        assert!(pids("-2").is_err() && pids("x").is_err());
        let limit = ulimit("nofile=10:20").expect("read");
        assert_eq!((limit.kind.as_str(), limit.soft, limit.hard), ("RLIMIT_NOFILE", 10, 20));
        for bad in ["nofile", "nofile=2:1", "=1", "NOFILE=1", "nofile=x"] {
            assert!(ulimit(bad).is_err(), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_anything(text in ".{0,40}", other in "[0-9.:/a-z-]{0,12}") {
            for text in [text, other] {
                let _ = (volume(&text), tmpfs(&text), bytes(&text), milli_cpus(&text));
                let _ = (pids(&text), ulimit(&text), crate::network::Port::parse(&text));
                let _ = crate::seccomp_file::Profile::parse(text.as_bytes(), (6, 1));
            }
        }
    }
}
