#!/usr/bin/env bash
# systemd units of this program.

UNIT_DIR="$ROOT/etc/systemd/system"

# unit::install NAME [TARGET]: says whether it changed by its status file.
unit::install() {
    local source="$MAGNUM_HOME/units/$1" target="$UNIT_DIR/${2:-$1}"
    if ! cmp --silent "$source" "$target"; then
        install -D -m 0644 "$source" "$target"
        touch "$RUN_DIR/units-changed"
    fi
}

unit::reload() {
    if [[ -e "$RUN_DIR/units-changed" ]]; then
        systemctl daemon-reload
        rm -f "$RUN_DIR/units-changed"
    fi
}

# unit::exists NAME: whether the image has a unit of that name.
unit::exists() {
    systemctl cat "$1" >/dev/null 2>&1
}

# file::write PATH MODE < content; status 1 when it was like that already.
file::write() {
    local path="$1" mode="$2" new="$1.magnum-new"
    mkdir -p "$(dirname "$path")"
    (umask 077 && cat >"$new")
    chmod "$mode" "$new"
    if cmp --silent "$new" "$path"; then
        rm -f "$new"
        return 1
    fi
    mv "$new" "$path"
}
