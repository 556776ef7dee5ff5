//! Layers: the blob, the plain archive, and what is in it.

use plimsoll_content::{Algorithm, Code, Descriptor, Digest, Error, Result};
use plimsoll_layer::{Check as Sense, limits};
use plimsoll_spec::LayerType;
use plimsoll_spec::rules::{self, Level};

use super::users::Users;
use super::{Check, Finding, Place, from};
use crate::unpack::{self, Blobs};

impl Check<'_> {
    /// Reads a layer once, and tells what is wrong with it.
    pub(super) fn layer(
        &mut self,
        blob: &Descriptor,
        kind: LayerType,
        diff_id: Option<&Digest>,
        sense: &mut Sense,
        users: &mut Users,
        location: &str,
    ) -> Result<()> {
        let place = Place::blob(location, &blob.digest);
        let known = !self.seen.insert((blob.digest.clone(), diff_id.cloned()));
        let elsewhere = kind.nondistributable
            && blob.urls.iter().any(|url| !url.is_empty())
            && self.source.fetch(blob, 0).is_err_and(|error| error.code() == Code::NotFound);
        if known || elsewhere {
            self.again(&place, blob);
            sense.skip_layer();
            users.skip();
            return Ok(());
        }
        self.seen.insert((blob.digest.clone(), None));
        self.watch.begin(location, Some(blob.size));
        let algorithm = diff_id.and_then(Digest::algorithm).unwrap_or(Algorithm::Sha256);
        let blobs = Blobs::new(self.source, vec![blob], self.watch);
        let format = unpack::format_of(kind.compression);
        let read = sense.layer(blobs, format, algorithm, &self.limits, |entry, body| {
            users.entry(entry, body);
        });
        self.watch.end(&format!("{location}  {}", blob.digest));
        users.end_layer(read.damage.is_none() && read.broken.is_none());
        if let Some(error) = read.damage {
            return self.fail(&place, error, Level::Error);
        }
        self.sizes.insert(blob.digest.clone(), blob.size);
        self.report.blobs += 1;
        self.report.bytes += blob.size + read.bytes;
        self.report.entries += read.entries;
        if let Some((offset, error)) = read.broken {
            let before = self.report.findings.len();
            self.fail(&place, error, Level::Error)?;
            for finding in &mut self.report.findings[before..] {
                finding.offset = Some(offset);
            }
        }
        for finding in read.findings.iter().chain(&limits::ratio(read.bytes, blob.size)) {
            self.odd(&place, finding);
        }
        let (Some(found), Some(wanted)) = (read.diff_id, diff_id) else { return Ok(()) };
        match wanted.computable("the plain layer") {
            Err(error) => self.fail(&place, error, Level::Note),
            Ok(_) if found == *wanted => Ok(()),
            Ok(_) => {
                let doing = "hashing the uncompressed layer";
                let error = Error::new(Code::DiffId, doing).found(found).expected(wanted);
                self.fail(&place, error, Level::Error)
            }
        }
    }

    /// Something odd in a layer, by the rule it breaks.
    fn odd(&mut self, place: &Place<'_>, odd: &plimsoll_layer::Finding) {
        let (rule, level, code) = rules::layer_finding(odd.name);
        let wanted = rule.map_or("", |rule| rule.text);
        let found = rules::Finding {
            rule,
            offset: odd.offset,
            ..rules::Finding::new(code, odd.message.clone(), wanted).level(level)
        };
        self.add(Finding {
            name: Some(odd.name),
            entry: odd.path.as_ref().map(ToString::to_string),
            message: odd.to_string(),
            ..from(place, &found)
        });
    }
}
