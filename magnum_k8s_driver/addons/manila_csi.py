# SPDX-License-Identifier: Apache-2.0
"""Shares of Manila over NFS.

Manila's driver makes and allows shares; it leaves mounting to a driver of
the protocol, which is an add-on of its own. Each call brings its credential
along, from the Secret that the storage class names.
"""

from typing import Any

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import cloud_config
from magnum_k8s_driver.model import spec as spec_module

SECRET = "manila-csi"  # noqa: S105 - name of one
CLASS = "manila"
DRIVER = "nfs.manila.csi.openstack.org"
KNOWN_KEYS = frozenset(
    (
        *("os-authURL", "os-region", "os-TLSInsecure"),
        *("os-applicationCredentialID", "os-applicationCredentialSecret"),
        "os-certAuthorityPath",
    )
)
"""From "CSI Manila driver", section "Secrets, authentication" (1.36.0)."""
_PURPOSES = (
    "provisioner",
    "controller-expand",
    "node-stage",
    "node-publish",
)
_SIDECARS = ("provisioner", "snapshotter", "resizer")


def _values(setting: addon.Setting) -> dict[str, Any]:
    on_nodes: dict[str, Any] = {
        "registrar": {"image": setting.named("nodeDriverRegistrar")},
        "tolerations": [{"operator": "Exists"}],
    }
    controller: dict[str, Any] = {
        name: {"image": setting.named(name)} for name in _SIDECARS
    }
    controller |= {
        "nodeSelector": addon.on_control_plane(),
        "tolerations": addon.tolerations(),
    }
    if setting.spec.cloud.ca_certificate:
        for one in (on_nodes, controller):
            one |= _trust()
    return {
        "fullnameOverride": "manila-csi",
        "csimanila": {
            "clusterID": setting.spec.uuid,
            "image": setting.named("plugin"),
        },
        "nodeplugin": {
            "fullnameOverride": "manila-csi-nodeplugin",
            **on_nodes,
        },
        "controllerplugin": {
            "fullnameOverride": "manila-csi-controllerplugin",
            **controller,
        },
    }


def _trust() -> dict[str, Any]:
    """Return a volume with nothing of the Secret but the CA."""
    name = "cloud-ca"
    item = {"key": cloud_config.CA_FILE, "path": cloud_config.CA_FILE}
    return {
        "volumes": [
            {"name": name, "secret": {"secretName": SECRET, "items": [item]}}
        ],
        "volumeMounts": [
            {
                "name": name,
                "mountPath": cloud_config.DIRECTORY,
                "readOnly": True,
            }
        ],
    }


def _objects(setting: addon.Setting) -> list[addon.Object]:
    return [_secret(setting), _storage_class(setting)]


def _secret(setting: addon.Setting) -> addon.Object:
    cloud = setting.spec.cloud
    data = {
        "os-authURL": cloud.auth_url,
        "os-region": cloud.region,
        "os-applicationCredentialID": cloud_config.ID,
        "os-applicationCredentialSecret": cloud_config.SECRET,
    }
    if not cloud.verify:
        data["os-TLSInsecure"] = "true"
    elif cloud.ca_certificate:
        data["os-certAuthorityPath"] = (
            f"{cloud_config.DIRECTORY}/{cloud_config.CA_FILE}"
        )
    data |= cloud_config.authority(setting.spec)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": SECRET,
            "namespace": addon.SYSTEM,
            "annotations": setting.renewed,
        },
        "stringData": data,
    }


def _storage_class(setting: addon.Setting) -> addon.Object:
    labels = setting.spec.labels
    parameters = {"type": labels.manila_share_type}
    if labels.manila_share_network:
        parameters["shareNetworkID"] = labels.manila_share_network
    for one in _PURPOSES:
        key = f"csi.storage.k8s.io/{one}-secret"
        parameters[f"{key}-name"] = SECRET
        parameters[f"{key}-namespace"] = addon.SYSTEM
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS},
        "provisioner": DRIVER,
        "parameters": parameters,
        "allowVolumeExpansion": True,
    }


def _mount_values(setting: addon.Setting) -> dict[str, Any]:
    return {
        "image": {
            "nfs": setting.named("nfs"),
            "csiProvisioner": setting.named("provisioner"),
            "csiResizer": setting.named("resizer"),
            "csiSnapshotter": setting.named("snapshotter"),
            "livenessProbe": setting.named("livenessprobe"),
            "nodeDriverRegistrar": setting.named("nodeDriverRegistrar"),
        },
        # Nobody makes directories on a server of NFS: Manila makes shares.
        "controller": {"replicas": 0},
    }


def _wanted(spec: spec_module.ClusterSpec) -> bool:
    return spec.labels.manila_csi_enabled


MOUNTS = addon.Addon(
    name="csi-nfs",
    title="Mounts of NFS, for shares of Manila",
    wanted=_wanted,
    asked_by="manila_csi_enabled",
    required=False,
    values=_mount_values,
)
ADDON = addon.Addon(
    name="manila-csi",
    title="Shares of Manila",
    wanted=_wanted,
    asked_by="manila_csi_enabled",
    required=False,
    needs=MOUNTS.name,
    values=_values,
    objects=_objects,
)
