# SPDX-License-Identifier: Apache-2.0
"""The OpenStack cloud controller manager: addresses, zones, Services."""

from typing import Any

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import cloud_config

CONFIGURATION = "magnum.openstack.org/cloud-config"
"""Annotation with a fingerprint of the file that the pod has read."""


def _values(setting: addon.Setting) -> dict[str, Any]:
    return {
        "image": setting.named("controller"),
        "secret": {
            "enabled": True,
            "create": False,
            "name": addon.CLOUD_CONFIG,
        },
        # Magnum finds load balancers of a cluster by it.
        "cluster": {"name": setting.spec.uuid},
        # Not "route": pods' addresses are the network plugin's business.
        "enabledControllers": [
            "cloud-node",
            "cloud-node-lifecycle",
            "service",
        ],
        # It reads its configuration once, when it starts.
        "podAnnotations": {
            **setting.renewed,
            CONFIGURATION: cloud_config.fingerprint(
                setting.spec, setting.place
            ),
        },
        "nodeSelector": addon.on_control_plane(),
        "tolerations": addon.tolerations(),
        # The chart's are the host's PKI, which it does not read, and a
        # directory below /usr, which Flatcar cannot make.
        "extraVolumes": [],
        "extraVolumeMounts": [],
    }


ADDON = addon.Addon(
    name="cloud-controller",
    title="OpenStack cloud controller manager",
    wanted=lambda spec: spec.labels.cloud_provider_enabled,
    asked_by="cloud_provider_enabled",
    required=True,
    values=_values,
    wait=True,
)
