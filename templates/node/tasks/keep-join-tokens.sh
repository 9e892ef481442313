#!/usr/bin/env bash
# Keeps the tokens alive that the driver may have given out: those of this
# and the previous hour, plus five minutes for clocks that differ.

TOKEN_SKEW=300

keep_join_tokens::main() {
    local now at token seen=""
    now="${EPOCHSECONDS}"
    for at in $((now + TOKEN_SKEW)) "$now" $((now - 3600)) \
        $((now - 3600 - TOKEN_SKEW)); do
        token="$(join_token "$at")"
        [[ "$seen" != *"$token"* ]] || continue
        seen+="$token "
        keep_join_tokens::secret "$token" \
            $(((at / 3600 + 2) * 3600 + TOKEN_SKEW)) | kube::apply
    done
}

# keep_join_tokens::secret TOKEN EXPIRY: Kubernetes removes it by itself.
keep_join_tokens::secret() {
    local id="${1%.*}" expiry data
    printf -v expiry '%(%FT%TZ)T' "$2"
    data="$(json::object token-id "\"$id\"" token-secret "\"${1#*.}\"" \
        expiration "\"$expiry\"" \
        usage-bootstrap-authentication '"true"' \
        auth-extra-groups \
        '"system:bootstrappers:kubeadm:default-node-token"')"
    json::object apiVersion '"v1"' kind '"Secret"' \
        type '"bootstrap.kubernetes.io/token"' stringData "$data" \
        metadata "$(json::object name "\"bootstrap-token-$id\"" \
            namespace '"kube-system"')"
}
