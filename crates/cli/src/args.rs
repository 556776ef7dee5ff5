//! The words of the command line: global flags and the verbs.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use plimsoll::content::Platform;
use plimsoll::registry::protocol::Host;
use plimsoll::unpack::Durability;

use crate::verbs;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Container images: pack, look into, verify, unpack and run them, with no daemon.
#[derive(Debug, Parser)]
#[command(
    name = "plimsoll",
    version,
    styles = STYLES,
    disable_help_subcommand = true,
    after_help = "References: docker://HOST/REPOSITORY[:TAG|@DIGEST] (a registry), oci:PATH[:REF] (a layout), oci-archive:PATH[:REF] and docker-archive:PATH[:REF] (tar archives),\n\
                  aci:PATH (an AppC image, read), dir:PATH (skopeo's folder), store:NAME or NAME (the local store), ./PATH (looked at), - (an archive on a pipe).\n\
                  Moving and looking act on all platforms; unpacking and running on this machine's; --platform overrides.\n\
                  First steps: plimsoll demo      What an error code or rule means: plimsoll explain CODE"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags that every verb takes, before or after its name.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// The local store [default: $XDG_DATA_HOME/plimsoll/store]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PLIMSOLL_STORE",
        help_heading = "Global options"
    )]
    pub(crate) store: Option<PathBuf>,

    /// Print one JSON document with a "schema" member instead of text
    #[arg(long, global = true, env = "PLIMSOLL_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue, help_heading = "Global options")]
    pub(crate) json: bool,

    /// Print the one essential identifier only
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,

    /// Tell more: causes of errors, each finding
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,

    /// How many threads may work at once; what comes out does not depend on it
    /// [default: one for each processor]
    #[arg(short, long, global = true, value_name = "N", env = "PLIMSOLL_JOBS", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Global options")]
    pub(crate) jobs: Option<u16>,

    /// Do not flush to disk, for throw-away work: what is written may be lost or
    /// half there after a power cut, though not after a kill
    #[arg(long, global = true, env = "PLIMSOLL_NO_SYNC", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue, help_heading = "Global options")]
    pub(crate) no_sync: bool,

    /// How progress is shown on standard error
    #[arg(long, global = true, value_enum, default_value_t = ProgressMode::Auto, env = "PLIMSOLL_PROGRESS", value_name = "MODE", help_heading = "Global options")]
    pub(crate) progress: ProgressMode,

    /// Set a limit for input, such as layer-bytes=2GiB; `doctor --limits` lists
    /// them. Those of PLIMSOLL_LIMITS, divided by commas, come first
    #[arg(long, global = true, value_name = "NAME=VALUE", help_heading = "Global options")]
    pub(crate) limit: Vec<String>,

    /// Read logins from this file alone [default: auth.json of the containers
    /// tools, then config.json of docker]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "REGISTRY_AUTH_FILE",
        help_heading = "Global options"
    )]
    pub(crate) authfile: Option<PathBuf>,

    /// Speak to this registry without encryption or without checking its
    /// certificate: everybody on the way may read and change what is sent
    #[arg(long, global = true, value_name = "HOST[:PORT]", value_parser = registry_host, help_heading = "Global options")]
    pub(crate) insecure: Vec<Host>,

    /// Open no connection: what is not on this machine is not found
    #[arg(long, global = true, env = "PLIMSOLL_OFFLINE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue, help_heading = "Global options")]
    pub(crate) offline: bool,

    /// Where the rules for names are [default: $XDG_CONFIG_HOME/plimsoll/names.toml]
    #[arg(
        id = "name_rules",
        long = "names",
        global = true,
        value_name = "FILE",
        env = "PLIMSOLL_NAMES",
        help_heading = "Global options"
    )]
    pub(crate) names: Option<PathBuf>,

    /// Let names mean what this lock file says, and ask nobody; `resolve --lock`
    /// writes one
    #[arg(long, global = true, value_name = "FILE", env = "PLIMSOLL_LOCKED", num_args = 0..=1, default_missing_value = "names.lock", require_equals = true, help_heading = "Global options")]
    pub(crate) locked: Option<PathBuf>,

    /// With --offline, use what owners of names said although it has expired
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) allow_stale: bool,

    /// Where else files .aci are that an AppC image depends on; the folder of the
    /// image itself comes first
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PLIMSOLL_ACI_PATH",
        value_delimiter = ':',
        help_heading = "Global options"
    )]
    pub(crate) aci_path: Vec<PathBuf>,

    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = ColorMode::Auto, env = "PLIMSOLL_COLOR", value_name = "WHEN", help_heading = "Global options")]
    pub(crate) color: ColorMode,
}

/// A registry; `https://` before it is what people copy.
pub(crate) fn registry_host(text: &str) -> plimsoll::content::Result<Host> {
    let bare = ["https://", "http://", "docker://"]
        .into_iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .unwrap_or(text);
    bare.trim_end_matches('/').parse()
}

/// What a new folder outlives.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct SyncArg {
    /// Wait until the disk has everything: the folder outlives a crash of the machine too
    #[arg(long)]
    sync: bool,
}

impl SyncArg {
    pub(crate) fn durability(self) -> Durability {
        if self.sync { Durability::Disk } else { Durability::Process }
    }
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// Bars
    Bar,
    /// A line for each thing done
    Plain,
    /// A JSON document per line
    Json,
    /// Not at all
    None,
}

/// When colour is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ColorMode {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// `--platform` of verbs that act on one platform.
#[derive(Args, Clone, Debug)]
pub(crate) struct PlatformArg {
    /// The platform to take from an image of several [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", env = "PLIMSOLL_PLATFORM")]
    pub(crate) platform: Option<Platform>,
}

/// What to do. Only the words of the verb that is said are put together, so each has its
/// line of the list here.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    /// Make an image from a folder or a root filesystem tar
    #[command(visible_alias = "import")]
    Pack(verbs::pack::Args),
    /// Copy images to another place, byte for byte
    #[command(visible_alias = "cp")]
    Copy(verbs::copy::Args),
    /// Bring an image from a registry into the local store, or unpack it at once
    Pull(verbs::pull::Args),
    /// Bring an image into a registry
    Push(verbs::push::Args),
    /// Bring many images to their places, as a file says
    #[command(visible_alias = "sync")]
    Mirror(verbs::mirror::Args),
    /// Keep a login for a registry
    Login(verbs::login::Args),
    /// Forget the login for a registry
    Logout(verbs::logout::Args),
    /// Convert an image to another form, compression or digest algorithm
    Convert(verbs::convert::Args),
    /// Write images to an archive
    Save(verbs::save::Args),
    /// Bring the images of an archive into the local store
    Load(verbs::load::Args),
    /// List the images of a place: a layout, an archive, the local store, a registry
    #[command(visible_aliases = ["images", "list-tags"])]
    Ls(verbs::ls::Args),
    /// Tell what an image is: platforms, config, layers
    #[command(alias = "stat")]
    Inspect(verbs::inspect::Args),
    /// Print stored bytes exactly: manifest, config, layer or blob
    Show(verbs::show::Args),
    /// Give an image a further name
    Tag(verbs::tag::Args),
    /// Take a name away, and with --gc what only it needed
    #[command(alias = "rmi")]
    Rm(verbs::rm::Args),
    /// Change what an image says of itself: env, cmd, labels, annotations, …
    #[command(visible_aliases = ["mutate", "config"])]
    Edit(Box<verbs::edit::Args>),
    /// Put layers on top of an image
    Append(verbs::append::Args),
    /// Put an image on another base
    Rebase(verbs::rebase::Args),
    /// Join the layers of an image into one
    #[command(visible_alias = "flatten")]
    Squash(verbs::squash::Args),
    /// Make and change indexes of images for several platforms
    #[command(alias = "manifest")]
    Index(verbs::index::Args),
    /// Tell how an image came about
    History(verbs::history::Args),
    /// Attach files to an image
    Attach(verbs::attach::Args),
    /// Make, list, read and remove keys for signing
    Key(verbs::key::Args),
    /// Sign an image
    Sign(verbs::sign::Args),
    /// Tell whether an image is trusted, and why
    Verify(verbs::verify::Args),
    /// Tell what a policy says, and which rule is for an image
    Policy(verbs::policy::Args),
    /// List what is about an image
    #[command(visible_alias = "discover")]
    Referrers(verbs::referrers::Args),
    /// Remove what no image of a place needs
    #[command(visible_alias = "prune")]
    Gc(verbs::gc::Args),
    /// Check every blob and image of a place, and repair it
    Fsck(verbs::fsck::Args),
    /// Check images by every rule of the image specification
    Validate(verbs::validate::Args),
    /// Unpack an image to a root filesystem
    Unpack(verbs::unpack::Args),
    /// Write the root filesystem of an image as one tar
    Export(verbs::export::Args),
    /// Unpack an image to a runtime bundle (config.json and rootfs)
    Bundle(verbs::bundle::Args),
    /// Make an image of what changed in a bundle
    Repack(verbs::repack::Args),
    /// Tell what differs between two trees, and make a layer of it
    Diff(verbs::diff::Args),
    /// Mount the root filesystem of an image, read-only
    Mount(verbs::mount::Args),
    /// Unmount an image that was mounted
    #[command(alias = "unmount")]
    Umount(verbs::mount::UnmountArgs),
    /// Serve images as a registry
    Serve(Box<verbs::serve::Args>),
    /// Run an image
    Run(verbs::run::Args),
    /// See the main steps at work, with nothing installed
    Demo(verbs::demo::Args),
    /// Conformance cases, and what any command makes of them
    Kit(verbs::kit::Args),
    /// Tell what a name means, and who vouches for it
    Resolve(verbs::resolve::Args),
    /// Publish names of a domain: signed lists of images, as files
    Name(verbs::name::Args),
    /// Check what this machine can do, or list the limits for input
    Doctor(verbs::doctor::Args),
    /// Tell what an error code or a rule means
    Explain(verbs::explain::Args),
    /// Print a completion script for a shell
    Completions(verbs::completions::Args),
    /// Print the version and what this build can do
    Version,
}
