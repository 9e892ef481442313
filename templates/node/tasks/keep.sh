#!/usr/bin/env bash
# The loop of a control-plane node. A task that fails is tried again in the
# next round; none stops the others.

KEEP_EVERY="${MAGNUM_KEEP_EVERY:-10}"
KEEP_ROUNDS="${MAGNUM_KEEP_ROUNDS:-0}"

keep::main() {
    local round=0 tokens=0 certificates=0
    while :; do
        if ((EPOCHSECONDS - tokens >= 120)) && keep::task keep-join-tokens; then
            tokens="$EPOCHSECONDS"
        fi
        keep::task orders || true
        keep::task approve-nodes || true
        keep::task addons || true
        if ((EPOCHSECONDS - certificates >= 21600)); then
            certificates="$EPOCHSECONDS"
            keep::task renew-certificates || true
        fi
        keep::task digest || true
        round=$((round + 1))
        ((KEEP_ROUNDS == 0 || round < KEEP_ROUNDS)) || return 0
        sleep "$KEEP_EVERY"
    done
}

keep::task() {
    timeout 300 bash "$MAGNUM_HOME/magnum-node" task "$1" ||
        { log "task $1 failed" && return 1; }
}
