#!/usr/bin/env bash
# What to do about errors that people meet.

# hints::for LOGFILE: the hint of the first pattern its last lines match.
hints::for() {
    local text pattern hint
    text="$(tail -n 40 "$1" 2>/dev/null)" || return 0
    while IFS='|' read -r pattern hint; do
        if [[ "$pattern" != "#"* && "$text" == *"$pattern"* ]]; then
            printf '%s' "$hint"
            return 0
        fi
    done <"$MAGNUM_HOME/lib/hints.txt"
}
