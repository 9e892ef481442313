#!/usr/bin/env bash
# Cordons this node and evicts its pods with the kubelet's own credential,
# which may do just that, respecting disruption budgets for a bounded time.

DRAIN_SECONDS="${MAGNUM_DRAIN_SECONDS:-600}"

drain::main() {
    local node end left
    metadata::load
    node="$(node_name)"
    end=$((EPOCHSECONDS + DRAIN_SECONDS))
    retry 5 kube::as_kubelet cordon "$node"
    while :; do
        left="$(drain::pods "$node")" || left="unknown unknown"
        [[ -n "$left" ]] || break
        if ((EPOCHSECONDS >= end)); then
            board::report failed drain \
                "Pods stayed on the node: $(drain::names "$left")." \
                "A PodDisruptionBudget may forbid evicting them."
            return 1
        fi
        drain::evict "$left"
        pause 4
    done
    board::report drained drain
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
