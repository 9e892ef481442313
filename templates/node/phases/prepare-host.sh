#!/usr/bin/env bash
# Host name, clock, kernel, swap, packages, data volumes.

prepare_host::main() {
    metadata::load
    prepare_host::name
    retry 8 prepare_host::clock || fail \
        "At $(printf '%(%F %T)T' -1) UTC, the time of this node's clock, the CA of the cluster is not valid." \
        "Check time synchronisation of hypervisor and image."
    prepare_host::selinux
    prepare_host::modules
    prepare_host::sysctls
    prepare_host::swap
    prepare_host::packages
    if config::true volumes etcd; then
        prepare_host::volume etcd /var/lib/etcd
    fi
    if config::true volumes containers; then
        prepare_host::volume containers /var/lib/containerd
    fi
}

prepare_host::name() {
    local name
    name="$(node_name)"
    if [[ "$(uname -n)" != "$name" ]]; then
        printf '%s\n' "$name" >"$ROOT/etc/hostname"
        hostnamectl set-hostname "$name" || hostname "$name"
    fi
}

# Whether the cluster's newest CA is valid at the time this machine believes
# it is: every certificate of the cluster starts with its CA.
prepare_host::clock() {
    local file="$RUN_DIR/newest-ca.pem" text
    config::list join ca_certificates >"$file"
    text="$(openssl verify -CAfile "$file" "$file" 2>&1)" && return 0
    if [[ "$text" == *"not yet valid"* || "$text" == *"has expired"* ]]; then
        timedatectl set-ntp true 2>/dev/null || log "set-ntp failed"
        return 1
    fi
}

prepare_host::selinux() {
    local mode
    mode="$(config::get host selinux_mode)"
    case "$mode" in
        "") return ;;
        enforcing) mode=1 ;;
        *) mode=0 ;;
    esac
    if command -v setenforce >/dev/null; then
        setenforce "$mode" || log "SELinux stays as it is"
    fi
}

prepare_host::modules() {
    local module
    config::list host modules |
        file::write "$ROOT/etc/modules-load.d/magnum.conf" 0644 || true
    while IFS= read -r module; do
        # Built-in and absent modules look alike; what needs them will tell.
        modprobe "$module" 2>/dev/null || log "no module $module"
    done < <(config::list host modules)
}

prepare_host::sysctls() {
    local name
    while IFS= read -r name; do
        printf '%s = %s\n' "$name" "$(config::get host sysctls "$name")"
    done < <(config::keys host sysctls) |
        file::write "$ROOT/etc/sysctl.d/90-magnum.conf" 0644 || true
    # Containers and small kernels lack some: kubeadm checks what matters.
    sysctl --quiet --ignore --load "$ROOT/etc/sysctl.d/90-magnum.conf" ||
        log "some sysctls could not be set"
}

prepare_host::swap() {
    swapoff -a || log "swap could not be turned off"
    if grep -Eq '^[^#].*[[:space:]]swap[[:space:]]' "$ROOT/etc/fstab" \
        2>/dev/null; then
        sed -i -E '/^[^#].*[[:space:]]swap[[:space:]]/s/^/#/' "$ROOT/etc/fstab"
    fi
}

# What kubeadm and kubelet call; most images have all of it.
prepare_host::packages() {
    local command missing=()
    local -A packages=([iptables]=iptables [conntrack]=conntrack
        [ethtool]=ethtool [socat]=socat [tar]=tar [flock]=util-linux)
    for command in "${!packages[@]}"; do
        command -v "$command" >/dev/null ||
            missing+=("${packages[$command]}")
    done
    ((${#missing[@]} > 0)) || return 0
    log "missing packages: ${missing[*]}"
    retry 3 prepare_host::install "${missing[@]}" ||
        log "not installed: ${missing[*]}"
}

prepare_host::install() {
    if command -v apt-get >/dev/null; then
        DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
            DEBIAN_FRONTEND=noninteractive apt-get -qq install \
                --yes --no-install-recommends "$@"
    elif command -v dnf >/dev/null; then
        dnf --quiet --assumeyes install "${@/#conntrack/conntrack-tools}"
    fi
}

# prepare_host::volume KIND DIRECTORY: formats a blank volume, once; mounts
# it by label. What holds anything else is never touched.
prepare_host::volume() {
    local kind="$1" directory="$2" label="magnum-$1" device
    if mountpoint --quiet "$ROOT$directory"; then
        return
    fi
    device="$(retry 6 prepare_host::device "$kind")" || fail \
        "The $kind volume is not attached." \
        "Look at the server's volumes: openstack server show."
    prepare_host::format "$device" "$label" "$kind"
    mkdir -p "$ROOT$directory"
    if ! grep -q "^LABEL=$label " "$ROOT/etc/fstab" 2>/dev/null; then
        printf 'LABEL=%s %s ext4 defaults,nofail 0 2\n' \
            "$label" "$directory" >>"$ROOT/etc/fstab"
        systemctl daemon-reload
    fi
    mount -L "$label" "$ROOT$directory"
}

# The disk that carries the volume's id, as far as its serial shows it.
prepare_host::device() {
    local id file
    id="$(metadata::get meta "magnum_volume_$1")"
    [[ -n "$id" ]] || return 1
    for file in "$ROOT"/dev/disk/by-id/*"${id:0:20}"*; do
        if [[ -e "$file" && "$file" != *-part[0-9]* ]]; then
            printf '%s' "$file"
            return 0
        fi
    done
    return 1
}

prepare_host::format() {
    local device="$1" label="$2" kind="$3" found status=0
    found="$(blkid -p -o value -s LABEL "$device")" || status=$?
    if ((status == 2)); then
        mkfs.ext4 -q -L "$label" "$device"
    elif ((status != 0)) || [[ "$found" != "$label" ]]; then
        fail "The $kind volume holds data that is not ours (${found:-?})." \
            "It was not touched; detach it or delete its content yourself."
    fi
}
