//! The words for what an image says of itself, which `pack` and `edit` share.

use plimsoll::content::{Annotations, Code, Error, Result};
use plimsoll::edit::{Edit, pair};

/// Changes to the config of an image and its annotations.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct EditArgs {
    /// The program to start; repeat for its fixed arguments, or give a JSON array
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    entrypoint: Vec<String>,

    /// The default arguments; repeat for each, or give a JSON array
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    cmd: Vec<String>,

    /// Set an environment variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// The user that the program runs as: name or uid, optionally :group
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// The folder in which the program starts
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// Set a label in the config
    #[arg(short, long, value_name = "NAME=VALUE")]
    label: Vec<String>,

    /// Set an annotation on the manifest (and the index)
    #[arg(short, long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,

    /// Expose a port
    #[arg(long, value_name = "PORT[/PROTOCOL]", visible_alias = "exposed-ports")]
    expose: Vec<String>,

    /// Make a folder a volume
    #[arg(long, value_name = "DIR")]
    volume: Vec<String>,

    /// The signal that asks the program to stop
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,

    /// Who made the image
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

impl EditArgs {
    /// What is to be changed in the config, and the annotations.
    pub(crate) fn read(self) -> Result<(Edit, Annotations)> {
        let edit = Edit {
            entrypoint: words(&self.entrypoint)?,
            cmd: words(&self.cmd)?,
            env: self.env,
            user: self.user,
            working_dir: self.workdir,
            labels: self.label,
            ports: self.expose,
            volumes: self.volume,
            stop_signal: self.stop_signal,
            author: self.author,
            ..Edit::default()
        };
        Ok((edit, annotations(&self.annotation)?))
    }
}

/// Annotations as they are given.
pub(crate) fn annotations(given: &[String]) -> Result<Annotations> {
    given
        .iter()
        .map(|annotation| {
            let (name, value) = pair("annotation", annotation)?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Words given one by one, or as one JSON array. None leaves the field alone.
fn words(given: &[String]) -> Result<Option<Vec<String>>> {
    match given {
        [] => Ok(None),
        [json] if json.trim_start().starts_with('[') => {
            serde_json::from_str(json).map(Some).map_err(|cause| {
                Error::new(Code::Usage, "reading a command")
                    .found(format!("{json:?}"))
                    .expected("a JSON array of strings")
                    .cause(cause)
            })
        }
        words => Ok(Some(words.to_vec())),
    }
}
