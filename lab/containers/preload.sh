#!/usr/bin/env bash
# preload.sh ROOT DIRECTORY ARCHIVES...: lets the containerd of a root file
# system unpack images into a directory. Runs in namespaces of its own.
set -euo pipefail

BASE="$1" DIRECTORY="$2" ARCHIVES=("${@:3}")
SCRATCH=/mnt
ROOT="$SCRATCH/root"

main() {
    local index
    mount -t tmpfs tmpfs "$SCRATCH"
    mkdir "$SCRATCH"/{upper,work,root}
    mount -t overlay overlay -o \
        "lowerdir=$BASE,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" "$ROOT"
    mkdir -p "$ROOT/var/lib/containerd"
    mount -t proc proc "$ROOT/proc"
    mount -t tmpfs -o mode=755 tmpfs "$ROOT/run"
    mount --bind "$DIRECTORY" "$ROOT/var/lib/containerd"
    for index in "${!ARCHIVES[@]}"; do
        mkdir "$ROOT/mnt/$index"
        mount --bind -o ro "${ARCHIVES[index]}" "$ROOT/mnt/$index"
    done
    exec chroot "$ROOT" bash -euc "$(declare -f load); load"
}

load() {
    local daemon archive tries=0
    containerd --log-level warn &
    daemon=$!
    until ctr --connect-timeout 1s version >/dev/null; do
        ((tries += 1))
        ((tries < 60)) || return 1
        sleep 0.5
    done
    for archive in /mnt/*/*.tar; do
        ctr --namespace k8s.io images import --snapshotter overlayfs \
            "$archive"
    done
    kill "$daemon"
    wait "$daemon" || true
}

main
