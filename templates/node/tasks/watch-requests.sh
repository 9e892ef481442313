#!/usr/bin/env bash
# Approves nodes at the moment they ask. The loop of keep does so, too, in
# case this misses one.

WATCH_ROUNDS="${MAGNUM_WATCH_ROUNDS:-0}"

watch_requests::main() {
    local round=0
    while :; do
        kubectl --kubeconfig "$ADMIN_CONFIG" --request-timeout 300s get \
            certificatesigningrequests --watch --output name |
            watch_requests::approve || log "the watch ended"
        round=$((round + 1))
        ((WATCH_ROUNDS == 0 || round < WATCH_ROUNDS)) || return 0
        pause 2
    done
}

watch_requests::approve() {
    local name
    while read -r name; do
        [[ "$name" != */magnum-permit-* ]] || continue
        # Of a crowd, all that came together.
        while read -r -t 0.1 _; do :; done
        timeout 60 bash "$MAGNUM_HOME/magnum-node" task approve-nodes ||
            log "no node could be approved"
    done
}
