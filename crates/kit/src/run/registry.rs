//! Whether what is stored or copied comes back as it was, byte for byte.

use plimsoll_content::Result;

use super::image::Written;
use super::{Ground, Judged, Verdict};
use crate::case::Ask;

impl Ground<'_> {
    pub(super) fn registry(&self) -> Result<Judged> {
        if self.adapter.command.is_empty() {
            return Ok((Verdict::NotApplicable, "needs a command that copies".to_owned()));
        }
        let layout = self.layout()?;
        let ended = self.command(self.adapter.template(Ask::Unpack), &[])?;
        let Some(code) = ended.code else {
            return Ok(self.late());
        };
        let expect = &self.case.body.expect;
        if code != 0 {
            let right = expect.refused || expect.may_refuse;
            let verdict = if right { Verdict::Pass } else { Verdict::Refused };
            return Ok((verdict, ended.last_words()));
        }
        if expect.refused {
            return Ok((Verdict::Fail, "takes what is to be refused".to_owned()));
        }
        let written = Written::new(&self.path("out"));
        let listed = match written.listed() {
            Ok(listed) => listed,
            Err(error) => return Ok((Verdict::Fail, error.to_string())),
        };
        let root = self.case.body.expect.root.as_str();
        let digest = layout.digests.get(root).map(ToString::to_string).unwrap_or_default();
        if !listed.iter().any(|entry| entry["digest"] == digest.as_str()) {
            let found: Vec<_> =
                listed.iter().filter_map(|entry| entry["digest"].as_str()).collect();
            return Ok((Verdict::Fail, format!("{digest} became {}", found.join(", "))));
        }
        for (name, digest) in &layout.digests {
            let path = format!("blobs/{}/{}", digest.algorithm_name(), digest.encoded());
            let Some(bytes) = layout.files.get(&path) else { continue };
            if expect.without.contains(name) {
                continue;
            }
            match written.blob(digest) {
                Ok(Some(found)) if found == *bytes => {}
                Ok(Some(_)) => return Ok((Verdict::Fail, format!("{name} is not what it was"))),
                Ok(None) => return Ok((Verdict::Fail, format!("{name} ({digest}) is lost"))),
                Err(error) => return Ok((Verdict::Fail, error.to_string())),
            }
        }
        Ok((Verdict::Pass, String::new()))
    }
}
