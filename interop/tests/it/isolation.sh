# What a process can see and do, one fact a line. Run inside of a container by
# the shell of busybox; the words before = are the rows of docs/reference/isolation.md.
say() { echo "$1=$2"; }
status() { grep "^$1:" /proc/self/status | tr -d '\t ' | cut -d: -f2; }
for set in CapBnd CapPrm CapEff CapInh CapAmb NoNewPrivs Seccomp; do say $set "$(status $set)"; done
say descriptors "$(ls /proc/self/fd | grep -v '^3$' | tr '\n' ' ' | sed 's/ $//')"
try() { what=$1; shift; if "$@" >/dev/null 2>&1; then say "$what" allowed; else say "$what" refused; fi; }
read_file() { test -f "$1" || test -c "$1" || return 1; test "$(head -c 1 "$1" 2>/dev/null | wc -c)" = 1; }
list() { test -d "$1" && test -n "$(ls -A "$1" 2>/dev/null)"; }
for path in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts /proc/sched_debug /proc/latency_stats; do try "read $path" read_file $path; done
for path in /proc/acpi /proc/scsi /proc/asound /sys/firmware /sys/fs/selinux /sys/dev/block /sys/devices/virtual/powercap; do try "list $path" list $path; done
write() { (: >> "$1"); }
for path in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/vm/overcommit_memory /proc/sys/net/ipv4/ip_forward /proc/sysrq-trigger /proc/irq/default_smp_affinity /proc/bus/x /proc/fs/x /sys/kernel/mm/ksm/run /sys/fs/cgroup/x /sys/power/state; do try "write $path" write $path; done
try "make a device" mknod /tmp/d c 1 1
try "make a block device" mknod /tmp/b b 8 0
mkdir -p /tmp/m
try "mount a tmpfs" mount -t tmpfs none /tmp/m
try "mount a proc" mount -t proc none /tmp/m
try "mount a cgroup" mount -t cgroup none /tmp/m
try "remount the root" mount -o remount,rw /
try "unmount /proc/kcore" umount /proc/kcore
try "new user namespace" unshare -U true
try "new mount namespace" unshare -m true
try "set the host name" hostname probed
clock() { ! date -s "@$(date +%s)" 2>&1 | grep -q "can't"; }
try "set the clock" clock
try "read the kernel's log" dmesg
try "swap" swapoff -a /nosuch
try "change root" chroot / true
try "raw sockets" ping -c 1 -W 1 127.0.0.1
try "raise priority" nice -n -5 true
say devices "$(ls /dev | tr '\n' ' ' | sed 's/ $//')"
options() { cut -d' ' -f6 | tr ',' '\n' | grep -E '^(ro|rw|nosuid|nodev|noexec)$' | tr '\n' ' ' | sed 's/ $//'; }
say "options of /" "$(grep -E '^[0-9]+ [0-9]+ [0-9:]+ [^ ]+ / ' /proc/self/mountinfo | head -1 | options)"
say interfaces "$(ls /sys/class/net | tr '\n' ' ' | sed 's/ $//')"
for at in /proc /dev /dev/shm /dev/pts /dev/mqueue /sys; do say "options of $at" "$(grep " $at " /proc/self/mountinfo | head -1 | options)"; done
say "processes" "$(ls -d /proc/[0-9]* | wc -l | sed 's/[2-9]/few/')"
/probe
