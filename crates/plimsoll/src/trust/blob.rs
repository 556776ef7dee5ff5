//! Signatures of files that are no images: a file, and the bundles that are about it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use plimsoll_content::{Algorithm, Code, Descriptor, Error, MediaType, Result};
use plimsoll_sign::Asked;
use plimsoll_sign::judge::{Evidence, Seen, judge};
use plimsoll_sign::scheme::{Candidate, Subject};

use super::{Gate, Judged};

/// What a file is, as nobody says it.
const BYTES: &str = "application/octet-stream";

impl Gate {
    /// Judges a file by bundles that lie in other files, with the same engine as images.
    ///
    /// Errors only if a file can not be read, with [`Code::SignatureLimit`] if one is
    /// longer than the limits allow.
    pub fn blob(&self, file: &Path, bundles: &[PathBuf]) -> Result<Judged> {
        let limits = &self.limits;
        let bytes = within(file, limits.blob)?;
        let descriptor = Descriptor::of(MediaType::from(BYTES), Algorithm::Sha256, &bytes);
        let longest = limits.envelope.max(limits.attestation);
        let candidates = bundles
            .iter()
            .map(|path| {
                let bundle = within(path, longest)?;
                Ok(Candidate::bundle(&bundle, &path.display().to_string()))
            })
            .collect::<Result<Vec<_>>>()?;
        let asked = Asked {
            transport: "file".to_owned(),
            path: Some(file.display().to_string()),
            name: None,
        };
        let subject =
            Subject { descriptor: descriptor.clone(), bytes: bytes.into(), asked: asked.clone() };
        let evidence = Evidence { candidates, cut: None };
        let judgement = judge(&self.policy, &subject, &evidence, self.at, &Seen::new(), limits);
        Ok(Judged { descriptor, asked, judgement })
    }
}

/// A file that is not too long.
fn within(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|cause| Error::io("reading", path.display(), cause))?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(Code::SignatureLimit, format!("reading {}", path.display()))
            .found(format!("more than {limit} bytes"))
            .expected("fewer"));
    }
    Ok(bytes)
}
