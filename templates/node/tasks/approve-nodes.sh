#!/usr/bin/env bash
# Approves the first certificate of new nodes, and of no others:
# - a token may ask for a worker's name of this cluster,
# - a control-plane node, whose certificate the CA signed on itself, may ask
#   for exactly its own name,
# - once signed orders named the workers to come, only they may ask, and
#   those of signed permits that are no older than these orders,
# - the name must not be a Node's already.

declare -A PERMITS=()

approve_nodes::main() {
    (flock -w 60 5 && approve_nodes::all) 5>"$RUN_DIR/approve.lock"
}

approve_nodes::all() {
    local line fields requests=()
    local template='{{range .items}}{{if not .status.conditions}}'
    template+='{{.metadata.name}}{{"\t"}}{{.spec.signerName}}{{"\t"}}'
    template+='{{.spec.username}}{{"\t"}}{{.spec.request}}{{"\t"}}'
    # Quoted: a token's holder writes here, and shall not write a line.
    template+='{{with .metadata.annotations}}'
    template+='{{printf "%q" (index . "magnum/permit")}}{{end}}'
    template+='{{"\n"}}{{end}}{{end}}'
    while IFS= read -r line; do
        [[ -n "$line" ]] || continue
        IFS=$'\t' read -ra fields <<<"$line"
        if [[ "${fields[1]}" == magnum.openstack.org/permit ]]; then
            PERMITS["${fields[0]}"]="${fields[4]:-}"
        else
            requests+=("$line")
        fi
    done < <(kube::as_admin get certificatesigningrequests \
        --output "go-template=$template")
    for line in "${requests[@]}"; do
        IFS=$'\t' read -ra fields <<<"$line"
        approve_nodes::one "${fields[@]:0:4}" || true
    done
}

# approve_nodes::one REQUEST SIGNER USER PEM
approve_nodes::one() {
    local node
    [[ "$2" == kubernetes.io/kube-apiserver-client-kubelet ]] || return 1
    node="$(approve_nodes::subject "$4")" || return 1
    approve_nodes::may_be "$3" "$node" || return 1
    if [[ -n "$(kube::as_admin get node "$node" \
        --ignore-not-found --output name)" ]]; then
        log "refused: $3 asks for the existing node $node"
        return 1
    fi
    log "approved: $node"
    kube::as_admin certificate approve "$1" >/dev/null
    [[ ! -v PERMITS["magnum-permit-$node"] ]] || kube::as_admin delete \
        certificatesigningrequests "magnum-permit-$node" --ignore-not-found
}

# The node's name in a request whose subject is exactly a node's.
approve_nodes::subject() {
    local subject
    subject="$(base64 -d <<<"$1" | openssl req -noout -subject \
        -nameopt RFC2253,sep_comma_plus)" || return 1
    subject="${subject#subject=}"
    [[ "${subject# }" =~ ^CN=system:node:([a-z0-9.-]+),O=system:nodes$ ]] ||
        return 1
    printf '%s' "${BASH_REMATCH[1]}"
}

# approve_nodes::may_be USER NODE
approve_nodes::may_be() {
    local user="$1" node="$2" prefix
    prefix="$(config::get cluster prefix)"
    [[ "$node" == "$prefix"-?* ]] || return 1
    if [[ "$node" == "$prefix"-cp-* ]]; then
        [[ "$user" == "magnum:control-plane:$node" ]]
    else
        [[ "$user" =~ ^system:bootstrap:[a-z0-9]{6}$ ]] &&
            approve_nodes::is_expected "$node"
    fi
}

approve_nodes::is_expected() {
    local known seq restrict expected
    known="$(kube::known_orders)" || return 1
    IFS='|' read -r seq _ restrict expected _ <<<"$known"
    [[ "$restrict" == true ]] || return 0
    [[ " $expected " == *" $1 "* ]] && return 0
    approve_nodes::is_permitted "$1" "$seq" && return 0
    log "refused: $1 is not expected"
    return 1
}

# approve_nodes::is_permitted NODE SEQ: a permit counts until later orders are
# known, which say themselves who may join.
approve_nodes::is_permitted() {
    local permit="${PERMITS["magnum-permit-$1"]:-}"
    [[ "$permit" =~ ^\"([0-9a-f]{64})\ (([0-9]{1,15})((\ [a-z0-9.-]+)+))\"$ ]] &&
        [[ "${BASH_REMATCH[4]} " == *" $1 "* ]] &&
        ((10#${BASH_REMATCH[3]} >= $2)) &&
        [[ "$(printf 'magnum-permit:%s' "${BASH_REMATCH[2]}" |
            hmac::sha256 "$(config::get secrets board_key)")" == \
            "${BASH_REMATCH[1]}" ]]
}
