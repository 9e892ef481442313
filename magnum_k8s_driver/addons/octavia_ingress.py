# SPDX-License-Identifier: Apache-2.0
"""The Octavia ingress controller: a load balancer for each Ingress.

Its project has no chart; the objects here follow
docs/octavia-ingress-controller of cloud-provider-openstack 1.36.0.
"""

import json
from typing import Any

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import cloud_config

NAME = "octavia-ingress"
FILE = "config.yaml"
KNOWN_KEYS = {
    "openstack": frozenset(
        (
            *("auth-url", "region", "ca-file", "tls-insecure"),
            "application-credential-id",
            "application-credential-secret",
        )
    ),
    "octavia": frozenset(
        (
            *("subnet-id", "floating-network-id", "provider"),
            "manage-security-groups",
        )
    ),
}
"""From its page and ``pkg/client/client.go``, release 1.36.0."""


def config(setting: addon.Setting) -> dict[str, Any]:
    """Return the controller's configuration."""
    spec = setting.spec
    access = {
        "auth-url": spec.cloud.auth_url,
        "region": spec.cloud.region,
        "application-credential-id": cloud_config.ID,
        "application-credential-secret": cloud_config.SECRET,
        **cloud_config.trust(spec),
    }
    return {
        "cluster-name": spec.uuid,
        "openstack": {key: value for key, value in access.items() if value},
        "octavia": {
            "subnet-id": setting.place.subnet_id,
            "floating-network-id": spec.network.external_network_id,
            "provider": spec.labels.octavia_provider,
            "manage-security-groups": True,
        },
    }


def _released(setting: addon.Setting) -> list[addon.Object]:
    metadata = {"name": NAME, "namespace": addon.SYSTEM}
    group = "networking.k8s.io"
    # JSON is YAML.
    files = {
        FILE: json.dumps(config(setting)),
        **cloud_config.authority(setting.spec),
    }
    return [
        *addon.account(
            NAME,
            addon.rule("nodes,services", "get", "list", "watch"),
            addon.rule("secrets", "get"),
            addon.rule("events", "create", "patch", "update"),
            addon.rule("ingresses", "get", "list", "watch", group=group),
            addon.rule("ingresses/status", "update", group=group),
        ),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": files,
        },
        _deployment(setting, metadata),
    ]


def _container(setting: addon.Setting) -> dict[str, Any]:
    return {
        "name": NAME,
        "image": str(setting.image("controller")),
        "args": [
            "/bin/octavia-ingress-controller",
            f"--config={cloud_config.DIRECTORY}/{FILE}",
        ],
        "volumeMounts": [
            {
                "name": "config",
                "mountPath": cloud_config.DIRECTORY,
                "readOnly": True,
            }
        ],
    }


def _deployment(
    setting: addon.Setting, metadata: dict[str, str]
) -> addon.Object:
    labels = {"app.kubernetes.io/name": NAME}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            # Two of them would make everything twice.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": setting.renewed},
                "spec": {
                    "serviceAccountName": NAME,
                    "priorityClassName": "system-cluster-critical",
                    "nodeSelector": addon.on_control_plane(),
                    "tolerations": addon.tolerations(),
                    "containers": [_container(setting)],
                    "volumes": [
                        {"name": "config", "secret": {"secretName": NAME}}
                    ],
                },
            },
        },
    }


ADDON = addon.Addon(
    name=NAME,
    title="Octavia ingress controller",
    wanted=lambda spec: spec.labels.ingress_controller == "octavia",
    asked_by="ingress_controller octavia",
    required=False,
    released=_released,
)
