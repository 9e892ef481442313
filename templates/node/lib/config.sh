#!/usr/bin/env bash
# The node document, and what the metadata service says about this server.

# shellcheck disable=SC2034
declare -A CONFIG=() METADATA=()
CONFIG_FILE="$ROOT/etc/magnum/node.json"
SECRETS_FILE="$STATE_DIR/secrets.json"
METADATA_FILE="$RUN_DIR/meta_data.json"
METADATA_URL="http://169.254.169.254/openstack/latest/meta_data.json"
SEED="$ROOT/var/lib/cloud/seed/config_drive/openstack/latest/meta_data.json"

config::load() {
    json::load CONFIG <"$CONFIG_FILE" || fail \
        "The node document $CONFIG_FILE cannot be read." \
        "The image needs python3 or jq."
    [[ ! -s "$SECRETS_FILE" ]] || json::load CONFIG <"$SECRETS_FILE"
}

# config::get PART...: a value, empty when there is none.
config::get() {
    printf '%s' "${CONFIG[$(json::path "$@")]:-}"
}

config::true() {
    [[ "$(config::get "$@")" == true ]]
}

# config::list PART...: the elements of a list, one a line.
config::list() {
    local path index=0
    path="$(json::path "$@")"
    while [[ -v CONFIG["$path$JSON_SEPARATOR$index"] ]]; do
        printf '%s\n' "${CONFIG["$path$JSON_SEPARATOR$index"]}"
        index=$((index + 1))
    done
}

# config::keys PART...: the keys of a mapping, sorted, one a line.
config::keys() {
    local prefix path rest
    prefix="$(json::path "$@")$JSON_SEPARATOR"
    for path in "${!CONFIG[@]}"; do
        [[ "$path" == "$prefix"* ]] || continue
        rest="${path#"$prefix"}"
        printf '%s\n' "${rest%%"$JSON_SEPARATOR"*}"
    done | sort -u
}

config::load_proxy() {
    local file="$ROOT/etc/magnum/proxy.env"
    [[ -f "$file" ]] || return 0
    set -a
    # shellcheck source=/dev/null
    source "$file"
    set +a
}

is_control_plane() {
    [[ "$(config::get role)" == control-plane ]]
}

# The version this node shall run: that of its last upgrade, else the first.
config::kubernetes_version() {
    local file="$STATE_DIR/kubernetes-version"
    if [[ -s "$file" ]]; then
        printf '%s' "$(<"$file")"
    else
        config::get kubernetes_version
    fi
}

metadata::from_service() {
    local part="$METADATA_FILE.$BASHPID"
    if curl --silent --show-error --fail --noproxy '*' \
        --connect-timeout 5 --max-time 15 \
        --output "$part" "$METADATA_URL" && [[ -s "$part" ]]; then
        mv "$part" "$METADATA_FILE"
    else
        rm -f "$part"
        return 1
    fi
}

# Writes METADATA_FILE from the metadata service, else from a config drive.
metadata::fetch() {
    if metadata::from_service; then
        return
    elif [[ -f "$SEED" ]]; then
        cp "$SEED" "$METADATA_FILE"
    else
        metadata::from_drive
    fi
}

metadata::from_drive() {
    local device="/dev/disk/by-label/config-2" point="$RUN_DIR/config-drive"
    local found="$point/openstack/latest/meta_data.json" status=0
    [[ -e "$device" ]] || return 1
    mkdir -p "$point"
    mount -o ro "$device" "$point" || return 1
    cp "$found" "$METADATA_FILE" || status=$?
    umount "$point"
    return "$status"
}

metadata::load() {
    if [[ ! -s "$METADATA_FILE" ]]; then
        retry 8 metadata::fetch || fail \
            "The metadata service did not answer." \
            "Check the network's metadata agent or use a config drive."
    fi
    json::load METADATA <"$METADATA_FILE"
}

# metadata::get PART...: a value of meta_data.json, empty when absent.
metadata::get() {
    printf '%s' "${METADATA[$(json::path "$@")]:-}"
}

# metadata::chunks KEY COUNT: a text in pieces, KEY_0, KEY_1, ...
metadata::chunks() {
    local index
    for ((index = 0; index < 10#$2; index++)); do
        metadata::get meta "$1_$index"
    done
}

# The version the driver wants now; empty when it says none.
metadata::version() {
    local text
    text="$(metadata::get meta magnum_version)"
    text="v${text#v}"
    if [[ "$text" =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z.]+)?$ ]]; then
        printf '%s' "$text"
    fi
}

# The server's name is the Node's name.
node_name() {
    local name
    name="$(metadata::get name)"
    name="${name:-$(uname -n)}"
    printf '%s' "${name,,}"
}

member_name() {
    local name
    name="$(config::get member)"
    printf '%s' "${name:-$(metadata::get meta magnum_member)}"
}
