#!/usr/bin/env bash
# Cordons this node and evicts its pods with the kubelet's own credential,
# which may do just that, respecting disruption budgets for a bounded time.

DRAIN_LEFT=""
DRAIN_HINT="A PodDisruptionBudget may forbid evicting them."

drain::main() {
    metadata::load
    if ! drain::empty "$(node_name)"; then
        board::report failed drain "$(drain::why)" "$DRAIN_HINT"
        return 1
    fi
    board::report drained drain
}

# drain::empty NODE: status 1 when pods are left at the end of the time.
drain::empty() {
    local seconds end
    seconds="$(config::get kubelet drain_timeout)"
    end=$((EPOCHSECONDS + ${MAGNUM_DRAIN_SECONDS:-${seconds:-600}}))
    retry 5 kube::as_kubelet cordon "$1" || return 1
    while :; do
        DRAIN_LEFT="$(drain::pods "$1")" || DRAIN_LEFT="unknown unknown"
        [[ -n "$DRAIN_LEFT" ]] || return 0
        ((EPOCHSECONDS < end)) || return 1
        drain::evict "$DRAIN_LEFT"
        pause 4
    done
}

drain::why() {
    if [[ -n "$DRAIN_LEFT" ]]; then
        printf 'Pods stayed on the node: %s.' "$(drain::names "$DRAIN_LEFT")"
    else
        printf 'The node could not be cordoned.'
    fi
}

drain::names() {
    local text
    text="$(tr ' \n' '/ ' <<<"$1")"
    printf '%s' "${text:0:200}"
}

# Namespace and name of every pod that must leave, one a line: not those of
# DaemonSets, which would come back, nor static or finished ones.
drain::pods() {
    local namespace name owner mirror phase lines
    local template='{{range .items}}{{.metadata.namespace}} {{.metadata.name}}'
    template+=' {{range .metadata.ownerReferences}}{{.kind}}{{end}}-'
    template+=' {{with .metadata.annotations}}'
    template+='{{with index . "kubernetes.io/config.mirror"}}yes{{end}}'
    template+='{{end}}- {{.status.phase}}{{"\n"}}{{end}}'
    lines="$(kube::as_kubelet get pods --all-namespaces \
        --field-selector "spec.nodeName=$1" \
        --output "go-template=$template")" || return 1
    while read -r namespace name owner mirror phase; do
        [[ -n "$namespace" && "$owner" != DaemonSet- ]] || continue
        [[ "$mirror" != yes- && "$phase" != Succeeded ]] || continue
        [[ "$phase" != Failed ]] || continue
        printf '%s %s\n' "$namespace" "$name"
    done <<<"$lines"
}

drain::evict() {
    local namespace name
    while read -r namespace name; do
        json::object apiVersion '"policy/v1"' kind '"Eviction"' \
            metadata "$(json::object name "\"$name\"" \
                namespace "\"$namespace\"")" |
            kube::as_kubelet create --filename - --raw \
                "/api/v1/namespaces/$namespace/pods/$name/eviction" \
                >/dev/null || log "not evicted yet: $namespace/$name"
    done <<<"$1"
}
