#!/usr/bin/env bash
# Looks at what the driver wants of this server now.

poll_metadata::main() {
    local orders last="" file="$STATE_DIR/orders"
    metadata::fetch || { log "no metadata" && return 0; }
    metadata::load
    orders="$(metadata::get meta magnum_op) $(metadata::get meta \
        magnum_version) $(metadata::get meta magnum_drain)"
    [[ ! -s "$file" ]] || last="$(<"$file")"
    [[ "$orders" != "$last" ]] || return 0
    if [[ "$(metadata::get meta magnum_drain)" == 1 ]]; then
        bash "$MAGNUM_HOME/magnum-node" task drain
    else
        poll_metadata::acknowledge
    fi
    printf '%s\n' "$orders" >"$file"
}

# Says under the new operation's id what the old one left. A version that is
# not this node's is the business of whoever replaces it: this release does
# not upgrade in place.
poll_metadata::acknowledge() {
    if [[ -s "$STATE_DIR/seconds/report" &&
        ! -s "$STATE_DIR/failed-phase" ]]; then
        board::report ready report
    fi
}
