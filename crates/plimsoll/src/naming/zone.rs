//! A zone and its publisher: a folder with settings, keys, lists of images and
//! cuts, out of which a tree of files for a web server is made.
//!
//! ```text
//! zone.json                       what was decided
//! keys/NAME.pem                   keys that sign, for their owner alone
//! repositories/PATH/@index.json   the images under a path
//! cuts/PATH/@cut.json, @root.json what is given to other zones
//! signers.json                    whose signatures count, if that is said
//! pending.json                    what waits for further signatures
//! site/                           what is published
//! ```

mod check;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plimsoll_content::{Code, Descriptor, Digest, Error, Result, Watch, json};
use plimsoll_name::announcement::{RootFile, ZonePlace};
use plimsoll_name::crypto::Secret;
use plimsoll_name::listing::{self, Listing, ref_of};
use plimsoll_name::publish::{self, Config, METADATA, Missing, Plan, Profile, Wanted};
use plimsoll_name::record::{LABEL, Record};
use plimsoll_name::signers::{SignerRule, Signers};
use plimsoll_name::time::Time;
use plimsoll_name::{Address, Prefix, Reference};
use plimsoll_sign::key::{self, Passphrase};
use plimsoll_sign::text::to_pem;
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::folder::{read, write};
use crate::place::Opened;

pub use check::Checked;

/// The largest file that is read here.
const LIMIT: u64 = 64 << 20;

/// A zone, with the folder of its publisher.
#[derive(Debug)]
pub struct Zone {
    folder: PathBuf,
    config: Config,
}

/// What came of publishing.
#[derive(Clone, Debug, Serialize)]
pub struct Published {
    /// The tree.
    pub site: PathBuf,
    /// How many files were written or replaced.
    pub written: usize,
    /// What is missing; nothing was published if there is something.
    pub missing: Vec<Missing>,
    /// What people should know.
    pub notes: Vec<String>,
    /// The record for the DNS, as NAME TEXT.
    pub record: Option<String>,
}

/// A cut as it is kept.
#[derive(Deserialize, Serialize)]
struct Cut {
    place: ZonePlace,
}

impl Zone {
    /// Begins a zone in a folder, whose tree will be found below `base`.
    /// `seeds` are random bytes for its keys, which are encrypted if there is a
    /// passphrase.
    ///
    /// Errors with [`Code::Exists`] if there is one.
    pub fn init(
        folder: &Path,
        prefix: &Prefix,
        base: &Address,
        profile: Profile,
        seeds: impl FnMut() -> Result<[u8; 32]>,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self> {
        let file = folder.join("zone.json");
        if file.exists() {
            return Err(Error::new(
                Code::Exists,
                format!("beginning a zone in {}", folder.display()),
            )
            .found("zone.json")
            .expected("a folder without one"));
        }
        let mut seeds = seeds;
        let names = profile.keys();
        let secrets: Vec<Secret> =
            names.iter().map(|_| Ok(Secret::new(seeds()?))).collect::<Result<_>>()?;
        let config = Config::new(prefix, base, profile, &secrets)?;
        for (name, secret) in names.iter().zip(&secrets) {
            keep(&folder.join(format!("keys/{name}.pem")), secret, passphrase)?;
        }
        let zone = Self { folder: folder.to_owned(), config };
        zone.save()?;
        Ok(zone)
    }

    /// Opens a zone.
    pub fn open(folder: &Path) -> Result<Self> {
        let file = folder.join("zone.json");
        let bytes = read(&file, LIMIT)?.ok_or_else(|| {
            Error::new(Code::NotFound, format!("opening the zone in {}", folder.display()))
                .found("no zone.json")
                .expected("the folder of a zone")
                .fix("plimsoll name init PREFIX --url URL   begins one; --zone DIR   names its folder")
        })?;
        Ok(Self { folder: folder.to_owned(), config: Config::parse(&bytes)? })
    }

    /// What was decided.
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn save(&self) -> Result<()> {
        write(&self.folder.join("zone.json"), &self.config.to_bytes()?, 0o644)
    }

    /// The tree that is published.
    pub fn site(&self) -> PathBuf {
        self.folder.join("site")
    }

    /// Lists an image under a name, instead of what was there, and brings its
    /// content to the tree, with what is about it: signatures travel along. It is
    /// published with the next [`Zone::publish`].
    pub fn add(&self, name: &Reference, image: &Opened, watch: &dyn Watch) -> Result<Descriptor> {
        let rest = self.rest(name)?;
        let which = name.which.as_ref().map_or("latest", |which| which.as_str());
        let about = tree::bring(image, &self.site(), watch)?;
        let mut entry = image.root.clone();
        entry.annotations.insert(listing::REF_NAME.to_owned(), which.to_owned());
        let mut list = self.listing(&rest)?.unwrap_or_else(|| Listing::new(Vec::new(), Vec::new()));
        list.manifests
            .retain(|other| ref_of(other) != Some(which) || other.platform != entry.platform);
        list.manifests.push(entry.clone());
        list.cas_engines = vec![self.engine()];
        tree::attach(&self.site(), &mut list.manifests, about)?;
        self.settle(&rest, list)?;
        Ok(entry)
    }

    /// Takes a name off the list; without a tag, the whole repository.
    pub fn remove(&self, name: &Reference) -> Result<()> {
        let rest = self.rest(name)?;
        let gone = || {
            Error::new(Code::NotFound, format!("removing {name}"))
                .found("no such name")
                .expected("one that is listed")
        };
        let mut list = self.listing(&rest)?.ok_or_else(gone)?;
        let before = list.manifests.len();
        match &name.which {
            Some(which) => list.manifests.retain(|entry| ref_of(entry) != Some(which.as_str())),
            None => list.manifests.clear(),
        }
        if list.manifests.len() == before {
            return Err(gone());
        }
        if list.images().next().is_none() {
            let path = self.list_path(&rest);
            return std::fs::remove_file(&path)
                .map_err(|cause| Error::io("removing", path.display(), cause));
        }
        self.settle(&rest, list)
    }

    /// Writes a list that was changed.
    fn settle(&self, rest: &str, mut list: Listing) -> Result<()> {
        tree::prune(&self.site(), &mut list)?;
        list.manifests.sort_by(|a, b| ref_of(a).cmp(&ref_of(b)));
        // Images first, whoever reads only those.
        list.manifests.sort_by_key(|entry| ref_of(entry).is_some_and(Digest::is_tag));
        self.write_listing(rest, &list)
    }

    /// Gives the names below a prefix to another zone: a root of it, and where
    /// it is.
    pub fn delegate(&self, prefix: &Prefix, root: &[u8], place: &ZonePlace) -> Result<()> {
        let rest = self.below(prefix)?;
        place.check()?;
        let metadata = plimsoll_name::tuf::Metadata::<plimsoll_name::tuf::Root>::parse(root)?;
        metadata.verify(&metadata.keys, &metadata.roles["root"], "its own root")?;
        let mark = plimsoll_name::zone::Mark::of(&metadata)?;
        if mark.prefix != prefix.to_string() {
            return Err(Error::new(Code::Zone, format!("giving away {prefix}"))
                .found(format!("a root about {}", mark.prefix))
                .expected(format!("one about {prefix}"))
                .fix(format!("plimsoll name init {prefix} --url URL   is for whoever gets it")));
        }
        let cut = Cut { place: place.clone() };
        write(&self.folder.join(format!("cuts/{rest}/@root.json")), root, 0o644)?;
        write(&self.folder.join(format!("cuts/{rest}/@cut.json")), &json::canonical(&cut)?, 0o644)
    }

    /// Takes the names below a prefix back.
    pub fn revoke(&self, prefix: &Prefix) -> Result<()> {
        let rest = self.below(prefix)?;
        let path = self.folder.join(format!("cuts/{rest}/@cut.json"));
        std::fs::remove_file(&path).map_err(|cause| {
            Error::io("taking back", prefix, cause).expected("a prefix that was given away")
        })
    }

    /// Lets pages beside the names say where archives of AppC are: a template with
    /// `{name}`, `{version}`, `{os}`, `{arch}` and `{ext}`.
    pub fn say_archives(&mut self, template: &str) -> Result<()> {
        self.config.appc = Some(template.to_owned());
        self.save()
    }

    /// Says whose signatures count for the names below a prefix (D6); without a
    /// rule, nothing is said of them any more.
    pub fn sign_by(&self, prefix: &Prefix, rule: Option<SignerRule>) -> Result<()> {
        let path = self.folder.join("signers.json");
        let own = self.config.prefix()?;
        let mut signers = match read(&path, LIMIT)? {
            Some(bytes) => Signers::parse(&bytes, &own)?.view().clone(),
            None => Signers::default(),
        };
        signers.put(prefix, rule);
        let bytes = json::canonical(&signers)?;
        Signers::parse(&bytes, &own)?;
        write(&path, &bytes, 0o644)
    }

    /// Lets a new key sign for a role, instead of its only one or of `old`;
    /// encrypted if there is a passphrase. Gives the id of the key.
    pub fn rotate(
        &mut self,
        role: &str,
        seed: [u8; 32],
        old: Option<&str>,
        passphrase: Option<&Passphrase>,
    ) -> Result<String> {
        let secret = Secret::new(seed);
        let id = self.config.rotate(role, &secret, old)?;
        let short: String = id.chars().take(8).collect();
        keep(&self.folder.join(format!("keys/{role}-{short}.pem")), &secret, passphrase)?;
        self.save()?;
        Ok(id)
    }

    /// Signs with the keys that are here and with those in `keys`, and writes
    /// the tree if that is enough; if not, what was signed so far is kept for
    /// the next round. The passphrase of an encrypted key is asked for.
    pub fn publish(
        &self,
        out: Option<&Path>,
        keys: &[PathBuf],
        ask: &dyn Fn(&str) -> Result<Passphrase>,
        now: Time,
    ) -> Result<Published> {
        let site = out.map_or_else(|| self.site(), Path::to_owned);
        let wanted = self.wanted()?;
        let published = |path: &str| read(&site.join(path), LIMIT);
        let mut plan = Plan::new(&self.config, &wanted, &published, now)?;
        let waiting = self.folder.join("pending.json");
        if let Some(bytes) = read(&waiting, LIMIT)?
            && let Ok(earlier) = serde_json::from_slice::<Plan>(&bytes)
            && earlier.input == plan.input
        {
            plan.metadata = earlier.metadata;
        }
        plan.sign(&self.secrets(keys, ask)?)?;
        let mut done = Published {
            site: site.clone(),
            written: 0,
            missing: plan.missing(),
            notes: Vec::new(),
            record: None,
        };
        if !done.missing.is_empty() {
            write(&waiting, &json::canonical(&plan)?, 0o644)?;
            return Ok(done);
        }
        let mut put = |path: &str, bytes: &[u8]| -> Result<()> {
            let path = site.join(path);
            if read(&path, LIMIT)?.as_deref() != Some(bytes) {
                write(&path, bytes, 0o644)?;
                done.written += 1;
            }
            Ok(())
        };
        if out.is_some() {
            tree::copy_content(&self.site(), &site)?;
        }
        // Those who verify nothing see the new lists first; for the others,
        // the timestamp at the end is the moment.
        for (path, bytes) in tree::unsigned(&self.config, &wanted, &site, &mut done.notes)? {
            put(&path, &bytes)?;
        }
        for (path, bytes) in plan.into_files()? {
            put(&path, &bytes)?;
        }
        let prefix = self.config.prefix()?;
        if prefix.path().is_empty() {
            let root = newest_root(&site)?;
            put(".well-known/image-names", &publish::announcement(&self.config, root.clone())?)?;
            if let Some(bytes) = publish::ref_engines(&self.config)? {
                put(".well-known/oci-host-ref-engines", &bytes)?;
            }
            done.record = self.record(root)?;
        }
        if waiting.exists() {
            std::fs::remove_file(&waiting)
                .map_err(|cause| Error::io("removing", waiting.display(), cause))?;
        }
        if self.config.days.timestamp > 7 {
            done.notes.push(format!(
                "who holds back what is new can do so for {} days, as long as a timestamp is good",
                self.config.days.timestamp
            ));
        }
        Ok(done)
    }

    /// The record that the DNS may hold, if it fits into one.
    fn record(&self, root: Option<RootFile>) -> Result<Option<String>> {
        let prefix = self.config.prefix()?;
        let base = self.config.metadata[0].path().strip_suffix("metadata/");
        let Some(base) = base else { return Ok(None) };
        let zone = Address::new(self.config.metadata[0].host().clone(), base)?;
        let record = Record { zone: Some(zone), root: root.map(|root| root.digest), id: None };
        let text = record.to_text();
        Ok((text.len() <= 255).then(|| format!("{LABEL}.{prefix}. TXT \"{text}\"")))
    }

    fn engine(&self) -> plimsoll_name::announcement::Engine {
        plimsoll_name::announcement::Engine::new(
            plimsoll_name::announcement::CAS_TEMPLATE,
            self.config.cas.as_str(),
        )
    }

    /// All keys that sign and can be read.
    fn secrets(
        &self,
        more: &[PathBuf],
        ask: &dyn Fn(&str) -> Result<Passphrase>,
    ) -> Result<Vec<Secret>> {
        let mut paths: Vec<PathBuf> = match self.folder.join("keys").read_dir() {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(_) => Vec::new(),
        };
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "pem"));
        paths.sort();
        paths.extend(more.iter().cloned());
        let mut secrets = Vec::new();
        for path in paths {
            let bytes = read(&path, 1 << 16)?.ok_or_else(|| {
                Error::new(Code::NotFound, format!("reading key {}", path.display()))
            })?;
            let shown = path.display().to_string();
            let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
            let secret = secret(&text, || ask(&shown));
            secrets.push(secret.map_err(|error| error.context(format!("reading key {shown}")))?);
        }
        Ok(secrets)
    }

    /// What the folder says that the zone is to say.
    fn wanted(&self) -> Result<Wanted> {
        let mut wanted = Wanted {
            signers: read(&self.folder.join("signers.json"), LIMIT)?,
            ..Wanted::default()
        };
        if let Some(bytes) = &wanted.signers {
            Signers::parse(bytes, &self.config.prefix()?)?;
        }
        for (rest, path) in tree::marked(&self.folder.join("repositories"), "@index.json")? {
            if let Some(bytes) = read(&path, LIMIT)? {
                Listing::parse(&bytes)?;
                wanted.listings.insert(rest, bytes);
            }
        }
        let mut cuts = BTreeMap::new();
        for (rest, path) in tree::marked(&self.folder.join("cuts"), "@cut.json")? {
            let bytes = read(&path, LIMIT)?.unwrap_or_default();
            let cut: Cut = serde_json::from_slice(&bytes).map_err(|cause| {
                Error::new(Code::Malformed, format!("reading {}", path.display())).found(&cause)
            })?;
            let root = read(&path.with_file_name("@root.json"), LIMIT)?.unwrap_or_default();
            cuts.insert(rest, (root, cut.place));
        }
        wanted.cuts = cuts;
        Ok(wanted)
    }

    fn rest(&self, name: &Reference) -> Result<String> {
        let prefix = self.config.prefix()?;
        let rest = prefix.rest(&name.host, name.path.as_str());
        rest.map(str::to_owned).ok_or_else(|| {
            Error::new(Code::Usage, format!("listing {name}"))
                .found(format!("a zone about {prefix}"))
                .expected(format!("a name below {prefix}"))
        })
    }

    fn below(&self, prefix: &Prefix) -> Result<String> {
        let own = self.config.prefix()?;
        let rest = own.rest(prefix.host(), prefix.path()).filter(|rest| !rest.is_empty());
        rest.map(str::to_owned).ok_or_else(|| {
            Error::new(Code::Usage, format!("giving {prefix} away"))
                .found(format!("a zone about {own}"))
                .expected(format!("a prefix below {own}"))
        })
    }

    fn list_path(&self, rest: &str) -> PathBuf {
        self.folder.join("repositories").join(rest).join("@index.json")
    }

    fn listing(&self, rest: &str) -> Result<Option<Listing>> {
        let bytes = read(&self.list_path(rest), LIMIT)?;
        bytes.map(|bytes| Ok(Listing::parse(&bytes)?.view().clone())).transpose()
    }

    fn write_listing(&self, rest: &str, list: &Listing) -> Result<()> {
        write(&self.list_path(rest), &json::canonical(list)?, 0o644)
    }
}

/// Writes a key for its owner alone: plain, or encrypted as cosign does it.
fn keep(path: &Path, secret: &Secret, passphrase: Option<&Passphrase>) -> Result<()> {
    let plain = Zeroizing::new(secret.to_pem());
    let text = match passphrase {
        None => plain,
        Some(passphrase) => {
            key::seal(&key::KeyPair::from_pem(&plain)?, passphrase, &SystemRandom::new())?
        }
    };
    write(path, text.as_bytes(), 0o600)
}

/// Reads a key as it is kept.
fn secret(text: &str, ask: impl FnOnce() -> Result<Passphrase>) -> Result<Secret> {
    if !key::is_encrypted(text) {
        return Secret::from_pem(text);
    }
    let pair = key::open(text, &ask()?)?;
    Secret::from_pem(&to_pem("PRIVATE KEY", &pair.to_pkcs8()))
}

/// The newest root of a tree.
fn newest_root(site: &Path) -> Result<Option<RootFile>> {
    let mut newest = None;
    for version in 1.. {
        let Some(bytes) = read(&site.join(format!("{METADATA}/{version}.root.json")), LIMIT)?
        else {
            break;
        };
        let digest = Digest::of(plimsoll_content::Algorithm::Sha256, &bytes);
        newest = Some(RootFile { version, digest, size: bytes.len() as u64 });
    }
    Ok(newest)
}
