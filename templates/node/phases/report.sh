#!/usr/bin/env bash
# The node is known to the cluster; start what keeps it going.

report::main() {
    metadata::load
    report::await 120 || fail \
        "The node did not appear in the cluster as $(node_name). $(
            kube::kubelet_says)" \
        "See journalctl -u kubelet on the node."
    unit::install magnum-metadata.service
    unit::install magnum-metadata.timer
    if is_control_plane; then
        unit::install magnum-board.service
        unit::install magnum-approve.service
    fi
    unit::reload
    systemctl enable --quiet --now magnum-metadata.timer
    if is_control_plane; then
        systemctl enable --quiet --now magnum-board.service \
            magnum-approve.service
    fi
}

# report::await ATTEMPTS: about two a second; a kubelet takes one or two.
report::await() {
    local attempt
    for ((attempt = 0; attempt < $1; attempt++)); do
        ! report::is_registered || return 0
        sleep 0.4
    done
    return 1
}

report::is_registered() {
    kube::as_kubelet get node "$(node_name)" --output name >/dev/null
}
