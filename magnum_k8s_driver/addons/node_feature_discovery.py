# SPDX-License-Identifier: Apache-2.0
"""Node Feature Discovery: labels of the hardware of each node."""

from typing import Any

from magnum_k8s_driver.addons import addon


def _values(setting: addon.Setting) -> dict[str, Any]:
    return {
        "fullnameOverride": "node-feature-discovery",
        "image": setting.named("discovery"),
        # Also what other groups' taints keep other pods from.
        "worker": {"tolerations": [{"operator": "Exists"}]},
    }


ADDON = addon.Addon(
    name="node-feature-discovery",
    title="Node Feature Discovery",
    wanted=lambda spec: (
        spec.labels.nfd_enabled or spec.labels.gpu_operator_enabled
    ),
    asked_by="nfd_enabled or gpu_operator_enabled",
    required=False,
    namespace="node-feature-discovery",
    privileged=True,
    values=_values,
)
