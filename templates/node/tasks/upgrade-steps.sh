#!/usr/bin/env bash
# The steps of an upgrade in place. Each may be run again after a crash. The
# kubelet is exchanged only when kubeadm has done its part.

NEXT_DIR="$ROOT/opt/magnum/next"
CORDONED="$STATE_DIR/upgrade-cordoned"
APPLYING="$STATE_DIR/upgrade-applying"

upgrade_steps::main() {
    local wanted
    metadata::load
    wanted="$(metadata::version)"
    log "upgrade from $(board::version) to $wanted"
    trap upgrade_steps::end EXIT
    upgrade_steps::download "$wanted"
    if is_control_plane; then
        retry 60 lease::take || fail \
            "Another control-plane member did not end its work in time." \
            "See kubectl --namespace kube-system get lease $LEASE."
        lease::keep
    fi
    upgrade_steps::drain
    upgrade_steps::kubeadm "$wanted" || fail \
        "kubeadm upgrade failed: $(boot::last_lines "$LOG_DIR/upgrade.log")" \
        "$(hints::for "$LOG_DIR/upgrade.log")"
    upgrade_steps::exchange "$wanted"
    upgrade_steps::await_ready "$wanted"
    rm -rf "$NEXT_DIR" "$DOWNLOAD_DIR"/kube{adm,let,ctl}-*
}

# Also after a failure: the node takes pods again, another member its turn.
upgrade_steps::end() {
    if [[ -e "$CORDONED" ]]; then
        if [[ "$(metadata::get meta magnum_drain)" == 1 ]] ||
            retry 5 kube::as_kubelet uncordon "$(node_name)"; then
            rm -f "$CORDONED"
        fi
    fi
    ! is_control_plane || lease::release
}

upgrade_steps::download() {
    local name text
    for name in kubeadm kubelet kubectl; do
        ARTIFACT_VERSION="$1" artifact::binary "$name" "$NEXT_DIR"
    done
    text="$("$NEXT_DIR/kubeadm" version -o short)" || text="none"
    [[ "$text" == "$1" ]] || fail \
        "kubeadm has version $text where $1 is wanted." \
        "Check what the artifact mirror serves."
}

# A control plane's few pods are not worth failing for. A node that somebody
# else cordoned stays so.
upgrade_steps::drain() {
    local cordoned
    cordoned="$(retry 5 kube::as_kubelet get node "$(node_name)" \
        --output 'go-template={{.spec.unschedulable}}')"
    [[ "$cordoned" == true ]] || touch "$CORDONED"
    # shellcheck source=templates/node/tasks/drain.sh
    source "$MAGNUM_HOME/tasks/drain.sh"
    if ! drain::empty "$(node_name)"; then
        is_control_plane || fail "$(drain::why)" "$DRAIN_HINT"
        log "$(drain::why)"
    fi
}

upgrade_steps::kubeadm() {
    local configured
    if ! is_control_plane; then
        retry 3 timeout 900 "$NEXT_DIR/kubeadm" upgrade node
        return
    fi
    configured="$(retry 8 upgrade_steps::configured)" || return 1
    if [[ "$configured" == "$1" && ! -e "$APPLYING" ]]; then
        retry 3 timeout 1800 "$NEXT_DIR/kubeadm" upgrade node || return 1
    else
        # Once for the cluster. The phase would let token holders in again.
        touch "$APPLYING"
        retry 3 timeout 1800 "$NEXT_DIR/kubeadm" upgrade apply "$1" --yes \
            --skip-phases bootstrap-token || return 1
        rm -f "$APPLYING"
    fi
    retry 8 kube::no_autoapproval
}

# The version the cluster's own configuration names.
upgrade_steps::configured() {
    local text
    text="$(kube::as_admin --namespace kube-system get configmap \
        kubeadm-config --output \
        'go-template={{.data.ClusterConfiguration}}')" || return 1
    [[ "$text" =~ (^|$'\n')kubernetesVersion:\ *(v[0-9][^[:space:]]*) ]] ||
        return 1
    printf '%s' "${BASH_REMATCH[2]}"
}

# From here on the new version is the node's, also when it boots.
upgrade_steps::exchange() {
    local name
    printf '%s\n' "$1" | file::write "$STATE_DIR/kubernetes-version" 0644 ||
        true
    mkdir -p "$BIN_DIR"
    for name in kubectl kubelet kubeadm; do
        install -m 0755 "$NEXT_DIR/$name" "$BIN_DIR/$name.new"
        mv "$BIN_DIR/$name.new" "$BIN_DIR/$name"
        artifact::label "$BIN_DIR/$name"
    done
    # shellcheck source=templates/node/phases/binaries.sh
    source "$MAGNUM_HOME/phases/binaries.sh"
    binaries::unit
    systemctl restart kubelet.service
}

upgrade_steps::await_ready() {
    local attempt
    for ((attempt = 1; ; attempt++)); do
        ! upgrade_steps::is_ready "$1" || return 0
        ((attempt < ${MAGNUM_READY_ATTEMPTS:-80})) || break
        pause 5
    done
    fail "The kubelet $1 did not become ready. $(kube::kubelet_says)" \
        "See journalctl -u kubelet on the node."
}

upgrade_steps::is_ready() {
    local template text
    template='{{.status.nodeInfo.kubeletVersion}}{{range .status.conditions}}'
    template+='{{if eq .type "Ready"}} {{.status}}{{end}}{{end}}'
    text="$(kube::as_kubelet get node "$(node_name)" \
        --output "go-template=$template")" || return 1
    [[ "$text" == "$1 True" ]]
}
