# SPDX-License-Identifier: Apache-2.0
"""Calico, by its operator's chart."""

from typing import Any

from magnum_k8s_driver.addons import addon

_ENCAPSULATION = {
    "Always": "IPIP",
    "CrossSubnet": "IPIPCrossSubnet",
    "Never": "None",
    "Off": "None",
}


def _values(setting: addon.Setting) -> dict[str, Any]:
    spec = setting.spec
    pool = {
        "cidr": spec.network.pod_cidr,
        "encapsulation": _ENCAPSULATION[spec.labels.calico_ipv4pool_ipip],
        "natOutgoing": "Enabled",
        "nodeSelector": "all()",
    }
    installation: dict[str, Any] = {
        "enabled": True,
        "calicoNetwork": {
            "bgp": "Enabled",
            "ipPools": [pool],
            "nodeAddressAutodetectionV4": {"kubernetes": "NodeInternalIP"},
        },
        # Both would write below /usr or the kubelet's directory, which
        # Flatcar and Fedora CoreOS do not allow.
        "flexVolumePath": "None",
        "kubeletVolumePluginPath": "None",
    }
    values: dict[str, Any] = {
        "installation": installation,
        "apiServer": {"enabled": False},
        "goldmane": {"enabled": False},
        "whisker": {"enabled": False},
    }
    if setting.prefix:
        registry, _, path = setting.prefix.strip("/").partition("/")
        installation["registry"] = f"{registry}/"
        if path:
            installation["imagePath"] = path
        operator = setting.image("operator").repository
        host, _, image = operator.partition("/")
        values["tigeraOperator"] = {"registry": host, "image": image}
        values["calicoctl"] = {"image": setting.image("ctl").repository}
    return values


ADDON = addon.Addon(
    name="calico",
    title="Pod network Calico",
    wanted=lambda spec: spec.network.cni == "calico",
    asked_by="network_driver calico",
    required=True,
    namespace="tigera-operator",
    privileged=True,
    values=_values,
    wait=True,
)
