/* System calls that a process in a container may or may not make, one fact a line
 * ("call NAME=allowed" or "refused"): the rest of what isolation.sh says. Linked
 * statically, so that it runs in any image. A call counts as refused if it fails for
 * want of permission, if the filter hides it (ENOSYS) or ends the process. Where the
 * kernel would do the thing, arguments are such that nothing comes of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Calls that all machines have under the same number, newer than some headers. */
enum { OPEN_TREE = 428, MOVE_MOUNT = 429, FSOPEN = 430, FSPICK = 433, PIDFD_OPEN = 434,
       CLONE3 = 435, PIDFD_GETFD = 438, MOUNT_SETATTR = 442 };

static int refused(long result) {
    return result < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS);
}

/* In a child, which the filter may end and the call may change. */
#define TRY(name, call)                                                          \
    do {                                                                         \
        fflush(stdout);                                                          \
        pid_t pid = fork();                                                      \
        if (pid == 0) {                                                          \
            errno = 0;                                                           \
            _exit(refused((long)(call)) ? 1 : 0);                                \
        }                                                                        \
        int status = 0;                                                          \
        waitpid(pid, &status, 0);                                                \
        int said = pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;     \
        printf("call %s=%s\n", name, said ? "allowed" : "refused");              \
    } while (0)

static char zeros[4096];

static long by_handle(void) {
    struct { unsigned bytes; int type; unsigned char rest[8]; } handle = {8, 1, {0}};
    return syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY);
}

static long perf(void) {
    uint32_t attr[32] = {0};
    attr[1] = 112; /* Its size; what is counted is the processor's cycles, the kernel's too. */
    return syscall(SYS_perf_event_open, attr, 0, -1, -1, 0);
}

static long clone_user(void) {
    uint64_t args[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0};
    long pid = syscall(CLONE3, args, sizeof args);
    if (pid == 0) _exit(0);
    return pid;
}

static long fifo(void) {
    struct sched_param param = {.sched_priority = 1};
    return sched_setscheduler(0, SCHED_FIFO, &param);
}

static long more_files(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max == RLIM_INFINITY) return 0;
    limit.rlim_max += 1;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

static long adjust(void) {
    int file = open("/proc/self/oom_score_adj", O_WRONLY);
    return file < 0 ? -1 : write(file, "-1000", 5);
}

static long join(const char *kind) {
    int file = open(kind, O_RDONLY);
    return file < 0 ? -1 : syscall(SYS_setns, file, 0);
}

/* A call of another architecture: getpid of i386. */
static long foreign(void) {
#ifdef __x86_64__
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
    if (result < 0) { errno = (int)-result; return -1; }
    return result;
#else
    errno = ENOSYS;
    return -1;
#endif
}

int main(void) {
    TRY("keyctl", syscall(SYS_keyctl, 0, -3, 1));
    TRY("add_key", syscall(SYS_add_key, "user", "probe", "x", 1, -2));
    TRY("request_key", syscall(SYS_request_key, "user", "nosuch", 0, 0));
    TRY("bpf", syscall(SYS_bpf, 0, zeros, 64));
    TRY("perf_event_open", perf());
    TRY("userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC));
    TRY("io_uring_setup", syscall(SYS_io_uring_setup, 1, zeros));
    TRY("ptrace of its own child", ptrace(PTRACE_TRACEME, 0, 0, 0));
    TRY("process_vm_readv of itself", syscall(SYS_process_vm_readv, getpid(), 0, 0, 0, 0, 0));
    TRY("kcmp", syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
    TRY("pidfd_getfd", syscall(PIDFD_GETFD, syscall(PIDFD_OPEN, getpid(), 0), 1, 0));
    TRY("open_by_handle_at", by_handle());
    TRY("unshare user", unshare(CLONE_NEWUSER));
    TRY("unshare mount", unshare(CLONE_NEWNS));
    TRY("unshare pid", unshare(CLONE_NEWPID));
    TRY("unshare network", unshare(CLONE_NEWNET));
    TRY("unshare uts", unshare(CLONE_NEWUTS));
    TRY("unshare ipc", unshare(CLONE_NEWIPC));
    TRY("unshare cgroup", unshare(0x02000000));
    TRY("unshare time", unshare(0x80));
    TRY("clone3 user", clone_user());
    TRY("setns mount", join("/proc/self/ns/mnt"));
    TRY("setns user", join("/proc/self/ns/user"));
    TRY("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
    TRY("umount2", syscall(SYS_umount2, "/proc", 2));
    TRY("pivot_root", syscall(SYS_pivot_root, "/", "/"));
    TRY("fsopen", syscall(FSOPEN, "tmpfs", 0));
    TRY("fspick", syscall(FSPICK, AT_FDCWD, "/", 0));
    TRY("open_tree clone", syscall(OPEN_TREE, AT_FDCWD, "/", 1));
    TRY("move_mount", syscall(MOVE_MOUNT, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0));
    TRY("mount_setattr", syscall(MOUNT_SETATTR, AT_FDCWD, "/", 0, zeros, 32));
    TRY("init_module", syscall(SYS_init_module, zeros, 0, ""));
    TRY("finit_module", syscall(SYS_finit_module, 0, "", 0));
    TRY("delete_module", syscall(SYS_delete_module, "nosuch", O_NONBLOCK));
    TRY("kexec_load", syscall(SYS_kexec_load, 0, 17, zeros, 0));
    TRY("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
    TRY("swapon", syscall(SYS_swapon, "/nosuch", 0));
    TRY("acct", syscall(SYS_acct, "/nosuch/x"));
    TRY("quotactl", syscall(SYS_quotactl, 0x80000100, "/nosuch", 0, zeros));
    TRY("fanotify_init", syscall(SYS_fanotify_init, 0x04, 0));
    TRY("syslog", syscall(SYS_syslog, 10, 0, 0));
    TRY("vhangup", syscall(SYS_vhangup));
    TRY("personality", syscall(SYS_personality, 0x0400000));
    TRY("sethostname", sethostname("probe", 5));
    TRY("setdomainname", setdomainname("probe", 5));
    TRY("settimeofday", syscall(SYS_settimeofday, 0, zeros));
    TRY("real-time priority", fifo());
    TRY("set_mempolicy", syscall(SYS_set_mempolicy, 0, 0, 0));
    TRY("move_pages of another", syscall(SYS_move_pages, getppid(), 0, 0, 0, 0, 4));
    TRY("raise a limit", more_files());
    TRY("protect from the OOM killer", adjust());
    TRY("set a trusted attribute", setxattr("/probe", "trusted.probe", "x", 1, 0));
    TRY("socket packet", socket(AF_PACKET, SOCK_RAW, 0));
    TRY("socket vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    TRY("socket algorithm", socket(38, SOCK_SEQPACKET, 0));
    TRY("socket netlink audit", socket(AF_NETLINK, SOCK_RAW, 9));
    TRY("a call of another architecture", foreign());
    return 0;
}
