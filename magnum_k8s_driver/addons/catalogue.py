# SPDX-License-Identifier: Apache-2.0
"""Every add-on, in the order in which they are installed.

What nodes need to be ready stands first: Secrets, the pod network, then the
cloud controller manager, which takes a taint off every node.
"""

from collections.abc import Collection

from magnum_k8s_driver.addons import access
from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import calico
from magnum_k8s_driver.addons import cilium
from magnum_k8s_driver.addons import cinder_csi
from magnum_k8s_driver.addons import cloud_config
from magnum_k8s_driver.addons import cloud_controller
from magnum_k8s_driver.addons import cluster_autoscaler
from magnum_k8s_driver.addons import flannel
from magnum_k8s_driver.addons import gpu_operator
from magnum_k8s_driver.addons import keystone_auth
from magnum_k8s_driver.addons import manila_csi
from magnum_k8s_driver.addons import metrics_server
from magnum_k8s_driver.addons import monitoring
from magnum_k8s_driver.addons import node_feature_discovery
from magnum_k8s_driver.addons import node_problem_detector
from magnum_k8s_driver.addons import octavia_ingress
from magnum_k8s_driver.addons import snapshot_controller
from magnum_k8s_driver.model import spec as spec_module

ALL: tuple[addon.Addon, ...] = (
    access.ADDON,
    cloud_config.ADDON,
    calico.ADDON,
    cilium.ADDON,
    flannel.ADDON,
    cloud_controller.ADDON,
    cinder_csi.ADDON,
    metrics_server.ADDON,
    snapshot_controller.ADDON,
    manila_csi.MOUNTS,
    manila_csi.ADDON,
    keystone_auth.ADDON,
    octavia_ingress.ADDON,
    cluster_autoscaler.ADDON,
    node_problem_detector.ADDON,
    node_feature_discovery.ADDON,
    gpu_operator.ADDON,
    monitoring.ADDON,
    # Waits, and with it what is behind it, for a CRD.
    snapshot_controller.SNAPSHOT_CLASS,
)


def wanted(
    spec: spec_module.ClusterSpec, left_out: Collection[str] = ()
) -> tuple[addon.Addon, ...]:
    """Return the add-ons of a cluster in the order of their installation.

    :param left_out: names that the operator installs otherwise, or not.
    """
    found = tuple(
        one for one in ALL if one.name not in left_out and one.wanted(spec)
    )
    names = {one.name for one in found}
    found = tuple(one for one in found if not one.needs or one.needs in names)
    # Without a chart to install nobody needs the account.
    if not any(one.has_chart for one in found):
        return tuple(one for one in found if one is not access.ADDON)
    return found


def named(name: str) -> addon.Addon | None:
    """Return the add-on of a name, None when there is none any more."""
    return next((one for one in ALL if one.name == name), None)
