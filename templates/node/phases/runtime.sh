#!/usr/bin/env bash
# containerd 2, runc and the CNI plugins; the configuration file was written
# by user data.

runtime::main() {
    local changed="$RUN_DIR/containerd-changed"
    runtime::install
    runtime::check_version
    mkdir -p "$ROOT/etc/containerd/conf.d" "$ROOT/etc/containerd/certs.d"
    unit::install containerd-magnum.conf \
        containerd.service.d/20-magnum.conf
    [[ ! -e "$RUN_DIR/units-changed" ]] || touch "$changed"
    unit::reload
    sha256sum <"$ROOT/etc/containerd/config.toml" |
        file::write "$STATE_DIR/containerd-config.sum" 0644 &&
        touch "$changed"
    systemctl enable --quiet containerd.service
    if [[ -e "$changed" ]]; then
        systemctl restart containerd.service
        rm -f "$changed"
    else
        systemctl start containerd.service
    fi
    retry 8 runtime::answers || fail "containerd does not answer." \
        "See journalctl -u containerd on the node."
}

runtime::install() {
    if ! command -v containerd >/dev/null; then
        artifact::archive containerd "$BIN_DIR" 1
        unit::install containerd.service
    fi
    if ! command -v runc >/dev/null; then
        artifact::binary runc
    fi
    # Some images have them at the distribution's place.
    if [[ ! -x "$ROOT/opt/cni/bin/loopback" ]]; then
        artifact::archive cni-plugins "$ROOT/opt/cni/bin"
    fi
}

runtime::check_version() {
    local text version
    text="$(containerd --version)"
    version="$(grep -Eo 'v?[0-9]+\.[0-9]+\.[0-9]+' <<<"$text" | head -n 1)"
    version="${version#v}"
    if ((${version%%.*} < 2)); then
        fail "The image has containerd $version; version 2 is needed." \
            "Use an image without containerd or with a newer one."
    fi
}

runtime::answers() {
    ctr --connect-timeout 5s version >/dev/null
}
