//! The workflow of a client (specification, section 5): from a root that is
//! trusted to a target that can be believed.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_content::{Code, Error, Result};

use super::limits;
use super::metadata::{Body, Metadata, Root, Snapshot, Target, Targets, Timestamp, quoted};
use crate::time::Time;

/// Where the files of a repository are had from.
pub trait Server {
    /// A file of metadata, of at most `limit` bytes; `None` if there is none.
    fn metadata(&self, file: &str, limit: u64) -> Result<Option<Vec<u8>>>;

    /// The file of a target, of at most `limit` bytes; `None` if there is none.
    fn target(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>>;
}

/// What is remembered between two uses: small files by their names.
pub trait Shelf: Sync {
    /// What is remembered under that name.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Remembers something instead of what was there.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Forgets it, and all below it.
    fn remove(&self, name: &str) -> Result<()>;

    /// The names that begin so.
    fn list(&self, start: &str) -> Result<Vec<String>>;
}

/// Whether the repository is asked, and what may be used if not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Freshness {
    /// It is asked.
    #[default]
    Online,
    /// It is not; what is remembered must not have expired.
    Offline,
    /// It is not, and what has expired is used as well.
    Stale,
}

/// A client of one repository.
pub struct Updater<'a> {
    server: &'a dyn Server,
    shelf: &'a dyn Shelf,
    folder: String,
    now: Time,
    freshness: Freshness,
    root: Metadata<Root>,
    timestamp: Option<Metadata<Timestamp>>,
    snapshot: Option<Metadata<Snapshot>>,
    /// By role and by who let it list something.
    targets: BTreeMap<(String, String), Metadata<Targets>>,
    /// Whether something that has expired was used.
    stale: bool,
}

impl<'a> Updater<'a> {
    /// Begins with the root that is remembered in a folder of the shelf.
    pub fn open(
        server: &'a dyn Server,
        shelf: &'a dyn Shelf,
        folder: &str,
        now: Time,
        freshness: Freshness,
    ) -> Result<Self> {
        let folder = folder.to_owned();
        let bytes = shelf.read(&format!("{folder}root.json"))?.ok_or_else(|| {
            Error::new(Code::Zone, "reading the root that is trusted")
                .found("none")
                .expected("one that was trusted before")
        })?;
        let root = Metadata::<Root>::parse(bytes)?;
        root.verify(&root.keys, &root.roles["root"], "its own root")?;
        Ok(Self {
            server,
            shelf,
            folder,
            now,
            freshness,
            root,
            timestamp: None,
            snapshot: None,
            targets: BTreeMap::new(),
            stale: false,
        })
    }

    /// The newest root.
    pub fn root(&self) -> &Metadata<Root> {
        &self.root
    }

    /// The timestamp, after [`Updater::refresh`].
    pub fn timestamp(&self) -> Option<&Metadata<Timestamp>> {
        self.timestamp.as_ref()
    }

    /// The snapshot, after [`Updater::refresh`].
    pub fn snapshot(&self) -> Option<&Metadata<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// Whether something that has expired was used.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Brings root, timestamp, snapshot and targets up to date (5.3 to 5.6).
    pub fn refresh(&mut self) -> Result<()> {
        self.refresh_root()?;
        self.refresh_rest()
    }

    /// The rest, after the root is up to date (5.4 to 5.6).
    pub fn refresh_rest(&mut self) -> Result<()> {
        self.refresh_timestamp()?;
        self.refresh_snapshot()?;
        self.load("targets", "root")?;
        Ok(())
    }

    /// Only the roots (5.3).
    pub fn refresh_root(&mut self) -> Result<()> {
        if self.freshness == Freshness::Online {
            let mut followed = 0;
            loop {
                let next = self.root.version() + 1;
                let Some(bytes) =
                    self.server.metadata(&format!("{next}.root.json"), limits::ROOT)?
                else {
                    break;
                };
                if followed == limits::ROTATIONS {
                    return Err(Error::new(Code::Limit, "following the roots of a zone")
                        .found(format!("more than {} new ones", limits::ROTATIONS))
                        .expected("fewer at once")
                        .fix("again: what was followed so far is kept"));
                }
                let new = Metadata::<Root>::parse(bytes)?;
                new.verify(&self.root.keys, &self.root.roles["root"], "the root before it")?;
                new.verify(&new.keys, &new.roles["root"], "its own root")?;
                if new.version() != next {
                    return Err(version("root", new.version(), next));
                }
                self.keep("root", new.bytes())?;
                self.root = new;
                followed += 1;
            }
        }
        let root = self.root.clone();
        self.fresh(&root, "root.json")
    }

    fn refresh_timestamp(&mut self) -> Result<()> {
        let role = self.root.roles["timestamp"].clone();
        // One that other keys signed is no protection against older ones (5.3.11).
        let known = self
            .recall::<Timestamp>("timestamp")?
            .filter(|known| known.verify(&self.root.keys, &role, "the zone").is_ok());
        if self.freshness != Freshness::Online {
            let known = known.ok_or_else(|| missing("timestamp.json"))?;
            self.fresh(&known, "timestamp.json")?;
            self.timestamp = Some(known);
            return Ok(());
        }
        let bytes = self
            .server
            .metadata("timestamp.json", limits::TIMESTAMP)?
            .ok_or_else(|| missing("timestamp.json"))?;
        let new = Metadata::<Timestamp>::parse(bytes)?;
        new.verify(&self.root.keys, &role, "the zone")?;
        if let Some(known) = known {
            if new.version() < known.version() {
                return Err(version("timestamp", new.version(), known.version()));
            }
            if new.version() == known.version() {
                self.fresh(&known, "timestamp.json")?;
                self.timestamp = Some(known);
                return Ok(());
            }
            let (before, after) = (known.snapshot()?.version, new.snapshot()?.version);
            if after < before {
                return Err(version("snapshot", after, before));
            }
        }
        self.fresh(&new, "timestamp.json")?;
        self.keep("timestamp", new.bytes())?;
        self.timestamp = Some(new);
        Ok(())
    }

    fn refresh_snapshot(&mut self) -> Result<()> {
        let role = self.root.roles["snapshot"].clone();
        let listed = match &self.timestamp {
            Some(timestamp) => timestamp.snapshot()?.clone(),
            None => return Err(missing("timestamp.json")),
        };
        let known = self
            .recall::<Snapshot>("snapshot")?
            .filter(|known| known.verify(&self.root.keys, &role, "the zone").is_ok());
        if let Some(known) = &known
            && known.version() == listed.version
            && (listed.hashes.is_empty() || listed.check("snapshot.json", known.bytes()).is_ok())
        {
            self.fresh(known, "snapshot.json")?;
            self.snapshot = Some(known.clone());
            return Ok(());
        }
        let bytes =
            self.ask("snapshot", listed.version, listed.length.unwrap_or(limits::SNAPSHOT))?;
        listed.check("snapshot.json", &bytes)?;
        let new = Metadata::<Snapshot>::parse(bytes)?;
        new.verify(&self.root.keys, &role, "the zone")?;
        for (name, file) in known.iter().flat_map(|known| &known.meta) {
            match new.meta.get(name) {
                Some(new) if new.version >= file.version => {}
                Some(new) => return Err(version(name, new.version, file.version)),
                None => {
                    return Err(Error::new(Code::Zone, "reading snapshot.json")
                        .found(format!("{name} is gone"))
                        .expected("all that was there before"));
                }
            }
        }
        if new.version() != listed.version {
            return Err(version("snapshot", new.version(), listed.version));
        }
        self.fresh(&new, "snapshot.json")?;
        self.keep("snapshot", new.bytes())?;
        self.snapshot = Some(new);
        Ok(())
    }

    /// The targets of a role, as `delegator` lets it list them.
    fn load(&mut self, name: &str, delegator: &str) -> Result<&Metadata<Targets>> {
        let place = (name.to_owned(), delegator.to_owned());
        if !self.targets.contains_key(&place) {
            let targets = self.load_anew(name, delegator)?;
            self.targets.insert(place.clone(), targets);
        }
        Ok(&self.targets[&place])
    }

    fn load_anew(&mut self, name: &str, delegator: &str) -> Result<Metadata<Targets>> {
        let (keys, role) = if delegator == "root" {
            (self.root.keys.clone(), self.root.roles["targets"].clone())
        } else {
            let listed = self.targets.iter().filter(|((role, _), _)| role == delegator);
            let mut delegations = listed.filter_map(|(_, targets)| targets.delegations.as_ref());
            delegations
                .find_map(|delegations| {
                    let role = delegations.roles.iter().find(|role| role.name == name)?;
                    Some((delegations.keys.clone(), role.signers()))
                })
                .ok_or_else(|| missing(name))?
        };
        let what = format!("{name}.json");
        let listed = self.snapshot.as_ref().and_then(|snapshot| snapshot.meta.get(&what)).cloned();
        let listed = listed.ok_or_else(|| {
            Error::new(Code::Zone, format!("reading role {name}"))
                .found("it is not in the snapshot")
                .expected("a snapshot that lists it")
        })?;
        let known = self.recall::<Targets>(name)?.filter(|known| {
            known.version() == listed.version
                && listed.check(&what, known.bytes()).is_ok()
                && known.verify(&keys, &role, delegator).is_ok()
        });
        if let Some(known) = known {
            self.fresh(&known, &what)?;
            return Ok(known);
        }
        let limit = listed.length.unwrap_or(limits::TARGETS);
        let bytes = self.ask(name, listed.version, limit.min(limits::TARGETS))?;
        listed.check(&what, &bytes)?;
        let new = Metadata::<Targets>::parse(bytes)?;
        new.verify(&keys, &role, delegator)?;
        if new.version() != listed.version {
            return Err(version(name, new.version(), listed.version));
        }
        self.fresh(&new, &what)?;
        self.keep(name, new.bytes())?;
        Ok(new)
    }

    /// What the repository lists under a path (5.6.7).
    pub fn find(&mut self, path: &str) -> Result<Option<Target>> {
        if self.snapshot.is_none() {
            self.refresh()?;
        }
        let mut ahead = vec![("targets".to_owned(), "root".to_owned())];
        let mut visited = BTreeSet::new();
        while let Some((name, delegator)) = ahead.pop() {
            if visited.len() >= limits::DELEGATIONS {
                return Err(Error::new(Code::Limit, format!("looking for {path}"))
                    .found(format!("more than {} roles", limits::DELEGATIONS))
                    .expected("fewer"));
            }
            if !visited.insert(name.clone()) {
                continue;
            }
            let targets = self.load(&name, &delegator)?;
            if let Some(target) = targets.targets.get(path) {
                return Ok(Some(target.clone()));
            }
            let mut below = Vec::new();
            for role in targets.delegations.iter().flat_map(|delegations| &delegations.roles) {
                if !role.covers(path) {
                    continue;
                }
                below.push((role.name.clone(), name.clone()));
                if role.terminating {
                    ahead.clear();
                    break;
                }
            }
            ahead.extend(below.into_iter().rev());
        }
        Ok(None)
    }

    /// The content of a target, proved.
    pub fn fetch(&self, path: &str, target: &Target) -> Result<Vec<u8>> {
        if self.freshness != Freshness::Online {
            return Err(missing(path));
        }
        let file = match (self.root.consistent_snapshot, target.hash()) {
            (false, _) => path.to_owned(),
            (true, Some(hash)) => match path.rsplit_once('/') {
                Some((folder, file)) => format!("{folder}/{hash}.{file}"),
                None => format!("{hash}.{path}"),
            },
            (true, None) => return Err(missing(path)),
        };
        let bytes = self.server.target(&file, target.length)?.ok_or_else(|| missing(path))?;
        target.check(path, &bytes)?;
        Ok(bytes)
    }

    fn ask(&self, name: &str, version: u64, limit: u64) -> Result<Vec<u8>> {
        let name = quoted(name);
        let file = if self.root.consistent_snapshot {
            format!("{version}.{name}.json")
        } else {
            format!("{name}.json")
        };
        if self.freshness != Freshness::Online {
            return Err(missing(&file));
        }
        self.server.metadata(&file, limit)?.ok_or_else(|| missing(&file))
    }

    /// What is remembered of a role. What can not be read any more is not.
    fn recall<T: Body>(&self, name: &str) -> Result<Option<Metadata<T>>> {
        let bytes = self.shelf.read(&format!("{}{}.json", self.folder, quoted(name)))?;
        Ok(bytes.and_then(|bytes| Metadata::parse(bytes).ok()))
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.shelf.write(&format!("{}{}.json", self.folder, quoted(name)), bytes)
    }

    fn fresh<T: Body>(&mut self, metadata: &Metadata<T>, what: &str) -> Result<()> {
        match metadata.check_fresh(self.now, what) {
            Err(_) if self.freshness == Freshness::Stale => {
                self.stale = true;
                Ok(())
            }
            checked => checked,
        }
    }
}

fn missing(what: &str) -> Error {
    Error::new(Code::Zone, format!("reading {what}"))
        .found("nothing")
        .expected("the file, as the zone lists it")
}

fn version(what: &str, found: u64, expected: u64) -> Error {
    Error::new(Code::Zone, format!("reading {what}"))
        .found(format!("version {found}"))
        .expected(format!("version {expected}"))
}
