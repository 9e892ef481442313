# SPDX-License-Identifier: Apache-2.0
"""The cluster autoscaler, with its provider ``magnum``.

It is told where and who it is by a file that its provider reads, see
``cluster-autoscaler/cloudprovider/magnum/magnum_openstack_clients.go`` of
kubernetes/autoscaler 1.36.1: user and password or a trust, no application
credential. So it logs in as the cluster's own user, whose password stands
in a Secret of its own, which only this pod has.
"""

from typing import Any

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import cloud_config

NAME = "cluster-autoscaler"
SECRET = "cluster-autoscaler-cloud-config"  # noqa: S105 - name of one
ROLES = ("worker", "autoscaling")
"""Of the node groups that are scaled when they have a maximum."""
FILE = "cloud-config"
KNOWN_KEYS = frozenset(
    (
        *("auth-url", "user-id", "password", "tenant-id", "region"),
        *("ca-file", "tls-insecure"),
    )
)
"""Of section ``Global``; another one is an error of the program's."""
_HARMLESS = "/usr/lib/os-release"


def cloud_file(setting: addon.Setting) -> str:
    """Return the provider's configuration."""
    spec = setting.spec
    return cloud_config.text_of(
        {
            "Global": {
                "auth-url": spec.cloud.auth_url,
                "user-id": cloud_config.USER,
                "password": cloud_config.PASSWORD,
                "tenant-id": spec.project_id,
                "region": spec.cloud.region,
                **cloud_config.trust(spec),
            }
        }
    )


def _objects(setting: addon.Setting) -> list[addon.Object]:
    authority = cloud_config.authority(setting.spec)
    files = {FILE: cloud_file(setting), **authority}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": addon.SYSTEM},
            "stringData": files,
        }
    ]


def _values(setting: addon.Setting) -> dict[str, Any]:
    return {
        "fullnameOverride": NAME,
        "cloudProvider": "magnum",
        "autoDiscovery": {
            "clusterName": setting.spec.uuid,
            "roles": list(ROLES),
        },
        # The chart knows this file and the CA's on the host only. It says
        # where the first is before extraArgs, of which the last one counts.
        "cloudConfigPath": _HARMLESS,
        "magnumCABundlePath": "",
        "extraVolumeSecrets": {
            "cloud": {"name": SECRET, "mountPath": cloud_config.DIRECTORY}
        },
        "extraArgs": {
            "cloud-config": f"{cloud_config.DIRECTORY}/{FILE}",
            "v": 2,
        },
        "image": setting.named("autoscaler"),
        "podAnnotations": setting.renewed,
        "nodeSelector": addon.on_control_plane(),
        "tolerations": addon.tolerations(),
    }


ADDON = addon.Addon(
    name=NAME,
    title="Cluster autoscaler",
    wanted=lambda spec: spec.labels.auto_scaling_enabled,
    asked_by="auto_scaling_enabled",
    required=False,
    values=_values,
    objects=_objects,
)
