//! The images that are unpacked, and how each is made.
//!
//! They are made once and kept. Those out of real packages need root and
//! mmdebstrap (or what `interop/setup` has made with it); the others come out
//! of this program alone, the same bytes everywhere.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::archive::{self, Archive, TAG, text};
use crate::Outcome;

/// The packages of the development image, on top of a minimal Debian: about
/// 1.3 GB in many small files.
const DEVELOPMENT: &str = "build-essential,git,cmake,pkg-config,python3-dev,golang-go,libboost-dev";

/// How many layers the image of real layers has.
const LAYERS: usize = 10;

/// One kind of image.
pub(super) struct Workload {
    pub(super) name: &'static str,
    /// What it is, for people.
    pub(super) about: &'static str,
    /// Makes the archives of its layers in a folder; `None` if that can not
    /// be done here.
    make: fn(&Site) -> Outcome<Option<Vec<PathBuf>>>,
}

/// All of them.
pub(super) const WORKLOADS: &[Workload] = &[
    Workload { name: "debian", about: "a minimal Debian, one layer", make: debian },
    Workload {
        name: "development",
        about: "Debian with compilers and libraries, many small files, one layer",
        make: development,
    },
    Workload { name: "tiny", about: "100,000 files of 64 bytes, one layer", make: tiny },
    Workload { name: "big", about: "one file of 2 GiB that does not compress", make: big },
    Workload { name: "ten", about: "the development image in ten layers", make: ten },
    Workload {
        name: "sixtyfour",
        about: "64 layers that replace and delete files of one another",
        make: sixtyfour,
    },
    Workload {
        name: "entries-50k",
        about: "50,000 files of 64 bytes",
        make: |site| files(site, 5),
    },
    Workload {
        name: "entries-200k",
        about: "200,000 files of 64 bytes",
        make: |site| files(site, 20),
    },
    Workload { name: "layers-8", about: "8 layers of one file each", make: |site| thin(site, 8) },
    Workload {
        name: "layers-128",
        about: "128 layers of one file each",
        make: |site| thin(site, 128),
    },
    Workload {
        name: "layers-101",
        about: "a minimal Debian and 100 layers of one file each",
        make: |site| topped(site, 100),
    },
    Workload {
        name: "layers-600",
        about: "a minimal Debian and 599 layers of one file each",
        make: |site| topped(site, 599),
    },
];

/// Where workloads are made and kept.
pub(super) struct Site {
    folder: PathBuf,
    kept: PathBuf,
    quick: bool,
}

/// A workload that is there.
pub(super) struct Image {
    folder: PathBuf,
    /// How many bytes the layers have, compressed.
    pub(super) compressed: u64,
    pub(super) layers: usize,
}

impl Image {
    /// `PATH:TAG`, as most tools take it behind `oci:`.
    pub(super) fn layout(&self) -> String {
        format!("{}:{TAG}", self.folder.join("layout").display())
    }

    /// The layout as a folder.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.join("layout")
    }

    /// The compressed archive of the first layer.
    pub(super) fn layer(&self) -> String {
        self.folder.join("layer-0.tar.gz").display().to_string()
    }

    /// The layout in one tar archive, made when it is first asked for.
    pub(super) fn archive(&self) -> Outcome<String> {
        let path = self.folder.join("layout.tar");
        if !path.is_file() {
            let new = self.folder.join("layout.tar.new");
            shell(&format!("tar -C {} -cf {} .", self.folder().display(), new.display()))?;
            fs::rename(&new, &path).map_err(|error| format!("making an archive: {error}"))?;
        }
        Ok(path.display().to_string())
    }
}

impl Workload {
    /// Gives the workload that is kept below `kept`, and makes it if it is
    /// not there. `None` has said `SKIP`.
    pub(super) fn get(&self, kept: &Path, quick: bool) -> Outcome<Option<Image>> {
        let folder = kept.join(if quick { "quick" } else { "full" }).join(self.name);
        if !folder.is_dir() {
            let new = folder.with_extension("new");
            let failed = |error: io::Error| format!("making {}: {error}", new.display());
            let _ = fs::remove_dir_all(&new);
            fs::create_dir_all(&new).map_err(failed)?;
            eprintln!("bench: making workload {} ({})", self.name, self.about);
            let site = Site { folder: new.clone(), kept: kept.to_owned(), quick };
            let Some(layers) = (self.make)(&site)? else {
                let _ = fs::remove_dir_all(&new);
                eprintln!("bench: SKIP {}: needs root and mmdebstrap", self.name);
                return Ok(None);
            };
            archive::layout(&new.join("layout"), &layers)?;
            for layer in layers.iter().filter(|layer| layer.starts_with(&new)) {
                fs::remove_file(layer).map_err(failed)?;
            }
            fs::rename(&new, &folder).map_err(failed)?;
        }
        let failed = |error: io::Error| format!("reading {}: {error}", folder.display());
        let (mut layers, mut compressed) = (0, 0);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "gz") {
                layers += 1;
                compressed += path.metadata().map_err(failed)?.len();
            }
        }
        Ok(Some(Image { folder, compressed, layers }))
    }
}

/// The archive of a minimal Debian, which `interop/setup` makes too.
fn debian_tar(kept: &Path) -> Outcome<Option<PathBuf>> {
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/root".into());
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| Path::new(&home).join(".cache"), PathBuf::from);
    let there = cache.join("plimsoll-peers/debian.tar");
    if there.is_file() { Ok(Some(there)) } else { bootstrap(&kept.join("debian.tar"), None) }
}

/// A Debian root filesystem with these packages, once it was made.
fn bootstrap(path: &Path, packages: Option<&str>) -> Outcome<Option<PathBuf>> {
    if path.is_file() {
        return Ok(Some(path.to_owned()));
    }
    let new = path.with_extension("new");
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", "--format=tar"]);
    if let Some(packages) = packages {
        command.arg(format!("--include={packages}"));
    }
    let status = command.arg("bookworm").arg(&new).stdin(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) {
        let _ = fs::remove_file(&new);
        return Ok(None);
    }
    fs::rename(&new, path).map_err(|error| format!("keeping {}: {error}", path.display()))?;
    Ok(Some(path.to_owned()))
}

fn debian(site: &Site) -> Outcome<Option<Vec<PathBuf>>> {
    Ok(debian_tar(&site.kept)?.map(|tar| vec![tar]))
}

fn development(site: &Site) -> Outcome<Option<Vec<PathBuf>>> {
    Ok(development_tar(site)?.map(|tar| vec![tar]))
}

/// Where there is no archive of packages, seven copies of the minimal system
/// give about the same number of bytes and files.
fn development_tar(site: &Site) -> Outcome<Option<PathBuf>> {
    if site.quick {
        return debian_tar(&site.kept);
    }
    let path = site.kept.join("development.tar");
    if let Some(made) = bootstrap(&path, Some(DEVELOPMENT))? {
        return Ok(Some(made));
    }
    let Some(minimal) = debian_tar(&site.kept)? else { return Ok(None) };
    eprintln!("bench: no packages can be had: the development image is made of copies");
    let tree = site.folder.join("tree");
    shell(&format!(
        "for n in 1 2 3 4 5 6 7; do mkdir -p {tree}/$n; tar -xpf {minimal} -C {tree}/$n; done
         tar -C {tree} --sort=name -cf {path} . && rm -rf {tree}",
        tree = tree.display(),
        minimal = minimal.display(),
        path = path.display(),
    ))?;
    Ok(Some(path))
}

fn ten(site: &Site) -> Outcome<Option<Vec<PathBuf>>> {
    let Some(tar) = development_tar(site)? else { return Ok(None) };
    // Groups of neighbouring entries of about the same size; hard links stay
    // behind what they link to because the order of the archive is kept.
    shell(&format!(
        "cd {folder} && mkdir tree && tar -xpf {tar} -C tree
         tar -tvf {tar} --quoting-style=literal | awk '{{ s += $3 + 2000 }} END {{ print s }}' > sum
         tar -tf {tar} --quoting-style=literal > names
         tar -tvf {tar} --quoting-style=literal | awk -v sum=$(cat sum) \
           '{{ s += $3 + 2000; n = int((s - 1) * {LAYERS} / sum); print (n > {LAYERS} - 1 ? {LAYERS} - 1 : n) }}' \
           | paste - names | awk -F '\\t' '{{ print $2 > (\"list-\" $1) }}'
         for n in $(seq 0 $(({LAYERS} - 1))); do
           tar -C tree --no-recursion --numeric-owner -cf layer-$n.tar --verbatim-files-from -T list-$n
         done
         rm -rf tree names sum list-*",
        folder = site.folder.display(),
        tar = tar.display(),
    ))?;
    Ok(Some((0..LAYERS).map(|n| site.folder.join(format!("layer-{n}.tar"))).collect()))
}

fn tiny(site: &Site) -> Outcome<Option<Vec<PathBuf>>> {
    files(site, 10)
}

/// That many times 10,000 files in folders of a hundred.
fn files(site: &Site, times: usize) -> Outcome<Option<Vec<PathBuf>>> {
    let times = if site.quick { times.div_ceil(10) } else { times };
    let make = |path: &Path| -> io::Result<()> {
        let mut archive = Archive::create(path)?;
        for top in 0..times {
            archive.folder(&format!("t{top:03}"))?;
            for folder in 0..100 {
                archive.folder(&format!("t{top:03}/{folder:03}"))?;
                for file in 0..100 {
                    let seed = (top * 10_000 + folder * 100 + file) as u64;
                    archive.file(&format!("t{top:03}/{folder:03}/f{seed:06}"), &text(seed, 64))?;
                }
            }
        }
        archive.finish()
    };
    written(&site.folder.join("layer.tar"), make).map(|tar| Some(vec![tar]))
}

fn big(site: &Site) -> Outcome<Option<Vec<PathBuf>>> {
    let mebibytes = if site.quick { 256 } else { 2048 };
    let make = |path: &Path| {
        let mut archive = Archive::create(path)?;
        archive.noise("big.bin", mebibytes)?;
        archive.finish()
    };
    written(&site.folder.join("layer.tar"), make).map(|tar| Some(vec![tar]))
}

fn sixtyfour(site: &Site) -> Outcome<Option<Vec<PathBuf>>> {
    let layer = |number: usize| {
        move |path: &Path| {
            let mut archive = Archive::create(path)?;
            archive.folder("d")?;
            archive.folder(&format!("d/{number:03}"))?;
            for file in 0..200 {
                let seed = (number * 1000 + file) as u64;
                archive.file(&format!("d/{number:03}/f{file:04}"), &text(seed, 2048))?;
            }
            // A tenth of the layer below is deleted, a tenth replaced.
            if let Some(below) = number.checked_sub(1) {
                for file in (0..200).step_by(10) {
                    archive.file(&format!("d/{below:03}/.wh.f{file:04}"), b"")?;
                }
                for file in (5..200).step_by(10) {
                    archive.file(&format!("d/{below:03}/f{file:04}"), &text(number as u64, 20))?;
                }
            }
            if number > 0 && number.is_multiple_of(16) {
                archive.file(&format!("d/{:03}/.wh..wh..opq", number - 2), b"")?;
            }
            archive.finish()
        }
    };
    let layers = (0..64)
        .map(|number| written(&site.folder.join(format!("layer-{number}.tar")), layer(number)));
    layers.collect::<Outcome<Vec<_>>>().map(Some)
}

fn thin(site: &Site, count: usize) -> Outcome<Option<Vec<PathBuf>>> {
    let layers = (0..count).map(|number| {
        written(&site.folder.join(format!("layer-{number}.tar")), |path| {
            let mut archive = Archive::create(path)?;
            archive.file(&format!("f{number}"), &text(number as u64, 64))?;
            archive.finish()
        })
    });
    layers.collect::<Outcome<Vec<_>>>().map(Some)
}

/// The minimal Debian, and that many thin layers on top.
fn topped(site: &Site, count: usize) -> Outcome<Option<Vec<PathBuf>>> {
    let (Some(base), Some(tops)) = (debian(site)?, thin(site, count)?) else { return Ok(None) };
    Ok(Some(base.into_iter().chain(tops).collect()))
}

fn written(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Outcome<PathBuf> {
    make(path).map_err(|error| format!("writing {}: {error}", path.display()))?;
    Ok(path.to_owned())
}

/// Runs a script that must end well.
pub(super) fn shell(script: &str) -> Outcome {
    let output = Command::new("sh")
        .args(["-euc", script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("starting sh: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{script}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
