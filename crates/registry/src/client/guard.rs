//! Which addresses a host may have. A host that nobody wrote, to which others
//! lead, must not be one of our own machine or network: whoever writes a
//! document could else make us ask what only we can ask.
//!
//! The check is on the addresses that are connected to, so that a name which
//! changes its mind in between gains nothing.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Whether an address is one of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// All but the special ranges of RFC 6890 and its successors.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a == 10
        || a == 127
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 192 && b == 168)
        || (a == 198 && (18..20).contains(&b))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
        || a >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // Forms that hold an address of the older kind.
    let [.., high, low] = parts;
    let inner = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    if parts[..5] == [0; 5] && (parts[5] == 0xffff || parts[5] == 0) {
        return parts[5] == 0xffff && is_public_v4(inner(high, low));
    }
    if parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(inner(high, low));
    }
    if parts[0] == 0x2002 {
        return is_public_v4(inner(parts[1], parts[2]));
    }
    // What is given out is 2000::/3; of it, some is not for the public.
    parts[0] & 0xe000 == 0x2000
        && !(parts[0] == 0x2001 && parts[1] < 0x0200)
        && !(parts[0] == 0x2001 && parts[1] == 0xdb8)
        && !(parts[0] == 0x3fff && parts[1] < 0x1000)
}

/// Finds the addresses of hosts.
#[derive(Debug)]
pub(super) struct Guard {
    hosts: BTreeMap<String, SocketAddr>,
    guarded: bool,
    /// Whether it is the host itself that is connected to, and no proxy.
    direct: bool,
}

impl Guard {
    pub(super) fn new(hosts: &BTreeMap<String, SocketAddr>, guarded: bool, direct: bool) -> Self {
        Self { hosts: hosts.clone(), guarded, direct }
    }
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        if let Some(address) = self.hosts.get(&host) {
            let mut found = self.empty();
            found.push(*address);
            return Ok(found);
        }
        let all = DefaultResolver::default().resolve(uri, config, timeout)?;
        if !self.guarded || !self.direct {
            return Ok(all);
        }
        let mut found = self.empty();
        for address in all.iter().filter(|address| is_public(address.ip())) {
            found.push(*address);
        }
        if found.is_empty() {
            let shown: Vec<String> = all.iter().map(|address| address.ip().to_string()).collect();
            return Err(ureq::Error::Io(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{host} is {}, an address of a private network, to which others may not lead",
                    shown.join(", ")
                ),
            )));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a18_private_ranges_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!is_public(text.parse().expect(text)), "{text}");
        }
        for text in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "2001:200::1",
        ] {
            assert!(is_public(text.parse().expect(text)), "{text}");
        }
    }
}
