//! The client of zones as the TUF conformance suite wants to talk to it
//! (CLIENT-CLI.md there). CONTRIBUTING.md has the command.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use plimsoll_content::{Code, Error, Result};
use plimsoll_name::time::Time;
use plimsoll_name::tuf::{Freshness, Server, Shelf, Updater, quoted};

fn main() -> Result<()> {
    let mut flags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut words = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        match word.strip_prefix("--") {
            Some(flag) => {
                flags
                    .entry(flag.to_owned())
                    .or_default()
                    .push(arguments.next().unwrap_or_default());
            }
            None => words.push(word),
        }
    }
    let one = |name: &str| flags.get(name).and_then(|all| all.first()).cloned().unwrap_or_default();
    let folder = Folder(one("metadata-dir").into());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["init", root] = words[..] {
        let bytes = fs::read(root).map_err(|cause| Error::io("reading", root, cause))?;
        return folder.write("root.json", &bytes);
    }
    let web = Web { metadata: one("metadata-url"), targets: one("target-base-url") };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut updater = Updater::open(&web, &folder, "", Time(now as i64), Freshness::Online)?;
    updater.refresh()?;
    for name in flags.get("target-name").into_iter().flatten() {
        let target = updater
            .find(name)?
            .ok_or_else(|| Error::new(Code::NotFound, format!("looking for {name}")))?;
        let path = PathBuf::from(one("target-dir")).join(quoted(name));
        if fs::read(&path).is_ok_and(|there| target.check(name, &there).is_ok()) {
            continue;
        }
        let bytes = updater.fetch(name, &target)?;
        fs::write(&path, bytes).map_err(|cause| Error::io("writing", path.display(), cause))?;
    }
    Ok(())
}

struct Folder(PathBuf);

impl Shelf for Folder {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(fs::read(self.0.join(name)).ok())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        fs::write(self.0.join(name), bytes).map_err(|cause| Error::io("writing", name, cause))
    }

    fn remove(&self, name: &str) -> Result<()> {
        fs::remove_file(self.0.join(name)).map_err(|cause| Error::io("removing", name, cause))
    }

    fn list(&self, _: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

struct Web {
    metadata: String,
    targets: String,
}

impl Web {
    fn get(base: &str, file: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let url = format!("{}/{file}", base.trim_end_matches('/'));
        let failed =
            |cause: String| Error::new(Code::Network, format!("asking {url}")).found(cause);
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let answer = agent.get(&url).call().map_err(|cause| failed(cause.to_string()))?;
        match answer.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            status => return Err(failed(format!("status {status}"))),
        }
        let mut bytes = Vec::new();
        let mut body =
            answer.into_body().into_with_config().limit(u64::MAX).reader().take(limit + 1);
        body.read_to_end(&mut bytes).map_err(|cause| failed(cause.to_string()))?;
        if bytes.len() as u64 > limit {
            return Err(failed(format!("more than {limit} bytes")));
        }
        Ok(Some(bytes))
    }
}

impl Server for Web {
    fn metadata(&self, file: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        Self::get(&self.metadata, file, limit)
    }

    fn target(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        Self::get(&self.targets, path, limit)
    }
}
