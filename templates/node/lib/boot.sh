#!/usr/bin/env bash
# Every phase in order. Each runs in a process of its own, so that the first
# command that fails ends it.

PHASE_ATTEMPTS="${MAGNUM_PHASE_ATTEMPTS:-3}"

boot::phases() {
    local phases=(prepare-host runtime binaries kubelet firewall)
    if is_control_plane; then
        phases=(seal "${phases[@]}" secrets)
        if config::true init; then
            phases+=(init)
        else
            phases+=(join-control-plane)
        fi
    else
        phases+=(join-worker)
    fi
    printf '%s\n' "${phases[@]}" report
}

boot::main() {
    local phase phases
    config::load
    config::load_proxy
    boot::write_cloud_ca
    if ! (metadata::load); then
        boot::failed metadata
        return 1
    fi
    metadata::load
    mapfile -t phases < <(boot::phases)
    mkdir -p "$STATE_DIR/seconds"
    for phase in "${phases[@]}"; do
        boot::phase "$phase" || return 1
        [[ "$phase" != secrets ]] || config::load
    done
    rm -f "$STATE_DIR/failed-phase"
    board::settled
    bash "$MAGNUM_HOME/magnum-node" task tools >>"$LOG_DIR/tools.log" 2>&1 ||
        log "crictl is missing"
}

boot::write_cloud_ca() {
    local file="$ROOT/etc/magnum/cloud-ca.pem"
    config::get host cloud_ca_certificate >"$file"
}

# One phase: bounded attempts, its time, and what went wrong.
boot::phase() {
    local phase="$1" attempt started
    started="${EPOCHREALTIME/./}"
    boot::announce "$phase"
    for ((attempt = 1; attempt <= PHASE_ATTEMPTS; attempt++)); do
        rm -f "$RUN_DIR/failure"
        if bash "$MAGNUM_HOME/magnum-node" phase "$phase" \
            >>"$LOG_DIR/$phase.log" 2>&1; then
            boot::finished "$phase" "$started"
            return 0
        fi
        log "phase $phase failed, attempt $attempt of $PHASE_ATTEMPTS"
        ((attempt == PHASE_ATTEMPTS)) || pause $((attempt * 5))
    done
    boot::failed "$phase"
    return 1
}

# A phase that failed for good before stays failed until it succeeds.
boot::announce() {
    [[ ! -s "$STATE_DIR/failed-phase" ]] || return 0
    [[ "$1" != report && "$1" != seal ]] || return 0
    board::report booting "$1" || log "the board could not be written"
}

boot::finished() {
    local phase="$1" tenths seconds
    tenths=$(((${EPOCHREALTIME/./} - $2) / 100000))
    seconds="$((tenths / 10)).$((tenths % 10))"
    # A boot after the first finds everything done: keep the real times.
    if [[ ! -s "$STATE_DIR/seconds/$phase" ]]; then
        printf '%s' "$seconds" >"$STATE_DIR/seconds/$phase"
    fi
    console "phase $(json::object phase "$(json::string "$phase")" \
        seconds "$seconds")"
    if [[ "$(cat "$STATE_DIR/failed-phase" 2>/dev/null)" == "$phase" ]]; then
        rm -f "$STATE_DIR/failed-phase"
    fi
}

# boot::reason PHASE FILE: message and hint, a line each: what the phase
# wrote into the file, else the end of its log. Whatever fails for a full
# disk, the disk is why.
boot::reason() {
    local message="" hint="" known
    known="$(hints::for "$LOG_DIR/$1.log")"
    if [[ -s "$2" ]]; then
        { read -r message; read -r hint || true; } <"$2"
    else
        message="$(boot::last_lines "$LOG_DIR/$1.log")"
    fi
    [[ -n "$hint" && "$known" != *"disk is full"* ]] || hint="$known"
    printf '%s\n%s\n' "$(redact <<<"$message")" "$hint"
}

boot::failed() {
    local phase="$1" message hint
    { read -r message; read -r hint; } < <(boot::reason "$phase" \
        "$RUN_DIR/failure")
    printf '%s' "$phase" >"$STATE_DIR/failed-phase" ||
        log "the state cannot be kept"
    board::report failed "$phase" "$message" "$hint" ||
        log "the failure could not be reported"
    pause "${MAGNUM_FAILURE_PAUSE:-20}"
}

boot::last_lines() {
    local text
    text="$(tail -n 4 "$1" | tr -s '\n\t ' '   ' | redact)"
    if ((${#text} > 300)); then text="${text: -300}"; fi
    printf "%s" "$text"
}
