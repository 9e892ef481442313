#!/usr/bin/env bash
# Signals to Heat: the board of a control-plane member, the distress handle.
# Passwords and tokens go through pipes, never through arguments.

TOKEN_MINUTES=20

signal::curl() {
    local options=(--silent --show-error --fail-with-body
        --connect-timeout 10 --max-time 60)
    if [[ -s "$ROOT/etc/magnum/cloud-ca.pem" ]]; then
        options+=(--cacert "$ROOT/etc/magnum/cloud-ca.pem")
    fi
    if [[ "$(config::get host cloud_verify)" == false ]]; then
        options+=(--insecure)
    fi
    curl "${options[@]}" "$@"
}

# signal::login HANDLE: the body of Keystone's password login.
signal::login() {
    local user scope password
    user="$(json::object \
        id "$(json::string "$(config::get signals "$1" user_id)")" \
        password "$(json::string "$(config::get signals "$1" password)")")"
    password="$(json::object user "$user")"
    scope="$(json::object project "$(json::object \
        id "$(json::string "$(config::get signals "$1" project_id)")")")"
    json::object auth "$(json::object \
        identity "$(json::object methods '["password"]' \
            password "$password")" \
        scope "$scope")"
}

# signal::token HANDLE: a token of the handle's own user, kept for a while:
# a digest every ten seconds shall not be a login every ten seconds.
signal::token() {
    local file="$RUN_DIR/token-$1"
    if [[ -z "$(find "$file" -mmin -"$TOKEN_MINUTES" 2>/dev/null)" ]]; then
        signal::new_token "$1" | file::write "$file.new" 0600 || true
        [[ -s "$file.new" ]] || return 1
        mv "$file.new" "$file"
    fi
    printf '%s' "$(<"$file")"
}

signal::new_token() {
    local url headers line
    url="$(config::get signals "$1" auth_url)"
    url="${url%/}"
    url="${url%/v3}/v3/auth/tokens"
    headers="$(signal::login "$1" | signal::curl \
        --header 'Content-Type: application/json' --data-binary @- \
        --dump-header - --output /dev/null "$url")" || return 1
    while IFS= read -r line; do
        line="${line%$'\r'}"
        if [[ "${line,,}" == x-subject-token:* ]]; then
            line="${line#*:}"
            printf '%s' "${line# }"
            return 0
        fi
    done <<<"$headers"
    return 1
}

# signal::send HANDLE ID STATUS REASON DATA. One at a time on this machine:
# Heat loses one of two signals that arrive together.
signal::send() {
    local handle="$1" url
    url="$(config::get signals "$handle" alarm_url)"
    [[ -n "$url" ]] || return 0
    (
        flock -w 120 9
        retry "${MAGNUM_SIGNAL_ATTEMPTS:-4}" signal::post "$url" "$@"
    ) 9>"$RUN_DIR/signal.lock"
}

# signal::request HANDLE URL OPTION...: as the handle's user.
signal::request() {
    local handle="$1" url="$2" token
    shift 2
    token="$(signal::token "$handle")" || return 1
    signal::curl "$@" \
        --config <(printf 'header = "X-Auth-Token: %s"\n' "$token") "$url" &&
        return 0
    # It may have been revoked: log in again next time.
    rm -f "$RUN_DIR/token-$handle"
    return 1
}

# signal::read HANDLE PATH: what Heat answers its user.
signal::read() {
    local url
    url="$(config::get signals "$1" alarm_url)"
    signal::request "$1" "${url%%/stacks/*}/$2"
}

signal::post() {
    local url="$1" handle="$2" id="$3" status="$4" reason="$5" data="$6"
    local body
    body="$(json::object id "$(json::string "$id")" \
        status "$(json::string "$status")" \
        reason "$(json::string "$reason")" \
        data "$(signal::text "$data")")"
    printf '%s' "$body" | signal::request "$handle" "$url" \
        --header 'Content-Type: application/json' --data-binary @- \
        --output /dev/null
}

# A document as the JSON string that carries it, compressed when long.
signal::text() {
    local data="$1"
    if ((${#data} > 4096)) && command -v python3 >/dev/null; then
        data="zlib:$(printf '%s' "$data" | python3 -Ic 'import base64, sys, \
zlib; print(base64.b64encode(zlib.compress(sys.stdin.buffer.read())).decode())')"
    fi
    data="${data//\\/\\\\}"
    printf '"%s"' "${data//\"/\\\"}"
}
