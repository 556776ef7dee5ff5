//! Zones: signed lists of what the names below a prefix mean (D3), and cuts,
//! by which the owner of a prefix gives a part of it away (D4).
//!
//! A zone is a TUF repository like any other; what is said here is which of
//! its targets mean what.

use plimsoll_content::{Algorithm, Code, Digest, Document, Error, Result};
use serde::{Deserialize, Serialize};

use crate::announcement::ZonePlace;
use crate::listing::Listing;
use crate::lookup::{Ask, Lookup, shelved};
use crate::memory::{self, Known};
use crate::path::Prefix;
use crate::time::Time;
use crate::tuf::{Freshness, Metadata, Root, Server, Shelf, Target, Updater, limits};
use crate::{Address, Host};

/// How many zones may be below each other.
pub const DEPTH: usize = 8;

/// The member of a root, and of the target of a cut.
pub const MEMBER: &str = "x-image-zone";

/// The target that says whose signatures count (D6).
pub const SIGNERS: &str = "policy/signers.json";

/// The largest document of that kind, in bytes.
pub const SIGNERS_LIMIT: u64 = 1 << 20;

/// The target that lists the images of a repository. `rest` is its path below
/// the prefix of the zone.
pub fn index_target(rest: &str) -> String {
    format!("oci-index/{}", if rest.is_empty() { "@" } else { rest })
}

/// The target by which a zone gives away what is below a path.
pub fn cut_target(rest: &str) -> String {
    format!("zones/{rest}.root.json")
}

/// What a root says of its zone.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Mark {
    /// Which names the zone is about.
    pub prefix: String,
    /// Whether the owner declares that there will be no zone any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// Where the zone went, if it is no longer where others say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<Address>,
    /// Where its targets went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Address>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Mark {
    /// The place that the root itself names.
    fn place(&self) -> Option<ZonePlace> {
        let place = ZonePlace {
            prefix: self.prefix.clone(),
            metadata: self.metadata.clone(),
            targets: self.targets.clone(),
            root: None,
        };
        place.check().is_ok().then_some(place)
    }

    /// The mark of a root, which must have one.
    pub fn of(root: &Root) -> Result<Self> {
        let member = root.other.get(MEMBER).cloned().ok_or_else(|| {
            Error::new(Code::Zone, "reading the root of a zone")
                .found(format!("no member {MEMBER}"))
                .expected("the prefix that it is about")
        })?;
        serde_json::from_value(member).map_err(|cause| {
            Error::new(Code::Zone, "reading the root of a zone").found(&cause).cause(cause)
        })
    }
}

/// What is reported of a zone that took part in an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Which names it is about.
    pub prefix: String,
    /// The version of its root.
    pub root_version: u64,
    /// The digest of that root.
    pub root: Digest,
    /// The version of its timestamp.
    pub timestamp_version: u64,
    /// From when on what it says counts no more.
    pub expires: Time,
    /// Where it was found.
    pub metadata: Address,
    /// Whether something of it has expired.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

/// What a zone says of a repository.
#[derive(Debug)]
pub struct Answer {
    /// The images, or `None` if the zone says that there are none.
    pub listing: Option<Document<Listing>>,
    /// The zones that led there, outermost first.
    pub zones: Vec<Report>,
    /// Whether the trust in all of them has a ground other than who answered first.
    pub anchored: bool,
    /// What the zones say about signatures, outermost first.
    pub signers: Vec<(Prefix, Vec<u8>)>,
    /// The prefix of the last zone.
    pub prefix: Prefix,
}

/// With what zones are read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) lookup: &'a dyn Lookup,
    pub(crate) shelf: &'a dyn Shelf,
    pub(crate) now: Time,
    pub(crate) freshness: Freshness,
    /// The host that the user wrote.
    pub(crate) named: &'a Host,
    /// Whether to read what zones say about signatures.
    pub(crate) signers: bool,
}

/// The files of a zone, wherever they are.
struct Files<'a> {
    reader: Reader<'a>,
    place: ZonePlace,
}

impl Server for Files<'_> {
    fn metadata(&self, file: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.get(&self.place.metadata, file, limit)
    }

    fn target(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.get(&self.place.targets, path, limit)
    }
}

impl Files<'_> {
    /// From the first place that answers; all are to hold the same.
    fn get(&self, places: &[Address], file: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let mut failed = None;
        for place in places {
            let address = place.file(file)?;
            let ask = Ask {
                address: &address,
                query: None,
                what: file,
                accept: "*/*",
                limit,
                named: address.host() == self.reader.named,
                owner: None,
            };
            match self.reader.lookup.get(&ask) {
                Ok(got) => return Ok(got.map(|got| got.bytes)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| {
            Error::new(Code::Zone, format!("reading {file}")).found("no address to read it from")
        }))
    }
}

/// On what ground a root is trusted that was never seen before.
pub(crate) enum Ground<'a> {
    /// Whoever answers first; the digest, if one was announced.
    First,
    /// Whoever answers first, as long as the DNS does not contradict: it names
    /// that root, and nobody has proved what it says.
    Hint(&'a Digest),
    /// A digest that somebody else vouches for.
    Anchor(&'a Digest),
}

impl Reader<'_> {
    /// The images of a repository, as the zone at `place` and the zones below
    /// it say (C.6).
    pub(crate) fn resolve(
        &self,
        place: &ZonePlace,
        path: &str,
        ground: &Ground<'_>,
    ) -> Result<Answer> {
        let prefix = place.prefix()?;
        let known = self.meet(&prefix, place, ground)?;
        let mut answer = Answer {
            listing: None,
            zones: Vec::new(),
            anchored: known.anchored,
            signers: Vec::new(),
            prefix: prefix.clone(),
        };
        self.descend(known, place, prefix, path, &mut answer)?;
        Ok(answer)
    }

    /// What is known of the zone, after its first root was trusted.
    fn meet(&self, prefix: &Prefix, place: &ZonePlace, ground: &Ground<'_>) -> Result<Known> {
        let known = memory::known(self.shelf, prefix)?;
        if let Some(mut known) = known {
            // A zone that was met by chance, and whose root is vouched for since.
            if let Ground::Anchor(digest) = ground
                && !known.anchored
                && known.roots.contains(digest)
            {
                known.anchored = true;
                memory::remember(self.shelf, prefix, &known)?;
            }
            return Ok(known);
        }
        if self.freshness != Freshness::Online {
            return Err(Error::new(Code::Zone, format!("reading zone {prefix}"))
                .found("nothing that is remembered of it")
                .expected("an earlier look-up, or one that may ask"));
        }
        let files = Files { reader: *self, place: place.clone() };
        let version = place.root.as_ref().map_or(1, |root| root.version);
        let (bytes, anchored) = match ground {
            Ground::First => {
                let bytes = files.root(version, prefix)?;
                if let Some(root) = &place.root {
                    check_root(prefix, &bytes, &root.digest)?;
                }
                (bytes, false)
            }
            Ground::Hint(digest) => {
                let found = files.anchored_root(version, digest, prefix);
                let contradicted = |error: Error| match error.code() {
                    Code::Zone => {
                        Error::new(Code::Discovery, format!("comparing the root of zone {prefix}"))
                            .found("other roots")
                            .expected(format!("{digest}, which stands in the DNS"))
                    }
                    _ => error,
                };
                (found.map_err(contradicted)?, false)
            }
            Ground::Anchor(digest) => (files.anchored_root(version, digest, prefix)?, true),
        };
        self.trust(prefix, place, &bytes, anchored)
    }

    /// Trusts a root from now on.
    fn trust(
        &self,
        prefix: &Prefix,
        place: &ZonePlace,
        bytes: &[u8],
        anchored: bool,
    ) -> Result<Known> {
        let root = Metadata::<Root>::parse(bytes)?;
        root.verify(&root.keys, &root.roles["root"], "its own root")?;
        check_mark(&root, prefix)?;
        let first = Digest::of(Algorithm::Sha256, bytes);
        let known = Known::new(prefix, first, anchored, place.clone(), self.now);
        self.shelf.remove(&known.folder())?;
        self.shelf.write(&format!("{}root.json", known.folder()), bytes)?;
        memory::remember(self.shelf, prefix, &known)?;
        Ok(known)
    }

    fn descend(
        &self,
        mut known: Known,
        place: &ZonePlace,
        prefix: Prefix,
        path: &str,
        answer: &mut Answer,
    ) -> Result<()> {
        let within = |error: Error| error.context(format!("reading zone {prefix}"));
        if answer.zones.len() >= DEPTH {
            return Err(within(
                Error::new(Code::Limit, format!("following zones to {path}"))
                    .found(format!("more than {DEPTH}"))
                    .expected("fewer"),
            ));
        }
        // Where it went counts as long as nobody says anything newer.
        let said = if self.freshness == Freshness::Online { place } else { &known.place }.clone();
        let mut place = match &known.moved {
            Some(moved) if known.place == said => moved.clone(),
            _ => said.clone(),
        };
        let folder = known.folder();
        let (mut files, mark) = self.follow(&mut place, &folder, &prefix).map_err(within)?;
        files.place = place.clone();
        let mut updater =
            Updater::open(&files, self.shelf, &folder, self.now, self.freshness).map_err(within)?;
        let digest = Digest::of(Algorithm::Sha256, updater.root().bytes());
        let changed = known.note(digest.clone());
        let moved = (place != said).then(|| place.clone());
        if changed || known.place != said || known.moved != moved || known.retired != mark.retired {
            known.place = said;
            known.moved = moved;
            known.retired = mark.retired;
            memory::remember(self.shelf, &prefix, &known)?;
        }
        updater.refresh_rest().map_err(within)?;
        answer.anchored &= known.anchored;
        answer.prefix = prefix.clone();
        answer.zones.push(Report {
            prefix: prefix.to_string(),
            root_version: updater.root().version(),
            root: digest,
            timestamp_version: updater.timestamp().map_or(0, Metadata::version),
            expires: updater.timestamp().map_or(Time::default(), Metadata::expires),
            metadata: place.metadata[0].clone(),
            stale: updater.is_stale(),
        });
        let rest = prefix.rest(prefix.host(), path).ok_or_else(|| {
            within(Error::new(Code::Zone, format!("looking for {path}")).found("another part"))
        })?;
        if self.signers
            && let Some(target) = updater.find(SIGNERS).map_err(within)?
        {
            let bytes = self.content(&updater, &folder, SIGNERS, &target, SIGNERS_LIMIT)?;
            answer.signers.push((prefix.clone(), bytes));
        }
        // The longest cut decides.
        let ends: Vec<usize> =
            rest.match_indices('/').map(|(at, _)| at).chain([rest.len()]).collect();
        for end in ends.into_iter().rev().filter(|end| *end > 0) {
            let name = cut_target(&rest[..end]);
            let Some(target) = updater.find(&name).map_err(within)? else { continue };
            let child = prefix.join(&rest[..end]);
            let place = cut_place(&target, &child).map_err(within)?;
            let known =
                self.cut(&updater, &folder, &name, &target, &child, &place, answer.anchored)?;
            return self
                .descend(known, &place, child, path, answer)
                .map_err(|error| error.context(format!("reading zone {prefix}")));
        }
        let name = index_target(rest);
        answer.listing = match updater.find(&name).map_err(within)? {
            None => None,
            Some(target) => {
                let bytes =
                    self.content(&updater, &folder, &name, &target, crate::listing::LIMIT)?;
                Some(Listing::parse(&bytes).map_err(within)?)
            }
        };
        answer.zones.last_mut().into_iter().for_each(|zone| zone.stale = updater.is_stale());
        Ok(())
    }

    /// Brings the root up to date, at the place that the root itself names.
    fn follow(
        &self,
        place: &mut ZonePlace,
        folder: &str,
        prefix: &Prefix,
    ) -> Result<(Files<'_>, Mark)> {
        let mut steps = 0;
        loop {
            let files = Files { reader: *self, place: place.clone() };
            let mark = {
                let mut updater =
                    Updater::open(&files, self.shelf, folder, self.now, self.freshness)?;
                updater.refresh_root()?;
                check_mark(updater.root(), prefix)?
            };
            match mark.place() {
                Some(next) if next != *place && self.freshness == Freshness::Online => {
                    if steps == DEPTH {
                        return Err(Error::new(Code::Limit, "following a zone that moved")
                            .found(format!("more than {DEPTH} moves"))
                            .expected("fewer"));
                    }
                    steps += 1;
                    *place = next;
                }
                _ => return Ok((files, mark)),
            }
        }
    }

    /// The zone behind a cut: what is known of it goes on as long as the root
    /// that its parent names is one of the same chain.
    #[allow(
        clippy::too_many_arguments,
        reason = "one step of the descent, with all that it stands on"
    )]
    fn cut(
        &self,
        updater: &Updater<'_>,
        folder: &str,
        name: &str,
        target: &Target,
        child: &Prefix,
        place: &ZonePlace,
        anchored: bool,
    ) -> Result<Known> {
        let known = memory::known(self.shelf, child)?;
        let listed = target.hashes.get("sha256").map(|hash| format!("sha256:{hash}"));
        let listed: Option<Digest> = listed.and_then(|text| text.parse().ok());
        if let (Some(mut known), Some(listed)) = (known, listed)
            && known.roots.contains(&listed)
        {
            if known.anchored != anchored {
                known.anchored = anchored;
                memory::remember(self.shelf, child, &known)?;
            }
            return Ok(known);
        }
        let bytes = self.content(updater, folder, name, target, limits::ROOT)?;
        self.trust(child, place, &bytes, anchored)
    }

    /// The content of a target, which is remembered until it changes.
    fn content(
        &self,
        updater: &Updater<'_>,
        folder: &str,
        path: &str,
        target: &Target,
        limit: u64,
    ) -> Result<Vec<u8>> {
        if target.length > limit {
            return Err(Error::new(Code::Limit, format!("reading {path}"))
                .found(format!("{} bytes", target.length))
                .expected(format!("at most {limit} bytes")));
        }
        let place = shelved(&format!("{folder}targets"), path);
        if let Some(bytes) = self.shelf.read(&place)?
            && target.check(path, &bytes).is_ok()
        {
            return Ok(bytes);
        }
        let bytes = updater.fetch(path, target)?;
        self.shelf.write(&place, &bytes)?;
        Ok(bytes)
    }
}

impl Files<'_> {
    fn root(&self, version: u64, prefix: &Prefix) -> Result<Vec<u8>> {
        self.metadata(&format!("{version}.root.json"), limits::ROOT)?.ok_or_else(|| {
            Error::new(Code::Zone, format!("reading zone {prefix}"))
                .found(format!("no {version}.root.json"))
                .expected("the root that was announced")
        })
    }

    /// The root of that digest, whichever version it has: owners go on, and
    /// what vouches for them may be older.
    fn anchored_root(&self, announced: u64, digest: &Digest, prefix: &Prefix) -> Result<Vec<u8>> {
        let others = (1..=limits::ROTATIONS).filter(|version| *version != announced);
        for version in std::iter::once(announced).chain(others) {
            let file = format!("{version}.root.json");
            let Some(bytes) = self.metadata(&file, limits::ROOT)? else {
                if version == announced {
                    continue;
                }
                break;
            };
            if check_root(prefix, &bytes, digest).is_ok() {
                return Ok(bytes);
            }
        }
        Err(Error::new(Code::Zone, format!("reading zone {prefix}"))
            .found("other roots")
            .expected(format!("one with digest {digest}, which is vouched for")))
    }
}

/// Refuses a root that is about other names.
fn check_mark(root: &Metadata<Root>, prefix: &Prefix) -> Result<Mark> {
    let mark = Mark::of(root)?;
    if mark.prefix.parse::<Prefix>()? != *prefix {
        return Err(Error::new(Code::Zone, format!("reading zone {prefix}"))
            .found(format!("a root about {}", mark.prefix))
            .expected(format!("one about {prefix}")));
    }
    Ok(mark)
}

fn check_root(prefix: &Prefix, bytes: &[u8], digest: &Digest) -> Result<()> {
    let found = Digest::of(digest.computable("a root")?, bytes);
    if found != *digest {
        return Err(Error::new(Code::Zone, format!("reading zone {prefix}"))
            .found(format!("root {found}"))
            .expected(digest));
    }
    Ok(())
}

/// Where the zone behind a cut is. It is about exactly what its target says.
fn cut_place(target: &Target, child: &Prefix) -> Result<ZonePlace> {
    let wrong = |found: String| {
        Error::new(Code::Zone, format!("reading the cut at {child}"))
            .found(found)
            .expected("where that zone is")
    };
    let member = target.custom.as_ref().and_then(|custom| custom.get(MEMBER)).cloned();
    let member = member.ok_or_else(|| wrong(format!("no {MEMBER}")))?;
    let place: ZonePlace =
        serde_json::from_value(member).map_err(|cause| wrong(cause.to_string()))?;
    place.check()?;
    if place.prefix()? != *child {
        return Err(wrong(format!("prefix {}", place.prefix)));
    }
    Ok(place)
}
