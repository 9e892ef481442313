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
    fi
    printf '%s\n' "$orders" >"$file"
}
