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

# seal::keep COMMAND...: opens what comes in and puts it in place whole.
seal::keep() {
    local file="$SECRETS_FILE.new"
    local -A SEALED=()
    (umask 077 && "$@" | gzip -dc >"$file") &&
        json::load SEALED <"$file" &&
        [[ "${SEALED[v]:-}" == 1 ]] || return 1
    mv "$file" "$SECRETS_FILE"
}

# Status 1 while there is no answer to this machine.
seal::open() {
    local text
    local -A ANSWERS=()
    signal::read board "software_deployments/metadata/$(seal::key)" \
        >"$RUN_DIR/sealed" && json::load ANSWERS <"$RUN_DIR/sealed" || return 1
    text="${ANSWERS[$(json::path metadata 0 config)]:-}"
    [[ -n "$text" ]] || return 1
    base64 -d <<<"$text" | seal::keep openssl cms -decrypt \
        -binary -inform DER -inkey "$SEAL_KEY" || return 1
    rm -f "$SEAL_KEY" "$RUN_DIR/sealed"
    config::load
}

# Heat has room for 36 characters.
seal::key() {
    local sum
    sum="$(seal::fingerprint)"
    printf '%s' "${sum:0:32}"
}

# Secrets that take the place of those this member has (doc: protocols.rst).
# The board hears it again until it has been told once.
seal::renew() {
    local header serial text key file="$STATE_DIR/renewed"
    header="$(metadata::get meta magnum_renewed)"
    key="$(config::get secrets board_key)"
    [[ -n "$key" && -n "$header" ]] || return 0
    [[ "$header" != "$(cat "$file" 2>/dev/null)" ]] || return 0
    IFS=: read -r serial text _ <<<"$header"
    text="$(metadata::chunks magnum_renewed "${text//[^0-9]/}")"
    [[ "$header" == *":${#text}:$(printf 'magnum-renewed:%s:%s' \
        "${header%:*}" "$text" | hmac::sha256 "$key")" ]] ||
        fail "The new secrets are not ours."
    key="$(printf 'magnum-renewed-key:%s' "$serial" | hmac::sha256 "$key")"
    base64 -d <<<"$text" | seal::keep openssl enc -d -aes-256-cbc \
        -pbkdf2 -md sha256 -pass fd:3 3<<<"$key"
    config::load
    # Other CAs are a matter of tasks/rotate.sh, which tells when it is done.
    if trust::is_same; then
        trust::follow
        board::again
    fi
    printf '%s' "$header" >"$file"
}

# The serial of what this node is to trust: of its secrets, or of what it was
# told in its metadata.
trust::wanted() {
    if is_control_plane; then
        config::get secrets serial
    else
        metadata::get meta magnum_trust
    fi
}

trust::followed() {
    cat "$STATE_DIR/serial" 2>/dev/null || true
}

trust::follow() {
    trust::wanted >"$STATE_DIR/serial"
}

# Whether this node's files are those of its secrets.
trust::is_same() {
    local name
    while IFS= read -r name; do
        config::get secrets pki "$name" |
            cmp --silent - "$PKI_DIR/$name" || return 1
    done < <(config::keys secrets pki)
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
