//! Runs a bundle with the embedded executor, as a command would:
//! `execute [--rootless] [--make-cwd] [--unlinked] [--threads]
//! [--overlay LOWER[:LOWER…],UPPER,WORK] BUNDLE`.
//!
//! The integration tests drive the executor through it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use plimsoll_content::{Code, Error, Result};
use plimsoll_runtime::exec::{self, Bundle, Options, Root};
use plimsoll_runtime::overlay::{self, Overlay};
use plimsoll_runtime::rootless::{self, Entered, Mapping};
use plimsoll_runtime::spec::Spec;

fn main() -> ExitCode {
    if let Some(code) = exec::child_main(std::env::args_os()) {
        return ExitCode::from(code);
    }
    match execute(std::env::args_os().skip(1)) {
        Ok(code) => ExitCode::from(code),
        Err(not_started) => {
            let error = &not_started.error;
            let mut text = format!("error: {error} [{}]\n", error.code());
            for context in error.contexts() {
                let _ = writeln!(text, "  while {context}");
            }
            if let Some(fix) = error.fix_text() {
                let _ = writeln!(text, "  fix: {fix}");
            }
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(not_started.exit)
        }
    }
}

fn execute(args: impl Iterator<Item = OsString>) -> Result<u8, exec::NotStarted> {
    let (mut options, mut overlay, mut enter, mut folder) = (Options::default(), None, false, None);
    let mut args = args;
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--rootless") => enter = true,
            // As in a program that does other things meanwhile.
            Some("--threads") => {
                for _ in 0..4 {
                    std::thread::spawn(
                        || {
                            while !std::hint::black_box(vec![0u8; 4096]).is_empty() {}
                        },
                    );
                }
            }
            // As when the program was updated since its start.
            Some("--unlinked") => {
                let path = std::env::current_exe()
                    .map_err(|cause| Error::io("finding", "this program", cause))?;
                std::fs::remove_file(&path)
                    .map_err(|cause| Error::io("removing", path.display(), cause))?;
            }
            Some("--make-cwd") => options.make_cwd = true,
            Some("--overlay") => overlay = args.next(),
            _ => folder = Some(PathBuf::from(arg)),
        }
    }
    if enter && let Entered::Ended(code) = rootless::enter()? {
        return Ok(code);
    }
    let folder = folder.ok_or_else(|| Error::new(Code::Usage, "execute: no bundle given"))?;
    let config = folder.join("config.json");
    let bytes =
        std::fs::read(&config).map_err(|cause| Error::io("reading", config.display(), cause))?;
    let spec = Spec::parse(&bytes)?;
    let root = match overlay {
        Some(overlay) => overlay_root(&overlay.to_string_lossy())?,
        None => Root::Folder(
            folder
                .join(spec.root.as_ref().map_or(Path::new("rootfs"), |root| Path::new(&root.path))),
        ),
    };
    exec::run(Bundle { spec, root }, &options).map(|exit| exit.code)
}

fn overlay_root(text: &str) -> Result<Root> {
    let [lowers, upper, work] = text.split(',').collect::<Vec<_>>()[..] else {
        return Err(Error::new(Code::Usage, "execute: --overlay LOWER[:LOWER…],UPPER,WORK"));
    };
    let open = |path: &str| File::open(path).map_err(|cause| Error::io("opening", path, cause));
    let lowers = lowers.split(':').map(open).collect::<Result<Vec<_>>>()?;
    let tree = overlay::mount(&Overlay {
        lowers: lowers.iter().map(AsFd::as_fd).collect(),
        upper: Some((open(upper)?.as_fd(), open(work)?.as_fd())),
        user_attributes: !Mapping::current()?.is_initial(),
        volatile: true,
    })?;
    Ok(Root::Mounted { tree, over: upper.into() })
}
