#!/usr/bin/env bash
# Bounded attempts with growing, jittered pauses.

RETRY_LONGEST="${MAGNUM_RETRY_LONGEST:-30}"

# Sleeps between half and all of some seconds.
pause() {
    local most="$1"
    ((most > 0)) || return 0
    sleep "$((most * (500 + RANDOM % 500) / 1000)).$((RANDOM % 10))"
}

# retry ATTEMPTS COMMAND...: the command's status when all attempts fail.
retry() {
    local attempts="$1" attempt status wait=1
    shift
    for ((attempt = 1; ; attempt++)); do
        status=0
        "$@" || status=$?
        ((status != 0)) || return 0
        ((attempt < attempts)) || return "$status"
        log "attempt $attempt of $attempts failed ($status): $1"
        wait=$((wait * 2 < RETRY_LONGEST ? wait * 2 : RETRY_LONGEST))
        pause "$wait"
    done
}
