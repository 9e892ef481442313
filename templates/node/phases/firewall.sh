#!/usr/bin/env bash
# Keeps pods from the metadata service.

FIREWALL_RULE=(-d 169.254.169.254/32 -m comment
    --comment magnum-metadata -j DROP)

firewall::main() {
    if command -v nft >/dev/null && nft -f "$MAGNUM_HOME/firewall.nft"; then
        return
    fi
    if ! iptables -w 30 -C FORWARD "${FIREWALL_RULE[@]}" 2>/dev/null; then
        iptables -w 30 -I FORWARD 1 "${FIREWALL_RULE[@]}" || fail \
            "Pods could not be kept from the metadata service." \
            "The image needs nft or iptables."
    fi
}
