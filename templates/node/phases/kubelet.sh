#!/usr/bin/env bash
# What the kubelet must know of this one machine: address, provider id, and
# how much of it is not for pods.

KUBELET_DROPIN="$ROOT/etc/kubernetes/kubelet.conf.d/50-machine.conf"

kubelet::main() {
    local changed=false
    metadata::load
    # Packages of the kubelet bring it; without, it complains every second.
    mkdir -p "$ROOT/etc/kubernetes/manifests"
    kubelet::machine | file::write "$KUBELET_DROPIN" 0600 && changed=true
    kubelet::environment |
        file::write "$ROOT/etc/magnum/kubelet.env" 0600 && changed=true
    if "$changed" && systemctl --quiet is-active kubelet.service; then
        systemctl restart kubelet.service
    fi
    kube::write_ca
}

kubelet::machine() {
    local cores mebibytes
    cores="$(nproc)"
    mebibytes="$(awk '/^MemTotal:/ {print int($2 / 1024)}' \
        "$ROOT/proc/meminfo")"
    json::object apiVersion '"kubelet.config.k8s.io/v1beta1"' \
        kind '"KubeletConfiguration"' \
        providerID "$(json::string "openstack:///$(metadata::get uuid)")" \
        kubeReserved "$(json::object \
            cpu "\"$(kubelet::reserved_cpu "$cores")m\"" \
            memory "\"$(kubelet::reserved_memory "$mebibytes")Mi\"")"
    printf '\n'
}

# Thousandths of a core: 6 % of the first, 1 % of the second, half a per cent
# of the next two, a quarter of the rest. The share that clouds reserve.
kubelet::reserved_cpu() {
    local cores="$1" sum=600
    ((cores < 2)) || sum=$((sum + 100))
    ((cores < 3)) || sum=$((sum + 50))
    ((cores < 4)) || sum=$((sum + 50))
    ((cores < 5)) || sum=$((sum + (cores - 4) * 25))
    printf '%d' $((sum / 10))
}

# MiB: a quarter of the first 4 GiB, 20 % of the next 4, 10 % of the next 8,
# 6 % of the next 112, 2 % of the rest; 255 below one GiB.
kubelet::reserved_memory() {
    local left="$1" sum=0 step size share
    if ((left < 1024)); then
        printf 255
        return
    fi
    for step in 4096:25 4096:20 8192:10 114688:6 "$left:2"; do
        size="${step%:*}" share="${step#*:}"
        ((left >= size)) || size="$left"
        sum=$((sum + size * share / 100))
        left=$((left - size))
    done
    printf '%d' "$sum"
}

# The image's own extra arguments stay in front of ours.
kubelet::environment() {
    local arguments file address
    arguments=""
    for file in "$ROOT/etc/default/kubelet" "$ROOT/etc/sysconfig/kubelet"; do
        [[ -f "$file" ]] || continue
        arguments+="$(sed -n 's/^KUBELET_EXTRA_ARGS=//p' "$file" |
            tr -d "\"'") "
    done
    address="$(kube::node_address)"
    [[ -z "$address" ]] || arguments+="--node-ip=$address"
    printf 'KUBELET_EXTRA_ARGS="%s"\n' "${arguments% }"
}
