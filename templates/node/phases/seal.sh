#!/usr/bin/env bash
# The first thing a control plane does: ask for its secrets.

seal::main() {
    seal::is_open || seal::make
}
