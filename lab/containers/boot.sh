#!/usr/bin/env bash
# Runs as process 1 of a server's new namespaces and becomes its systemd.
#
# Environment: LOWER (overlay directories), DIRECTORY (of this server),
# CONSOLE (a pseudo terminal), NODE_NAME.
set -euo pipefail

ROOT="$DIRECTORY/root"

main() {
    mount --make-rprivate /
    mount -t overlay overlay -o \
        "lowerdir=$LOWER,upperdir=$DIRECTORY/upper,workdir=$DIRECTORY/work" \
        "$ROOT"
    volumes
    kernel_files
    devices
    control_groups
    hostname "$NODE_NAME"
    cd "$ROOT"
    mkdir -p .old
    pivot_root . .old
    cd /
    umount -l /.old
    rmdir /.old
    start
}

# An overlay cannot be the upper directory of another one, which containerd
# and etcd would make it.
volumes() {
    local name
    for name in containerd kubelet etcd; do
        mkdir -p "$ROOT/var/lib/$name"
        mount --bind "$DIRECTORY/$name" "$ROOT/var/lib/$name"
    done
    mount --make-rshared "$ROOT/var/lib/kubelet"
    mount -t tmpfs -o mode=755 tmpfs "$ROOT/run"
    mount -t tmpfs tmpfs "$ROOT/tmp"
}

# The kernel is the host's: what is not of this network namespace stays as it
# is. Nodes want to write a few of them, into files of their own.
kernel_files() {
    local file
    mount -t proc proc "$ROOT/proc"
    mount --bind "$ROOT/proc/sys" "$ROOT/proc/sys"
    mount --bind "$ROOT/proc/sys/net" "$ROOT/proc/sys/net"
    mount -o remount,bind,ro "$ROOT/proc/sys"
    mount -o remount,bind,rw "$ROOT/proc/sys/net"
    for file in vm/overcommit_memory vm/max_map_count kernel/panic \
        kernel/panic_on_oops fs/inotify/max_user_instances \
        fs/inotify/max_user_watches; do
        mkdir -p "$DIRECTORY/sysctl/${file%/*}"
        cat "/proc/sys/$file" >"$DIRECTORY/sysctl/$file"
        mount --bind "$DIRECTORY/sysctl/$file" "$ROOT/proc/sys/$file"
    done
    # By it a kubelet knows that its machine was rebooted.
    cat /proc/sys/kernel/random/uuid >"$DIRECTORY/sysctl/boot_id"
    mount --bind "$DIRECTORY/sysctl/boot_id" \
        "$ROOT/proc/sys/kernel/random/boot_id"
    if [[ -e "$ROOT/proc/sysrq-trigger" ]]; then
        mount --bind /dev/null "$ROOT/proc/sysrq-trigger"
    fi
    # Read-only: systemd then leaves the host's devices alone.
    mount -t sysfs -o ro sysfs "$ROOT/sys"
}

devices() {
    local name
    mount -t tmpfs -o mode=755,size=64k tmpfs "$ROOT/dev"
    for name in null zero full random urandom tty fuse net/tun; do
        [[ -e "/dev/$name" ]] || continue
        mkdir -p "$(dirname "$ROOT/dev/$name")"
        touch "$ROOT/dev/$name"
        mount --bind "/dev/$name" "$ROOT/dev/$name"
    done
    mkdir -p "$ROOT"/dev/{pts,shm,mqueue}
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 \
        devpts "$ROOT/dev/pts"
    mount -t tmpfs tmpfs "$ROOT/dev/shm"
    mount -t mqueue mqueue "$ROOT/dev/mqueue"
    ln -s pts/ptmx "$ROOT/dev/ptmx"
    ln -s /proc/self/fd "$ROOT/dev/fd"
    ln -s /proc/self/fd/0 "$ROOT/dev/stdin"
    ln -s /proc/self/fd/1 "$ROOT/dev/stdout"
    ln -s /proc/self/fd/2 "$ROOT/dev/stderr"
    touch "$ROOT/dev/console"
    mount --bind "$CONSOLE" "$ROOT/dev/console"
    # The kernel's log is the host's; what the node writes to it is shown.
    ln -s console "$ROOT/dev/kmsg"
}

control_groups() {
    local mounted name groups="$ROOT/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$groups"
    for mounted in /sys/fs/cgroup/*/; do
        name="$(basename "$mounted")"
        mkdir "$groups/$name"
        case "$name" in
            systemd) mount -t cgroup -o none,name=systemd cgroup \
                "$groups/$name" ;;
            unified) mount -t cgroup2 cgroup2 "$groups/$name" ;;
            *) mount -t cgroup -o "$name" cgroup "$groups/$name" ;;
        esac
    done
    mount -o remount,ro "$groups"
}

# What follows systemd's name is its kernel command line in a container.
start() {
    exec env -i container=lab "product_name=OpenStack Nova" TERM=dumb \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog \
        /lib/systemd/systemd SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 \
        systemd.unified_cgroup_hierarchy=0 systemd.show_status=1 \
        systemd.log_target=journal systemd.log_color=0 \
        </dev/console >/dev/console 2>&1
}

main
