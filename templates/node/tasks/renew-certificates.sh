#!/usr/bin/env bash
# Renews what kubeadm signed for a year, well before it ends. Members take
# turns by their number, so that API servers do not restart together.

RENEW_DAYS=30
RENEW_STATIC_PODS=(kube-apiserver kube-controller-manager kube-scheduler etcd)

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
    renew_certificates::restart
}

# The kubelet stops a static pod whose manifest is gone and starts it anew.
renew_certificates::restart() {
    local name manifests="$ROOT/etc/kubernetes/manifests"
    trap renew_certificates::put_back EXIT
    for name in "${RENEW_STATIC_PODS[@]}"; do
        [[ -f "$manifests/$name.yaml" ]] || continue
        mv "$manifests/$name.yaml" "$ROOT/etc/kubernetes/$name.held"
        sleep 25
        renew_certificates::put_back
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
