#!/usr/bin/env bash
# Renews what kubeadm signed for a year, well before it ends. Members take
# turns by their number, so that API servers do not restart together.

RENEW_DAYS=30
# What kubeadm's static pods listen on at 127.0.0.1; etcd: its metrics.
declare -gA RENEW_PORTS=([kube-controller-manager]=10257 [kube-scheduler]=10259
    [etcd]=2381)
RENEW_STOP_SECONDS="${MAGNUM_STOP_SECONDS:-90}"

renew_certificates::main() {
    local member days
    metadata::load
    renew_certificates::put_back
    member="$(member_name)"
    [[ "$member" =~ ^[0-9]+$ ]] || member=0
    days=$((RENEW_DAYS + member % 7 * 3))
    if openssl x509 -noout -checkend $((days * 86400)) \
        -in "$PKI_DIR/apiserver.crt" >/dev/null; then
        return 0
    fi
    log "the certificates end in less than $days days"
    kubeadm certs renew all
    trap renew_certificates::put_back EXIT
    renew_certificates::restart
}

# An API server that is told to end serves for a while and needs etcd then.
# Whoever calls this sees to it that manifests are put back in any case.
renew_certificates::restart() {
    renew_certificates::hold kube-apiserver kube-controller-manager \
        kube-scheduler
    renew_certificates::hold etcd
    renew_certificates::put_back
}

# renew_certificates::hold NAME...: the kubelet stops a static pod whose
# manifest is gone.
renew_certificates::hold() {
    local name manifests="$ROOT/etc/kubernetes/manifests"
    for name in "$@"; do
        [[ ! -f "$manifests/$name.yaml" ]] ||
            mv "$manifests/$name.yaml" "$ROOT/etc/kubernetes/$name.held"
    done
    sleep 3
    for name in "$@"; do
        renew_certificates::await_end "$name"
    done
}

renew_certificates::await_end() {
    local port second
    port="${RENEW_PORTS[$1]:-$(config::get endpoint port)}"
    for ((second = 0; second < RENEW_STOP_SECONDS; second++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
        sleep 1
    done
    fail "The kubelet does not stop $1." \
        "See crictl ps and journalctl -u kubelet on the node."
}

# Also after a run that was stopped in the middle.
renew_certificates::put_back() {
    local file name
    for file in "$ROOT"/etc/kubernetes/*.held; do
        [[ -f "$file" ]] || continue
        name="${file##*/}"
        mv "$file" "$ROOT/etc/kubernetes/manifests/${name%.held}.yaml"
    done
}
