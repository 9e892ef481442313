# SPDX-License-Identifier: Apache-2.0
"""The node problem detector: conditions and events of sick machines."""

from typing import Any

from magnum_k8s_driver.addons import addon


def _values(setting: addon.Setting) -> dict[str, Any]:
    return {
        "fullnameOverride": "node-problem-detector",
        "image": setting.named("detector"),
        "settings": {
            # Without the chart's monitor of Docker, which no node has.
            "log_monitors": [
                "/config/kernel-monitor.json",
                "/config/readonly-monitor.json",
            ]
        },
        "tolerations": [{"operator": "Exists"}],
    }


ADDON = addon.Addon(
    name="node-problem-detector",
    title="Node problem detector",
    wanted=lambda spec: spec.labels.npd_enabled,
    asked_by="npd_enabled",
    required=False,
    values=_values,
)
