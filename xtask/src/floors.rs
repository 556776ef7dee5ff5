//! The law of the floors: arrows between the rooms go strictly down, and
//! what touches the world outside has its own rooms.
//!
//! The tables below are the law; `ARCHITECTURE.md` gives the reasons.

use crate::metadata::{self, Package};
use crate::sources::{self, Source, has_word};
use crate::{Findings, Outcome, workspace};

/// A crate of the house.
struct Room {
    package: &'static str,
    floor: u8,
    uses: &'static [&'static str],
}

const fn room(package: &'static str, floor: u8, uses: &'static [&'static str]) -> Room {
    Room { package, floor, uses }
}

const CONTENT: &str = "plimsoll-content";
const SPEC: &str = "plimsoll-spec";
const NAME: &str = "plimsoll-name";
const LAYER: &str = "plimsoll-layer";
const STORE: &str = "plimsoll-store";
const REGISTRY: &str = "plimsoll-registry";
const SIGN: &str = "plimsoll-sign";
const RUNTIME: &str = "plimsoll-runtime";
const FACADE: &str = "plimsoll";
const SERVE: &str = "plimsoll-serve";
const CLI: &str = "plimsoll-cli";
const KIT: &str = "plimsoll-kit";
const INTEROP: &str = "plimsoll-interop";
const XTASK: &str = "xtask";

/// Who may use whom. Rooms that are not built yet stand here already.
const ROOMS: &[Room] = &[
    room(CONTENT, 0, &[]),
    room(SPEC, 1, &[CONTENT]),
    room(NAME, 1, &[CONTENT]),
    room(LAYER, 1, &[CONTENT]),
    room(STORE, 2, &[CONTENT, SPEC, LAYER]),
    room(REGISTRY, 2, &[CONTENT, SPEC, NAME]),
    room(SIGN, 2, &[CONTENT, SPEC, NAME]),
    room(RUNTIME, 2, &[CONTENT, SPEC, LAYER]),
    room(FACADE, 3, &[CONTENT, SPEC, NAME, LAYER, STORE, REGISTRY, SIGN, RUNTIME]),
    room(SERVE, 3, &[CONTENT, SPEC, NAME, LAYER, STORE, REGISTRY, SIGN]),
    room(KIT, 3, &[CONTENT, SPEC, LAYER]),
    room(CLI, 4, &[FACADE, SERVE, KIT]),
    // Outside of the house: they look at the program from the street.
    room(INTEROP, 9, &[]),
    room(XTASK, 9, &[]),
];

/// Something that only some rooms may do.
struct Privilege {
    /// What it is, for the message.
    what: &'static str,
    /// What it looks like in code.
    marks: &'static [&'static str],
    /// What looks like it and is harmless.
    harmless: &'static [&'static str],
    /// The packages that may do it.
    rooms: &'static [&'static str],
}

const PRIVILEGES: &[Privilege] = &[
    Privilege {
        what: "opens sockets",
        // Addresses alone are in `core::net`.
        marks: &["std::net", "TcpStream", "TcpListener", "UdpSocket", "rustix::net"],
        harmless: &[],
        rooms: &[REGISTRY, SERVE],
    },
    Privilege {
        what: "opens sockets of this machine",
        marks: &["unix::net", "UnixStream", "UnixListener"],
        harmless: &[],
        // A runtime hands the terminal of a container over such a socket.
        rooms: &[REGISTRY, SERVE, RUNTIME],
    },
    Privilege {
        what: "touches files",
        marks: &["std::fs", "fs::File", "rustix::fs", "OpenOptions"],
        harmless: &[],
        rooms: &[LAYER, STORE, RUNTIME, FACADE, SERVE, CLI, KIT],
    },
    Privilege {
        what: "prints",
        marks: &["println!", "print!", "eprintln!", "eprint!", "dbg!"],
        harmless: &[],
        rooms: &[CLI],
    },
    Privilege {
        what: "reads the environment",
        marks: &["std::env", "env::var", "env::var_os", "env::vars", "env::args", "env::temp_dir"],
        // Constants of the target, and variables of the build.
        harmless: &["env::consts"],
        rooms: &[CLI],
    },
    Privilege { what: "exits", marks: &["process::exit"], harmless: &[], rooms: &[CLI] },
    Privilege {
        what: "asks for the time of day",
        marks: &["SystemTime::now", "Timestamp::now", "Zoned::now"],
        harmless: &[],
        rooms: &[CLI, SERVE],
    },
];

/// Crates that bring sockets along, and who may depend on them.
const SOCKET_CRATES: &[&str] = &[
    "hickory-resolver",
    "hyper",
    "hyper-util",
    "mio",
    "object_store",
    "reqwest",
    "rustls",
    "socket2",
    "tokio",
    "tokio-rustls",
    "ureq",
];

/// The only files that may hold `unsafe`.
const UNSAFE: &[&str] = &["crates/runtime/src/sys.rs", "crates/layer/src/sys.rs"];

/// Everything that offends against the law, in this work tree.
pub(crate) fn check() -> Outcome<Findings> {
    let packages = metadata::members()?;
    let sources = sources::all()?;
    let mut findings = arrows(&packages);
    for package in &packages {
        let folder = package.folder.strip_prefix(workspace()).unwrap_or(&package.folder);
        let mine = sources.iter().filter(|source| source.below(folder) && source.is("rs"));
        for source in mine {
            if is_product(source) {
                findings.extend(privileges(&package.name, source));
            }
        }
    }
    findings.extend(sources.iter().filter(|source| source.is("rs")).flat_map(unsafety));
    Ok(findings)
}

/// Tests, examples and benchmarks may do what they like, and so may the
/// programs of the developers.
fn is_product(source: &Source) -> bool {
    let Ok(inside) = source.path.strip_prefix("crates") else { return false };
    inside.components().nth(1).is_some_and(|part| part.as_os_str() == "src")
}

fn arrows(packages: &[Package]) -> Findings {
    let mut findings = Findings::new();
    for package in packages {
        let Some(room) = room_of(&package.name) else {
            findings.push(format!("{} has no floor: add it to the table", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let inside = room_of(name).is_some() || packages.iter().any(|other| other.name == name);
            if inside && !room.uses.contains(&name) {
                findings.push(format!(
                    "{} (floor {}) uses {name} ({} dependency), and may only use {}",
                    package.name,
                    room.floor,
                    dependency.kind,
                    if room.uses.is_empty() { "nothing".into() } else { room.uses.join(", ") },
                ));
            }
            if SOCKET_CRATES.contains(&name)
                && dependency.kind != "dev"
                && !PRIVILEGES[0].rooms.contains(&room.package)
            {
                findings.push(format!("{} depends on {name}, which opens sockets", package.name));
            }
        }
    }
    findings
}

fn room_of(package: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.package == package)
}

fn privileges(package: &str, source: &Source) -> Findings {
    let mut findings = Findings::new();
    for (at, line) in sources::code(&source.text).iter().enumerate() {
        for privilege in PRIVILEGES {
            let guilty = privilege.marks.iter().find(|mark| {
                has_word(line, mark) && !privilege.harmless.iter().any(|word| has_word(line, word))
            });
            if let Some(mark) = guilty
                && !privilege.rooms.contains(&package)
            {
                findings.push(format!(
                    "{}:{}: {package} {} ({mark}); only {} may",
                    source.path.display(),
                    at + 1,
                    privilege.what,
                    privilege.rooms.join(", "),
                ));
            }
        }
    }
    findings
}

fn unsafety(source: &Source) -> Findings {
    if UNSAFE.iter().any(|path| source.path.as_os_str() == *path) || source.below("fuzz") {
        return Findings::new();
    }
    sources::code_with_tests(&source.text)
        .iter()
        .enumerate()
        .filter(|(_, line)| has_word(line, "unsafe"))
        .map(|(at, _)| format!("{}:{}: unsafe outside of sys.rs", source.path.display(), at + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::metadata::Dependency;

    fn package(name: &str, uses: &[(&str, &str)]) -> Package {
        Package {
            name: name.into(),
            folder: PathBuf::new(),
            dependencies: uses
                .iter()
                .map(|(name, kind)| Dependency { name: (*name).into(), kind: (*kind).into() })
                .collect(),
            licence: None,
            description: None,
            rust_version: None,
        }
    }

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn the_table_itself_goes_strictly_down() {
        for room in ROOMS {
            for used in room.uses {
                let below = room_of(used).expect("every used room has a floor");
                assert!(below.floor < room.floor, "{} uses {used}", room.package);
            }
        }
    }

    #[test]
    fn arrows_up_sideways_and_to_unknown_rooms_are_found() {
        let packages = [
            package(CONTENT, &[("serde", "normal")]),
            package(SPEC, &[(CONTENT, "normal"), (LAYER, "dev")]),
            package(LAYER, &[(STORE, "build")]),
            package("plimsoll-shed", &[]),
        ];
        let found = arrows(&packages);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("plimsoll-spec (floor 1) uses plimsoll-layer (dev"));
        assert!(found[1].contains("plimsoll-layer (floor 1) uses plimsoll-store (build"));
        assert!(found[2].contains("plimsoll-shed has no floor"));
    }

    #[test]
    fn crates_with_sockets_are_for_two_rooms() {
        let found = arrows(&[
            package(REGISTRY, &[("ureq", "normal")]),
            package(STORE, &[("tokio", "normal"), ("hyper", "dev")]),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("plimsoll-store depends on tokio"));
    }

    #[test]
    fn privileges_are_for_their_rooms() {
        let text = "use std::net::TcpStream;\nlet os = std::env::consts::OS;\nlet home = std::env::var(\"HOME\");\n// println!(\"no\")\nprintln!(\"yes\");\nstd::process::exit(1);\n";
        let found = privileges(CONTENT, &source("crates/content/src/lib.rs", text));
        let lines: Vec<_> =
            found.iter().map(|finding| finding.split(':').nth(1).unwrap_or_default()).collect();
        assert_eq!(lines, ["1", "3", "5", "6"], "{found:?}");
        let found = privileges(CLI, &source("crates/cli/src/main.rs", text));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("opens sockets"));
    }

    #[test]
    fn tests_examples_and_tools_are_free() {
        for path in ["crates/layer/tests/it/main.rs", "crates/cli/build.rs", "xtask/src/main.rs"] {
            assert!(!is_product(&source(path, "")), "{path}");
        }
        assert!(is_product(&source("crates/layer/src/tar/mod.rs", "")));
    }

    #[test]
    fn unsafe_has_its_own_files() {
        let text = "// unsafe\nfn a() { unsafe { b() } }\n";
        assert_eq!(unsafety(&source("crates/store/src/lib.rs", text)).len(), 1);
        assert_eq!(unsafety(&source("crates/store/tests/it/main.rs", text)).len(), 1);
        assert!(unsafety(&source("crates/runtime/src/sys.rs", text)).is_empty());
    }
}
