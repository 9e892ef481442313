#!/usr/bin/env bash
# Approves the first certificate of new nodes, and of no others:
# - a token may ask for a worker's name of this cluster,
# - a control-plane node, whose certificate the CA signed on itself, may ask
#   for exactly its own name,
# - once signed orders named the workers to come, only they may ask, and
#   those of signed permits that are no older than these orders,
# - the name must not be a Node's already.

APPROVE_SIGNER=kubernetes.io/kube-apiserver-client-kubelet
declare -A PERMITS=()
APPROVED=()
SHOWN=()
NODES=""
KNOWN=""

approve_nodes::main() {
    (flock -w 60 5 && approve_nodes::all) 5>"$RUN_DIR/approve.lock"
}

# A crowd costs as many calls of the API as one node.
approve_nodes::all() {
    local fields request requests=()
    while IFS=$'\t' read -ra fields; do
        if [[ "${fields[1]:-}" == magnum.openstack.org/permit ]]; then
            PERMITS["${fields[0]}"]="${fields[4]:-}"
        elif [[ "${fields[1]:-}" == "$APPROVE_SIGNER" ]]; then
            requests+=("${fields[0]}"$'\t'"${fields[2]}"$'\t'"${fields[3]}")
        fi
    done < <(approve_nodes::pending)
    ((${#requests[@]} > 0)) || return 0
    NODES="$(kube::as_admin get nodes --output name)" || return 1
    KNOWN="$(kube::known_orders)" || KNOWN=unknown
    for request in "${requests[@]}"; do
        IFS=$'\t' read -ra fields <<<"$request"
        approve_nodes::one "${fields[@]}" || true
    done
    ((${#APPROVED[@]} > 0)) || return 0
    kube::as_admin certificate approve "${APPROVED[@]}" >/dev/null
    ((${#SHOWN[@]} == 0)) || kube::as_admin delete \
        certificatesigningrequests "${SHOWN[@]}" --ignore-not-found
}

# Requests nobody has decided: name, signer, user, PEM in base64, permit.
approve_nodes::pending() {
    local template='{{range .items}}{{if not .status.conditions}}'
    template+='{{.metadata.name}}{{"\t"}}{{.spec.signerName}}{{"\t"}}'
    template+='{{.spec.username}}{{"\t"}}{{.spec.request}}{{"\t"}}'
    # Quoted: a token's holder writes here, and shall not write a line.
    template+='{{with .metadata.annotations}}'
    template+='{{printf "%q" (index . "magnum/permit")}}{{end}}'
    template+='{{"\n"}}{{end}}{{end}}'
    kube::as_admin get certificatesigningrequests \
        --output "go-template=$template"
}

# approve_nodes::one REQUEST USER PEM
approve_nodes::one() {
    local node
    node="$(approve_nodes::subject "$3")" || return 1
    approve_nodes::may_be "$2" "$node" || return 1
    if [[ $'\n'"$NODES"$'\n' == *$'\n'"node/$node"$'\n'* ]]; then
        log "refused: $2 asks for the existing node $node"
        return 1
    fi
    log "approved: $node"
    APPROVED+=("$1")
    [[ ! -v PERMITS["magnum-permit-$node"] ]] ||
        SHOWN+=("magnum-permit-$node")
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
    local seq restrict expected
    [[ "$KNOWN" != unknown ]] || return 1
    IFS='|' read -r seq _ restrict expected _ <<<"$KNOWN"
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
