#!/usr/bin/env bash
# Follows one phase of a rotation of CAs, and tells how it went. The steps run
# in a process of their own: the first that fails ends them.

rotate::main() {
    local serial failure="$RUN_DIR/rotate-failure" lines
    metadata::load
    serial="$(trust::wanted)"
    # Also again, some minutes after it failed.
    [[ "$serial" != "$(trust::followed)" &&
        -z "$(find "$STATE_DIR/rotate-tried" -mmin -5 2>/dev/null)" ]] ||
        return 0
    rm -f "$failure"
    touch "$STATE_DIR/rotate-tried"
    log "rotation $serial"
    if MAGNUM_FAILURE="$failure" bash "$MAGNUM_HOME/magnum-node" \
        task rotate-steps >>"$LOG_DIR/rotate.log" 2>&1; then
        printf '%s' "$serial" >"$STATE_DIR/serial"
        rm -f "$STATE_DIR/rotate-tried"
        board::settled
    else
        mapfile -t lines < <(boot::reason rotate "$failure")
        board::report failed rotate "${lines[0]:-}" "${lines[1]:-}"
    fi
}
