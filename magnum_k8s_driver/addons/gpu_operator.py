# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's GPU operator: driver, container runtime, device plugin, metrics.

What it deploys itself is told to it with registry and path, name and version
apart.
"""

from typing import Any

from magnum_k8s_driver.addons import addon

_NAMES = {
    "operator": "operator",
    "validator": "operator",
    "driver": "driver",
    "toolkit": "toolkit",
    "devicePlugin": "devicePlugin",
    "dcgmExporter": "dcgmExporter",
    "gfd": "devicePlugin",
    "migManager": "migManager",
}
"""Part of the values to the image that it runs."""
_FOR_VIRTUAL_MACHINES = (
    "vgpuDeviceManager",
    "vfioManager",
    "sandboxDevicePlugin",
    "kataSandboxDevicePlugin",
    "ccManager",
)


def _values(setting: addon.Setting) -> dict[str, Any]:
    values: dict[str, Any] = {
        part: _image(setting, image) for part, image in _NAMES.items()
    }
    values["driver"] |= {
        "enabled": setting.spec.labels.gpu_driver_enabled,
        "manager": _image(setting, "driverManager"),
    }
    values |= {one: {"enabled": False} for one in _FOR_VIRTUAL_MACHINES}
    # An add-on of its own.
    values["nfd"] = {"enabled": False}
    return values


def _image(setting: addon.Setting, name: str) -> dict[str, str]:
    found = setting.image(name)
    path, _, last = found.repository.rpartition("/")
    return {"repository": path, "image": last, "version": found.tag}


ADDON = addon.Addon(
    name="gpu-operator",
    title="NVIDIA GPU operator",
    wanted=lambda spec: spec.labels.gpu_operator_enabled,
    asked_by="gpu_operator_enabled",
    required=False,
    namespace="gpu-operator",
    privileged=True,
    values=_values,
)
