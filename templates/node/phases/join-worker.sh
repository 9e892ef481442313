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
    join_worker::show_permit || log "the permit could not be shown"
    kube::adm join "$ROOT/etc/magnum/kubeadm/join.yaml"
    rm -f "$ROOT/etc/magnum/kubeadm/discovery.yaml"
    touch "$STATE_DIR/joined"
}

# A request for a certificate that nobody signs carries the permit: whoever
# holds a token may make one.
join_worker::show_permit() {
    local name request permit
    name="magnum-permit-$(node_name)"
    permit="$(config::get join permit)"
    request="$(openssl req -new -newkey rsa:2048 -nodes -subj "/CN=$name" \
        -keyout /dev/null | base64 -w 0)" || return 1
    json::object apiVersion '"certificates.k8s.io/v1"' \
        kind '"CertificateSigningRequest"' \
        metadata "$(json::object name "\"$name\"" \
            annotations "{\"magnum/permit\":\"$permit\"}")" \
        spec "$(json::object request "\"$request\"" \
            signerName '"magnum.openstack.org/permit"' \
            usages '["client auth"]')" |
        kubectl --kubeconfig "$ROOT/etc/magnum/kubeadm/discovery.yaml" \
            --request-timeout 10s create --validate=false --filename -
}
