#!/usr/bin/env bash
# Downloads: resumable, verified, from wherever the node document says.

BIN_DIR="$ROOT/opt/magnum/bin"
DOWNLOAD_DIR="$STATE_DIR/downloads"

artifact::architecture() {
    case "$(uname -m)" in
        x86_64) printf amd64 ;;
        aarch64) printf arm64 ;;
        *) fail "The architecture $(uname -m) is not supported." ;;
    esac
}

# kubeadm, kubelet and kubectl follow upgrades, the rest does not.
artifact::version() {
    local version
    case "$1" in
        kubeadm | kubelet | kubectl)
            version="${ARTIFACT_VERSION:-$(config::kubernetes_version)}"
            printf '%s' "${version#v}"
            ;;
        *) config::get binaries artifacts "$1" version ;;
    esac
}

artifact::url() {
    local url known
    url="$(config::get binaries artifacts "$1" url)"
    known="$(config::get binaries artifacts "$1" version)"
    url="${url//"$known"/"$(artifact::version "$1")"}"
    printf '%s' "${url//"{arch}"/"$(artifact::architecture)"}"
}

# The checksum: from the node document, else as published beside the file.
artifact::checksum() {
    local name="$1" known="" text suffix
    if [[ "$(artifact::version "$name")" == \
        "$(config::get binaries artifacts "$name" version)" ]]; then
        known="$(config::get binaries artifacts "$name" sha256 \
            "$(artifact::architecture)")"
    fi
    if [[ -n "$known" ]]; then
        printf '%s' "$known"
        return
    fi
    for suffix in sha256 sha256sum; do
        text="$(artifact::curl "$(artifact::url "$name").$suffix")" || continue
        if [[ "$text" =~ ^([0-9a-f]{64}) ]]; then
            printf '%s' "${BASH_REMATCH[1]}"
            return
        fi
    done
    return 1
}

artifact::curl() {
    curl --silent --show-error --fail --location --connect-timeout 15 \
        --speed-limit 1000 --speed-time 60 "$@"
}

artifact::matches() {
    printf '%s  %s\n' "$1" "$2" | sha256sum --check --status
}

# artifact::fetch NAME: downloads it and prints where it is.
artifact::fetch() {
    local name="$1" url sum file
    artifact::architecture >/dev/null
    url="$(artifact::url "$name")"
    file="$DOWNLOAD_DIR/$name-$(artifact::version "$name")"
    mkdir -p "$DOWNLOAD_DIR"
    sum="$(retry "${ARTIFACT_ATTEMPTS:-5}" artifact::checksum "$name")" || fail \
        "No checksum of $name was found at $url.sha256." \
        "Check the artifact mirror and the proxy."
    if ! { [[ -f "$file" ]] && artifact::matches "$sum" "$file"; }; then
        retry "${ARTIFACT_ATTEMPTS:-6}" artifact::curl --continue-at - \
            --output "$file.part" "$url" ||
            fail "$name could not be downloaded from $url." \
                "Check the artifact mirror, the proxy and DNS."
        artifact::accept "$name" "$sum" "$file"
    fi
    printf '%s' "$file"
}

artifact::accept() {
    local name="$1" sum="$2" file="$3"
    if ! artifact::matches "$sum" "$file.part"; then
        rm -f "$file.part"
        fail "The checksum of the downloaded $name is wrong." \
            "Compare the artifact mirror with the release it mirrors."
    fi
    mv "$file.part" "$file"
}

# artifact::binary NAME [DIRECTORY]: downloads one program into BIN_DIR. It
# is there whole or not at all.
artifact::binary() {
    local file target="${2:-$BIN_DIR}/$1"
    file="$(artifact::fetch "$1")"
    install -D -m 0755 "$file" "$target.new"
    mv "$target.new" "$target"
    artifact::label "$target"
}

# What SELinux lets systemd start, where there is SELinux.
artifact::label() {
    if command -v restorecon >/dev/null; then
        restorecon -R "$1" || log "no SELinux label for $1"
    fi
}

# artifact::archive NAME DIRECTORY [STRIP]: unpacks an archive of programs.
artifact::archive() {
    local file
    file="$(artifact::fetch "$1")" || return 1
    install -d -m 0755 "$2"
    tar -xzf "$file" --no-same-owner --strip-components "${3:-0}" -C "$2"
    chmod -R go+rX "$2"
    artifact::label "$2"
}
