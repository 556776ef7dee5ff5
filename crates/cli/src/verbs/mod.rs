//! One file for each verb: its words, and how its result looks.

pub(crate) mod bundle;
pub(crate) mod completions;
pub(crate) mod copy;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod inspect;
pub(crate) mod load;
pub(crate) mod ls;
pub(crate) mod pack;
pub(crate) mod process;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod save;
pub(crate) mod show;
pub(crate) mod tag;
pub(crate) mod unpack;
pub(crate) mod validate;
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
        Verb::Save(args) => save::run(args, context),
        Verb::Load(args) => load::run(&args, context),
        Verb::Ls(args) => ls::run(&args, context),
        Verb::Inspect(args) => inspect::run(&args, context),
        Verb::Show(args) => show::run(&args, context),
        Verb::Tag(args) => tag::run(&args, context),
        Verb::Rm(args) => rm::run(&args, context),
        Verb::Validate(args) => validate::run(&args, context),
        Verb::Unpack(args) => unpack::run(&args, context),
        Verb::Bundle(args) => bundle::run(&args, context),
        Verb::Demo(args) => demo::run(&args, context),
        Verb::Explain(args) => explain::run(&args, context),
        Verb::Completions(args) => completions::run(&args, context),
        Verb::Version => version::run(context),
        Verb::Run(args) => run::run(args, context).map_err(plimsoll::content::Error::from),
    }
}
