#!/usr/bin/env bash
# HMAC-SHA256 with builtins and sha256sum: openssl and others want the key
# among their arguments, where the process list shows it.

# hmac::bytes HEX: the bytes that hex digits stand for.
hmac::bytes() {
    local hex="$1" text="" i
    for ((i = 0; i < ${#hex}; i += 2)); do
        text+="\\x${hex:i:2}"
    done
    printf '%b' "$text"
}

# hmac::sha256 HEXKEY < text: the digest as hex digits.
hmac::sha256() {
    local key="$1" inner="" outer="" sum byte text i
    if ((${#key} > 128)); then
        sum="$(hmac::bytes "$key" | sha256sum)"
        key="${sum%% *}"
    fi
    while ((${#key} < 128)); do key+="00"; done
    for ((i = 0; i < 128; i += 2)); do
        byte=$((16#${key:i:2}))
        printf -v text '%02x' $((byte ^ 0x36))
        inner+="$text"
        printf -v text '%02x' $((byte ^ 0x5c))
        outer+="$text"
    done
    sum="$({ hmac::bytes "$inner"; cat; } | sha256sum)"
    sum="$({ hmac::bytes "$outer"; hmac::bytes "${sum%% *}"; } | sha256sum)"
    printf '%s' "${sum%% *}"
}

# join_token EPOCH: the bootstrap token of the hour a time lies in.
join_token() {
    local text digest
    text="$(config::get cluster uuid)/$(($1 / 3600))"
    digest="$(printf '%s' "$text" |
        hmac::sha256 "$(config::get secrets join_root)")"
    printf '%s.%s' "${digest:0:6}" "${digest:6:16}"
}
