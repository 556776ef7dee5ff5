//! Whether a registry answers as it should, request by request.
//!
//! Requests are made by `curl`, as the kit itself opens no sockets. What
//! copying through a client shows is in `registry.rs`.

use std::collections::BTreeMap;
use std::fs;

use plimsoll_content::{Code, Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::process::{self, quoted};
use super::{Ground, Judged, Verdict};
use crate::Layout;

/// The repository that cases write to; each has its own.
const REPOSITORY: &str = "plimsoll-kit/case";

/// One thing that is asked of a registry. One of the first members is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Step {
    /// A part that is uploaded as a blob.
    push: Option<String>,
    /// A part that is uploaded as a manifest: by its digest, or as `at` says.
    put: Option<String>,
    /// Paths below the repository, with `{part}` for digests.
    get: Option<String>,
    head: Option<String>,
    at: Option<String>,
    /// The digest that an upload announces, where it is not the right one.
    digest: Option<String>,
    /// The status; any of these. By default 201 for uploads, 200 else.
    status: Vec<u16>,
    /// The part whose bytes come back.
    is: Option<String>,
    /// Headers that come back, by name in lower case.
    headers: BTreeMap<String, String>,
    /// Values in the JSON that comes back, by pointer.
    holds: Map<String, Value>,
    /// Digests of these parts, and no others, are listed.
    lists: Option<Vec<String>>,
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Ground<'_> {
    pub(super) fn http(&self, steps: &[Step]) -> Result<Judged> {
        let Some(registry) = self.registry else {
            return Ok((Verdict::NotApplicable, "needs --registry HOST:PORT".to_owned()));
        };
        let layout = self.layout()?;
        let base =
            format!("http://{registry}/v2/{REPOSITORY}{}-{}", self.number, std::process::id());
        for (number, step) in steps.iter().enumerate() {
            match step.wrong(self, &layout, &base)? {
                None => {}
                Some(wrong) => {
                    return Ok((Verdict::Fail, format!("step {}: {wrong}", number + 1)));
                }
            }
        }
        Ok((Verdict::Pass, String::new()))
    }

    /// Makes a request, with a file as its body.
    fn request(&self, arguments: &[&str], url: &str) -> Result<Answer> {
        let (headers, body) = (self.path("headers"), self.path("body"));
        let _ = fs::remove_file(&body);
        let mut script = format!(
            "curl -sS -g --max-time {} -D {} -o {}",
            self.options.limit.as_secs().max(1),
            quoted(&super::text(&headers)),
            quoted(&super::text(&body)),
        );
        for argument in arguments {
            script.push(' ');
            script.push_str(&quoted(argument));
        }
        script.push(' ');
        script.push_str(&quoted(url));
        let ended = process::run(&script, &self.folder, self.options.limit * 2, self.watch)?;
        if ended.code != Some(0) {
            return Err(Error::new(Code::Failed, format!("asking {url}"))
                .found(ended.last_words())
                .expected("an answer to curl"));
        }
        let read = fs::read(&headers).unwrap_or_default();
        Ok(Answer::new(&String::from_utf8_lossy(&read), fs::read(&body).unwrap_or_default()))
    }
}

impl Answer {
    /// Of several answers, such as one that says to go on, the last counts.
    fn new(headers: &str, body: Vec<u8>) -> Self {
        let mut answer = Self { status: 0, headers: BTreeMap::new(), body };
        for line in headers.lines() {
            if line.starts_with("HTTP/") {
                let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
                answer.status = status.unwrap_or_default();
                answer.headers.clear();
            } else if let Some((name, value)) = line.split_once(':') {
                answer.headers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        answer
    }
}

impl Step {
    /// What is wrong with the answer.
    fn wrong(&self, ground: &Ground<'_>, layout: &Layout, base: &str) -> Result<Option<String>> {
        let digest =
            |part: &str| {
                layout.digests.get(part).map(ToString::to_string).ok_or_else(|| {
                    Error::new(Code::Malformed, "reading a step of a case").found(part)
                })
            };
        let filled = |text: &str| {
            layout.digests.iter().fold(text.to_owned(), |text, (name, digest)| {
                text.replace(&format!("{{{name}}}"), &digest.to_string())
            })
        };
        let (answer, usual) = if let Some(part) = &self.push {
            let said =
                self.digest.as_deref().map_or_else(|| digest(part), |text| Ok(filled(text)))?;
            let body = ground.body(layout, part)?;
            let begun = ground.request(&["-X", "POST"], &format!("{base}/blobs/uploads/"))?;
            let Some(place) = begun.headers.get("location").filter(|_| begun.status == 202) else {
                return Ok(Some(format!("an upload begins with {}, expected 202", begun.status)));
            };
            let place = absolute(base, place);
            let mark = if place.contains('?') { '&' } else { '?' };
            let kind = "Content-Type: application/octet-stream";
            let words = ["-X", "PUT", "-H", kind, "--data-binary", &body];
            (ground.request(&words, &format!("{place}{mark}digest={said}"))?, 201)
        } else if let Some(part) = &self.put {
            let at = self.at.as_deref().map_or_else(|| digest(part), |text| Ok(filled(text)))?;
            let body = ground.body(layout, part)?;
            let kind = format!("Content-Type: {}", layout.media_types[part]);
            let words = ["-X", "PUT", "-H", &kind, "--data-binary", &body];
            (ground.request(&words, &format!("{base}/manifests/{at}"))?, 201)
        } else {
            let path = self.get.as_deref().or(self.head.as_deref()).unwrap_or_default();
            let accept = [
                "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.oci.image.index.v1+json",
                "*/*",
            ];
            let accept = format!("Accept: {}", accept.join(", "));
            let mut words = vec!["-L", "-H", &accept];
            if self.head.is_some() {
                words.push("-I");
            }
            (ground.request(&words, &format!("{base}/{}", filled(path)))?, 200)
        };
        let usual = [usual];
        let status = if self.status.is_empty() { &usual[..] } else { &self.status };
        if !status.contains(&answer.status) {
            return Ok(Some(format!("status {}, expected {status:?}", answer.status)));
        }
        for (name, wanted) in &self.headers {
            let (found, wanted) = (answer.headers.get(name), filled(wanted));
            if found != Some(&wanted) {
                let found = found.map_or("absent", String::as_str);
                return Ok(Some(format!("{name} is {}, expected {wanted}", process::shown(found))));
            }
        }
        if let Some(part) = &self.is
            && layout.blob(part) != Some(&answer.body)
        {
            return Ok(Some(format!("{} bytes that are not {part}", answer.body.len())));
        }
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some(difference) = super::engine::values(&self.holds, &json) {
            return Ok(Some(difference));
        }
        let Some(parts) = &self.lists else { return Ok(None) };
        let mut wanted = parts.iter().map(|part| digest(part)).collect::<Result<Vec<_>>>()?;
        let listed = json["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut found: Vec<_> =
            listed.iter().filter_map(|entry| entry["digest"].as_str().map(str::to_owned)).collect();
        wanted.sort();
        found.sort();
        Ok((found != wanted || !json["manifests"].is_array())
            .then(|| format!("lists {found:?}, expected {wanted:?}")))
    }
}

impl Ground<'_> {
    /// A part as a file, as curl wants it.
    fn body(&self, layout: &Layout, part: &str) -> Result<String> {
        let bytes = layout
            .blob(part)
            .ok_or_else(|| Error::new(Code::Malformed, "reading a step of a case").found(part))?;
        let path = self.path("upload");
        fs::write(&path, bytes).map_err(|cause| Error::io("writing", path.display(), cause))?;
        Ok(format!("@{}", path.display()))
    }
}

/// Where an upload goes on: a location may leave out the host.
fn absolute(base: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let host = base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    format!("{host}{location}")
}
