//! What `cargo metadata` and `cargo tree` say, in the few words that the
//! checks need.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{Outcome, workspace};

/// A package and what it declares.
pub(crate) struct Package {
    /// The name in its manifest.
    pub(crate) name: String,
    /// The folder that holds the manifest.
    pub(crate) folder: PathBuf,
    /// What it depends on, of whatever kind.
    pub(crate) dependencies: Vec<Dependency>,
    /// The licence expression.
    pub(crate) licence: Option<String>,
    /// The one-line description.
    pub(crate) description: Option<String>,
    /// The oldest toolchain it claims to build with.
    pub(crate) rust_version: Option<String>,
}

/// One line in a dependency table.
pub(crate) struct Dependency {
    /// The name of the package that is depended on.
    pub(crate) name: String,
    /// `normal`, `dev` or `build`.
    pub(crate) kind: String,
}

/// The packages of the workspace, by name.
pub(crate) fn members() -> Outcome<Vec<Package>> {
    let text = cargo(&["metadata", "--format-version=1", "--no-deps"])?;
    let document: Value =
        serde_json::from_str(&text).map_err(|error| format!("reading cargo metadata: {error}"))?;
    let packages = document["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let mut packages: Vec<_> = packages.iter().map(package).collect();
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(packages)
}

fn package(value: &Value) -> Package {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let manifest = PathBuf::from(value["manifest_path"].as_str().unwrap_or_default());
    let dependencies = value["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    Package {
        name: text("name").unwrap_or_default(),
        folder: manifest.parent().unwrap_or(&manifest).to_owned(),
        dependencies: dependencies
            .iter()
            .map(|dependency| Dependency {
                name: dependency["name"].as_str().unwrap_or_default().to_owned(),
                kind: dependency["kind"].as_str().unwrap_or("normal").to_owned(),
            })
            .collect(),
        licence: text("license"),
        description: text("description"),
        rust_version: text("rust_version"),
    }
}

/// The names of the packages that a build of `package` for Linux compiles,
/// itself included, each version once.
pub(crate) fn tree(package: &str) -> Outcome<Vec<String>> {
    let text =
        cargo(&[&TREE, &["--prefix=none", "--no-dedupe", "--package", package][..]].concat())?;
    let mut packages: Vec<String> = text
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect();
    packages.sort();
    packages.dedup();
    Ok(packages)
}

/// The names of the packages that use `used` directly in that build.
pub(crate) fn users(package: &str, used: &str) -> Outcome<Vec<String>> {
    let shape = ["--prefix=depth", "--depth=1", "--invert", used, "--package", package];
    let text = cargo(&[&TREE, &shape[..]].concat())?;
    Ok(text
        .lines()
        .filter_map(|line| line.strip_prefix('1')?.split(' ').next().map(str::to_owned))
        .collect())
}

const TREE: [&str; 4] =
    ["tree", "--edges=normal,build", "--target=x86_64-unknown-linux-gnu", "--format={p}"];

fn cargo(arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(workspace())
        .output()
        .map_err(|error| format!("starting cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("reading cargo's answer: {error}"))
}
