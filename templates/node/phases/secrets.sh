#!/usr/bin/env bash
# Puts the secrets of the control plane in place. The only phase that knows
# where they come from.

secrets::main() {
    metadata::load
    seal::is_open || seal::await
    secrets::put_pki
    config::get secrets encryption_config | file::write \
        "$ROOT/etc/magnum/apiserver/encryption.yaml" 0600 || true
    secrets::check
    # Of a node that has not joined nothing is older than these.
    [[ -e "$KUBELET_CONFIG" ]] || trust::follow
}

secrets::put_pki() {
    local name mode
    while IFS= read -r name; do
        mode=0600
        [[ "$name" != *.crt && "$name" != *.pub ]] || mode=0644
        config::get secrets pki "$name" |
            file::write "$PKI_DIR/$name" "$mode" || true
    done < <(config::keys secrets pki)
    chmod 0755 "$PKI_DIR"
}

secrets::check() {
    local name
    for name in ca.crt ca.key sa.key sa.pub; do
        [[ -s "$PKI_DIR/$name" ]] || fail "The secret $name is missing." \
            "Look at the certificate backend of Magnum."
    done
}
