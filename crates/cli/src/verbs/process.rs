//! The flags that say how the process of an image is to differ from what the
//! image says; `run` and `bundle` share them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use plimsoll::bundle::Options;
use plimsoll::content::{Code, Error, Result};
use plimsoll::runtime::capability::Changes;
use plimsoll::runtime::convert::flags::{self, Volume};
use plimsoll::runtime::convert::{IdMappings, Limits, Overrides, SystemCalls, Users};
use plimsoll::runtime::seccomp_file::{self, Profile};
use plimsoll::runtime::spec::{IdMapping, Rlimit};
use plimsoll::unpack::{self, Durability};

/// The longest file of environment variables, in bytes. Linux passes no more
/// to a program.
const ENV_FILE: u64 = 6 << 20;

/// How the process is to differ from what the image says.
#[derive(clap::Args, Clone, Debug)]
#[command(mut_arg("verbose", |verbose| verbose.short(None).help("Tell more (-v is --volume here)")))]
pub(crate) struct ProcessArgs {
    /// Set an environment variable; a NAME alone takes the caller's value, if there is one
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// Set the environment variables of a file: a line each, # for comments; --env wins
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// The user that the process runs as: name or uid, optionally :group
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// The folder in which the process starts
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// The program to start instead of the image's, or "" for none; its default
    /// arguments are dropped
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,

    /// The host name in the container
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,

    /// Make the root filesystem read-only
    #[arg(long)]
    read_only: bool,

    /// Show a file or folder of this machine in the container; a path in the
    /// container alone makes a folder for this run, with what the image has there
    #[arg(short = 'v', long = "volume", value_name = "SOURCE:TARGET[:OPTIONS]", value_parser = flags::volume)]
    volumes: Vec<Volume>,

    /// Mount an empty file system in memory
    #[arg(long, value_name = "PATH[:OPTIONS]")]
    tmpfs: Vec<String>,

    /// Add a capability, or ALL
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    cap_add: Vec<String>,

    /// Drop a capability, or ALL
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    cap_drop: Vec<String>,

    /// Filter system calls by a profile of docker's form, or not at all
    #[arg(long, value_name = "FILE|unconfined")]
    seccomp: Option<PathBuf>,

    /// no-new-privileges, or seccomp=FILE|unconfined
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,

    /// Let setuid programs gain nothing
    #[arg(long)]
    no_new_privileges: bool,

    /// Set a resource limit, such as nofile=1024:2048
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = flags::ulimit)]
    ulimit: Vec<Rlimit>,

    /// The most memory that the container may use, such as 512m
    #[arg(short, long, value_name = "BYTES", value_parser = flags::bytes)]
    memory: Option<u64>,

    /// The most processors that the container may use, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = flags::milli_cpus)]
    cpus: Option<u64>,

    /// The most processes and threads that the container may have
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pids_limit: Option<String>,

    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
}

/// Nobody but the user himself, as user 0.
fn own_mapping() -> IdMappings {
    let line = |own: u32| IdMapping {
        container_id: 0,
        host_id: own,
        size: 1,
        other: serde_json::Map::new(),
    };
    IdMappings {
        uids: vec![line(rustix::process::geteuid().as_raw())],
        gids: vec![line(rustix::process::getegid().as_raw())],
        setgroups: false,
    }
}

impl ProcessArgs {
    /// For a process that this program starts itself.
    pub(crate) fn run_options(&self, args: Vec<String>, users: Users) -> Result<Options> {
        Ok(Options {
            user: self.user.clone(),
            overrides: Overrides { args, users, ..self.overrides()? },
            apply: unpack::options(),
            durability: Durability::default(),
            place: None,
        })
    }

    /// For a bundle that another runtime starts. An ordinary user has nobody
    /// but himself to map.
    pub(crate) fn bundle_options(&self) -> Result<Options> {
        let mut options = self.run_options(Vec::new(), Users::Host)?;
        options.overrides.cgroup = rustix::process::geteuid().is_root();
        if !rustix::process::geteuid().is_root() {
            options.overrides.users = Users::New(own_mapping());
        }
        Ok(options)
    }

    fn overrides(&self) -> Result<Overrides> {
        let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
        for volume in &self.volumes {
            match volume.clone() {
                Volume::Anonymous(path) => volumes.push(path),
                Volume::Bind(mut mount) => {
                    mount.source = mount.source.map(|source| absolute(&source)).transpose()?;
                    mounts.push(mount);
                }
            }
        }
        for text in &self.tmpfs {
            mounts.push(flags::tmpfs(text)?);
        }
        let mut no_new_privileges = self.no_new_privileges;
        let mut filter = self.seccomp.clone();
        for option in &self.security_opt {
            let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
            match (name, value) {
                ("no-new-privileges", "" | "true") => no_new_privileges = true,
                ("no-new-privileges", "false") => no_new_privileges = false,
                ("seccomp", file) if !file.is_empty() => filter = Some(file.into()),
                _ => {
                    return Err(Error::new(
                        Code::Usage,
                        format!("reading --security-opt {option:?}"),
                    )
                    .found("an option that is not done")
                    .expected("no-new-privileges, seccomp=FILE or seccomp=unconfined"));
                }
            }
        }
        Ok(Overrides {
            entrypoint: self.entrypoint.clone().map(|program| vec![program]),
            env: self.environment()?,
            workdir: self.workdir.clone(),
            hostname: self.hostname.clone(),
            read_only: self.read_only,
            mounts,
            volumes,
            rlimits: self.ulimit.clone(),
            limits: Limits {
                memory: self.memory,
                milli_cpus: self.cpus,
                pids: self.pids_limit.as_deref().map(flags::pids).transpose()?.flatten(),
            },
            tty: self.tty,
            no_new_privileges,
            seccomp: system_calls(filter.as_deref())?,
            capabilities: Changes { add: self.cap_add.clone(), drop: self.cap_drop.clone() },
            ..Overrides::default()
        })
    }

    /// The variables of files and then of flags; what comes later wins.
    fn environment(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for path in &self.env_file {
            let text = String::from_utf8(file(path, ENV_FILE)?).map_err(|_| {
                Error::new(Code::Usage, format!("reading {}", path.display()))
                    .found("bytes that are no text")
            })?;
            for line in text.strip_prefix('\u{feff}').unwrap_or(&text).lines() {
                let line = line.trim_start();
                if !line.is_empty() && !line.starts_with('#') {
                    all.extend(variable(line));
                }
            }
        }
        all.extend(self.env.iter().filter_map(|entry| variable(entry)));
        Ok(all)
    }
}

/// `NAME=VALUE` as it is, `NAME` with the value that it has here, if it has one.
fn variable(entry: &str) -> Option<String> {
    if entry.contains('=') || entry.is_empty() || entry.contains('\0') {
        return Some(entry.to_owned());
    }
    std::env::var(entry).ok().map(|value| format!("{entry}={value}"))
}

fn system_calls(filter: Option<&Path>) -> Result<SystemCalls> {
    let Some(path) = filter else { return Ok(SystemCalls::Default) };
    if path == Path::new("unconfined") {
        return Ok(SystemCalls::Unfiltered);
    }
    let profile = Profile::parse(&file(path, seccomp_file::FILE)?, kernel())
        .map_err(|error| error.context(format!("reading {}", path.display())))?;
    Ok(SystemCalls::Profile(Box::new(profile)))
}

/// The version of the kernel here: major, minor.
fn kernel() -> (u32, u32) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut parts = release.split(|letter: char| !letter.is_ascii_digit());
    let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    (number(), number())
}

/// The content of a file that was named, up to a length.
fn file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let failed = |cause| Error::io("reading", path.display(), cause);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Error::new(Code::Limit, format!("reading {}", path.display()))
            .found(format!("more than {most} bytes")));
    }
    Ok(bytes)
}

/// The path as seen from the root, with links as they are.
fn absolute(path: &str) -> Result<String> {
    let failed = |cause| Error::io("finding", path, cause);
    let absolute = std::path::absolute(path).map_err(failed)?;
    absolute.metadata().map_err(|cause| {
        failed(cause).fix("make it first: nothing is made on this machine for a container")
    })?;
    absolute.into_os_string().into_string().map_err(|_| {
        Error::new(Code::Usage, format!("finding {path:?}")).found("a path that is no text")
    })
}
