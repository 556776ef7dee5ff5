//! The terminal of the container, outside: what is typed here goes to it, what
//! it shows comes here, and it has the size of the terminal here.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{
    OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

/// The key that ends an input (Ctrl-D).
const END_OF_INPUT: u8 = 4;

/// The caller's side, as long as the container runs. The terminal here is as
/// before when it is dropped.
pub(super) struct Terminal {
    master: OwnedFd,
    before: Option<Termios>,
    pump: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Begins to pass on what is typed and what is shown.
    pub(super) fn start(master: OwnedFd) -> io::Result<Self> {
        same_size(master.as_fd());
        let before = isatty(stdin()).then(|| tcgetattr(stdin())).transpose()?;
        let mut terminal = Self { master, before, pump: None };
        if let Some(before) = &terminal.before {
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        }
        let flags = fcntl_getfl(&terminal.master)? | OFlags::NONBLOCK;
        fcntl_setfl(&terminal.master, flags)?;
        let master = terminal.master.try_clone()?;
        terminal.pump = Some(std::thread::Builder::new().spawn(move || pump(&master))?);
        Ok(terminal)
    }

    /// What is to be done when the terminal here has another size.
    pub(super) fn resize(&self) -> io::Result<impl Fn() + 'static> {
        let master = self.master.try_clone()?;
        Ok(move || same_size(master.as_fd()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(pump) = self.pump.take() {
            let _ = pump.join();
        }
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// Gives the container's terminal the size of the one here, if there is one.
fn same_size(master: BorrowedFd<'_>) {
    let here = [stdin(), stdout(), stderr()].into_iter().find(|stream| isatty(stream));
    if let Some(size) = here.and_then(|here| tcgetwinsize(here).ok()) {
        let _ = tcsetwinsize(master, size);
    }
}

/// Passes bytes in both directions until nobody in the container has the
/// terminal any more.
fn pump(master: &OwnedFd) {
    let mut typed: Vec<u8> = Vec::new();
    let (mut input, mut output) = (true, true);
    let mut buffer = [0u8; 8 << 10];
    loop {
        let wanted = if typed.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut waits = vec![PollFd::new(master, wanted)];
        if input && typed.is_empty() {
            waits.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
        }
        match poll(&mut waits, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        let from_container = waits[0].revents();
        let from_here = waits.get(1).map_or(PollFlags::empty(), PollFd::revents);
        if from_container.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            match rustix::io::read(master, &mut buffer) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                // An error is how the last one to close the terminal is noticed.
                Ok(0) | Err(_) => return,
                Ok(read) => output = output && show(&buffer[..read]),
            }
        }
        if from_container.contains(PollFlags::OUT) {
            match rustix::io::write(master, &typed) {
                Ok(written) => drop(typed.drain(..written)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return,
            }
        }
        if !from_here.is_empty() {
            match rustix::io::read(stdin(), &mut buffer) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Ok(0) | Err(_) => {
                    input = false;
                    typed.push(END_OF_INPUT);
                }
                Ok(read) => typed.extend_from_slice(&buffer[..read]),
            }
        }
    }
}

/// Writes to standard output; `false` when nobody reads there any more.
fn show(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::io::write(stdout(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(stdout(), PollFlags::OUT)], None);
            }
            Err(_) => return false,
        }
    }
    true
}
