//! Messages to a server of the DNS: over UDP, and over TCP where an answer is
//! too long. The server is not trusted; what it says is proved above.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use plimsoll_content::{Code, Error, Result};
use plimsoll_name::dns::{self, Anchor, Exchange};
use plimsoll_name::lookup::Texts;
use plimsoll_name::time::Time;

use super::wrong;

/// How long is waited for one answer.
const TIME: Duration = Duration::from_secs(3);

/// How often each server is asked.
const ATTEMPTS: usize = 2;

/// The servers of the DNS, and what they are held against.
pub struct Dns {
    /// The servers, in the order of asking.
    pub servers: Vec<SocketAddr>,
    /// The keys of the root.
    pub anchors: Vec<Anchor>,
    /// The time.
    pub now: Time,
    /// Whether no socket may be opened.
    pub offline: bool,
}

impl Dns {
    /// The TXT records of a name, and what they are worth.
    pub(super) fn txt(&self, name: &str) -> Result<Texts> {
        if self.offline {
            return Err(
                Error::new(Code::Offline, format!("asking the DNS for {name}")).found("--offline")
            );
        }
        if self.servers.is_empty() {
            return Err(wrong(name, "no server").expected("nameserver in /etc/resolv.conf"));
        }
        dns::txt(self, name, &self.anchors, self.now)
    }

    fn exchange(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
        // A number that others can not guess, as the port is.
        let id = (RandomState::new().build_hasher().finish() as u16).to_be_bytes();
        let mut query = query.to_vec();
        query[..2].copy_from_slice(&id);
        let any: SocketAddr =
            if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        socket.send(&query)?;
        let started = Instant::now();
        let mut buffer = vec![0; 4096];
        loop {
            let left = TIME.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            socket.set_read_timeout(Some(left))?;
            let length = socket.recv(&mut buffer)?;
            // What answers something else may be a guess of somebody's.
            if length < 12 || buffer[..2] != id {
                continue;
            }
            if buffer[2] & 0x02 == 0 {
                return Ok(buffer[..length].to_vec());
            }
            return Self::stream(server, &query);
        }
    }

    fn stream(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&server, TIME)?;
        stream.set_read_timeout(Some(TIME))?;
        stream.set_write_timeout(Some(TIME))?;
        stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], query].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer)?;
        if answer.get(..2) != query.get(..2) {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        Ok(answer)
    }
}

impl Exchange for Dns {
    fn ask(&self, query: &[u8]) -> Result<Vec<u8>> {
        let mut failed = None;
        for _ in 0..ATTEMPTS {
            for server in &self.servers {
                match Self::exchange(*server, query) {
                    Ok(answer) => return Ok(answer),
                    Err(cause) => failed = failed.or(Some((server, cause))),
                }
            }
        }
        let (server, cause) = match failed {
            Some((server, cause)) => (server.to_string(), cause.to_string()),
            None => (String::new(), "no server".to_owned()),
        };
        Err(Error::new(Code::Network, format!("asking the server {server} of the DNS"))
            .found(cause)
            .expected("an answer")
            .fix("docker://HOST/…   asks the registry alone; where no DNS can be asked: dns = false   in ~/.config/plimsoll/names.toml"))
    }
}
