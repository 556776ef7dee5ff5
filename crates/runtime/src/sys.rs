//! The system calls that no crate wraps safely: the only unsafe code here.
//!
//! Each function does one call, or one that is meaningless without another,
//! and takes and gives safe types.

#![allow(unsafe_code, reason = "raw system calls; every block says why it is sound")]

use std::ffi::CString;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::fs::CWD;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, mount_change, move_mount};
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use crate::device_filter::Instruction as Filter;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn check_long(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Moves this thread to new namespaces; for those of users and processes it
/// must be the only one.
pub(crate) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    debug_assert!(!namespaces.contains(UnshareFlags::FILES));
    // SAFETY: the danger named in its contract is that of `FILES`, which is never asked for.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}

/// The two sides of [`fork`].
pub(crate) enum Fork {
    Parent(Pid),
    Child,
}

/// Splits this process in two. Refuses when it has more than one thread:
/// the child could then wait for ever for a lock that no thread holds.
pub(crate) fn fork() -> io::Result<Fork> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("{threads} threads where one was expected")));
    }
    // SAFETY: the process has one thread, so the child is a complete copy.
    let pid = check(unsafe { libc::fork() })?;
    Ok(Pid::from_raw(pid).map_or(Fork::Child, Fork::Parent))
}

/// Ends the process without running anything of it.
pub(crate) fn leave(code: u8) -> ! {
    // SAFETY: has no preconditions.
    unsafe { libc::_exit(libc::c_int::from(code)) }
}

/// Replaces this process by a program; gives the reason when it can not.
pub(crate) fn execve(program: &CString, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<_> {
        list.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: all pointers are to NUL-terminated strings that outlive the call, in lists that
    // end with a null pointer.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Marks all descriptors from 3 on to be closed by the next `execve`.
pub(crate) fn close_on_exec_from_three() -> io::Result<()> {
    let (first, last) = (3 as libc::c_uint, libc::c_uint::MAX);
    // SAFETY: only sets a flag of descriptors; none is closed under its owner. By number,
    // because not all C libraries have the function.
    check_long(unsafe {
        libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC)
    })
    .map(drop)
}

/// Lets the child of `command`, and nobody else, inherit the descriptors
/// under their own numbers.
pub(crate) fn hand_on(command: &mut Command, descriptors: Vec<OwnedFd>) {
    let clear = move || {
        for descriptor in &descriptors {
            // SAFETY: `fcntl` is async-signal-safe and only clears a flag of a descriptor that
            // the closure owns.
            check(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, 0) })?;
        }
        Ok(())
    };
    // SAFETY: the closure calls nothing but `fcntl`; it neither allocates nor locks.
    unsafe { command.pre_exec(clear) };
}

/// Lets the child of `command` end when the thread that starts it does.
pub(crate) fn follow(command: &mut Command) {
    let follow = || {
        // SAFETY: `prctl` is async-signal-safe and changes only the calling process.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }).map(drop)
    };
    // SAFETY: the closure calls nothing but `prctl`; it neither allocates nor locks.
    unsafe { command.pre_exec(follow) };
}

/// Gives the child of `command` mounts of its own, and in them `tree` over the folder `over`.
pub(crate) fn mount_for(command: &mut Command, tree: OwnedFd, over: CString) {
    let mount = move || {
        unshare(UnshareFlags::NEWNS)?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change(c"/", private)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        Ok(move_mount(&tree, c"", CWD, over.as_c_str(), flags)?)
    };
    // SAFETY: the closure makes three system calls; with strings that end in a NUL already,
    // their wrappers neither allocate nor lock.
    unsafe { command.pre_exec(mount) };
}

/// Tells the other end of a socket that nothing more comes; answers still may.
pub(crate) fn end_of_request(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: has no preconditions.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) }).map(drop)
}

/// Takes a descriptor that this program was started with (see [`hand_on`]).
///
/// Refuses numbers that are not open and the three standard ones.
pub(crate) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: `F_GETFD` reads a flag; it fails on numbers that are not open.
    check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // SAFETY: it is open, and the caller is the entry of the program, where nothing else can
    // have taken the number yet.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Sets attributes of a mount (and with `recursive` of those below it).
pub(crate) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    attributes: u64,
    recursive: bool,
) -> io::Result<()> {
    #[repr(C)]
    struct MountAttr {
        set: u64,
        clear: u64,
        propagation: u64,
        userns: u64,
    }
    let attr = MountAttr { set: attributes, clear: 0, propagation: 0, userns: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated string and the structure has the layout and the
    // size of version 0 of `struct mount_attr`; the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    check_long(result).map(drop)
}

/// Brings up `lo` in the network namespace of this thread.
pub(crate) fn loopback_up() -> io::Result<()> {
    // SAFETY: makes a descriptor; has no preconditions.
    let socket =
        check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all-zero bytes are a valid `ifreq`: numbers and arrays of them.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: `SIOCSIFFLAGS` reads an `ifreq` with name and flags, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })
        .map(drop)
}

/// Leaves the session keyring of the caller for a new, empty one.
pub(crate) fn new_session_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    let none = ptr::null::<libc::c_char>();
    // SAFETY: without a name the call reads no memory.
    check_long(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, none) }).map(drop)
}

/// One instruction of a filter, as the kernel wants it.
pub(crate) use seccompiler::sock_filter as Instruction;

/// Installs a filter of system calls for this thread and what it becomes.
pub(crate) fn install_filter(program: &[Instruction], flags: libc::c_ulong) -> io::Result<()> {
    #[repr(C)]
    struct Program {
        len: libc::c_ushort,
        filter: *const Instruction,
    }
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = Program { len, filter: program.as_ptr() };
    // SAFETY: the structure is `struct sock_fprog`, with as many instructions as it says; the
    // kernel copies them.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    check_long(result).map(drop)
}

/// Asks the kernel for a program that says which devices may be used.
pub(crate) fn load_device_filter(program: &[Filter]) -> io::Result<OwnedFd> {
    /// The part of `union bpf_attr` for loading, up to the flags.
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: *const Filter,
        license: *const libc::c_char,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel: u32,
        flags: u32,
    }
    const PROG_LOAD: libc::c_int = 5;
    const CGROUP_DEVICE: u32 = 15;
    let load = Load {
        kind: CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr(),
        license: c"Apache-2.0".as_ptr(),
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel: 0,
        flags: 0,
    };
    // SAFETY: the structure has the layout of the kernel's on all machines with pointers of 64
    // bits, and its size; it points to as many instructions as it says and to a string, which
    // the kernel copies.
    let number = check_long(unsafe {
        libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>())
    })?;
    let number = RawFd::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the call has made it, and it belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Puts a program of [`load_device_filter`] in force for a cgroup, beside those that are.
pub(crate) fn attach_device_filter(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
) -> io::Result<()> {
    /// The part of `union bpf_attr` for attaching.
    #[repr(C)]
    struct Attach {
        target: u32,
        program: u32,
        kind: u32,
        flags: u32,
    }
    const PROG_ATTACH: libc::c_int = 8;
    const CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    let attach = Attach {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: the structure is what the call reads, and it holds numbers only.
    check_long(unsafe {
        libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<Attach>())
    })
    .map(drop)
}

/// The writing end that [`note_signal`] uses; -1 when nobody listens.
static LISTENER: AtomicI32 = AtomicI32::new(-1);

/// Writes the number of the signal, and whether the kernel itself sent it
/// (a key on a terminal), as two bytes.
extern "C" fn note_signal(
    number: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    let pipe = LISTENER.load(Ordering::Relaxed);
    // SAFETY: with `SA_SIGINFO` the kernel passes a valid pointer.
    let from_kernel = unsafe { (*info).si_code } == libc::SI_KERNEL;
    let note = [number as u8, u8::from(from_kernel)];
    // SAFETY: `errno` is saved because the interrupted code may be about to read it; `write`
    // is async-signal-safe; the pipe does not block.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        libc::write(pipe, note.as_ptr().cast(), note.len());
        *errno = saved;
    }
}

/// What a signal did before [`listen`].
pub(crate) struct Disposition(libc::sigaction);

/// Sends signals as pairs of bytes (number; 1 from the kernel) to `pipe`.
/// The caller keeps the pipe open until [`restore`] has undone it all.
pub(crate) fn set_listener(pipe: RawFd) {
    LISTENER.store(pipe, Ordering::Relaxed);
}

/// Lets the signal go to the listener; `None` if it is ignored and stays so.
pub(crate) fn listen(number: i32) -> io::Result<Option<Disposition>> {
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: reads the disposition into a structure of the right size.
    check(unsafe { libc::sigaction(number, ptr::null(), before.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it is filled in.
    let before = unsafe { before.assume_init() };
    if before.sa_sigaction == libc::SIG_IGN {
        return Ok(None);
    }
    // SAFETY: all-zero bytes are a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = note_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the handler is async-signal-safe and has the signature of `SA_SIGINFO`.
    check(unsafe { libc::sigaction(number, &raw const action, ptr::null_mut()) })?;
    Ok(Some(Disposition(before)))
}

/// Undoes [`listen`].
pub(crate) fn restore(number: i32, before: &Disposition) {
    // SAFETY: the structure came from the kernel for this signal.
    unsafe { libc::sigaction(number, &raw const before.0, ptr::null_mut()) };
}

/// The number of the last real-time signal.
pub(crate) fn last_signal() -> i32 {
    libc::SIGRTMAX()
}

/// Gives all signals their default effect, as a new program expects.
pub(crate) fn reset_signals() {
    // SAFETY: all-zero bytes are `SIG_DFL` with no flags and an empty mask; signals that can
    // not be changed are refused without effect.
    unsafe {
        let action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        for number in 1..=libc::SIGRTMAX() {
            libc::sigaction(number, &raw const action, ptr::null_mut());
        }
    }
}

/// Holds back all signals for this thread, or lets them through.
pub(crate) fn block_signals(block: bool) -> io::Result<()> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let how = if block { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK };
    // SAFETY: `sigfillset` fills the set before it is read.
    let result = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(how, all.as_ptr(), ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

/// Sends a signal by number; the typed one knows no real-time signals.
pub(crate) fn kill(pid: Pid, number: i32) -> io::Result<()> {
    // SAFETY: has no preconditions.
    check(unsafe { libc::kill(pid.as_raw_nonzero().get(), number) }).map(drop)
}

/// Takes the next signal of those that are held back, waiting for it.
pub(crate) fn next_signal() -> io::Result<i32> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` fills the set before it is read; without a place for it, the call
    // tells nothing but the number.
    check(unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::sigwaitinfo(all.as_ptr(), ptr::null_mut())
    })
}

/// Closes all descriptors from 3 on, for a process that is not to go on with any of them.
pub(crate) fn close_from_three() -> io::Result<()> {
    let (first, last) = (3 as libc::c_uint, libc::c_uint::MAX);
    // SAFETY: the caller lives on without anything that owns a descriptor (see above); a double
    // close could only close what it opens later, which is nothing.
    check_long(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Two ends through which descriptors can be sent.
pub(crate) fn descriptor_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut pair = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the call writes two numbers to where there is room for two.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) })?;
    // SAFETY: both were just made and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(pair[0]), OwnedFd::from_raw_fd(pair[1])) })
}

/// Room for a control message with one descriptor, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

const DESCRIPTOR: libc::c_uint = size_of::<RawFd>() as libc::c_uint;

/// Sends a descriptor, with one byte that says nothing.
pub(crate) fn send_descriptor(way: BorrowedFd<'_>, sent: BorrowedFd<'_>) -> io::Result<()> {
    let mut byte = [0u8];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    // SAFETY: all-zero bytes are a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: arithmetic only; one descriptor takes 24 bytes of the 64.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(DESCRIPTOR) } as _;
    // SAFETY: the buffer is large enough for one header and one descriptor, so the pointers that
    // the macros give lie in it; the kernel reads all of it before the call returns.
    check_long(unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(DESCRIPTOR) as _;
        ptr::write_unaligned(libc::CMSG_DATA(header).cast::<RawFd>(), sent.as_raw_fd());
        libc::sendmsg(way.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) as libc::c_long
    })
    .map(drop)
}

/// Waits for a descriptor; `None` if the other end is gone without sending one.
pub(crate) fn receive_descriptor(way: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0u8];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    // SAFETY: all-zero bytes are a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: arithmetic only.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(DESCRIPTOR) } as _;
    let read = loop {
        // SAFETY: the kernel writes to the buffers that the message names, within their lengths.
        let read = unsafe {
            libc::recvmsg(way.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) as libc::c_long
        };
        match check_long(read) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if read == 0 {
        return Ok(None);
    }
    // SAFETY: the macros stay within the control length that the kernel has set; a message of
    // this kind and length holds one descriptor, which is new and belongs to nobody else.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if header.is_null()
            || (*header).cmsg_level != libc::SOL_SOCKET
            || (*header).cmsg_type != libc::SCM_RIGHTS
            || (*header).cmsg_len < libc::CMSG_LEN(DESCRIPTOR) as _
        {
            return Ok(None);
        }
        let number = ptr::read_unaligned(libc::CMSG_DATA(header).cast::<RawFd>());
        Ok(Some(OwnedFd::from_raw_fd(number)))
    }
}
