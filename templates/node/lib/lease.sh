#!/usr/bin/env bash
# A Kubernetes Lease: what only one control-plane member may do at a time.

LEASE=magnum-orders
LEASE_SECONDS=300
LEASE_SKEW=30
LEASE_KEEPER=""
LEASE_TAKEN=false

# lease::take: status 1 when another member has it. Within this machine a
# lock keeps tasks apart; it ends with the task.
lease::take() {
    local holder="" until=0 version="" found
    exec 8>"$RUN_DIR/lease.lock"
    flock --nonblock 8 || return 1
    found="$(lease::read)" || return 1
    if [[ -n "$found" ]]; then
        read -r holder until version <<<"$found"
        if [[ "$holder" != "$(node_name)" ]] &&
            ((until + LEASE_SKEW > EPOCHSECONDS)); then
            log "$holder has the lease"
            return 1
        fi
    fi
    lease::write "$LEASE_SECONDS" "$version" || return 1
    LEASE_TAKEN=true
}

# Renews it beside work that takes minutes.
lease::keep() {
    {
        # Waits with a builtin: nothing is left over when it is stopped.
        while read -rt 60 <> <(:) || kill -0 "$$"; do
            lease::renew "$LEASE_SECONDS" || true
        done
    } >/dev/null 2>&1 8>&- &
    LEASE_KEEPER="$!"
}

# Whoever comes next need not wait for the end.
lease::release() {
    if [[ -n "$LEASE_KEEPER" ]]; then
        kill "$LEASE_KEEPER" 2>/dev/null || true
        LEASE_KEEPER=""
    fi
    "$LEASE_TAKEN" || return 0
    LEASE_TAKEN=false
    lease::renew 1 || log "the lease could not be given back"
    exec 8>&-
}

# lease::renew SECONDS, if this member still has it.
lease::renew() {
    local found holder version
    found="$(lease::read)" || return 1
    read -r holder _ version <<<"$found"
    [[ "$holder" == "$(node_name)" ]] || return 1
    lease::write "$1" "$version"
}

# Holder, end in seconds since the epoch, and version of the object; nothing
# when there is none.
lease::read() {
    local template holder renewed seconds version text
    template='{{.spec.holderIdentity}} {{.spec.renewTime}}'
    template+=' {{.spec.leaseDurationSeconds}} {{.metadata.resourceVersion}}'
    text="$(kube::as_admin --namespace kube-system get lease "$LEASE" \
        --ignore-not-found --output "go-template=$template")" || return 1
    [[ -n "$text" ]] || return 0
    read -r holder renewed seconds version <<<"$text"
    # A time that is none counts as now.
    renewed="$(date --date "$renewed" +%s)" || renewed="$EPOCHSECONDS"
    printf '%s %s %s' "$holder" $((renewed + seconds)) "$version"
}

# lease::write SECONDS VERSION: fails when another one wrote since it was
# read; without a version it must not exist yet.
lease::write() {
    local verb=create now metadata
    metadata=(name "\"$LEASE\"" namespace '"kube-system"')
    if [[ -n "$2" ]]; then
        verb=replace
        metadata+=(resourceVersion "$(json::string "$2")")
    fi
    printf -v now '%(%FT%T)T.000000Z' -1
    json::object apiVersion '"coordination.k8s.io/v1"' kind '"Lease"' \
        metadata "$(json::object "${metadata[@]}")" \
        spec "$(json::object \
            holderIdentity "$(json::string "$(node_name)")" \
            leaseDurationSeconds "$1" renewTime "\"$now\"" \
            acquireTime "\"$now\"")" |
        kube::as_admin "$verb" --filename - --validate=false >/dev/null
}
