#!/usr/bin/env bash
# A worker joins with the token of its orders, which user data put into the
# discovery file.

join_worker::main() {
    metadata::load
    if [[ -e "$STATE_DIR/joined" ]]; then
        systemctl start kubelet.service
        return
    fi
    kube::await_endpoint || fail \
        "The API at $(kube::endpoint) does not answer." \
        "Look at the control plane, its load balancer and security groups."
    kube::adm join "$ROOT/etc/magnum/kubeadm/join.yaml"
    rm -f "$ROOT/etc/magnum/kubeadm/discovery.yaml"
    touch "$STATE_DIR/joined"
}
