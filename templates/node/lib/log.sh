#!/usr/bin/env bash
# Where things are written, and how a phase says why it failed.
# shellcheck disable=SC2034

STATE_DIR="$ROOT/var/lib/magnum"
RUN_DIR="$ROOT/run/magnum"
LOG_DIR="$ROOT/var/log/magnum"
CONSOLE="${MAGNUM_CONSOLE:-/dev/console}"

log() {
    printf '%(%FT%TZ)T %s\n' -1 "$*" >&2
}

# A line for machines that can reach nothing else; never holds a secret.
console() {
    printf 'MAGNUM-NODE %s\n' "$*" 2>/dev/null >>"$CONSOLE" || true
}

# Ends a phase with a sentence for the user and a hint what to do.
fail() {
    local message="$1" hint="${2:-}"
    printf '%s\n%s\n' "$message" "$hint" \
        >"${MAGNUM_FAILURE:-$RUN_DIR/failure}"
    log "failed: $message"
    exit 1
}

# Hides what looks like a bootstrap token, a key or a password.
redact() {
    sed -E \
        -e 's/[a-z0-9]{6}\.[a-z0-9]{16}/[token]/g' \
        -e 's/[A-Za-z0-9+\/]{40,}={0,2}/[removed]/g' \
        -e 's/(password|secret|token)([=:] *)[^ ]+/\1\2[removed]/Ig'
}
