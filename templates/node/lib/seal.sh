#!/usr/bin/env bash
# Secrets that come sealed (doc: protocols.rst): a key pair of this machine,
# its fingerprint on the console, its certificate on the board, the answer as a
# software deployment of Heat.

SEAL_KEY="$STATE_DIR/seal.key"
SEAL_CERTIFICATE="$STATE_DIR/seal.der"
SEAL_ROUNDS="${MAGNUM_SEAL_ROUNDS:-240}"

seal::is_open() {
    [[ -n "$(config::get secrets join_root)" ]]
}

seal::is_asking() {
    [[ -s "$SEAL_CERTIFICATE" ]] && ! seal::is_open
}

# Once: two certificates on one console are refused.
seal::make() {
    [[ ! -s "$SEAL_CERTIFICATE" ]] || return 0
    (umask 077 && openssl req -x509 -newkey rsa:3072 -nodes -days 3650 \
        -subj /CN=magnum -keyout "$SEAL_KEY" -outform DER \
        -out "$SEAL_CERTIFICATE.new")
    mv "$SEAL_CERTIFICATE.new" "$SEAL_CERTIFICATE"
}

seal::fingerprint() {
    local sum
    sum="$(sha256sum <"$SEAL_CERTIFICATE")"
    printf '%s' "${sum%% *}"
}

# A prompt may stand in the line: the marker has to begin one.
seal::show() {
    printf '\n' 2>/dev/null >>"$CONSOLE" || true
    console "seal {\"sha256\":\"$(seal::fingerprint)\"}"
}

# What a report says of it: a key and a value, or nothing.
seal::entry() {
    if seal::is_asking; then
        printf 'seal\n"%s"\n' "$(base64 -w 0 "$SEAL_CERTIFICATE")"
    fi
}

# Status 1 while there is no answer to this machine.
seal::open() {
    local text file="$SECRETS_FILE.new"
    local -A ANSWERS=() SEALED=()
    signal::read board "software_deployments/metadata/$(seal::key)" \
        >"$RUN_DIR/sealed" && json::load ANSWERS <"$RUN_DIR/sealed" || return 1
    text="${ANSWERS[$(json::path metadata 0 config)]:-}"
    [[ -n "$text" ]] || return 1
    (umask 077 && base64 -d <<<"$text" | openssl cms -decrypt \
        -binary -inform DER -inkey "$SEAL_KEY" | gzip -dc >"$file") &&
        json::load SEALED <"$file" &&
        [[ "${SEALED[v]:-}" == 1 ]] || return 1
    mv "$file" "$SECRETS_FILE"
    rm -f "$SEAL_KEY" "$RUN_DIR/sealed"
    config::load
}

# Heat has room for 36 characters.
seal::key() {
    local sum
    sum="$(seal::fingerprint)"
    printf '%s' "${sum:0:32}"
}

# Waits for the answer. The board is written again ever more rarely, in case
# somebody else wrote on it.
seal::await() {
    local round
    for ((round = 1; round <= SEAL_ROUNDS; round++)); do
        ! seal::open || return 0
        if ((round >= 32 && (round & (round - 1)) == 0)); then
            board::report booting secrets || log "no board"
        fi
        ((round % 10 != 1)) || seal::show
        pause $((round < 32 ? 1 : 4))
    done
    fail "The secrets of the control plane did not come." \
        "They need Nova's console log, Heat's API and the driver."
}
