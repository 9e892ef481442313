#!/usr/bin/env bash
# Signed orders of the driver (doc: protocols.rst). The member that gets the
# Lease executes them; every member that has them acknowledges them.

declare -A ORDERS=()
ORDERS_PROBLEM=""

orders::main() {
    local header last="" file="$STATE_DIR/orders-acknowledged"
    metadata::from_service 2>/dev/null || log "no new metadata"
    metadata::load
    seal::renew
    header="$(metadata::get meta magnum_orders)"
    [[ -n "$header" ]] || return 0
    [[ ! -s "$file" ]] || last="$(<"$file")"
    [[ "$header" != "$last" ]] || return 0
    orders::read "$header"
    if orders::are_done; then
        board::again
        printf '%s' "$header" >"$file"
    fi
}

# orders::read HEADER: fills ORDERS from the chunks when they are signed.
orders::read() {
    local key text file="$RUN_DIR/orders.json"
    [[ "$1" =~ ^(([0-9]{1,4}):([0-9]{1,6})):([0-9a-f]{64})$ ]] ||
        fail "The header of the orders is not one."
    local signed="${BASH_REMATCH[1]}" count="${BASH_REMATCH[2]}"
    local length="${BASH_REMATCH[3]}" signature="${BASH_REMATCH[4]}"
    text="$(metadata::chunks magnum_orders "$count")"
    ((${#text} == 10#$length)) || fail "The orders are not complete."
    key="$(config::get secrets board_key)"
    [[ -n "$key" && "$(printf 'magnum-orders:%s:%s' "$signed" "$text" |
        hmac::sha256 "$key")" == "$signature" ]] ||
        fail "The signature of the orders is wrong."
    base64 -d <<<"$text" | gzip -dc | head -c 1048576 >"$file"
    json::load ORDERS <"$file"
    [[ "${ORDERS[v]:-}" == 1 && "${ORDERS[seq]:-}" =~ ^[1-9][0-9]*$ ]] ||
        fail "The orders are of an unknown version."
}

# Executes them when it is this member's turn. Status 0 when they, or later
# ones, were executed by anybody.
orders::are_done() {
    local standing
    standing="$(orders::standing)" || fail "The API does not answer."
    if [[ "$standing" == open ]]; then
        if [[ " $(orders::list remove_etcd | tr '\n' ' ')" == \
            *" $(node_name) "* ]]; then
            log "another member has to execute these orders"
            return 1
        fi
        lease::take || return 1
        trap lease::release EXIT
        standing="$(orders::standing)" || fail "The API does not answer."
        [[ "$standing" != open ]] || orders::execute
    fi
    [[ "$standing" != later ]]
}

# open: nobody has executed them to the end; later: later ones are being
# executed, so these never are; done: they or later ones were.
orders::standing() {
    local known seq state message
    known="$(kube::known_orders)" || return 1
    IFS='|' read -r seq state _ _ message <<<"$known"
    if [[ ! "$seq" =~ ^[0-9]+$ ]] || ((seq < ORDERS[seq])) ||
        [[ "$seq $state" == "${ORDERS[seq]} running" ]]; then
        printf open
    elif [[ "$state" == running ]]; then
        printf later
    else
        orders::acknowledge "$seq" "$state" "$message"
        printf 'done'
    fi
}

orders::acknowledge() {
    json::object seq "$1" state "$(json::string "$2")" \
        message "$(json::string "$3")" >"$STATE_DIR/orders-done.new"
    mv "$STATE_DIR/orders-done.new" "$STATE_DIR/orders-done"
}

orders::execute() {
    local state="done"
    retry 4 orders::publish running || fail "The orders could not be noted."
    orders::each_node labels
    orders::each_node taints
    orders::remove_etcd
    orders::delete_nodes
    orders::addons
    [[ -z "$ORDERS_PROBLEM" ]] || state=failed
    ORDERS_PROBLEM="$(redact <<<"${ORDERS_PROBLEM:0:400}")"
    retry 4 orders::publish "$state" || fail "The orders could not be noted."
    orders::acknowledge "${ORDERS[seq]}" "$state" "$ORDERS_PROBLEM"
}

# orders::list PART...: the elements of a list in the orders, one a line.
orders::list() {
    local path index=0
    path="$(json::path "$@")"
    while [[ -v ORDERS["$path$JSON_SEPARATOR$index"] ]]; do
        printf '%s\n' "${ORDERS["$path$JSON_SEPARATOR$index"]}"
        index=$((index + 1))
    done
}

# The first thing that went wrong is told; the rest is done all the same.
orders::problem() {
    log "$1"
    [[ -n "$ORDERS_PROBLEM" ]] || ORDERS_PROBLEM="$1"
}

# orders::publish STATE: what all members must know, in a ConfigMap. Orders
# that name nobody leave the expected names as they were.
orders::publish() {
    local restrict="${ORDERS[restrict]:-}" expected known
    expected="$(orders::list expected | tr '\n' ' ')"
    if [[ "$restrict" != true ]]; then
        known="$(kube::known_orders)" || return 1
        IFS='|' read -r _ _ restrict expected _ <<<"$known"
    fi
    json::object apiVersion '"v1"' kind '"ConfigMap"' \
        metadata "$(json::object name '"magnum-orders"' \
            namespace '"kube-system"')" \
        data "$(json::object seq "\"${ORDERS[seq]}\"" state "\"$1\"" \
            restrict "\"$restrict\"" expected "\"${expected% }\"" \
            message "$(json::string "$ORDERS_PROBLEM")")" | kube::apply
}

# orders::each_node labels|taints. A Node that is gone needs neither.
orders::each_node() {
    local kind="$1" path node seen="" items error
    for path in "${!ORDERS[@]}"; do
        [[ "$path" == "$kind$JSON_SEPARATOR"* ]] || continue
        node="${path#*"$JSON_SEPARATOR"}"
        node="${node%%"$JSON_SEPARATOR"*}"
        [[ "$seen" != *" $node "* ]] || continue
        seen+=" $node "
        mapfile -t items < <(orders::list "$kind" "$node")
        error="$("orders::$kind" "$node" "${items[@]}" 2>&1)" ||
            orders::problem "$kind of $node: ${error##*$'\n'}"
    done
}

orders::labels() {
    orders::exists "$1" || return 0
    retry 3 kube::as_admin label --overwrite node "$@"
}

# To remove what is not there is an error for kubectl, not for us.
orders::taints() {
    local node="$1" item error
    shift
    orders::exists "$node" || return 0
    for item in "$@"; do
        error="$(retry 3 kube::as_admin taint --overwrite node \
            "$node" "$item" 2>&1)" ||
            [[ "$item" == *- && "$error" == *"not found"* ]] ||
            { printf '%s' "$error" && return 1; }
    done
}

orders::exists() {
    [[ -n "$(retry 3 kube::as_admin get node "$1" --ignore-not-found \
        --output name)" ]]
}

orders::delete_nodes() {
    local node error
    while IFS= read -r node; do
        if [[ "$node" == "$(node_name)" ]]; then
            orders::problem "$node does not delete itself"
            continue
        fi
        error="$(retry 3 kube::as_admin delete node "$node" \
            --ignore-not-found --wait=false 2>&1)" ||
            orders::problem "$node is not deleted: ${error##*$'\n'}"
    done < <(orders::list delete_nodes)
}

# They take longer than orders may: the task addons goes on with them.
orders::addons() {
    local error
    [[ -n "${ORDERS[addons]:-}" ]] || return 0
    error="$(kube::apply <<<"${ORDERS[addons]}" 2>&1)" ||
        orders::problem "add-ons: ${error##*$'\n'}"
}

orders::remove_etcd() {
    local name error
    while IFS= read -r name; do
        error="$(orders::remove_member "$name" 2>&1)" ||
            orders::problem "etcd member $name: ${error##*$'\n'}"
    done < <(orders::list remove_etcd)
}

# One at a time, and never so that the rest has no quorum.
orders::remove_member() {
    local members id name url learner _status _peer victim="" voters=0
    local victim_url="" healthy
    members="$(retry 3 orders::etcdctl member list)" || return 1
    while IFS=', ' read -r id _status name _peer url learner; do
        if [[ "$name" == "$1" ]]; then
            victim="$id" victim_url="$url"
        elif [[ "$learner" == false ]]; then
            voters=$((voters + 1))
        fi
    done <<<"$members"
    [[ -n "$victim" ]] || return 0
    healthy="$(orders::etcdctl endpoint health --cluster 2>&1 |
        grep -F ' is healthy' | grep -Fvc "$victim_url ")" || true
    if ((healthy < voters / 2 + 1)); then
        printf 'only %s of the %s others are healthy' "$healthy" "$voters"
        return 1
    fi
    retry 3 orders::etcdctl member remove "$victim"
}

orders::etcdctl() {
    local directory=/etc/kubernetes/pki/etcd
    kube::as_admin --namespace kube-system exec "etcd-$(node_name)" -- \
        etcdctl --endpoints https://127.0.0.1:2379 --command-timeout 20s \
        --cacert "$directory/ca.crt" --cert "$directory/server.crt" \
        --key "$directory/server.key" "$@"
}
