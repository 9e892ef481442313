#!/usr/bin/env bash
# Tells the board what the API server knows about every Node: when something
# changed, and every minute otherwise.

# Seconds. Every signal costs Heat 27 a slot that only a restart gives back.
DIGEST_EVERY=300

digest::main() {
    local nodes addons sum last="" age=$DIGEST_EVERY file="$RUN_DIR/digest"
    metadata::load
    nodes="$(digest::nodes)" || fail "The nodes could not be listed."
    addons="$(digest::addons)" || fail "The add-ons could not be listed."
    sum="$(printf '%s' "$nodes$addons" | sha256sum)"
    if [[ -s "$file" ]]; then
        last="$(<"$file")"
        age=$((EPOCHSECONDS - $(stat --format %Y "$file")))
    fi
    if [[ "$last" != "$sum" ]] || ((age >= DIGEST_EVERY)); then
        digest::send "$nodes" "$addons"
        printf '%s\n' "$sum" >"$file"
    fi
}

digest::send() {
    local document
    document="$(board::sign v 1 seq "$(board::sequence)" \
        t "$(json::now)" nodes "$1" addons "$2" \
        server "$(json::string "$(metadata::get uuid)")")"
    signal::send board digest SUCCESS "nodes" "$document"
}

# Every Node as one JSON object. A Node's own report is free text that its
# kubelet wrote: it is read field by field and written anew.
digest::nodes() {
    local line fields name pairs=() lines
    lines="$(kube::as_admin get nodes --output \
        "go-template-file=$MAGNUM_HOME/digest.template")" || return 1
    while IFS= read -r line; do
        mapfile -t fields < <(tr '\t' '\n' <<<"$line")
        name="${fields[0]:-}"
        [[ "$name" =~ ^[a-z0-9.-]+$ ]] || continue
        pairs+=("$name" "$(digest::node "${fields[@]:1}")")
    done <<<"$lines"
    json::object "${pairs[@]}"
}

# What is known of each add-on, by name.
digest::addons() {
    local name id state message pairs=()
    # shellcheck source=templates/node/tasks/addons.sh
    source "$MAGNUM_HOME/tasks/addons.sh"
    while read -r name id state message; do
        [[ -n "$state" ]] || continue
        pairs+=("$name" "$(json::object id "$(json::string "$id")" \
            state "$(json::string "$state")" \
            message "$(json::string "$message")")")
    done < <(addons::states)
    json::object "${pairs[@]}"
}

# digest::node STATUS REASON SINCE VERSION REPORT, each quoted: a kubelet
# writes its own status and must not write other Nodes' lines with it.
digest::node() {
    local ready=false since
    since="$(digest::bare "${3:-}")"
    [[ "$since" =~ ^[0-9TZ:-]{20}$ ]] || since=""
    [[ "${1:-}" != '"True"' ]] || { ready=true && since=""; }
    json::object ready "$ready" \
        reason "$(json::string "$(digest::bare "${2:-}")")" \
        since "\"$since\"" \
        version "$(json::string "$(digest::bare "${4:-}")")" \
        report "$(digest::report "${5:-}")"
}

digest::bare() {
    local text="${1#\"}"
    printf '%s' "${text%\"}"
}

# digest::report QUOTED: the annotation as Go quoted it, made JSON again.
# Reading is slow, so what was read once is kept.
digest::report() {
    local quoted="$1" sum file
    if [[ -z "$quoted" ]] || ((${#quoted} > 8192)); then
        printf 'null'
        return
    fi
    sum="$(printf '%s' "$quoted" | sha256sum)"
    file="$RUN_DIR/reports/${sum%% *}"
    if [[ ! -s "$file" ]]; then
        mkdir -p "$RUN_DIR/reports"
        find "$RUN_DIR/reports" -type f -mmin +60 -delete
        digest::rewrite "$quoted" >"$file"
    fi
    printf '%s' "$(<"$file")"
}

digest::rewrite() {
    local -A outer=() own=()
    # "%q" quotes like JSON except for rare escapes, which make it unreadable.
    json::load outer <<<"[$1]" 2>/dev/null || { printf 'null' && return; }
    json::load own <<<"${outer[0]:-}" 2>/dev/null ||
        { printf 'null' && return; }
    digest::fields
}

# The known fields of `own`, which the caller filled.
digest::fields() {
    local path name error=null seconds=() ready=false
    local sep="$JSON_SEPARATOR"
    [[ "${own[ready]:-}" != true ]] || ready=true
    if [[ -n "${own["error${sep}message"]:-}" ]]; then
        error="$(board::error "${own["error${sep}phase"]:-}" \
            "${own["error${sep}message"]}" "${own["error${sep}hint"]:-}")"
    fi
    for path in "${!own[@]}"; do
        name="${path#"seconds$sep"}"
        if [[ "$path" != "$name" && "$name" =~ ^[a-z0-9-]{1,40}$ ]]; then
            seconds+=("$name" "$(digest::number "${own[$path]}")")
        fi
    done
    json::object op "$(json::string "${own[op]:-}")" error "$error" \
        phase "$(json::string "${own[phase]:-}")" ready "$ready" \
        version "$(json::string "${own[version]:-}")" \
        secrets "$(json::string "${own[secrets]:-}")" \
        seconds "$(json::object "${seconds[@]}")" \
        t "$(digest::number "${own[t]:-0}")"
}

# A number as every JSON parser writes it again, else 0.
digest::number() {
    if [[ "$1" =~ ^(0|[1-9][0-9]{0,11})(\.[0-9])?$ ]]; then
        printf '%s' "$1"
    else
        printf '0'
    fi
}
