//! The flags that say how the process of an image is to differ from what the
//! image says; `run` and `bundle` share them.

use plimsoll::bundle::Options;
use plimsoll::runtime::convert::{IdMappings, Network, Overrides, Users};
use plimsoll::runtime::spec::IdMapping;
use plimsoll::unpack::{self, Durability};

/// How the process is to differ from what the image says.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ProcessArgs {
    /// Set an environment variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// The user that the process runs as: name or uid, optionally :group
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// The folder in which the process starts
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// The program to start instead of the image's; its default arguments are dropped
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,

    /// The host name in the container
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,

    /// Make the root filesystem read-only
    #[arg(long)]
    read_only: bool,

    /// Let setuid programs gain nothing
    #[arg(long)]
    no_new_privileges: bool,

    /// none: a network of its own with nothing but lo; host: that of the caller
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = NetworkArg::None)]
    network: NetworkArg,
}

/// Where the network comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum NetworkArg {
    /// A network of its own with nothing but lo
    None,
    /// That of the caller
    Host,
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
    pub(crate) fn run_options(&self, args: Vec<String>, users: Users) -> Options {
        Options {
            user: self.user.clone(),
            overrides: Overrides { args, users, ..self.overrides() },
            apply: unpack::options(),
            durability: Durability::default(),
            place: None,
        }
    }

    /// For a bundle that another runtime starts. An ordinary user has nobody
    /// but himself to map.
    pub(crate) fn bundle_options(&self) -> Options {
        let mut options = self.run_options(Vec::new(), Users::Host);
        options.overrides.cgroup = rustix::process::geteuid().is_root();
        if !rustix::process::geteuid().is_root() {
            options.overrides.users = Users::New(own_mapping());
        }
        options
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            entrypoint: self.entrypoint.clone().map(|program| vec![program]),
            env: self.env.clone(),
            workdir: self.workdir.clone(),
            hostname: self.hostname.clone(),
            read_only: self.read_only,
            no_new_privileges: self.no_new_privileges,
            network: match self.network {
                NetworkArg::None => Network::Private,
                NetworkArg::Host => Network::Inherited,
            },
            ..Overrides::default()
        }
    }
}
