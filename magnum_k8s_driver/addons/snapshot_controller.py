# SPDX-License-Identifier: Apache-2.0
"""The controller and the CRDs of volume snapshots."""

from typing import Any

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import cinder_csi
from magnum_k8s_driver.model import spec as spec_module

CLASS = "cinder"


def _values(setting: addon.Setting) -> dict[str, Any]:
    return {
        "controller": {
            "fullnameOverride": "snapshot-controller",
            "image": setting.named("controller"),
            "nodeSelector": addon.on_control_plane(),
            "tolerations": addon.tolerations(),
        },
    }


def _class(setting: addon.Setting) -> list[addon.Object]:
    is_default = "snapshot.storage.kubernetes.io/is-default-class"
    return [
        {
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshotClass",
            "metadata": {"name": CLASS, "annotations": {is_default: "true"}},
            "driver": cinder_csi.DRIVER,
            "deletionPolicy": "Delete",
        }
    ]


def _wanted(spec: spec_module.ClusterSpec) -> bool:
    enabled = spec.labels.snapshot_controller_enabled
    return enabled and cinder_csi.ADDON.wanted(spec)


ADDON = addon.Addon(
    name="snapshot-controller",
    title="Snapshots of volumes, with their CRDs",
    wanted=_wanted,
    asked_by="snapshot_controller_enabled (with Cinder CSI)",
    required=False,
    values=_values,
)

SNAPSHOT_CLASS = addon.Addon(
    name="snapshot-class",
    title="Default class of snapshots, in Cinder",
    wanted=_wanted,
    asked_by=ADDON.asked_by,
    required=False,
    needs=ADDON.name,
    objects=_class,
)
"""Helm cannot make it together with the CRD that it is an object of."""
