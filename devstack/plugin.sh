#!/usr/bin/env bash
# DevStack plugin of magnum-k8s-driver: only the dispatch, see lib/.

# Save trace setting
_XTRACE_MAGNUM_K8S_PLUGIN=$(set +o | grep xtrace)
set +o xtrace

# shellcheck source=devstack/lib/magnum-k8s-driver
source "$MAGNUM_K8S_DRIVER_DIR/devstack/lib/magnum-k8s-driver"

if is_service_enabled magnum-api magnum-cond; then
    case "$1/$2" in
        stack/install)
            install_magnum_k8s_driver
            ;;
        stack/post-config)
            configure_magnum_k8s_driver
            create_magnum_k8s_domain
            ;;
        clean/)
            cleanup_magnum_k8s_driver
            ;;
    esac
fi

# Restore xtrace
$_XTRACE_MAGNUM_K8S_PLUGIN
