#!/usr/bin/env bash
# Renews what kubeadm signed for a year, well before it ends. Members take
# turns by their number, so that API servers do not restart together.

RENEW_DAYS=30

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

# The kubelet stops a static pod whose manifest is gone, after 30 seconds at
# the latest; an API server needs etcd until then. Whoever calls this sees to it
# that manifests are put back in any case.
renew_certificates::restart() {
    renew_certificates::hold kube-apiserver kube-controller-manager \
        kube-scheduler
    sleep 33
    renew_certificates::hold etcd
    sleep 10
    renew_certificates::put_back
}

renew_certificates::hold() {
    local name etc="$ROOT/etc/kubernetes"
    for name in "$@"; do
        [[ ! -f "$etc/manifests/$name.yaml" ]] ||
            mv "$etc/manifests/$name.yaml" "$etc/$name.held"
    done
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
