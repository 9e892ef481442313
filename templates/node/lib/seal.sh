#!/usr/bin/env bash
# Secrets that come sealed (doc: protocols.rst): a key pair of this machine,
# its fingerprint on the console, its certificate on the board, the answer in
# the metadata.

SEAL_KEY="$STATE_DIR/seal.key"
SEAL_CERTIFICATE="$STATE_DIR/seal.der"
SEAL_ROUNDS="${MAGNUM_SEAL_ROUNDS:-180}"
SEAL_HOLD=7

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

# Status 1 while the metadata hold no answer to this machine.
seal::open() {
    local header sum file="$SECRETS_FILE.new"
    local -A SEALED=()
    header="$(metadata::get meta magnum_sealed)"
    [[ "$header" =~ ^([0-9]{1,3}):([0-9a-f]{64}):([0-9a-f]{64})$ &&
        "${BASH_REMATCH[3]}" == "$(seal::fingerprint)" ]] || return 1
    metadata::chunks magnum_sealed "${BASH_REMATCH[1]}" >"$RUN_DIR/sealed"
    sum="$(sha256sum <"$RUN_DIR/sealed")"
    [[ "$header" == *":${sum%% *}:"* ]] || return 1
    (umask 077 && base64 -d "$RUN_DIR/sealed" | openssl cms -decrypt \
        -binary -inform DER -inkey "$SEAL_KEY" | gzip -dc >"$file") &&
        json::load SEALED <"$file" &&
        [[ "${SEALED[v]:-}" == 1 ]] || return 1
    mv "$file" "$SECRETS_FILE"
    rm -f "$SEAL_KEY" "$RUN_DIR/sealed"
    config::load
}

# Nova remembers for 15 seconds what it has answered: to ask before the driver
# can have done its part makes the answer late.
seal::hold_on() {
    local age
    age=$((EPOCHSECONDS - $(stat --format %Y "$SEAL_CERTIFICATE")))
    ((age >= SEAL_HOLD)) || sleep "$((SEAL_HOLD - age))"
}

# Waits for the answer. The board is written again ever more rarely, in case
# somebody else wrote on it.
seal::await() {
    local round
    seal::hold_on
    for ((round = 1; round <= SEAL_ROUNDS; round++)); do
        metadata::from_service && metadata::load
        ! seal::open || return 0
        if ((round >= 16 && (round & (round - 1)) == 0)); then
            board::report booting secrets || log "no board"
        fi
        ((round % 5 != 1)) || seal::show
        pause 4
    done
    fail "The secrets of the control plane did not come." \
        "They need the metadata service, Nova's console log and the driver."
}
