//! The steps of the chain, in their order.

use plimsoll_content::{Code, Descriptor, Document, Error, Result};

use super::{Chain, DEFAULT_REF, Found, Step, Way, templates};
use crate::announcement::{Announcement, Engine, INDEX_TEMPLATE, ZonePlace};
use crate::listing::{self, Listing};
use crate::lookup::Got;
use crate::memory;
use crate::path::Prefix;
use crate::record::{Record, Security};
use crate::reference::Ref;
use crate::suffix;
use crate::zone::{Answer, Ground, Reader};
use crate::{Address, Assurance, Host};

impl Chain<'_> {
    /// Steps 1 to 6. Without a ref, whatever can be said of the repository.
    pub(super) fn step(&self, which: Option<&Ref>) -> Result<Option<Step>> {
        let default: Ref = DEFAULT_REF.parse()?;
        let wanted = which.unwrap_or(&default);
        let host = &self.name.host;
        // 1. The rules of this machine.
        for (mirror, path, resolve) in self.rules.mirrors(self.name)? {
            if resolve
                && !self.zones_only
                && wanted.is_tag()
                && !self.offline()
                && let Some(step) = self.registry(&mirror, &path, wanted, Way::Rules)?
            {
                return Ok(Some(step));
            }
        }
        let mut notes = Vec::new();
        let pinned = self.rules.pin(self.name)?;
        if let Some((prefix, digest, Some(place))) = &pinned {
            let _ = prefix;
            return self.zone(place, &Ground::Anchor(digest), Way::Zone, notes).map(Some);
        }
        let mut engines: Option<(Got, Document<Announcement>)> = None;
        if host.is_discoverable() {
            let whole = Prefix::of(host.clone());
            // 2. The DNS.
            let record = self.record(host)?;
            if let Some((record, security)) = &record {
                if record.may_lead(host, *security) {
                    if let Some(folder) = &record.zone {
                        let place = ZonePlace::below(&whole, folder)?;
                        let ground = match (&pinned, &record.root, security) {
                            (Some((_, digest, _)), _, _) => Ground::Anchor(digest),
                            (None, Some(root), Security::Secure) => Ground::Anchor(root),
                            (None, Some(root), Security::Insecure) => Ground::Hint(root),
                            (None, None, _) => Ground::First,
                        };
                        let step = self.zone(&place, &ground, Way::Dns, notes)?;
                        self.check_contradiction(&whole, record)?;
                        return Ok(Some(step));
                    }
                } else if let Some(zone) = &record.zone {
                    notes.push(format!(
                        "the DNS of {host} names a zone at {}, which counts only with DNSSEC: ignored",
                        zone.host()
                    ));
                }
            }
            // 3. What the host says.
            engines = self.announcement(host)?;
            let zone = engines.as_ref().and_then(|(_, said)| said.zone.clone());
            if let Some(place) = zone {
                let prefix = place.prefix()?;
                if prefix.rest(host, self.name.path.as_str()).is_some() {
                    let root = record
                        .as_ref()
                        .and_then(|(record, security)| Some((record.root.as_ref()?, *security)));
                    let ground = match (&pinned, root) {
                        (Some((_, digest, _)), _) => Ground::Anchor(digest),
                        (None, Some((root, Security::Secure))) => Ground::Anchor(root),
                        (None, Some((root, Security::Insecure))) => Ground::Hint(root),
                        (None, None) => Ground::First,
                    };
                    let mut step = self.zone(&place, &ground, Way::Announcement, notes)?;
                    if let Some((record, _)) = &record {
                        self.check_contradiction(&prefix, record)?;
                    }
                    if let (Step::Listing(_, found), Some((got, said))) = (&mut step, &engines) {
                        for one in templates(&said.cas_engines, &got.address)? {
                            // The zone says the same of itself as a rule.
                            if !found.cas.contains(&one) {
                                found.cas.push(one);
                            }
                        }
                    }
                    return Ok(Some(step));
                }
            }
            self.check_ratchet()?;
            if pinned.is_some() {
                return Err(Error::new(Code::Discovery, format!("looking for the zone of {host}"))
                    .found("none that is announced")
                    .expected("the one whose root is pinned"));
            }
        }
        if self.zones_only {
            return Ok(None);
        }
        let level =
            if self.lookup.is_insecure(host) { Assurance::Insecure } else { Assurance::Tls };
        let found = |way| Found { notes: notes.clone(), ..Found::new(level, way) };
        if let Some((got, said)) = &engines {
            let (refs, cas, rest) = match said.route(host, self.name.path.as_str()) {
                Some((route, rest)) if !route.ref_engines.is_empty() => {
                    let cas = if route.cas_engines.is_empty() {
                        &said.cas_engines
                    } else {
                        &route.cas_engines
                    };
                    (&route.ref_engines, cas, rest)
                }
                _ => (&said.ref_engines, &said.cas_engines, self.name.path.as_str()),
            };
            let step =
                self.engines(refs, cas, rest, &got.address, wanted, found(Way::Announcement))?;
            if step.is_some() {
                return Ok(step);
            }
        }
        // 4. What hosts of oci-discovery say.
        if host.is_discoverable() && engines.is_none() {
            let name = host.domain_name().unwrap_or_default();
            for name in std::iter::once(name).chain(suffix::ancestors(name)) {
                let Some((got, said)) = self.ref_engines(&Host::domain(name)?)? else { continue };
                let step = self.engines(
                    &said.ref_engines,
                    &said.cas_engines,
                    self.name.path.as_str(),
                    &got.address,
                    wanted,
                    found(Way::RefEngines),
                )?;
                if step.is_some() {
                    return Ok(step);
                }
                break;
            }
        }
        // 6. The registry at the host.
        if !self.registries {
            return Ok(None);
        }
        if self.offline() {
            return Err(self.unknown_offline());
        }
        if !wanted.is_tag() && self.name.digest.is_none() {
            return Ok(None);
        }
        if which.is_none() {
            // Which image is meant is told later, or all of them are.
            let mut found = found(Way::Registry);
            found.registries.push((host.clone(), self.name.path.to_string()));
            if self.name.digest.is_some() {
                return Ok(Some(Step::Listing(
                    Document::new(Listing::new(Vec::new(), Vec::new()))?,
                    found,
                )));
            }
            let any = Descriptor::of("".into(), plimsoll_content::Algorithm::Sha256, b"");
            return Ok(Some(Step::One(any, found)));
        }
        let step = self.registry(host, &self.name.path, wanted, Way::Registry)?;
        Ok(step.map(|step| match step {
            Step::One(descriptor, mut found) => {
                found.notes.extend(notes);
                Step::One(descriptor, found)
            }
            listing @ Step::Listing(..) => listing,
        }))
    }

    fn zone(
        &self,
        place: &ZonePlace,
        ground: &Ground<'_>,
        way: Way,
        notes: Vec<String>,
    ) -> Result<Step> {
        let reader = Reader {
            lookup: self.lookup,
            shelf: self.shelf,
            now: self.now,
            freshness: self.freshness,
            named: &self.name.host,
            signers: true,
        };
        let Answer { listing, zones, anchored, signers, .. } =
            reader.resolve(place, self.name.path.as_str(), ground)?;
        let level = if anchored { Assurance::ZoneAnchored } else { Assurance::ZoneTofu };
        let mut found = Found { zones, notes, signers, ..Found::new(level, way) };
        for zone in found.zones.iter().filter(|zone| zone.stale) {
            found.notes.push(format!("zone {} has expired ({})", zone.prefix, zone.expires));
        }
        if self.zones_only {
            let none = Listing::new(Vec::new(), Vec::new());
            return Ok(Step::Listing(Document::new(none)?, found));
        }
        let Some(list) = listing else {
            let zone = found.zones.last().map(|zone| zone.prefix.clone()).unwrap_or_default();
            return Err(Error::new(Code::NotFound, format!("looking for {}", self.name.name()))
                .found(format!("zone {zone}, which has no such repository"))
                .expected("a repository that it lists"));
        };
        if let Some(zone) = found.zones.last() {
            // Templates in a list are complete: it is the same at all its places.
            let base = zone.metadata.clone();
            found.cas = templates(&list.cas_engines, &base)?;
            found.base = Some(base);
        }
        Ok(Step::Listing(list, found))
    }

    /// Without DNSSEC a record establishes nothing, and may yet show that
    /// something is wrong.
    fn check_contradiction(&self, prefix: &Prefix, record: &Record) -> Result<()> {
        let Some(root) = &record.root else { return Ok(()) };
        let known = memory::known(self.shelf, prefix)?;
        match known {
            Some(known) if !known.roots.contains(root) => {
                Err(Error::new(Code::Discovery, format!("comparing the root of zone {prefix}"))
                    .found(format!("{root} in the DNS"))
                    .expected(format!("one of its roots, such as {}", known.first)))
            }
            _ => Ok(()),
        }
    }

    /// Where a zone was seen once, less is refused.
    fn check_ratchet(&self) -> Result<()> {
        let whole = Prefix::of(self.name.host.clone());
        let path = self.name.path.as_str();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for prefix in std::iter::once(whole.clone()).chain(ends.map(|end| whole.join(&path[..end])))
        {
            if let Some(known) = memory::known(self.shelf, &prefix)?
                && !known.retired
            {
                return Err(Error::new(
                    Code::Discovery,
                    format!("looking for the zone of {prefix}"),
                )
                .found("none that is announced any more")
                .expected(format!("the zone that is known since {}", known.since))
                .fix(format!("plimsoll name forget {prefix}   if its owner gave it up")));
            }
        }
        Ok(())
    }

    /// What engines say, in their order. Those of unknown protocols are passed over.
    fn engines(
        &self,
        refs: &[Engine],
        cas: &[Engine],
        rest: &str,
        base: &Address,
        wanted: &Ref,
        mut found: Found,
    ) -> Result<Option<Step>> {
        if self.offline() {
            return Err(self.unknown_offline());
        }
        found.cas = templates(cas, base)?;
        found.base = Some(base.clone());
        for engine in refs {
            if let Some((host, path)) = engine.repository(rest)? {
                if !wanted.is_tag() {
                    continue;
                }
                let Some(descriptor) =
                    self.lookup.manifest(&host, &path, wanted.as_str(), host == self.name.host)?
                else {
                    continue;
                };
                found.registries.push((host, path.to_string()));
                return Ok(Some(Step::One(descriptor, found)));
            }
            let Some(template) = engine.template(INDEX_TEMPLATE, base)? else { continue };
            let name = self.name.name();
            let host = self.name.host.to_string();
            let fragment = wanted.to_string();
            let values = [
                ("name", name.as_str()),
                ("host", host.as_str()),
                ("path", self.name.path.as_str()),
                ("fragment", fragment.as_str()),
            ];
            let address = template.expand(base, &values)?;
            let ask = self.ask(
                &address,
                "the images of a repository",
                listing::MEDIA_TYPE,
                listing::LIMIT,
                None,
            );
            let Some(got) = self.lookup.get(&ask)? else { continue };
            let list = Listing::parse(&got.bytes)?;
            let mut cas = templates(&list.cas_engines, &got.address)?;
            cas.append(&mut found.cas);
            found.cas = cas;
            found.base = Some(got.address);
            return Ok(Some(Step::Listing(list, found)));
        }
        Ok(None)
    }

    fn registry(
        &self,
        host: &Host,
        path: &crate::Repository,
        which: &Ref,
        way: Way,
    ) -> Result<Option<Step>> {
        let named = *host == self.name.host || way == Way::Rules;
        let Some(descriptor) = self.lookup.manifest(host, path, which.as_str(), named)? else {
            return Ok(None);
        };
        let level =
            if self.lookup.is_insecure(host) { Assurance::Insecure } else { Assurance::Tls };
        let mut found = Found::new(level, way);
        found.registries.push((host.clone(), path.to_string()));
        Ok(Some(Step::One(descriptor, found)))
    }
}
