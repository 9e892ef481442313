# SPDX-License-Identifier: Apache-2.0
"""Cilium, beside kube-proxy."""

from typing import Any

from magnum_k8s_driver.addons import addon


def _values(setting: addon.Setting) -> dict[str, Any]:
    spec = setting.spec
    operator = setting.image("operator")
    return {
        # Each node's share of the pod addresses is kubeadm's.
        "ipam": {"mode": "kubernetes"},
        "k8s": {"requireIPv4PodCIDR": True},
        "kubeProxyReplacement": False,
        "image": {**setting.named("agent"), "useDigest": False},
        "operator": {
            "replicas": min(2, spec.control_plane.count),
            "image": {
                # The chart appends the flavour of the operator.
                "repository": operator.repository.removesuffix("-generic"),
                "tag": operator.tag,
                "useDigest": False,
            },
        },
        "envoy": {"enabled": False},
        "hubble": {"enabled": False},
    }


ADDON = addon.Addon(
    name="cilium",
    title="Pod network Cilium",
    wanted=lambda spec: spec.network.cni == "cilium",
    asked_by="network_driver cilium",
    required=True,
    values=_values,
    wait=True,
)
