//! Signing: signatures are made, and stored where the image lies, so that others
//! find them.

use std::collections::HashSet;

use plimsoll_content::{
    Algorithm, Annotations, Code, Descriptor, Digest, Document, Error, MediaType, Platform,
    Resolve, Result, Sink, Source, Tag,
};
use plimsoll_sign::Form;
use plimsoll_sign::format::notary::write::{Chain, THUMBPRINTS, envelope};
use plimsoll_sign::format::{bundle, notary, simple, statement};
use plimsoll_sign::write::{self, SigningKey, Term};
use plimsoll_spec::graph::Node;
use plimsoll_spec::{Manifest, media_type};
use serde::Serialize;
use serde_json::{Value, json};

use super::lookaside::Lookaside;
use super::{gather, shown};
use crate::attach::{self, About};
use crate::image;
use crate::place::{Held, Home};
use crate::reference::{Reference, Which};

/// How often somebody else may change the old signatures first.
const RACES: usize = 100;

/// How many images an index that is signed may list.
const IMAGES: usize = 1_000;

/// How to sign.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name to sign; that of the image in a registry if there is none.
    pub name: Option<String>,
    /// Whether to make bundles, for cosign 3.
    pub bundles: bool,
    /// Whether to make signatures of the old kind, for podman and cosign 2.
    pub simple: bool,
    /// Signatures of the Notary Project, for notation.
    pub certified: Option<Certified>,
    /// Whether all that an index lists is signed too.
    pub recursive: bool,
    /// Until when it holds, and its number. Beside bundles and signatures of the old
    /// kind, which can not say either, a name binding is made.
    pub term: Term,
}

/// Signatures of the Notary Project.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The certificates of the key.
    pub chain: Chain,
    /// In which of its forms.
    pub forms: Vec<Form>,
}

/// What was signed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signed {
    /// The digest that the reference stood for.
    pub digest: Digest,
    /// The name that was signed.
    pub name: Option<String>,
    /// The fingerprint of the key.
    pub key: String,
    /// Each signature.
    pub signatures: Vec<Made>,
    /// What is to be known.
    pub warnings: Vec<String>,
}

/// A signature that was made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// What it is about.
    pub subject: Digest,
    /// Its form.
    pub form: String,
    /// Where it is: the digest of a manifest, or of a signature in a file.
    pub digest: Digest,
    /// The tag under which it is listed, for the old form; the file of one with GPG.
    pub tag: Option<String>,
}

impl Home {
    /// Signs an image in its place.
    pub fn sign(
        &self,
        reference: &Reference,
        key: &dyn SigningKey,
        options: &Options,
    ) -> Result<Signed> {
        let opened = self.open(reference)?;
        let asked = super::asked(reference, Some(opened.held()))?;
        let name = match &options.name {
            Some(name) => Some(checked(name)?),
            None => asked.name.filter(|name| name.digest.is_none()).map(|name| name.to_string()),
        };
        let held = opened.held();
        let sink = held.sink(opened.place())?;
        let _writing = match held {
            Held::Layout(layout) => Some(layout.writing()?),
            _ => None,
        };
        let mut report = Signed {
            digest: opened.root.digest.clone(),
            name: name.clone(),
            key: key.public().fingerprint(),
            signatures: Vec::new(),
            warnings: Vec::new(),
        };
        let term = options.term;
        let certified = options.certified.as_ref();
        let bound = (options.bundles || options.simple)
            && (term.expires.is_some() || term.sequence.is_some());
        if term.sequence.is_some() && !bound {
            return Err(Error::new(Code::Usage, format!("signing {reference}"))
                .found("a sequence, which signatures of the Notary Project can not hold")
                .expected("--form sigstore-bundle beside them"));
        }
        if bound && name.is_none() {
            return Err(Error::new(Code::Usage, format!("signing {reference}"))
                .found("an end or a sequence, and no name that they are about")
                .expected("--as NAME"));
        }
        let store = Store { held, sink, term };
        for content in all(opened.source(), &opened.root, options.recursive)? {
            if options.bundles {
                let bytes = write::signature(key, &content, name.as_deref())?;
                report.signatures.push(store.bundle(&content, &bytes, statement::SIGNATURE)?);
            }
            if let Some(name) = name.as_deref().filter(|_| bound) {
                let bytes = write::binding(key, &content, name, term)?;
                report.signatures.push(store.bundle(&content, &bytes, statement::BINDING)?);
            }
            for (chain, form) in certified.into_iter().flat_map(Certified::each) {
                let bytes = envelope(form, key, chain, &content, term.issued, term.expires)?;
                report.signatures.push(store.notary(&content, &bytes, chain, form)?);
            }
            if options.simple {
                match old(key, &content, name.as_deref())? {
                    Ok((payload, signature)) => {
                        report.signatures.push(store.simple(&content, &payload, &signature)?);
                    }
                    Err(why) if !report.warnings.contains(&why) => report.warnings.push(why),
                    Err(_) => {}
                }
            }
        }
        if report.signatures.is_empty() {
            let error = Error::new(Code::Usage, format!("signing {reference}"));
            return Err(error.found(
                report.warnings.pop().unwrap_or_else(|| "no form that was asked for".to_owned()),
            ));
        }
        if let (Held::Registry(remote), Reference::Registry { which, .. }) = (held, reference)
            && !matches!(which, Which::Digest(_))
        {
            let now = remote.resolve(&which.to_write()?)?;
            if now.digest != opened.root.digest {
                report.warnings.push(format!(
                    "{reference} stands for {} by now; {} was signed",
                    now.digest, opened.root.digest
                ));
            }
        }
        Ok(report)
    }

    /// Signs an image with GPG: `make` gives the signed message of a payload. Such
    /// signatures lie in files, not with the image.
    pub fn sign_with_gpg(
        &self,
        reference: &Reference,
        options: &Options,
        key: &str,
        lookaside: &Lookaside,
        make: &dyn Fn(&[u8]) -> Result<Vec<u8>>,
    ) -> Result<Signed> {
        let opened = self.open(reference)?;
        let asked = super::asked(reference, Some(opened.held()))?.name;
        let name = match &options.name {
            Some(name) => plimsoll_sign::ImageName::parse(&checked(name)?),
            None => asked.filter(|name| name.digest.is_none()),
        };
        let name = name.ok_or_else(|| {
            Error::new(Code::Usage, format!("signing {reference}"))
                .found("no name that it could be signed under")
                .expected("--as NAME")
        })?;
        let mut signatures = Vec::new();
        for content in all(opened.source(), &opened.root, options.recursive)? {
            let payload = simple::Payload {
                digest: content.digest.clone(),
                name: name.to_string(),
                issued: Some(options.term.issued),
            };
            let payload = payload
                .to_bytes(simple::ATOMIC, Some(concat!("plimsoll ", env!("CARGO_PKG_VERSION"))));
            let signature = make(&payload)?;
            let file = lookaside.keep(&name, &content.digest, &signature)?;
            signatures.push(Made {
                subject: content.digest,
                form: "gpg-simple".to_owned(),
                digest: Digest::of(Algorithm::Sha256, &signature),
                tag: Some(file.display().to_string()),
            });
        }
        Ok(Signed {
            digest: opened.root.digest.clone(),
            name: Some(name.to_string()),
            key: key.to_owned(),
            signatures,
            warnings: Vec::new(),
        })
    }

    /// Attests something of an image, in its place.
    pub fn attest(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        key: &dyn SigningKey,
        predicate_type: &str,
        predicate: Value,
        issued: plimsoll_sign::Seconds,
    ) -> Result<Made> {
        let opened = self.open(reference)?;
        let held = opened.held();
        let sink = held.sink(opened.place())?;
        let _writing = match held {
            Held::Layout(layout) => Some(layout.writing()?),
            _ => None,
        };
        let subject = attach::subject(&opened, platform)?;
        let bytes = write::attestation(key, &subject, predicate_type, predicate)?;
        let store = Store { held, sink, term: Term { issued, ..Term::default() } };
        store.bundle(&subject, &bytes, predicate_type)
    }
}

impl Certified {
    fn each(&self) -> impl Iterator<Item = (&Chain, Form)> {
        self.forms.iter().map(|form| (&self.chain, *form))
    }
}

/// A signature of the old kind, or why there is none.
fn old(
    key: &dyn SigningKey,
    content: &Descriptor,
    name: Option<&str>,
) -> Result<std::result::Result<(Vec<u8>, String), String>> {
    let Some(name) = name else {
        return Ok(Err("no signature of the old kind, which needs a name: --as NAME".to_owned()));
    };
    Ok(write::simple(key, content, name)?.ok_or_else(|| {
        "no signature of the old kind: its readers want SHA-256, which this key does not sign with"
            .to_owned()
    }))
}

fn checked(name: &str) -> Result<String> {
    match plimsoll_sign::ImageName::parse(name) {
        Some(name) if name.digest.is_none() => Ok(name.to_string()),
        _ => Err(Error::new(Code::Usage, "reading the name to sign")
            .found(format!("{name:?}"))
            .expected("HOST/REPOSITORY[:TAG], as in example.com/org/app:v1")),
    }
}

/// What is signed: the image, and the images that it lists.
fn all(source: &dyn Source, root: &Descriptor, recursive: bool) -> Result<Vec<Descriptor>> {
    let plain = |found: &Descriptor| {
        Descriptor::new(found.media_type.clone(), found.digest.clone(), found.size)
    };
    let mut list = vec![plain(root)];
    let mut known = HashSet::from([root.digest.clone()]);
    let mut next = 0;
    while recursive && next < list.len() {
        if let Node::Index(index) = image::node(source, &list[next])? {
            let images = index.manifests.iter().filter(|one| Node::is_document(&one.media_type));
            for image in images {
                if known.insert(image.digest.clone()) {
                    list.push(plain(image));
                }
            }
        }
        if list.len() > IMAGES {
            return Err(Error::new(Code::Limit, format!("signing all of {}", root.digest))
                .found(format!("more than {IMAGES} images"))
                .expected("fewer, or --no-recursive"));
        }
        next += 1;
    }
    Ok(list)
}

/// Where signatures are put.
struct Store<'a> {
    held: &'a Held,
    sink: &'a dyn Sink,
    term: Term,
}

impl Store<'_> {
    /// A bundle becomes a referrer.
    fn bundle(&self, subject: &Descriptor, bytes: &[u8], predicate_type: &str) -> Result<Made> {
        let annotations = [
            ("dev.sigstore.bundle.content", "dsse-envelope"),
            ("dev.sigstore.bundle.predicateType", predicate_type),
        ];
        let kind = bundle::MEDIA_TYPE;
        self.referrer(subject, (kind, kind), bytes, &annotations, Form::SigstoreBundle)
    }

    /// So does an envelope of the Notary Project.
    fn notary(
        &self,
        subject: &Descriptor,
        bytes: &[u8],
        chain: &Chain,
        form: Form,
    ) -> Result<Made> {
        let kind = if form == Form::NotaryCose { notary::COSE } else { notary::JWS };
        let thumbprints = chain.thumbprints();
        let annotations = [(THUMBPRINTS, thumbprints.as_str())];
        self.referrer(subject, (notary::ARTIFACT, kind), bytes, &annotations, form)
    }

    /// An artifact of a kind, whose one layer has a kind.
    fn referrer(
        &self,
        subject: &Descriptor,
        (artifact, layer): (&str, &str),
        bytes: &[u8],
        annotations: &[(&str, &str)],
        form: Form,
    ) -> Result<Made> {
        let blob = Descriptor::of(MediaType::from(layer), Algorithm::Sha256, bytes);
        self.sink.write(&blob, bytes)?;
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut annotations: Annotations = annotations.iter().map(own).collect();
        let created = "org.opencontainers.image.created".to_owned();
        annotations.insert(created, shown(self.term.issued));
        let about = About { artifact_type: MediaType::from(artifact), annotations };
        let made = attach::put(self.held, self.sink, subject, vec![blob], &about)?;
        Ok(Made {
            subject: subject.digest.clone(),
            form: form.as_str().to_owned(),
            digest: made.digest,
            tag: None,
        })
    }

    /// A signature of the old kind is one more layer under its tag.
    fn simple(&self, subject: &Descriptor, payload: &[u8], signature: &str) -> Result<Made> {
        let digest = &subject.digest;
        let tag = format!("{}-{}.sig", digest.algorithm_name(), digest.encoded());
        let mut layer =
            Descriptor::of(MediaType::from(simple::MEDIA_TYPE), Algorithm::Sha256, payload);
        self.sink.write(&layer, payload)?;
        layer.annotations.insert(simple::SIGNATURE.to_owned(), signature.to_owned());
        for _ in 0..RACES {
            let old = gather::tagged(self.held, &tag)?;
            let source = self.held.source();
            let mut layers = match &old {
                Some(old) => source.document::<Manifest>(old)?.layers.clone(),
                None => Vec::new(),
            };
            layers.push(layer.clone());
            let config = config(&layers)?;
            let manifest = Document::new(Manifest::new(
                Descriptor::of(media_type::CONFIG, Algorithm::Sha256, &config),
                layers,
            ))?;
            self.sink.write(&manifest.config, &config)?;
            let descriptor = manifest.descriptor(media_type::MANIFEST, Algorithm::Sha256);
            self.sink.write(&descriptor, manifest.bytes())?;
            let done = match (self.held, &old) {
                (Held::Layout(layout), None) => layout.tag_new(&tag, &descriptor)?,
                (Held::Layout(layout), Some(old)) => {
                    layout.tag_over(&tag, &old.digest, &descriptor)?
                }
                // The protocol has no way to say "if nobody else was faster".
                (Held::Registry(remote), _) => remote.tag(&tag, &descriptor).map(|()| true)?,
                _ => false,
            };
            if done {
                return Ok(Made {
                    subject: digest.clone(),
                    form: "cosign-simple".to_owned(),
                    digest: descriptor.digest,
                    tag: Some(tag),
                });
            }
        }
        Err(Error::new(Code::Locked, format!("adding a signature under {tag}"))
            .found("others who keep changing it")
            .expected("a moment of rest"))
    }
}

/// The config of a manifest of signatures, as cosign makes it.
fn config(layers: &[Descriptor]) -> Result<Vec<u8>> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest.to_string()).collect();
    plimsoll_content::json::canonical(&json!({
        "architecture": "",
        "config": {},
        "created": "0001-01-01T00:00:00Z",
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }))
}
