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
            echo_summary "Installing magnum-k8s-driver"
            install_magnum_k8s_driver
            ;;
        stack/post-config)
            echo_summary "Configuring magnum-k8s-driver"
            configure_magnum_k8s_driver
            configure_heat_for_magnum_k8s
            create_magnum_k8s_accounts
            ;;
        stack/extra)
            upload_magnum_k8s_image
            ;;
        stack/test-config)
            configure_tempest_for_magnum_k8s
            check_magnum_k8s_driver
            ;;
        clean/)
            cleanup_magnum_k8s_driver
            ;;
    esac
fi

# Restore xtrace
$_XTRACE_MAGNUM_K8S_PLUGIN
