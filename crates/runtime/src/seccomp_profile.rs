//! Which system calls a container may make by default.
//!
//! What docker intends with its default profile, as a table of our own:
//! everything that ordinary programs need passes; what manages the machine
//! (modules, swap, clocks, keys, other containers' memory) passes only with
//! the capability that it takes anyway, so that a bug in those parts of the
//! kernel is out of reach; everything unknown fails with EPERM.
//!
//! Names that an architecture does not have are skipped by every runtime, so
//! one table serves all.

use plimsoll_content::{Code, Error, Result};
use serde_json::Map;

use crate::spec::{Comparison, Seccomp, SeccompAction, SeccompArg, SeccompRule};

/// ENOSYS on most architectures.
const ENOSYS: u32 = 38;

/// ENOSYS on those of MIPS, which has numbers of its own.
const ENOSYS_MIPS: u32 = 89;

/// GOARCH names and the architectures of libseccomp. Calls of the 32-bit
/// twins of an architecture are not allowed: a filter has to know each of
/// their numbers, and kernels were escaped through them.
const ARCHITECTURES: &[(&str, &str)] = &[
    ("386", "SCMP_ARCH_X86"),
    ("amd64", "SCMP_ARCH_X86_64"),
    ("arm", "SCMP_ARCH_ARM"),
    ("arm64", "SCMP_ARCH_AARCH64"),
    ("loong64", "SCMP_ARCH_LOONGARCH64"),
    ("mips", "SCMP_ARCH_MIPS"),
    ("mips64", "SCMP_ARCH_MIPS64"),
    ("mips64le", "SCMP_ARCH_MIPSEL64"),
    ("mipsle", "SCMP_ARCH_MIPSEL"),
    ("ppc64", "SCMP_ARCH_PPC64"),
    ("ppc64le", "SCMP_ARCH_PPC64LE"),
    ("riscv64", "SCMP_ARCH_RISCV64"),
    ("s390x", "SCMP_ARCH_S390X"),
];

/// What every container may do, by purpose. The second names of 32-bit
/// architectures (`…32`, `…64`, `…_time64`) stand beside the first.
const ALLOWED: &[(&str, &str)] = &[
    (
        "opening, reading and writing files",
        "open openat openat2 creat close close_range read readv pread64 preadv preadv2 \
         write writev pwrite64 pwritev pwritev2 lseek _llseek dup dup2 dup3 fcntl fcntl64 flock \
         ftruncate ftruncate64 truncate truncate64 fallocate copy_file_range readahead \
         fadvise64 fadvise64_64 arm_fadvise64_64 sendfile sendfile64 splice tee vmsplice \
         sync syncfs fsync fdatasync sync_file_range sync_file_range2 arm_sync_file_range \
         cachestat ioctl",
    ),
    (
        "names and metadata of files",
        "access faccessat faccessat2 stat stat64 lstat lstat64 fstat fstat64 fstatat64 \
         newfstatat statx statfs statfs64 fstatfs fstatfs64 oldstat oldfstat oldlstat \
         chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 lchown lchown32 fchownat \
         link linkat symlink symlinkat unlink unlinkat rename renameat renameat2 \
         mkdir mkdirat rmdir mknod mknodat readlink readlinkat getdents getdents64 readdir \
         chdir fchdir getcwd umask utime utimes futimesat utimensat utimensat_time64 \
         getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat \
         listxattr llistxattr flistxattr listxattrat \
         removexattr lremovexattr fremovexattr removexattrat name_to_handle_at \
         inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark \
         file_getattr file_setattr",
    ),
    (
        "waiting for files and events",
        "poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 \
         epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old \
         epoll_pwait epoll_pwait2 eventfd eventfd2 pipe pipe2 \
         signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime \
         timerfd_settime64 timerfd \
         io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64",
    ),
    (
        "memory",
        "brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall \
         munlock munlockall mseal membarrier remap_file_pages memfd_create memfd_secret \
         pkey_alloc pkey_free pkey_mprotect map_shadow_stack process_mrelease \
         process_vm_readv process_vm_writev cacheflush riscv_flush_icache",
    ),
    (
        "processes and threads",
        "execve execveat exit exit_group fork vfork wait4 waitid waitpid \
         getpid getppid gettid getpgid getpgrp setpgid getsid setsid \
         set_tid_address set_robust_list get_robust_list rseq getcpu \
         set_thread_area get_thread_area set_tls arch_prctl modify_ldt prctl \
         futex futex_time64 futex_wait futex_waitv futex_wake futex_requeue \
         pidfd_open pidfd_send_signal ptrace restart_syscall seccomp \
         landlock_create_ruleset landlock_add_rule landlock_restrict_self \
         lsm_get_self_attr lsm_set_self_attr lsm_list_modules breakpoint swapcontext \
         riscv_hwprobe rseq_slice_yield",
    ),
    (
        "signals",
        "kill tkill tgkill pause sigaltstack alarm \
         rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend \
         rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo \
         signal sigaction sigpending sigprocmask sigreturn sigsuspend",
    ),
    (
        "users, groups and capabilities of the own process",
        "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 \
         getresuid getresuid32 getresgid getresgid32 getgroups getgroups32 \
         setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 \
         setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 \
         setgroups setgroups32 capget capset",
    ),
    (
        "clocks and timers",
        "time times gettimeofday clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
         clock_nanosleep clock_nanosleep_time64 nanosleep getitimer setitimer \
         timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 \
         timer_settime timer_settime64 adjtimex clock_adjtime clock_adjtime64",
    ),
    (
        "scheduling and limits",
        "sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr \
         sched_getparam sched_setparam sched_getscheduler sched_setscheduler \
         sched_get_priority_max sched_get_priority_min \
         sched_rr_get_interval sched_rr_get_interval_time64 \
         getpriority setpriority ioprio_get ioprio_set \
         getrlimit ugetrlimit setrlimit prlimit64 getrusage",
    ),
    (
        "sockets (which families: see below)",
        "socketpair bind listen accept accept4 connect shutdown getsockname getpeername \
         getsockopt setsockopt send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg \
         recvmmsg_time64 socketcall",
    ),
    (
        "System V and POSIX message passing",
        "ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 \
         shmat shmctl shmdt shmget mq_open mq_unlink mq_notify mq_getsetattr mq_timedreceive \
         mq_timedreceive_time64 mq_timedsend mq_timedsend_time64",
    ),
    (
        "what the machine is, and random numbers",
        "uname olduname oldolduname sysinfo getrandom syscall s390_pci_mmio_read \
         s390_pci_mmio_write s390_runtime_instr",
    ),
];

/// What passes with a capability only.
const WITH: &[(&str, &str)] = &[
    ("CAP_BPF", "bpf"),
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ("CAP_PERFMON", "perf_event_open"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie \
         mount mount_setattr move_mount open_tree open_tree_attr perf_event_open quotactl \
         quotactl_fd setdomainname sethostname setns statmount syslog umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module finit_module init_module"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("CAP_SYS_RAWIO", "ioperm iopl"),
    ("CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYSLOG", "syslog"),
];

/// The flags by which `clone` makes namespaces.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;

/// The personalities that change nothing but how a program sees itself:
/// Linux, SVR4's 32-bit limits, `uname26`, both, and "only ask".
const PERSONALITIES: &[u64] = &[0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The highest socket family that is known (AF_MCTP).
const LAST_FAMILY: u64 = 45;

/// Socket families that reach out of the container whatever its network
/// namespace is (AF_VSOCK: the hypervisor) or into seldom used parts of the
/// kernel (AF_ALG: its cryptography).
const NO_FAMILIES: &[u64] = &[38, 40];

/// The bits that the kernel looks at when an argument is an `int`. Without
/// the mask, a value with higher bits set would pass a comparison that the
/// kernel then sees differently.
const INT: u64 = 0xffff_ffff;

/// The default filter for images of `architecture` (GOARCH), in a container
/// whose bounding set holds `capabilities`.
///
/// Calls that no rule names fail with EPERM. `clone3`, whose flags a filter
/// cannot see, fails with ENOSYS, so that C libraries fall back to `clone`.
///
/// # Errors
///
/// [`Code::Config`] for an architecture without a profile.
pub fn profile(architecture: &str, capabilities: &[String]) -> Result<Seccomp> {
    let native = native(architecture)?;
    let mut names: Vec<&str> =
        ALLOWED.iter().flat_map(|(_, names)| names.split_whitespace()).collect();
    for (capability, more) in WITH {
        if capabilities.iter().any(|held| held == capability) {
            names.extend(more.split_whitespace());
        }
    }
    names.sort_unstable();
    names.dedup();
    let all_clones = names.contains(&"clone");
    let mut rules = vec![allow(&names, Vec::new())];
    if !all_clones {
        let flags = u32::from(architecture == "s390x");
        rules.push(allow(&["clone"], vec![masked(flags, CLONE_NAMESPACES, 0)]));
        rules.push(SeccompRule {
            action: SeccompAction::Errno,
            errno_ret: Some(if architecture.starts_with("mips") { ENOSYS_MIPS } else { ENOSYS }),
            ..allow(&["clone3"], Vec::new())
        });
    }
    for personality in PERSONALITIES {
        rules.push(allow(&["personality"], vec![masked(0, INT, *personality)]));
    }
    for family in (0..=LAST_FAMILY).filter(|family| !NO_FAMILIES.contains(family)) {
        rules.push(allow(&["socket"], vec![masked(0, INT, family)]));
    }
    Ok(Seccomp {
        default_action: SeccompAction::Errno,
        default_errno_ret: Some(1),
        architectures: vec![native.to_owned()],
        syscalls: rules,
        other: Map::new(),
    })
}

/// What libseccomp calls an architecture of image configs.
pub(crate) fn native(architecture: &str) -> Result<&'static str> {
    let found = ARCHITECTURES.iter().find(|(name, _)| *name == architecture);
    found.map(|(_, native)| *native).ok_or_else(|| {
        Error::new(Code::Config, "making the filter of system calls")
            .found(format!("architecture {architecture:?}"))
            .expected(format!(
                "one of {}",
                ARCHITECTURES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
            ))
    })
}

fn allow(names: &[&str], args: Vec<SeccompArg>) -> SeccompRule {
    SeccompRule {
        names: names.iter().map(ToString::to_string).collect(),
        action: SeccompAction::Allow,
        errno_ret: None,
        args,
        other: Map::new(),
    }
}

fn masked(index: u32, mask: u64, value: u64) -> SeccompArg {
    SeccompArg {
        index,
        value: mask,
        value_two: value,
        op: Comparison::MaskedEqual,
        other: Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(seccomp: &Seccomp, name: &str) -> usize {
        seccomp
            .syscalls
            .iter()
            .filter(|rule| rule.action == SeccompAction::Allow)
            .filter(|rule| rule.names.iter().any(|known| known == name))
            .count()
    }

    #[test]
    fn managing_the_machine_takes_its_capability() {
        let none = profile("amd64", &[]).expect("a profile");
        for (capability, names) in WITH {
            let with = profile("arm64", &[(*capability).to_owned()]).expect("a profile");
            for name in names.split_whitespace() {
                assert_eq!(allowed(&with, name), 1, "{name} with {capability}");
                assert_eq!(allowed(&none, name), usize::from(name == "clone"), "{name} without");
            }
        }
        for name in ["add_key", "keyctl", "request_key", "userfaultfd", "io_uring_setup", "swapon"]
        {
            assert_eq!(allowed(&none, name), 0, "{name}");
        }
    }

    #[test]
    fn no_name_stands_twice() {
        let mut names: Vec<_> =
            ALLOWED.iter().flat_map(|(_, names)| names.split_whitespace()).collect();
        for (_, more) in WITH {
            for name in more.split_whitespace() {
                assert!(!names.contains(&name), "{name} is allowed anyway");
            }
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn clone3_is_unknown_unless_namespaces_may_be_made() {
        let none = profile("riscv64", &[]).expect("a profile");
        let rule = none.syscalls.iter().find(|rule| rule.names == ["clone3"]).expect("a rule");
        assert_eq!((rule.action, rule.errno_ret), (SeccompAction::Errno, Some(38)));
        let mips = profile("mips64le", &[]).expect("a profile");
        assert!(mips.syscalls.iter().any(|rule| rule.errno_ret == Some(89)));
        let admin = profile("riscv64", &["CAP_SYS_ADMIN".to_owned()]).expect("a profile");
        assert_eq!(allowed(&admin, "clone3"), 1);
        assert!(admin.syscalls.iter().all(|rule| rule.action == SeccompAction::Allow));
    }

    #[test]
    fn an_architecture_without_profile_is_refused() {
        assert_eq!(profile("pdp11", &[]).expect_err("refused").code(), Code::Config);
    }
}
