//! A containerd of its own, for as long as a test needs it.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use plimsoll_interop::{Output, Peer, Scratch, peer, run};

/// The daemon, and the client that talks to it.
pub(crate) struct Containerd {
    daemon: Child,
    ctr: Peer,
    socket: String,
    /// Whether it came to listen.
    pub(crate) listens: bool,
}

impl Containerd {
    /// `None` if it is not installed.
    pub(crate) fn start(scratch: &Scratch) -> Option<Self> {
        let (containerd, ctr) = (peer("containerd")?, peer("ctr")?);
        let socket = scratch.text("s.sock");
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {socket:?}\n",
            scratch.text("c-root"),
            scratch.text("c-state")
        );
        fs::write(scratch.join("c.toml"), config).expect("a file");
        let mut daemon = containerd.command();
        daemon.arg("-c").arg(scratch.join("c.toml")).stdin(Stdio::null());
        let daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let mut there = Self { daemon, ctr, socket, listens: false };
        there.listens = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            there.ctr(&["version"]).code == 0
        });
        Some(there)
    }

    /// Runs `ctr` with these words.
    pub(crate) fn ctr(&self, words: &[&str]) -> Output {
        let mut command = self.ctr.command();
        command.args(["-a", &self.socket]).args(words);
        run(&mut command)
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // By the signal that lets it end its own children.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.daemon),
            rustix::process::Signal::TERM,
        );
        let _ = self.daemon.wait();
    }
}
