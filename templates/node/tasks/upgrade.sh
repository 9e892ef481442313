#!/usr/bin/env bash
# Brings this node to the version the driver wants, and tells how it went.
# The steps run in a process of their own: the first that fails ends them.

upgrade::main() {
    local started="${EPOCHREALTIME/./}" failure="$RUN_DIR/upgrade-failure"
    metadata::load
    rm -f "$failure" "$STATE_DIR/upgrade-failed"
    metadata::version >"$STATE_DIR/upgrading"
    board::report booting upgrade || log "the board could not be written"
    if MAGNUM_FAILURE="$failure" bash "$MAGNUM_HOME/magnum-node" \
        task upgrade-steps >>"$LOG_DIR/upgrade.log" 2>&1; then
        rm -f "$STATE_DIR/upgrading" "$STATE_DIR/seconds/upgrade"
        boot::finished upgrade "$started"
        upgrade::report
    else
        upgrade::failed "$failure"
    fi
}

upgrade::report() {
    local state=ready
    [[ "$(metadata::get meta magnum_drain)" != 1 ]] || state=drained
    board::report "$state" upgrade
}

# Kept, so that it is not tried again for the same operation.
upgrade::failed() {
    {
        printf '%s\n' "$(board::operation)"
        boot::reason upgrade "$1"
    } >"$STATE_DIR/upgrade-failed"
    board::settled
}
