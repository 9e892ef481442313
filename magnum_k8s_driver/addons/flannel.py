# SPDX-License-Identifier: Apache-2.0
"""Flannel."""

from typing import Any

from magnum_k8s_driver.addons import addon


def _values(setting: addon.Setting) -> dict[str, Any]:
    spec = setting.spec
    return {
        "podCidr": spec.network.pod_cidr,
        "flannel": {
            "backend": spec.labels.flannel_backend,
            "image": setting.named("flannel"),
            "flannel_cni": {"image": setting.named("plugin")},
        },
    }


ADDON = addon.Addon(
    name="flannel",
    title="Pod network Flannel",
    wanted=lambda spec: spec.network.cni == "flannel",
    asked_by="network_driver flannel",
    required=True,
    namespace="kube-flannel",
    privileged=True,
    values=_values,
    wait=True,
)
