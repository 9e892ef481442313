#!/usr/bin/env bash
# kubeadm, kubelet, kubectl: those of the image when they fit, else downloads.

binaries::main() {
    local name wanted
    wanted="$(config::kubernetes_version)"
    for name in kubeadm kubelet kubectl; do
        if [[ "$(binaries::version "$name")" != "$wanted" ]]; then
            log "$name $wanted is not in the image"
            artifact::binary "$name"
        fi
        binaries::expect "$name" "$wanted"
    done
    binaries::unit
    systemctl enable --quiet kubelet.service
}

# The version of a program in PATH, empty when there is none.
binaries::version() {
    local text
    command -v "$1" >/dev/null || return 0
    case "$1" in
        kubeadm) text="$(kubeadm version -o short)" ;;
        kubelet) text="$(kubelet --version)" ;;
        kubectl) text="$(kubectl version --client)" ;;
    esac
    grep -Eo 'v[0-9]+\.[0-9]+\.[0-9]+[^ ]*' <<<"$text" | head -n 1 || true
}

binaries::expect() {
    local found
    hash -r
    found="$(binaries::version "$1")"
    [[ "$found" == "$2" ]] || fail \
        "$1 has version ${found:-none} where $2 is wanted." \
        "Check what the artifact mirror serves."
}

# A kubelet of ours needs a unit of ours, also beside one of the image.
binaries::unit() {
    if [[ -x "$BIN_DIR/kubelet" ]] || ! unit::exists kubelet.service; then
        unit::install kubelet.service
        unit::install kubelet-kubeadm.conf kubelet.service.d/10-kubeadm.conf
    fi
    unit::install kubelet-magnum.conf kubelet.service.d/20-magnum.conf
    unit::reload
}
