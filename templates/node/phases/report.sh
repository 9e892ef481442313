#!/usr/bin/env bash
# The node is known to the cluster; start what keeps it going.

report::main() {
    metadata::load
    retry 10 report::is_registered || fail \
        "The node did not appear in the cluster as $(node_name). $(
            kube::kubelet_says)" \
        "See journalctl -u kubelet on the node."
    unit::install magnum-metadata.service
    unit::install magnum-metadata.timer
    if is_control_plane; then
        unit::install magnum-board.service
    fi
    unit::reload
    systemctl enable --quiet --now magnum-metadata.timer
    if is_control_plane; then
        systemctl enable --quiet --now magnum-board.service
    fi
}

report::is_registered() {
    kube::as_kubelet get node "$(node_name)" --output name >/dev/null
}
