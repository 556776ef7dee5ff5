//! `plimsoll demo`: the main steps at work. It types the commands that it
//! shows, so what is seen is what the program does.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use plimsoll::content::{Code, Error, Kind, Result};
use plimsoll::hello;
use serde::Serialize;

use crate::context::Context;
use crate::out::Style;

/// The digest of the demo's image. It follows from the bytes of the programs
/// and from how images are written; a change of it is a change of the format.
pub(crate) const DIGEST: &str =
    "sha256:b84c24594880aed88378a7bac3766b7df4bea2adebe4a3b1a157b2c444abe645";

/// The name that is signed.
const NAME: &str = "demo.example/hello:v1";

/// See the main steps at work, with nothing installed.
///
/// A tiny program for several platforms is packed from a folder, the image is
/// checked, signed and verified, published under a name of a domain, and run by that
/// name, without root where the kernel allows it. The digest is the same on every machine.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Where to put it; must not exist [default: a new folder for temporary files]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    directory: PathBuf,
    digest: String,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    name: &'static str,
    command: String,
    exit: i32,
    stdout: String,
    stderr: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<u8> {
    let started = Instant::now();
    let directory = folder(args.directory.clone())?;
    programs(&directory.join("hello"))?;
    let mut report =
        Report { directory: directory.clone(), digest: DIGEST.to_owned(), steps: Vec::new() };
    let platforms =
        hello::platforms().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let rules = "[[site]]\nbase = \"https://demo.example/\"\nfolder = \"zone/site\"\n";
    let path = directory.join("names.toml");
    fs::write(&path, rules).map_err(|cause| Error::io("writing", path.display(), cause))?;
    let commands: [(&str, Vec<&str>); 11] = [
        (
            "pack",
            vec![
                "pack",
                "./hello",
                "oci:images:hello",
                "--platform",
                &platforms,
                "--entrypoint",
                "/hello",
                "--compression",
                "none",
            ],
        ),
        ("validate", vec!["validate", "oci:images:hello"]),
        ("key", vec!["key", "new", "demo"]),
        ("sign", vec!["sign", "oci:images:hello", "--key", "demo", "--as", NAME]),
        ("verify", vec!["verify", "oci:images:hello", "--key", "demo", "--as", NAME]),
        ("unpack", vec!["unpack", "oci:images:hello", "rootfs", "--trust-key", "demo"]),
        (
            "name init",
            vec![
                "name",
                "init",
                "demo.example",
                "--url",
                "https://demo.example/",
                "--zone",
                "zone",
            ],
        ),
        ("name add", vec!["name", "add", NAME, "oci:images:hello", "--zone", "zone"]),
        ("name publish", vec!["name", "publish", "--zone", "zone"]),
        ("resolve", vec!["resolve", NAME, "--names", "names.toml"]),
        ("run", vec!["run", NAME, "--names", "names.toml", "--trust-key", "demo"]),
    ];
    let style = context.out.style;
    let total = commands.len();
    for (position, (name, words)) in commands.into_iter().enumerate() {
        let step = step(name, &words, &directory)?;
        if !context.json {
            show(position + 1, total, &step, style)?;
        }
        let failed = step.exit != 0;
        report.steps.push(step);
        if failed {
            break;
        }
    }
    let done = report.steps.iter().filter(|step| step.exit == 0).count();
    verdict(&report, done, total)?;
    let seconds = started.elapsed().as_secs_f64();
    context.out.report("demo", &report, DIGEST, |_| {
        let here = directory.display();
        format!(
            "\n{done} of {total} steps in {seconds:.2} s. Everything is in {here}; try there:\n\
             \x20 plimsoll inspect oci:images:hello\n\
             \x20 plimsoll pack ./hello/linux/amd64 hello:v2 --entrypoint /hello && plimsoll run hello:v2\n\
             \x20 plimsoll help\n"
        )
    })?;
    Ok(0)
}

/// A folder that is nobody else's: the one named, or a new one among the
/// temporary files.
fn folder(named: Option<PathBuf>) -> Result<PathBuf> {
    let make = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path);
    if let Some(path) = named {
        let failed = |cause| Error::io("creating folder", path.display(), cause);
        make(&path).map_err(failed)?;
        // The steps run in it, where a relative path would lead elsewhere.
        return fs::canonicalize(&path).map_err(failed);
    }
    let temporary = std::env::temp_dir();
    for attempt in 0..1000 {
        let path = temporary.join(format!("plimsoll-demo-{}-{attempt}", std::process::id()));
        match make(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("creating folder", path.display(), error)),
        }
    }
    Err(Error::new(Code::Exists, format!("creating a folder in {}", temporary.display()))
        .fix("plimsoll demo DIR"))
}

/// The program of each platform, in a folder of its own: `linux/amd64/hello`, ….
fn programs(folder: &Path) -> Result<()> {
    for platform in hello::platforms() {
        let Some(program) = hello::program(&platform) else { continue };
        let root = folder.join(platform.to_string());
        let path = root.join("hello");
        fs::create_dir_all(&root)
            .and_then(|()| fs::write(&path, program))
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .map_err(|cause| Error::io("writing", path.display(), cause))?;
    }
    Ok(())
}

fn step(name: &'static str, words: &[&str], directory: &Path) -> Result<Step> {
    let program =
        std::env::current_exe().map_err(|cause| Error::io("finding", "this program", cause))?;
    let mut command = Command::new(program);
    // The command runs in the folder: what it is told of it must not be relative.
    let whole = std::path::absolute(directory)
        .map_err(|cause| Error::io("finding", directory.display(), cause))?;
    command.args(words).current_dir(&whole).env("PLIMSOLL_STORE", whole.join("store"));
    command.env("PLIMSOLL_NAMES_STATE", whole.join("state"));
    for variable in [
        "PLIMSOLL_JSON",
        "PLIMSOLL_PLATFORM",
        "PLIMSOLL_POLICY",
        "PLIMSOLL_KEYS",
        "PLIMSOLL_NAMES",
        "PLIMSOLL_LOCKED",
    ] {
        command.env_remove(variable);
    }
    if name == "pack" {
        // The folder was made just now; the image is as old as time.
        command.env("SOURCE_DATE_EPOCH", "0").args(["--owner", "0:0"]);
    }
    if ["key", "sign"].contains(&name) {
        // Of a demo: whoever keeps a key chooses a passphrase.
        command.env("PLIMSOLL_PASSPHRASE", "");
    }
    let Output { status, stdout, stderr } =
        command.output().map_err(|cause| Error::io("starting", "this program", cause))?;
    let prefix = match name {
        "pack" => "SOURCE_DATE_EPOCH=0 plimsoll",
        "key" | "sign" => "PLIMSOLL_PASSPHRASE= plimsoll",
        _ => "plimsoll",
    };
    let suffix = if name == "pack" { " --owner 0:0" } else { "" };
    Ok(Step {
        name,
        command: format!("{prefix} {}{suffix}", words.join(" ")),
        exit: status.code().unwrap_or(128),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

fn show(number: usize, total: usize, step: &Step, style: Style) -> Result<()> {
    let mut text = format!("{number}/{total} {}\n", style.good(&step.command));
    let output = if step.exit == 0 { &step.stdout } else { &step.stderr };
    for line in output.lines() {
        let note = if line.contains(DIGEST) && step.name == "pack" {
            "   <- the same on every machine"
        } else {
            ""
        };
        text.push_str(&format!("  | {line}{}\n", style.faint(note)));
    }
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("writing to", "standard output", error))
        }
        _ => Ok(()),
    }
}

/// What is missing for success: nothing, or a kernel that does not let
/// ordinary users run containers, which is no fault of the demo.
fn verdict(report: &Report, done: usize, total: usize) -> Result<()> {
    if let Some(pack) = report.steps.first()
        && pack.exit == 0
        && !pack.stdout.contains(DIGEST)
    {
        return Err(Error::new(Code::Bug, "packing the demo")
            .found(pack.stdout.trim())
            .expected(format!("an image {DIGEST}, as on every machine")));
    }
    let Some(last) = report.steps.last().filter(|_| done < total) else {
        return Ok(());
    };
    let hindered = [Code::UserNamespace, Code::Platform, Code::Permission]
        .iter()
        .any(|code| last.stderr.contains(code.as_str()));
    if last.name == "run" && hindered {
        return Ok(());
    }
    let exit = last.exit;
    let code =
        if exit == i32::from(Kind::Integrity.exit_code()) { Code::Invalid } else { Code::Failed };
    Err(Error::new(code, format!("running the demo's step {}", last.name))
        .found(format!("exit code {exit}"))
        .fix(&last.command))
}
