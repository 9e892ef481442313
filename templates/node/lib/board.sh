#!/usr/bin/env bash
# Reports: what this node says about itself (doc: protocols.rst).

# board::sign KEY VALUE ...: the object with its signature, which is empty
# until this member has its secrets.
board::sign() {
    local key signature=""
    key="$(config::get secrets board_key)"
    if [[ -n "$key" ]]; then
        signature="$(json::object "$@" | hmac::sha256 "$key")"
    fi
    json::object "$@" hmac "\"$signature\""
}

# Numbers of this member's entries only grow, also over reboots. Two tasks
# may ask at the same time.
board::sequence() {
    (
        flock -w 30 6
        board::next_number
    ) 6>"$RUN_DIR/sequence.lock"
}

board::next_number() {
    local file="$STATE_DIR/sequence" number=0
    [[ ! -s "$file" ]] || number="$(<"$file")"
    number=$((number + 1))
    printf '%s' "$number" >"$file.new"
    mv "$file.new" "$file"
    printf '%s' "$number"
}

# Seconds of every finished phase, as JSON.
board::seconds() {
    local file pairs=()
    for file in "$STATE_DIR"/seconds/*; do
        [[ -f "$file" ]] || continue
        pairs+=("${file##*/}" "$(<"$file")")
    done
    json::object "${pairs[@]}"
}

# board::error PHASE MESSAGE HINT: as JSON, null without a message.
board::error() {
    if [[ -z "${2:-}" ]]; then
        printf 'null'
        return
    fi
    json::object phase "$(json::string "$1")" \
        message "$(json::string "$2")" hint "$(json::string "${3:-}")"
}

# The version that runs here; nothing before the binaries are in place.
board::version() {
    local version
    version="$(kubelet --version 2>/dev/null)" || return 0
    printf '%s' "${version##* }"
}

# The operation that last named this member.
board::operation() {
    local operation
    operation="$(metadata::get meta magnum_op)"
    printf '%s' "${operation:-$(config::get operation)}"
}

# board::report STATE PHASE [MESSAGE [HINT]]
board::report() {
    local state="$1" phase="$2" message="${3:-}" hint="${4:-}"
    board::to_console "$state" "$phase" "$message" "$hint"
    if is_control_plane; then
        board::to_board "$state" "$phase" "$message" "$hint"
    elif [[ -s "$KUBELET_CONFIG" ]]; then
        board::to_node "$state" "$phase" "$message" "$hint"
    elif [[ "$state" == failed ]]; then
        board::to_distress "$phase" "$message" "$hint"
    fi
}

board::to_console() {
    ! seal::is_asking || seal::show
    case "$1" in
        failed) console "failed $(board::error "$2" "$3" "$4")" ;;
        ready) console "ready $(json::object \
            seconds "$(board::seconds)")" ;;
    esac
}

# A node at rest: ready, unless its upgrade for this operation failed.
board::settled() {
    local lines file="$STATE_DIR/upgrade-failed"
    if [[ -s "$file" ]]; then
        mapfile -t lines <"$file"
        if [[ "${lines[0]}" == "$(board::operation)" ]]; then
            board::report failed upgrade "${lines[1]:-}" "${lines[2]:-}"
            return
        fi
        rm -f "$file"
    fi
    board::report ready report
}

# Two tasks may report at the same time; the later one is kept.
board::to_board() {
    (
        flock -w 300 7
        printf '%s\n' "$@" >"$STATE_DIR/reported"
        board::post "$@"
    ) 7>"$RUN_DIR/board.lock"
}

# The last report again, with what has happened to orders since.
board::again() {
    local lines=(ready report)
    (
        flock -w 300 7
        [[ ! -s "$STATE_DIR/reported" ]] ||
            mapfile -t lines <"$STATE_DIR/reported"
        board::post "${lines[0]}" "${lines[1]}" "${lines[2]:-}" "${lines[3]:-}"
    ) 7>"$RUN_DIR/board.lock"
}

board::post() {
    local state="$1" phase="$2" status=SUCCESS document orders=() seal
    mapfile -t seal < <(seal::entry)
    [[ "$state" != failed ]] || status=FAILURE
    if [[ -s "$STATE_DIR/orders-done" ]]; then
        orders=(orders "$(<"$STATE_DIR/orders-done")")
    fi
    document="$(board::sign "${orders[@]}" "${seal[@]}" v 1 \
        seq "$(board::sequence)" t "$(json::now)" \
        member "$(json::string "$(member_name)")" \
        server "$(json::string "$(metadata::get uuid)")" \
        op "$(json::string "$(board::operation)")" \
        state "$(json::string "$state")" \
        phase "$(json::string "$phase")" \
        seconds "$(board::seconds)" \
        version "$(json::string "$(board::version)")" \
        secrets "$(json::string "$(trust::followed)")" \
        error "$(board::error "$phase" "$3" "$4")")"
    signal::send board report "$status" "$state: $phase" "$document"
}

board::to_node() {
    local state="$1" phase="$2" ready=false document
    [[ "$state" != ready ]] || ready=true
    [[ "$state" != drained ]] || phase=drained
    document="$(json::object op "$(json::string "$(board::operation)")" \
        phase "$(json::string "$phase")" ready "$ready" \
        secrets "$(json::string "$(trust::followed)")" \
        version "$(json::string "$(board::version)")" \
        error "$(board::error "$phase" "$3" "$4")" \
        seconds "$(board::seconds)" t "$(json::now)")"
    retry 5 kube::as_kubelet annotate --overwrite node "$(node_name)" \
        "magnum.openstack.org/report=$document"
}

# board::is_due PHASE MESSAGE: ever more rarely while it is the same failure:
# Heat 27 keeps something of every signal.
board::is_due() {
    local file="$RUN_DIR/distress" due=0 wait=15 last=""
    if [[ -s "$file" ]]; then
        { read -r due wait; read -r last; } <"$file"
    fi
    if [[ "$last" != "$1 $2" ]]; then
        wait=15
    elif ((EPOCHSECONDS < due)); then
        return 1
    fi
    wait=$((wait < 300 ? wait * 2 : 600))
    due=$((EPOCHSECONDS + wait * (75 + RANDOM % 50) / 100))
    printf '%s %s\n%s\n' "$due" "$wait" "$1 $2" >"$file"
}

board::to_distress() {
    local document
    board::is_due "$1" "$2" || return 0
    document="$(json::object v 1 t "$(json::now)" \
        server "$(json::string "$(metadata::get uuid)")" \
        group "$(json::string "$(config::get group)")" \
        member "$(json::string "$(member_name)")" \
        phase "$(json::string "$1")" message "$(json::string "$2")" \
        hint "$(json::string "$3")")"
    signal::send distress "$(node_name)" FAILURE "$1" "$document"
}
