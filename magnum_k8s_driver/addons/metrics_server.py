# SPDX-License-Identifier: Apache-2.0
"""The metrics server: ``kubectl top`` and autoscaling of pods."""

from typing import Any

from magnum_k8s_driver.addons import addon


def _values(setting: addon.Setting) -> dict[str, Any]:
    return {
        "image": setting.named("server"),
        # Kubelets sign their serving certificates themselves.
        "args": ["--kubelet-insecure-tls"],
        "tolerations": addon.tolerations(),
    }


ADDON = addon.Addon(
    name="metrics-server",
    title="Metrics server",
    wanted=lambda spec: spec.labels.metrics_server_enabled,
    asked_by="metrics_server_enabled",
    required=False,
    values=_values,
)
