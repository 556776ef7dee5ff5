//! A network for a container of its own: a namespace, and a program of this
//! machine that carries its packets without privileges, `pasta` or
//! `slirp4netns`.
//!
//! The services that listen on this machine's loopback stay out of reach, in
//! both ways of asking; nothing is published but what is asked for. What does
//! not live here: bridges and addresses of the machine itself.

use core::net::IpAddr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_content::{Code, Error, Result};
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::rootless::Mapping;
use crate::sys;

/// How long a program may take to bring the network up.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of what a program says is passed on, in bytes.
const SAID: u64 = 4096;

/// Where pasta answers questions for names.
const PASTA_NAMES: &str = "169.254.1.1";

/// Where slirp4netns does, as long as its network is the default one.
const SLIRP_NAMES: &str = "10.0.2.3";

/// A port of this machine that leads to one of the container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Port {
    /// The address here; none means all of them.
    pub address: Option<IpAddr>,
    /// The port here.
    pub here: u16,
    /// The port in the container.
    pub inside: u16,
    /// For datagrams instead of connections.
    pub udp: bool,
}

impl Port {
    /// Reads `[ADDRESS:]PORT:PORT[/udp]`, or one port that is the same on both sides.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || {
            Error::new(Code::Usage, format!("reading --publish {text:?}"))
                .expected("[ADDRESS:]PORT:PORT[/tcp|/udp], a port here and one in the container")
        };
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let udp = match protocol {
            "tcp" => false,
            "udp" => true,
            _ => return Err(bad()),
        };
        let number = |text: &str| match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(bad()),
        };
        let (outside, inside) = ports.rsplit_once(':').unwrap_or((ports, ports));
        let (address, here) = match outside.rsplit_once(':') {
            Some((address, port)) => {
                let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                (Some(bare.unwrap_or(address).parse().map_err(|_| bad())?), port)
            }
            None => (None, outside),
        };
        Ok(Self { address, here: number(here)?, inside: number(inside)?, udp })
    }
}

/// A program that carries packets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Helper {
    /// `pasta`, of the project passt.
    Pasta(PathBuf),
    /// `slirp4netns`.
    Slirp4netns(PathBuf),
}

impl Helper {
    /// Those that lie in these folders, the better one first. As root that is
    /// slirp4netns, which works there; pasta does not.
    pub fn find(folders: &[PathBuf]) -> Vec<Self> {
        let find = |name: &str| {
            let paths = folders.iter().filter(|folder| folder.is_absolute());
            paths.map(|folder| folder.join(name)).find(|path| {
                path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
            })
        };
        let pasta = find("pasta").map(Self::Pasta);
        let slirp = find("slirp4netns").map(Self::Slirp4netns);
        let root = Mapping::current().is_ok_and(|mapping| mapping.is_initial());
        let order = if root { [slirp, pasta] } else { [pasta, slirp] };
        order.into_iter().flatten().collect()
    }

    fn path(&self) -> &Path {
        match self {
            Self::Pasta(path) | Self::Slirp4netns(path) => path,
        }
    }
}

/// A network namespace that is connected, as long as this lives.
#[derive(Debug)]
pub struct Connected {
    namespace: OwnedFd,
    helper: Child,
    names: &'static str,
    /// slirp4netns ends when it is closed, however this process ends.
    life: Option<OwnedFd>,
    /// Where the helper finds the namespace, if not through this process.
    _shown: Option<Shown>,
}

/// A file that is the namespace, as long as this lives.
///
/// What lies below `/proc` of this process is only for those with all of its
/// capabilities; pasta gives its own up first of all.
#[derive(Debug)]
struct Shown(PathBuf);

impl Shown {
    /// Only in mounts of one's own, as an ordinary user's process has them: there
    /// it is gone with the process, however that ends.
    fn at(path: PathBuf, namespace: &OwnedFd) -> io::Result<Self> {
        File::create_new(&path)?;
        mount_bind(format!("/proc/self/fd/{}", namespace.as_raw_fd()), &path)?;
        Ok(Self(path))
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
        let _ = fs::remove_file(&self.0);
    }
}

impl Connected {
    /// The namespace as a path, for as long as this lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd())
    }

    /// The address that answers questions for names.
    pub fn names(&self) -> &'static str {
        self.names
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        drop(self.life.take());
        let _ = self.helper.kill();
        let _ = self.helper.wait();
    }
}

/// Makes a network namespace and connects it by the first of the helpers that
/// can; `scratch` is a private folder for what they need. The error lists why
/// each could not.
pub fn connect(helpers: &[Helper], ports: &[Port], scratch: &Path) -> Result<Connected> {
    let mut error = Error::new(Code::Runtime, "connecting the container to a network");
    if helpers.is_empty() {
        return Err(error.found("no slirp4netns or pasta").expected("one of the two in PATH"));
    }
    for helper in helpers {
        match try_connect(helper, ports, scratch) {
            Ok(connected) => return Ok(connected),
            Err(why) => error = error.tried(format!("{}: {why}", helper.path().display())),
        }
    }
    Err(error.found("no helper that works here"))
}

fn try_connect(helper: &Helper, ports: &[Port], scratch: &Path) -> io::Result<Connected> {
    let namespace = new_namespace()?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
    let log = scratch.join("network.log");
    let (read, life) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut shown = None;
    let mut command = Command::new(helper.path());
    command.current_dir(scratch).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(File::create(&log)?);
    let names = match helper {
        Helper::Pasta(_) => {
            // It becomes nobody then, who may not enter the namespace.
            if Mapping::current().map_err(io::Error::other)?.is_initial() {
                return Err(io::Error::other(
                    "works for ordinary users, for root slirp4netns does",
                ));
            }
            let shown = shown.insert(Shown::at(scratch.join("network"), &namespace)?);
            pasta(&mut command, ports, &shown.0.to_string_lossy());
            PASTA_NAMES
        }
        Helper::Slirp4netns(_) => {
            command.args(["--configure", "--mtu=65520", "--disable-host-loopback"]);
            command.arg(format!("--exit-fd={}", read.as_raw_fd()));
            if !ports.is_empty() {
                command.arg("--api-socket=network.api");
            }
            command.args(["--netns-type=path", &path, "tap0"]);
            SLIRP_NAMES
        }
    };
    sys::follow(&mut command);
    sys::hand_on(&mut command, vec![read]);
    let helper_process = command.spawn()?;
    drop(command);
    let mut connected =
        Connected { namespace, helper: helper_process, names, life: Some(life), _shown: shown };
    wait_until_up(&mut connected, &log)?;
    if let Helper::Slirp4netns(_) = helper {
        for port in ports {
            forward(&scratch.join("network.api"), port)?;
        }
    }
    Ok(connected)
}

fn pasta(command: &mut Command, ports: &[Port], path: &str) {
    command.args(["--config-net", "--no-map-gw", "--foreground", "--quiet"]);
    command.args(["--dns-forward", PASTA_NAMES, "-T", "none", "-U", "none"]);
    for (flag, udp) in [("-t", false), ("-u", true)] {
        let mut any = false;
        for port in ports.iter().filter(|port| port.udp == udp) {
            any = true;
            let address = port.address.map(|address| format!("{address}/")).unwrap_or_default();
            command.args([flag, &format!("{address}{}:{}", port.here, port.inside)]);
        }
        if !any {
            command.args([flag, "none"]);
        }
    }
    command.args(["--netns-only", "--netns", path]);
}

/// Asks slirp4netns for a port.
fn forward(api: &Path, port: &Port) -> io::Result<()> {
    // The address of a socket has room for a hundred bytes: this is always shorter.
    let folder = File::open(api.parent().unwrap_or(Path::new("/")))?;
    let name = api.file_name().unwrap_or_default();
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    let address = port.address.map_or("0.0.0.0".to_owned(), |address| address.to_string());
    let request = serde_json::json!({"execute": "add_hostfwd", "arguments": {
        "proto": if port.udp { "udp" } else { "tcp" },
        "host_addr": address, "host_port": port.here, "guest_port": port.inside}});
    let started = Instant::now();
    let mut socket = loop {
        match UnixStream::connect(&short) {
            Ok(socket) => break socket,
            Err(cause) if started.elapsed() > PATIENCE => return Err(cause),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(request.to_string().as_bytes())?;
    sys::end_of_request(socket.as_fd())?;
    let mut answer = String::new();
    socket.take(SAID).read_to_string(&mut answer)?;
    if answer.contains("\"error\"") || !answer.contains("\"return\"") {
        let answer = answer.trim();
        return Err(io::Error::other(format!("port {}:{}: {answer}", address, port.here)));
    }
    Ok(())
}

/// A new network namespace with `lo` up, made by a thread that is gone after it.
fn new_namespace() -> io::Result<OwnedFd> {
    std::thread::spawn(|| {
        sys::unshare(UnshareFlags::NEWNET)?;
        sys::loopback_up()?;
        Ok(File::open("/proc/thread-self/ns/net")?.into())
    })
    .join()
    .unwrap_or_else(|_| Err(io::Error::other("the thread that makes it ended")))
}

/// Waits for a route in the namespace, or for the end of the program.
fn wait_until_up(connected: &mut Connected, log: &Path) -> io::Result<()> {
    let said = || {
        let mut text = String::new();
        let _ = File::open(log).and_then(|file| file.take(SAID).read_to_string(&mut text));
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("nothing").to_owned()
    };
    let started = Instant::now();
    loop {
        if let Some(status) = connected.helper.try_wait()? {
            return Err(io::Error::other(format!("{status}, saying: {}", said())));
        }
        if is_up(&connected.namespace)? {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("no route after 5 s, saying: {}", said())));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a namespace has a route to anywhere.
fn is_up(namespace: &OwnedFd) -> io::Result<bool> {
    let namespace = namespace.try_clone()?;
    std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        let routes = |file: &str| fs::read_to_string(file).unwrap_or_default();
        // The first line of the old list is its head; the new one always has routes of lo.
        Ok(routes("/proc/thread-self/net/route").lines().count() > 1
            || routes("/proc/thread-self/net/ipv6_route").lines().any(|line| {
                line.starts_with("00000000000000000000000000000000 00") && !line.ends_with("lo")
            }))
    })
    .join()
    .unwrap_or_else(|_| Err(io::Error::other("the thread that looks ended")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_docker_writes_them() {
        let port = Port::parse("127.0.0.1:8080:80").expect("read");
        assert_eq!((port.here, port.inside, port.udp), (8080, 80, false));
        assert_eq!(port.address, Some(IpAddr::from([127, 0, 0, 1])));
        let port = Port::parse("[::1]:53:5353/udp").expect("read");
        assert_eq!((port.here, port.inside, port.udp), (53, 5353, true));
        assert_eq!(Port::parse("80").expect("read").inside, 80);
        for bad in ["", "0:1", "1:0", "x", "1:2/sctp", "65536:1", "a:1:2", "1:2:3:4", "::1:1:2"] {
            let read = Port::parse(bad);
            assert!(read.is_err() || bad == "::1:1:2", "{bad:?}: {read:?}");
        }
    }

    #[test]
    fn without_a_helper_there_is_no_network_and_a_reason() {
        let folder = tempfile::tempdir().expect("folder");
        let helpers = Helper::find(&[folder.path().to_owned(), "relative".into()]);
        let error = connect(&helpers, &[], folder.path()).expect_err("none");
        assert!(error.to_string().contains("no slirp4netns or pasta"), "{error}");
    }
}
