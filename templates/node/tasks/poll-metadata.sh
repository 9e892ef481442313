#!/usr/bin/env bash
# Looks at what the driver wants of this server now.

poll_metadata::main() {
    local wanted last="" file="$STATE_DIR/orders"
    metadata::fetch || { log "no metadata" && return 0; }
    metadata::load
    if [[ -f "$MAGNUM_HOME/tasks/rotate.sh" ]]; then
        # shellcheck source=templates/node/tasks/rotate.sh
        source "$MAGNUM_HOME/tasks/rotate.sh"
        ! poll_metadata::is_settled || rotate::main
    fi
    wanted="$(metadata::get meta magnum_op) $(metadata::get meta \
        magnum_version) $(metadata::get meta magnum_drain)"
    [[ ! -s "$file" ]] || last="$(<"$file")"
    [[ "$wanted" != "$last" ]] || return 0
    if [[ "$(metadata::get meta magnum_drain)" == 1 ]]; then
        bash "$MAGNUM_HOME/magnum-node" task drain
    fi
    if poll_metadata::must_upgrade; then
        bash "$MAGNUM_HOME/magnum-node" task upgrade
    elif [[ "$(metadata::get meta magnum_drain)" != 1 ]]; then
        poll_metadata::acknowledge
    fi
    printf '%s\n' "$wanted" >"$file"
}

# Another version is wanted than the one that runs, or an upgrade to it broke
# off; but one that failed waits for the next operation.
poll_metadata::must_upgrade() {
    local version failed="" begun=""
    version="$(metadata::version)"
    [[ -n "$version" ]] && poll_metadata::is_settled || return 1
    if [[ -s "$STATE_DIR/upgrade-failed" ]]; then
        read -r failed <"$STATE_DIR/upgrade-failed" || true
    fi
    [[ "$failed" != "$(board::operation)" ]] || return 1
    [[ ! -s "$STATE_DIR/upgrading" ]] || begun="$(<"$STATE_DIR/upgrading")"
    [[ "$(board::version)" != "$version" || "$begun" == "$version" ]]
}

poll_metadata::is_settled() {
    [[ -s "$STATE_DIR/seconds/report" && ! -s "$STATE_DIR/failed-phase" ]]
}

# Says under the new operation's id what the old one left.
poll_metadata::acknowledge() {
    ! poll_metadata::is_settled || board::settled
}
