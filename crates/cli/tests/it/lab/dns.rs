//! A server of the DNS with one record, in the clear or signed from a root of its
//! own down to the domain (RFC 4034; Ed25519, RFC 8080).

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};

const DS: u16 = 43;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const DNSKEY: u16 = 48;
const TXT: u16 = 16;
const ED25519: u8 = 15;

/// A server of the DNS.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    world: Arc<World>,
}

struct World {
    /// Whether what it says is signed.
    signed: bool,
    /// The domain that has a record, and the name of that.
    domain: String,
    text: Mutex<String>,
    /// Whether the record is changed after it was signed.
    forged: Mutex<bool>,
}

/// A zone: every name above the record is one.
struct Zone {
    name: String,
    pair: Ed25519KeyPair,
}

impl Dns {
    pub(crate) fn new(domain: &str, text: &str, signed: bool) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        let world = Arc::new(World {
            signed,
            domain: domain.to_owned(),
            text: Mutex::new(text.to_owned()),
            forged: Mutex::default(),
        });
        let of_thread = Arc::clone(&world);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                if let Some(answer) = of_thread.answer(&buffer[..length]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self { address, world }
    }

    /// The key of the root, as a DS record has it.
    pub(crate) fn anchor() -> String {
        let root = Zone::new("");
        let record = root.delegated();
        format!("{} {ED25519} 2 {}", root.tag(), plimsoll::name::crypto::hex(&record[4..]))
    }

    pub(crate) fn set(&self, text: &str) {
        text.clone_into(&mut self.world.text.lock().expect("lock"));
    }

    pub(crate) fn forge(&self, forged: bool) {
        *self.world.forged.lock().expect("lock") = forged;
    }
}

impl World {
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let (mut at, mut labels) = (12, Vec::new());
        while let length @ 1.. = usize::from(*query.get(at)?) {
            labels.push(String::from_utf8(query.get(at + 1..at + 1 + length)?.to_vec()).ok()?);
            at += 1 + length;
        }
        let kind = u16::from_be_bytes(query.get(at + 1..at + 3)?.try_into().ok()?);
        let question = query.get(12..at + 5)?;
        let name = labels.join(".").to_ascii_lowercase();
        let record = format!("_image-names.{}", self.domain);
        let holds = |name: &str| name.is_empty() || record.ends_with(&format!(".{name}"));
        let zone_of = |name: &str| Zone::new(name);
        let parent =
            |name: &str| name.split_once('.').map_or(String::new(), |(_, rest)| rest.to_owned());
        let (mut answers, mut authority) = (Vec::new(), Vec::new());
        let mut code = 0;
        if name == record && kind == TXT {
            let mut text = self.text.lock().expect("lock").clone();
            let data = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
            let set = zone_of(&self.domain).set(&name, TXT, &data(&text), self.signed);
            if *self.forged.lock().expect("lock") {
                text = text.replace("v=imn1;", "v=imn1; id=evil;");
            }
            answers.push(rr(&name, TXT, &data(&text)));
            answers.extend(set.into_iter().skip(1));
        } else if self.signed && kind == DNSKEY && holds(&name) {
            let zone = zone_of(&name);
            answers = zone.set(&name, DNSKEY, &zone.key(), true);
        } else if self.signed && kind == DS && holds(&name) {
            answers = zone_of(&parent(&name)).set(&name, DS, &zone_of(&name).delegated(), true);
        } else if self.signed && name == record {
            // The last name of its zone: the next is the first.
            let next = [wire(&self.domain), vec![0, 6, 0, 0, 0x80, 0, 0, 3]].concat();
            authority = zone_of(&self.domain).set(&name, NSEC, &next, true);
        } else if !self.signed && kind != TXT {
            // Nobody signs anything here.
        } else {
            code = 3;
        }
        let count = |list: &[Vec<u8>]| (list.len() as u16).to_be_bytes();
        let mut out = [&query[..2], &[0x81, 0x80 | code, 0, 1]].concat();
        out.extend(count(&answers));
        out.extend(count(&authority));
        out.extend([0, 0]);
        out.extend(question);
        out.extend(answers.concat());
        out.extend(authority.concat());
        Some(out)
    }
}

impl Zone {
    fn new(name: &str) -> Self {
        let seed = digest(&SHA256, name.as_bytes());
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).expect("a key");
        Self { name: name.to_owned(), pair }
    }

    fn key(&self) -> Vec<u8> {
        [&[1, 1, 3, ED25519], self.pair.public_key().as_ref()].concat()
    }

    /// RFC 4034, appendix B.
    fn tag(&self) -> u16 {
        let sum: u32 =
            self.key().chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1])).sum();
        (sum + (sum >> 16)) as u16
    }

    /// What its parent says of its key.
    fn delegated(&self) -> Vec<u8> {
        let hash = digest(&SHA256, &[wire(&self.name), self.key()].concat());
        [&self.tag().to_be_bytes()[..], &[ED25519, 2], hash.as_ref()].concat()
    }

    /// A record, and its signature.
    fn set(&self, name: &str, kind: u16, data: &[u8], signed: bool) -> Vec<Vec<u8>> {
        let record = rr(name, kind, data);
        if !signed {
            return vec![record];
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("time").as_secs() as u32;
        let labels = name.split('.').filter(|label| !label.is_empty()).count() as u8;
        let head = [
            &kind.to_be_bytes()[..],
            &[ED25519, labels],
            &300u32.to_be_bytes(),
            &(now + 86_400).to_be_bytes(),
            &(now - 86_400).to_be_bytes(),
            &self.tag().to_be_bytes(),
            &wire(&self.name),
        ]
        .concat();
        let signature = self.pair.sign(&[head.clone(), record.clone()].concat());
        vec![record, rr(name, RRSIG, &[&head, signature.as_ref()].concat())]
    }
}

fn rr(name: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let head = [&kind.to_be_bytes()[..], &[0, 1, 0, 0, 1, 44], &(data.len() as u16).to_be_bytes()];
    [wire(name), head.concat(), data.to_vec()].concat()
}

fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut out: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    out.push(0);
    out
}
