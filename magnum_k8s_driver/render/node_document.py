# SPDX-License-Identifier: Apache-2.0
"""The node document: every fact a node's phases need, as one mapping.

Format: doc/source/contributor/protocols.rst. All workers that one operation
makes in one group share one document, so nothing about a single worker may
stand in it.
"""

from collections.abc import Mapping
import dataclasses
import json
from typing import Any

from magnum_k8s_driver.model import names
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import apiserver
from magnum_k8s_driver.render import ca_hash
from magnum_k8s_driver.render import kubeadm
from magnum_k8s_driver.render import releases

VERSION = 1
DRAIN_TIMEOUT = 600
"""Seconds a node that drains itself waits for its pods to leave."""

_MODULES = ("overlay", "br_netfilter", "nf_conntrack", "sctp")
_SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.bridge.bridge-nf-call-ip6tables": "1",
    "fs.inotify.max_user_instances": "8192",
    "fs.inotify.max_user_watches": "524288",
    "vm.max_map_count": "262144",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ControlPlaneSecrets:
    """What every control-plane node of a cluster must hold."""

    pki: Mapping[str, str]
    """Path below ``/etc/kubernetes/pki`` to PEM text."""
    join_root: bytes
    board_key: bytes
    encryption_key: bytes
    cloud: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Application credential, empty without a cloud provider."""
    serial: str = ""
    """Id of the rotation these come from; the node echoes it."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CommonValues:
    """What is only known when user data are made, for every node."""

    operation: str
    endpoint: kubeadm.Endpoint
    ca_certificates: tuple[str, ...]
    """PEM text of every accepted cluster CA, the newest first."""
    distress: Mapping[str, Any]
    """Attribute ``signal`` of the distress handle."""
    artifact_mirror: str = ""
    """Base URL that replaces ``https://`` of every download."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ControlPlaneValues(CommonValues):
    """What one control-plane member gets."""

    member: str
    init: bool
    board: Mapping[str, Any]
    """Attribute ``signal`` of the member's board."""
    secrets: ControlPlaneSecrets | None = None
    """None: they come sealed."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WorkerValues(CommonValues):
    """What the new workers of one operation in one group share."""

    join_token: str
    permit: str
    """From :mod:`~magnum_k8s_driver.model.permit`."""


def control_plane_document(
    spec: spec_module.ClusterSpec, values: ControlPlaneValues
) -> dict[str, Any]:
    """Return the node document of one control-plane member."""
    document = _document(spec, spec.control_plane, values)
    document |= {"member": values.member, "init": values.init}
    document["signals"]["board"] = dict(values.board)
    if values.secrets is not None:
        document["secrets"] = _secrets(values.secrets)
        # Beside a PKI user data have no room for the task that fetches it.
        del document["binaries"]["artifacts"]["crictl"]
    return document


def sealed_text(secrets: ControlPlaneSecrets) -> str:
    """Return the part of a node document that travels sealed, as JSON."""
    document = {"v": VERSION, "secrets": _secrets(secrets)}
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def worker_document(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    values: WorkerValues,
) -> dict[str, Any]:
    """Return the node document of a group's new workers."""
    document = _document(spec, group, values)
    document["join"]["token"] = values.join_token
    document["join"]["permit"] = values.permit
    return document


def endpoint(document: Mapping[str, Any]) -> kubeadm.Endpoint:
    """Return the endpoint a node document names."""
    found = document["endpoint"]
    return kubeadm.Endpoint(
        host=found["host"],
        port=found["port"],
        addresses=tuple(found.get("addresses", ())),
    )


def sandbox_image(
    spec: spec_module.ClusterSpec, release: releases.Release
) -> str:
    """Return the image of the pause container."""
    return f"{kubeadm.image_repository(spec)}/pause:{release.pause}"


def _document(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    values: CommonValues,
) -> dict[str, Any]:
    release = releases.release_for(group.kubernetes_version)
    return {
        "v": VERSION,
        "cluster": {
            "uuid": spec.uuid,
            "name": spec.name,
            "prefix": names.cluster_prefix(spec.name, spec.uuid),
        },
        "operation": values.operation,
        "role": group.role.value,
        "group": group.name,
        "kubernetes_version": group.kubernetes_version,
        "endpoint": {
            "host": values.endpoint.host,
            "port": values.endpoint.port,
            "addresses": list(values.endpoint.addresses),
        },
        "join": {
            "ca_certificates": list(values.ca_certificates),
            "ca_hashes": [ca_hash.ca_hash(p) for p in values.ca_certificates],
        },
        "signals": {"distress": dict(values.distress)},
        "host": _host(spec, group),
        "runtime": {
            "cgroup_driver": group.labels.cgroup_driver,
            "sandbox_image": sandbox_image(spec, release),
        },
        "binaries": _binaries(group, release, values.artifact_mirror),
        "kubelet": {
            "cloud_provider": spec.labels.cloud_provider_enabled,
            "drain_timeout": DRAIN_TIMEOUT,
        },
        "volumes": _volumes(group),
        "proxy": _proxy(spec),
    }


def _host(
    spec: spec_module.ClusterSpec, group: spec_module.NodeGroupSpec
) -> dict[str, Any]:
    return {
        "distro": group.distro,
        "modules": list(_MODULES),
        "sysctls": dict(_SYSCTLS),
        "selinux_mode": group.labels.selinux_mode,
        "subnet_cidr": spec.network.subnet_cidr,
        "pod_cidr": spec.network.pod_cidr,
        "cloud_ca_certificate": spec.cloud.ca_certificate,
        "cloud_verify": spec.cloud.verify,
    }


def _binaries(
    group: spec_module.NodeGroupSpec, release: releases.Release, mirror: str
) -> dict[str, Any]:
    artifacts: dict[str, dict[str, Any]] = {
        one.name: {
            "version": one.version,
            "url": _mirrored(one.url, mirror),
            "sha256": dict(one.sha256),
        }
        for one in release.artifacts
    }
    labels = group.labels
    containerd = artifacts["containerd"]
    if labels.containerd_version not in ("", containerd["version"]):
        old = containerd["version"]
        containerd |= {
            "version": labels.containerd_version,
            "url": containerd["url"].replace(old, labels.containerd_version),
            "sha256": {},
        }
    if labels.containerd_tarball_url:
        digest = labels.containerd_tarball_sha256
        containerd |= {
            "url": labels.containerd_tarball_url,
            "sha256": {"amd64": digest, "arm64": digest} if digest else {},
        }
    return {
        "image_version": group.image_kubernetes_version or "",
        "artifacts": artifacts,
    }


def _mirrored(url: str, mirror: str) -> str:
    if not mirror:
        return url
    return f"{mirror.rstrip('/')}/{url.removeprefix('https://')}"


def _volumes(group: spec_module.NodeGroupSpec) -> dict[str, Any]:
    return {
        "containers": group.container_volume is not None,
        "etcd": group.etcd_volume is not None,
    }


def _proxy(spec: spec_module.ClusterSpec) -> dict[str, Any]:
    proxy = spec.proxy
    if not (proxy.http or proxy.https):
        return {"http": "", "https": "", "no_proxy": []}
    network = spec.network
    direct = (
        *proxy.no_proxy,
        "localhost",
        "127.0.0.1",
        "169.254.169.254",
        network.subnet_cidr,
        *network.pod_cidr.split(","),
        *network.service_cidr.split(","),
        ".svc",
        f".{network.dns_domain}",
    )
    return {
        "http": proxy.http,
        "https": proxy.https,
        "no_proxy": list(dict.fromkeys(direct)),
    }


def _secrets(secrets: ControlPlaneSecrets) -> dict[str, Any]:
    return {
        "pki": dict(secrets.pki),
        "join_root": secrets.join_root.hex(),
        "board_key": secrets.board_key.hex(),
        "encryption_config": json.dumps(
            apiserver.encryption(secrets.encryption_key)
        ),
        "cloud": dict(secrets.cloud),
        **({"serial": secrets.serial} if secrets.serial else {}),
    }
