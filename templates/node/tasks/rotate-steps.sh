#!/usr/bin/env bash
# The steps of one phase of a rotation of CAs: trust-N both, issue-N by the
# new one, retire-N the old one. Each may be run again after a crash.

CLIENT_PEM="$ROOT/var/lib/kubelet/pki/kubelet-client-magnum.pem"

rotate_steps::main() {
    local serial
    metadata::load
    serial="$(trust::wanted)"
    if is_control_plane; then
        # shellcheck source=templates/node/tasks/renew-certificates.sh
        source "$MAGNUM_HOME/tasks/renew-certificates.sh"
        retry 60 lease::take || fail \
            "Another control-plane member did not end its work in time." \
            "See kubectl --namespace kube-system get lease $LEASE."
        trap 'renew_certificates::put_back; lease::release' EXIT
        lease::keep
        rotate_steps::control_plane "$serial"
    else
        rotate_steps::worker "$serial"
    fi
}

rotate_steps::control_plane() {
    # shellcheck source=templates/node/phases/secrets.sh
    source "$MAGNUM_HOME/phases/secrets.sh"
    renew_certificates::put_back
    [[ "$1" != issue-* ]] || rotate_steps::refresh_pods "$1"
    secrets::put_pki
    rotate_steps::trust <"$PKI_DIR/ca.crt"
    if [[ "$1" == issue-* ]]; then
        kubeadm certs renew all
        # It leaves but the first CA in kubeconfigs.
        rotate_steps::trust <"$PKI_DIR/ca.crt"
        rotate_steps::sign
    fi
    rotate_steps::name_signer
    renew_certificates::restart
    systemctl restart kubelet.service
    kube::await_own_api 30
    retry 8 rotate_steps::publish
}

# The controller manager signs with a file of one certificate, or not at all.
rotate_steps::name_signer() {
    openssl x509 -in "$PKI_DIR/ca.crt" -out "$PKI_DIR/signer.crt"
    renew_certificates::hold kube-controller-manager
    sed -i '/signing-cert/s/ca\.crt/signer.crt/' "$ROOT"/etc/kubernetes/*.held
}

# What programs in pods read at their start only: once, before certificates
# come that the old CA did not sign. Our own namespace; others are their
# owners'.
rotate_steps::refresh_pods() {
    local known name
    known="$(retry 8 kube::as_admin get namespace kube-system --output \
        'go-template={{with .metadata.annotations}}{{index . "magnum.openstack.org/rotation"}}{{end}}')"
    [[ "$known" != "$1" ]] || return 0
    while IFS= read -r name; do
        kube::as_admin --namespace kube-system rollout restart "$name"
    done < <(kube::as_admin --namespace kube-system get \
        daemonsets,deployments --output name)
    # Waits for each; kubectl says itself what is not through.
    while IFS= read -r name; do
        kubectl --kubeconfig "$ADMIN_CONFIG" --namespace kube-system \
            rollout status "$name" --timeout 300s || true
    done < <(kube::as_admin --namespace kube-system get \
        daemonsets,deployments --output name)
    kube::as_admin annotate --overwrite namespace kube-system \
        "magnum.openstack.org/rotation=$1"
}

# rotate_steps::trust < CERTIFICATES: whom this node believes from now on.
rotate_steps::trust() {
    local text file
    text="$(cat)"
    printf '%s\n' "$text" |
        file::write "$ROOT/etc/magnum/cluster-ca.pem" 0644 || true
    printf '%s\n' "$text" | file::write "$PKI_DIR/ca.crt" 0644 || true
    for file in "$ROOT"/etc/kubernetes/*.conf; do
        text="$(rotate_steps::with_ca <"$file")"
        printf '%s\n' "$text" | file::write "$file" 0600 || true
    done
}

# A kubeconfig with the CAs of this node.
rotate_steps::with_ca() {
    sed -E "s|(certificate-authority-data: ).*|\1$(
        base64 -w 0 "$PKI_DIR/ca.crt")|"
}

# Everybody signed in may read what kubeadm shows of the CA.
rotate_steps::publish() {
    local file="$RUN_DIR/cluster-info" text
    text="$(kube::as_admin --namespace kube-public create rolebinding \
        magnum:cluster-info --role=kubeadm:bootstrap-signer-clusterinfo \
        --group=system:nodes --dry-run=client --output yaml)" || return 1
    kube::apply <<<"$text" || return 1
    text="$(kube::as_admin --namespace kube-public get configmap cluster-info \
        --output 'go-template={{.data.kubeconfig}}')" || return 1
    rotate_steps::with_ca <<<"$text" >"$file"
    text="$(kube::as_admin --namespace kube-public create configmap \
        cluster-info --from-file=kubeconfig="$file" --dry-run=client \
        --output yaml)" || return 1
    kube::apply <<<"$text"
}

rotate_steps::worker() {
    local text
    text="$(retry 8 kube::as_kubelet --namespace kube-public get configmap \
        cluster-info --output 'go-template={{.data.kubeconfig}}')"
    [[ "$text" =~ certificate-authority-data:\ *([A-Za-z0-9+/=]+) ]] ||
        fail "The control plane does not say which CA it has."
    text="$(base64 -d <<<"${BASH_REMATCH[1]}")"
    rotate_steps::trust <<<"$text"
    [[ "$1" != issue-* ]] || rotate_steps::ask "$1"
    # Anew, it also gets new tokens for its pods.
    systemctl restart kubelet.service
    retry 30 rotate_steps::is_ready || fail \
        "The kubelet did not become ready. $(kube::kubelet_says)" \
        "See journalctl -u kubelet on the node."
}

rotate_steps::is_ready() {
    local template='{{range .status.conditions}}{{if eq .type "Ready"}}'
    template+='{{.status}}{{end}}{{end}}'
    sleep 3
    [[ "$(kube::as_kubelet get node "$(node_name)" \
        --output "go-template=$template")" == True ]]
}

rotate_steps::key() {
    (umask 077 && openssl req -new -newkey rsa:2048 -nodes \
        -keyout "$RUN_DIR/kubelet.key" -out "$RUN_DIR/kubelet.csr" \
        -subj "/O=system:nodes/CN=system:node:$(node_name)")
}

# A control-plane node has the CA.
rotate_steps::sign() {
    rotate_steps::key
    openssl x509 -req -in "$RUN_DIR/kubelet.csr" -days 365 \
        -CA "$PKI_DIR/ca.crt" -CAkey "$PKI_DIR/ca.key" \
        -set_serial "0x$(openssl rand -hex 16)" -out "$RUN_DIR/kubelet.crt" \
        -extfile <(printf 'extendedKeyUsage=clientAuth\n')
    rotate_steps::use
}

# A worker asks as its kubelet does; the controller manager approves.
rotate_steps::ask() {
    local name
    name="magnum-$(node_name)-$1-$EPOCHSECONDS"
    rotate_steps::key
    json::object apiVersion '"certificates.k8s.io/v1"' \
        kind '"CertificateSigningRequest"' \
        metadata "$(json::object name "\"$name\"")" \
        spec "$(json::object \
            signerName '"kubernetes.io/kube-apiserver-client-kubelet"' \
            usages '["digital signature","client auth"]' \
            request "\"$(base64 -w 0 "$RUN_DIR/kubelet.csr")\"")" |
        kube::as_kubelet create --validate=false --filename -
    retry 8 rotate_steps::answer "$name" || fail \
        "The control plane did not sign this node's certificate." \
        "See kubectl get certificatesigningrequests."
    rotate_steps::use
}

rotate_steps::answer() {
    kube::as_kubelet get certificatesigningrequests "$1" --output \
        'go-template={{.status.certificate}}' |
        base64 -d >"$RUN_DIR/kubelet.crt" &&
        openssl x509 -noout -in "$RUN_DIR/kubelet.crt"
}

rotate_steps::use() {
    cat "$RUN_DIR/kubelet.crt" "$RUN_DIR/kubelet.key" |
        file::write "$CLIENT_PEM" 0600 || true
    ln -sfn "$CLIENT_PEM" "${CLIENT_PEM%/*}/kubelet-client-current.pem"
    rm -f "$RUN_DIR"/kubelet.{key,csr,crt}
}
