# SPDX-License-Identifier: Apache-2.0
"""Volumes of Cinder, and a storage class for each of its types."""

import re
from typing import Any

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import cloud_config

DRIVER = "cinder.csi.openstack.org"
DEFAULT_CLASS = "cinder"
_SIDECARS = (
    "attacher",
    "provisioner",
    "snapshotter",
    "resizer",
    "livenessprobe",
    "nodeDriverRegistrar",
)


def _values(setting: addon.Setting) -> dict[str, Any]:
    csi: dict[str, Any] = {
        name: {"image": setting.named(name)} for name in _SIDECARS
    }
    csi["plugin"] = {
        "image": setting.named("plugin"),
        # Without the chart's directory of the host for CA certificates.
        "volumes": [],
        "volumeMounts": [
            {
                "name": "cloud-config",
                "mountPath": cloud_config.DIRECTORY,
                "readOnly": True,
            }
        ],
        "controllerPlugin": {
            "podAnnotations": setting.renewed,
            "nodeSelector": addon.on_control_plane(),
            "tolerations": addon.tolerations(),
        },
        # Everywhere a pod with a volume may be.
        "nodePlugin": {
            "podAnnotations": setting.renewed,
            "tolerations": [{"operator": "Exists"}],
        },
    }
    return {
        "csi": csi,
        "clusterID": setting.spec.uuid,
        "secret": {
            "enabled": True,
            "hostMount": False,
            "create": False,
            "filename": cloud_config.CINDER_FILE,
            "name": addon.CLOUD_CONFIG,
        },
        # Ours are made beside it, see storage_classes.
        "storageClass": {"enabled": False},
    }


def storage_classes(setting: addon.Setting) -> list[addon.Object]:
    """Return the default class and one per volume type of the cloud."""
    found = [_storage_class(DEFAULT_CLASS, {}, default=True)]
    found += [
        _storage_class(f"{DEFAULT_CLASS}-{_slug(one)}", {"type": one})
        for one in setting.spec.cloud.volume_types
        if _slug(one)
    ]
    # Types whose names differ in nothing Kubernetes knows: the first stays.
    names: dict[str, addon.Object] = {}
    for one in found:
        names.setdefault(one["metadata"]["name"], one)
    return list(names.values())


def _storage_class(
    name: str, parameters: dict[str, str], *, default: bool = False
) -> addon.Object:
    is_default = "storageclass.kubernetes.io/is-default-class"
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": name,
            "annotations": {is_default: "true" if default else "false"},
        },
        "provisioner": DRIVER,
        "parameters": parameters,
        "allowVolumeExpansion": True,
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-")


ADDON = addon.Addon(
    name="cinder-csi",
    title="Volumes of Cinder",
    wanted=lambda spec: (
        spec.labels.cinder_csi_enabled and spec.cloud.block_storage
    ),
    asked_by="cinder_csi_enabled",
    required=True,
    values=_values,
    objects=storage_classes,
)
