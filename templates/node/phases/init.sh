#!/usr/bin/env bash
# The first control-plane node of a cluster.

init::main() {
    metadata::load
    if [[ -e "$STATE_DIR/initialised" ]]; then
        systemctl start kubelet.service
        kube::await_own_api 10
        return
    fi
    # Somebody else was first, or this is a successor: never a second etcd.
    if kube::endpoint_answers livez &&
        [[ ! -e "$STATE_DIR/kubeadm-init.started" ]]; then
        # shellcheck source=templates/node/phases/join-control-plane.sh
        source "$MAGNUM_HOME/phases/join-control-plane.sh"
        join_control_plane::main
        return
    fi
    init::refuse_old_etcd
    kube::adm init "$ROOT/etc/magnum/kubeadm/init.yaml"
    retry 8 init::restrict
    touch "$STATE_DIR/initialised"
}

# An etcd volume may outlive its server; starting from it is a decision.
init::refuse_old_etcd() {
    if [[ -d "$ROOT/var/lib/etcd/data/member" &&
        ! -e "$STATE_DIR/kubeadm-init.started" ]]; then
        fail "The etcd volume holds the data of an earlier control plane." \
            "Recovery from a volume is not automatic in this release."
    fi
}

# kubeadm leaves a token that lives for a day; keep-join-tokens does better.
init::restrict() {
    local names
    kube::no_autoapproval || return 1
    names="$(kube::as_admin --namespace kube-system get secrets --output name \
        --field-selector type=bootstrap.kubernetes.io/token)" || return 1
    [[ -n "$names" ]] || return 0
    # shellcheck disable=SC2086
    kube::as_admin --namespace kube-system delete $names
}
