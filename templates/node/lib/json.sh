#!/usr/bin/env bash
# Reading and writing JSON. Cloud images have python3 (cloud-init needs it),
# Flatcar and Fedora CoreOS have jq: one of the two is certain.

JSON_SEPARATOR=$'\x1f'

# Reads JSON, prints one line per scalar: path, tab, value. Backslash,
# newline, tab and carriage return in values are escaped for printf %b.
json::flatten() {
    if command -v python3 >/dev/null; then
        python3 -I "$MAGNUM_HOME/lib/flatten.py"
    else
        jq -r -f "$MAGNUM_HOME/lib/flatten.jq"
    fi
}

# json::load ARRAY < document: fills an associative array, path to value.
json::load() {
    # shellcheck disable=SC2034
    local -n json_target="$1"
    local path value flat
    flat="$(json::flatten)" || return 1
    while IFS=$'\t' read -r path value; do
        [[ -n "$path" ]] || continue
        printf -v value '%b' "$value"
        # shellcheck disable=SC2034
        json_target["$path"]="$value"
    done <<<"$flat"
}

json::path() {
    local IFS="$JSON_SEPARATOR"
    printf '%s' "$*"
}

# Text as a JSON string: printable ASCII only, so that a signature over it
# does not depend on who writes it out again. At most 500 characters.
json::string() {
    local text="${1:0:500}"
    text="${text//[^ -~]/ }"
    text="${text//\\/\\\\}"
    text="${text//\"/\\\"}"
    printf '"%s"' "$text"
}

# json::object KEY VALUE ...: values are JSON already; keys come out sorted,
# without spaces, as board.sign in the driver writes them.
json::object() {
    local -A members=()
    local key separator=""
    while (($# > 1)); do
        members["$1"]="$2"
        shift 2
    done
    printf '{'
    while IFS= read -r key; do
        [[ -n "$key" ]] || continue
        printf '%s"%s":%s' "$separator" "$key" "${members[$key]}"
        separator=","
    done < <(printf '%s\n' "${!members[@]}" | sort)
    printf '}'
}

# Seconds since the epoch with one decimal: survives every JSON parser.
json::now() {
    printf '%s' "${EPOCHREALTIME%?????}"
}
