#!/usr/bin/env bash
# A further control-plane node. It holds the CA, so it needs no certificates
# from others; its own client certificate is good for joining only.

join_control_plane::main() {
    metadata::load
    if [[ -e "$STATE_DIR/joined" ]]; then
        systemctl start kubelet.service
        return
    fi
    kube::await_endpoint || fail \
        "The API at $(kube::endpoint) does not answer." \
        "Look at the first control-plane node and the load balancer."
    join_control_plane::certificate
    kube::adm join "$ROOT/etc/magnum/kubeadm/join.yaml"
    rm -f "$ROOT/etc/magnum/join.key" "$ROOT/etc/magnum/join.crt"
    touch "$STATE_DIR/joined"
}

join_control_plane::certificate() {
    local key="$ROOT/etc/magnum/join.key" request="$RUN_DIR/join.csr"
    local subject="/O=system:bootstrappers"
    subject+="/O=system:bootstrappers:kubeadm:default-node-token"
    subject+="/CN=magnum:control-plane:$(node_name)"
    openssl req -new -newkey rsa:2048 -nodes -keyout "$key" \
        -subj "$subject" -out "$request"
    openssl x509 -req -in "$request" -days 1 -CA "$PKI_DIR/ca.crt" \
        -CAkey "$PKI_DIR/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
        -extfile <(printf 'extendedKeyUsage=clientAuth\n') \
        -out "$ROOT/etc/magnum/join.crt"
}
