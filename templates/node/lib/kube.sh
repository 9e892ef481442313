#!/usr/bin/env bash
# Talking to Kubernetes.
# shellcheck disable=SC2034

ADMIN_CONFIG="$ROOT/etc/kubernetes/admin.conf"
KUBELET_CONFIG="$ROOT/etc/kubernetes/kubelet.conf"
PKI_DIR="$ROOT/etc/kubernetes/pki"

kube::as_admin() {
    kubectl --kubeconfig "$ADMIN_CONFIG" --request-timeout 30s "$@"
}

# kube::apply < objects: they become ours, whoever changed them.
kube::apply() {
    kube::as_admin apply --server-side --force-conflicts \
        --field-manager magnum --validate=false --filename - >/dev/null
}

kube::as_kubelet() {
    kubectl --kubeconfig "$KUBELET_CONFIG" --request-timeout 30s "$@"
}

# kube::await_own_api ATTEMPTS
kube::await_own_api() {
    retry "$1" kube::own_api_answers || fail \
        "The API server of this node does not answer." \
        "See crictl ps -a and journalctl -u kubelet on the node."
}

kube::own_api_answers() {
    curl --silent --fail --noproxy '*' --output /dev/null --max-time 10 \
        --cacert "$PKI_DIR/ca.crt" \
        "https://127.0.0.1:$(config::get endpoint port)/readyz"
}

# The address of the API as a URL.
kube::endpoint() {
    local host
    host="$(config::get endpoint host)"
    [[ "$host" != *:* ]] || host="[$host]"
    printf 'https://%s:%s' "$host" "$(config::get endpoint port)"
}

# Whether the endpoint answers a path with a certificate of our CA.
kube::endpoint_answers() {
    curl --silent --fail --noproxy '*' --output /dev/null \
        --connect-timeout 5 --max-time 10 \
        --cacert "$ROOT/etc/magnum/cluster-ca.pem" \
        "$(kube::endpoint)/$1"
}

# Machines boot all at once, so most wait for the first control plane: often
# enough not to lose time, with jitter for the endpoint's sake. Some minutes
# at most; the phase is repeated.
kube::await_endpoint() {
    local attempt status attempts="${MAGNUM_ENDPOINT_ATTEMPTS:-80}"
    for ((attempt = 1; ; attempt++)); do
        status=0
        kube::endpoint_answers readyz || status=$?
        ((status != 0)) || return 0
        ((attempt < attempts)) || break
        pause 4
    done
    # curl's word for a certificate it cannot trust.
    ((status != 60)) || fail \
        "The API at $(kube::endpoint) answers with another cluster's CA." \
        "Was the cluster's CA rotated, or is the address used twice?"
    return 1
}

# This machine's address in the cluster's subnet, whatever other networks it
# is in; nothing: kubelet and kubeadm choose.
kube::node_address() {
    local line
    while IFS= read -r line; do
        if [[ "$line" != *" secondary "* &&
            "$line" =~ \ inet6?\ ([0-9a-fA-F.:]+)/ ]]; then
            printf '%s' "${BASH_REMATCH[1]}"
            return
        fi
    done < <(ip -o addr show scope global to "$(config::get host subnet_cidr)")
}

# The kubelet's last words, for a message.
kube::kubelet_says() {
    local text
    text="$(journalctl --unit kubelet.service --lines 3 --output cat \
        2>/dev/null | tr -s '\n\t ' ' ' | redact)" || return 0
    [[ -z "$text" ]] || printf 'It says: %s' "${text:0:300}"
}

# What was written of orders in the cluster: number|state|restrict|expected
# names|message; nothing when there is nothing yet.
kube::known_orders() {
    local template="{{with .data}}{{.seq}}|{{.state}}|{{.restrict}}|"
    template+="{{.expected}}|{{.message}}{{end}}"
    kube::as_admin --namespace kube-system get configmap magnum-orders \
        --ignore-not-found --output "go-template=$template"
}

# kubeadm lets every holder of a token become any node; approve-nodes does
# better.
kube::no_autoapproval() {
    kube::as_admin delete clusterrolebinding --ignore-not-found \
        kubeadm:node-autoapprove-bootstrap
}

kube::write_ca() {
    config::list join ca_certificates >"$ROOT/etc/magnum/cluster-ca.pem"
}

# kube::adm COMMAND CONFIG: kubeadm init or join, also after an attempt that
# ended in the middle: its own leftovers are then no reason to stop.
kube::adm() {
    local command="$1" config="$2" options=()
    local started="$STATE_DIR/kubeadm-$command.started"
    if [[ -e "$started" ]]; then
        options+=("--ignore-preflight-errors=$(kube::leftovers)")
    fi
    touch "$started"
    ! is_control_plane || kube::advertise "$config"
    [[ "$command" != init ]] || options+=(--skip-token-print)
    kubeadm "$command" --config "$config" "${options[@]}"
}

# The machine's own line in a document that is alike on all of them: without
# it kubeadm takes the address of the default route.
kube::advertise() {
    local address line text=""
    address="$(kube::node_address)"
    [[ -n "$address" && -s "$1" ]] || return 0
    while IFS= read -r line; do
        [[ "$line" != *" advertiseAddress:"* ]] || continue
        text+="$line"$'\n'
        if [[ "$line" =~ ^(\ +)bindPort: ]]; then
            text+="${BASH_REMATCH[1]}advertiseAddress: '$address'"$'\n'
        fi
    done <"$1"
    printf '%s' "$text" | file::write "$1" 0644 || true
}

kube::leftovers() {
    local names=() name
    for name in kube-apiserver kube-controller-manager kube-scheduler etcd; do
        names+=("FileAvailable--etc-kubernetes-manifests-$name.yaml")
    done
    names+=(FileAvailable--etc-kubernetes-kubelet.conf
        FileAvailable--etc-kubernetes-bootstrap-kubelet.conf
        FileAvailable--etc-kubernetes-pki-ca.crt
        DirAvailable--etc-kubernetes-manifests
        DirAvailable--var-lib-etcd-data
        Port-6443 Port-2379 Port-2380 Port-10250 Port-10257 Port-10259)
    names+=("Port-$(config::get endpoint port)")
    local IFS=,
    printf '%s' "${names[*]}"
}
