//! Runs cases against a command, and says what came of it.
//!
//! Each case gets a folder of its own, in which the command finds `layout`
//! and may make `bundle` and `out`, and beside it `outside`, which nobody may
//! touch. What is right for each role is in the files of this module. A
//! verdict is about what the command left and how it ended, never about what
//! it says, but where it names rules.

mod builder;
mod engine;
mod http;
mod image;
mod process;
mod registry;
mod scratch;
mod validator;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plimsoll_content::{Code, Error, Quiet, Result, Watch};
use serde::Serialize;

use crate::case::{Case, Role, TAG};
use crate::peer::{Adapter, Peer};
pub(crate) use http::Step;
use process::Ended;
use scratch::Scratch;

/// What came of a case.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What is expected.
    Pass,
    /// Something else.
    Fail,
    /// The command refused what it should take.
    Refused,
    /// Its time was over.
    Timeout,
    /// The command can not be asked for that.
    NotApplicable,
}

impl Verdict {
    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// A case, and what came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The id of the case.
    pub case: String,
    /// Who it is for.
    pub role: Role,
    /// The rules that it is about, the main one first.
    pub rules: Vec<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, in a line.
    pub why: String,
    /// Why that is so, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// How long the command took, in milliseconds.
    pub milliseconds: u64,
}

/// How cases are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where folders may be made for the time of the run.
    pub scratch: PathBuf,
    /// How long a command may take.
    pub limit: Duration,
    /// The registry that commands reach as `{registry}`, if there is one.
    pub registry: Option<String>,
    /// This very program, for commands with `{plimsoll}` in them.
    pub program: PathBuf,
}

/// Runs cases, one after another; `watch` is told of each.
pub fn run(
    cases: &[Case],
    peer: &Peer,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Vec<Outcome>> {
    let scratch = Scratch::new(&options.scratch)?;
    let service = Service::start(peer, scratch.path())?;
    let registry = service.as_ref().map(|service| service.address.clone());
    let registry = registry.or_else(|| options.registry.clone());
    let mut outcomes = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let folder = scratch.path().join(format!("case-{}", number + 1));
        let begin = Instant::now();
        let (verdict, why) = match peer.adapter(case.role) {
            Some(adapter) => {
                let ground = Ground {
                    case,
                    adapter,
                    prelude: &peer.prelude,
                    options,
                    watch,
                    folder: folder.clone(),
                    number: number + 1,
                    registry: registry.as_deref(),
                };
                let judged = ground.judge()?;
                scratch::remove(&folder);
                judged
            }
            None => (Verdict::NotApplicable, format!("{} is no {}", peer.name, case.role)),
        };
        let known = matches!(verdict, Verdict::Fail | Verdict::Refused | Verdict::Timeout)
            .then(|| peer.known(&case.id).map(ToOwned::to_owned))
            .flatten();
        let outcome = Outcome {
            case: case.id.clone(),
            role: case.role,
            rules: case.rules().to_vec(),
            verdict,
            why,
            known,
            milliseconds: begin.elapsed().as_millis() as u64,
        };
        watch.end(&format!("{}  {}", outcome.verdict.as_str(), outcome.case));
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// What a peer says its version is, in a line; `None` if it is not installed.
pub(crate) fn version(
    peer: &Peer,
    scratch: &Path,
    program: &Path,
    limit: Duration,
) -> Result<Option<String>> {
    let scratch = Scratch::new(scratch)?;
    let script = process::filled(&peer.version, &[("plimsoll", text(program))]);
    let ended = process::run(&script, scratch.path(), limit, &Quiet)?;
    let line = ended.out.lines().map(str::trim).find(|line| !line.is_empty());
    Ok(line.filter(|_| ended.code == Some(0)).map(|line| {
        let line = process::shown(line);
        if line.contains(&peer.name) { line } else { format!("{} {line}", peer.name) }
    }))
}

/// What runs beside the cases.
struct Service {
    child: std::process::Child,
    address: String,
}

/// How long a service may take until it serves.
const START: Duration = Duration::from_secs(20);

impl Service {
    fn start(peer: &Peer, scratch: &Path) -> Result<Option<Self>> {
        let Some(template) = &peer.service else { return Ok(None) };
        let folder = scratch.join("service");
        fs::create_dir(&folder).map_err(|cause| Error::io("making", folder.display(), cause))?;
        let ready = folder.join("ready");
        let places = [("service", text(&folder)), ("ready", text(&ready))];
        let script = process::filled(template, &places);
        let (out, err) = (folder.join("stdout"), folder.join("stderr"));
        let child = process::start(&script, &folder, &out, &err)?;
        let mut service = Self { child, address: String::new() };
        let begin = Instant::now();
        loop {
            let address = fs::read_to_string(&ready).unwrap_or_default();
            if address.ends_with('\n') {
                address.trim().clone_into(&mut service.address);
                return Ok(Some(service));
            }
            if begin.elapsed() > START {
                let said = fs::read_to_string(&err).unwrap_or_default();
                return Err(Error::new(Code::Failed, format!("starting what {} needs", peer.name))
                    .found(process::shown(said.lines().last().unwrap_or("no word of why"))));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        process::end(&mut self.child);
    }
}

/// Where one case is run.
pub(crate) struct Ground<'a> {
    case: &'a Case,
    adapter: &'a Adapter,
    prelude: &'a str,
    options: &'a Options,
    watch: &'a dyn Watch,
    folder: PathBuf,
    number: usize,
    registry: Option<&'a str>,
}

/// What came of a case, and why.
type Judged = (Verdict, String);

impl Ground<'_> {
    fn judge(&self) -> Result<Judged> {
        fs::create_dir(&self.folder)
            .map_err(|cause| Error::io("making", self.folder.display(), cause))?;
        if self.case.body.root && !is_root() {
            return Ok((Verdict::NotApplicable, "needs root".to_owned()));
        }
        match self.case.role {
            Role::Validator => self.validator(),
            Role::Engine => self.engine(),
            Role::Registry => match &self.case.body.steps {
                Some(steps) => self.http(steps),
                None => self.registry(),
            },
            Role::Builder => self.builder(),
        }
    }

    fn late(&self) -> Judged {
        (Verdict::Timeout, format!("still at it after {:?}", self.options.limit))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes the layout of the case.
    fn layout(&self) -> Result<crate::Layout> {
        let layout = self.case.layout()?;
        layout.write(&self.path("layout"))?;
        fs::create_dir(self.path("bundle"))
            .map_err(|cause| Error::io("making", self.path("bundle").display(), cause))?;
        Ok(layout)
    }

    /// Runs a command with the places of this case filled in; or says which
    /// place it lacks a value for.
    fn command(&self, template: &str, more: &[(&str, String)]) -> Result<Ended> {
        // Tools that make the bundle want to make it themselves.
        if template.contains("{bundle}") {
            let _ = fs::remove_dir(self.path("bundle"));
        }
        let platform = self.case.body.platform.clone().unwrap_or("linux/amd64".to_owned());
        let mut places = vec![
            ("layout", text(&self.path("layout"))),
            ("tag", TAG.to_owned()),
            ("archive", text(&self.path("image.tar"))),
            ("bundle", text(&self.path("bundle"))),
            ("rootfs", text(&self.path("bundle/rootfs"))),
            ("out", text(&self.path("out"))),
            ("folder", text(&self.path("folder"))),
            ("scratch", text(&self.folder)),
            ("platform", platform),
            ("plimsoll", text(&self.options.program)),
            ("number", self.number.to_string()),
        ];
        if let Some(registry) = self.registry {
            places.push(("registry", registry.to_owned()));
        }
        places.extend(more.iter().cloned());
        if template.contains("{archive}") {
            let path = self.path("image.tar");
            fs::write(&path, self.case.layout()?.archive()?)
                .map_err(|cause| Error::io("writing", path.display(), cause))?;
        }
        if template.contains("{registry}") && self.registry.is_none() {
            return Err(Error::new(Code::Usage, "running a case")
                .found("{registry} in the command")
                .expected("the address of a registry")
                .fix("--registry HOST:PORT   says where it is"));
        }
        let script = process::filled(&format!("{} {template}", self.prelude), &places);
        let ended = process::run(&script, &self.folder, self.options.limit, self.watch)?;
        if ended.code == Some(127) {
            return Err(Error::new(Code::NotFound, "running the command of a case")
                .found(ended.last_words())
                .fix("name a program that is there"));
        }
        Ok(ended)
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
