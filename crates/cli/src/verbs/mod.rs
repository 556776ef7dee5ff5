//! One file for each verb: its words, and how its result looks.

pub(crate) mod append;
pub(crate) mod attach;
pub(crate) mod bundle;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod copy;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod edit;
pub(crate) mod editing;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod fsck;
pub(crate) mod gc;
pub(crate) mod history;
pub(crate) mod ids;
pub(crate) mod index;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod kit;
pub(crate) mod load;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod ls;
pub(crate) mod mirror;
pub(crate) mod mount;
pub(crate) mod name;
pub(crate) mod pack;
pub(crate) mod policy;
pub(crate) mod process;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod rebase;
pub(crate) mod referrers;
pub(crate) mod repack;
pub(crate) mod resolve;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod save;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod sign;
pub(crate) mod signer;
pub(crate) mod squash;
pub(crate) mod tag;
pub(crate) mod trust;
pub(crate) mod unpack;
pub(crate) mod validate;
pub(crate) mod verify;
pub(crate) mod version;

use plimsoll::content::Result;

use crate::args::Verb;
use crate::context::Context;

/// Does what the verb says, and gives the exit code; `run` apart, which has
/// exit codes of its own.
pub(crate) fn dispatch(verb: Verb, context: &Context) -> Result<u8> {
    match verb {
        Verb::Pack(args) => pack::run(args, context),
        Verb::Copy(args) => copy::run(args, context),
        Verb::Pull(args) => pull::run(&args, context),
        Verb::Push(args) => push::run(&args, context),
        Verb::Mirror(args) => mirror::run(&args, context),
        Verb::Login(args) => login::run(&args, context),
        Verb::Logout(args) => logout::run(&args, context),
        Verb::Convert(args) => convert::run(args, context),
        Verb::Save(args) => save::run(args, context),
        Verb::Load(args) => load::run(&args, context),
        Verb::Ls(args) => ls::run(&args, context),
        Verb::Inspect(args) => inspect::run(&args, context),
        Verb::Show(args) => show::run(&args, context),
        Verb::Tag(args) => tag::run(&args, context),
        Verb::Rm(args) => rm::run(&args, context),
        Verb::Edit(args) => edit::run(*args, context),
        Verb::Append(args) => append::run(args, context),
        Verb::Rebase(args) => rebase::run(&args, context),
        Verb::Squash(args) => squash::run(args, context),
        Verb::Index(args) => index::run(&args, context),
        Verb::History(args) => history::run(&args, context),
        Verb::Attach(args) => attach::run(&args, context),
        Verb::Key(args) => key::run(args, context),
        Verb::Sign(args) => sign::run(&args, context),
        Verb::Verify(args) => verify::run(&args, context),
        Verb::Policy(args) => policy::run(&args, context),
        Verb::Referrers(args) => referrers::run(&args, context),
        Verb::Gc(args) => gc::run(&args, context),
        Verb::Fsck(args) => fsck::run(&args, context),
        Verb::Validate(args) => validate::run(&args, context),
        Verb::Unpack(args) => unpack::run(&args, context),
        Verb::Export(args) => export::run(&args, context),
        Verb::Bundle(args) => bundle::run(&args, context),
        Verb::Repack(args) => repack::run(args, context),
        Verb::Diff(args) => diff::run(&args, context),
        Verb::Mount(args) => mount::run(&args, context),
        Verb::Umount(args) => mount::unmount(&args, context),
        Verb::Demo(args) => demo::run(&args, context),
        Verb::Kit(args) => kit::run(&args, context),
        Verb::Resolve(args) => resolve::run(&args, context),
        Verb::Name(args) => name::run(args, context),
        Verb::Doctor(args) => doctor::run(&args, context),
        Verb::Explain(args) => explain::run(&args, context),
        Verb::Completions(args) => completions::run(&args, context),
        Verb::Version => version::run(context),
        Verb::Serve(args) => serve::run(&args, context),
        Verb::Run(args) => run::run(args, context).map_err(plimsoll::content::Error::from),
    }
}
