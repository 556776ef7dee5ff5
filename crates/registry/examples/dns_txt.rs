//! Asks a server of the DNS for TXT records and says what they are worth:
//! `dns_txt SERVER NAME TAG ALGORITHM KIND DIGEST [SECONDS]`, the anchor being
//! that of the root which the server knows.

use std::time::{SystemTime, UNIX_EPOCH};

use plimsoll_content::{Code, Error, Result};
use plimsoll_name::crypto::unhex;
use plimsoll_name::dns::Anchor;
use plimsoll_name::lookup::Lookup;
use plimsoll_name::time::Time;
use plimsoll_registry::client::{Client, Options};
use plimsoll_registry::lookup::{Dns, World};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let usage =
        || Error::new(Code::Usage, "dns_txt").expected("SERVER NAME TAG ALGORITHM KIND DIGEST");
    let [server, name, tag, algorithm, kind, digest, rest @ ..] = &words[..] else {
        return Err(usage());
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let now = rest.first().and_then(|seconds| seconds.parse().ok()).unwrap_or(now);
    let anchor = Anchor {
        tag: tag.parse().map_err(|_| usage())?,
        algorithm: algorithm.parse().map_err(|_| usage())?,
        kind: kind.parse().map_err(|_| usage())?,
        digest: unhex(digest).ok_or_else(usage)?,
    };
    let dns = Dns {
        servers: vec![server.parse().map_err(|_| usage())?],
        anchors: vec![anchor],
        now: Time(now),
        offline: false,
    };
    let client = Client::new(Options::default());
    let none = |host: &_, _: &_, _: &str| {
        Err(Error::new(Code::Usage, format!("asking {host}")).found("a registry"))
    };
    let world = World { client, dns: Some(dns), remotes: &none };
    let found = world.txt(name)?;
    let texts = found.texts.iter().map(|text| String::from_utf8_lossy(text)).collect::<Vec<_>>();
    let text = format!("{:?} {texts:?} {}\n", found.security, found.ttl);
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())
        .map_err(|cause| Error::io("writing", "the answer", cause))
}
