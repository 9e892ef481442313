# SPDX-License-Identifier: Apache-2.0
"""Every file that user data put on a node, whatever writes them there."""

import base64
from collections.abc import Iterable, Mapping
import dataclasses
import gzip
import io
import json
import shlex
import tarfile
from typing import Any

import yaml

from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import apiserver
from magnum_k8s_driver.render import containerd
from magnum_k8s_driver.render import files as templates
from magnum_k8s_driver.render import kubeadm
from magnum_k8s_driver.render import node_document

DOCUMENT_PATH = "/etc/magnum/node.json"
PROGRAM_PATH = "/opt/magnum/node.tar.gz"
UNIT = "magnum-node.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NodeFile:
    """One file on the node."""

    path: str
    content: bytes
    mode: int = 0o644


def node_files(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    document: Mapping[str, Any],
) -> tuple[NodeFile, ...]:
    """Return every file of a node but its program, sorted by path."""
    found = [
        _text(DOCUMENT_PATH, _json(document), 0o600),
        _text(
            containerd.CONFIG_PATH,
            containerd.config(
                document["runtime"]["sandbox_image"],
                group.labels.cgroup_driver,
            ),
        ),
        _yaml(
            f"{kubeadm.KUBELET_DROPIN_DIR}/10-group.conf",
            kubeadm.group_kubelet_configuration(group),
        ),
        *_join_files(spec, group, document),
        *_registry_files(spec),
        *_proxy_files(document["proxy"]),
    ]
    if group.role is spec_module.Role.CONTROL_PLANE:
        found += _control_plane_files(spec, document)
    return tuple(sorted(found, key=lambda one: one.path))


def program() -> bytes:
    """Return the node program, ``templates/node``, as one tar.gz.

    Reproducible: neither times nor owners of the installation are in it.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in templates.list_files("node"):
            content = templates.read_text(path).encode()
            entry = tarfile.TarInfo(path.removeprefix("node/"))
            entry.size = len(content)
            entry.mode = 0o755 if content.startswith(b"#!") else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return compress(packed.getvalue())


def unit() -> str:
    """Return the systemd unit that unpacks and starts the program."""
    return templates.read_text(f"node/units/{UNIT}")


def compress(content: bytes) -> bytes:
    """Return gzip of a content, the same for the same content."""
    return gzip.compress(content, compresslevel=9, mtime=0)


def _control_plane_files(
    spec: spec_module.ClusterSpec, document: Mapping[str, Any]
) -> Iterable[NodeFile]:
    endpoint = node_document.endpoint(document)
    yield _yaml(
        "/etc/magnum/kubeadm/init.yaml",
        kubeadm.init_configuration(spec, endpoint.port),
        kubeadm.cluster_configuration(spec, endpoint),
        kubeadm.kubelet_configuration(spec),
        kubeadm.kube_proxy_configuration(spec),
    )
    for name, content in (
        ("admission", apiserver.admission()),
        ("audit-policy", apiserver.audit_policy()),
        ("authentication", apiserver.authentication()),
    ):
        yield _yaml(f"{apiserver.DIRECTORY}/{name}.yaml", content, mode=0o600)
    secrets = document.get("secrets")
    if secrets:
        key = base64.b64decode(secrets["encryption_key"])
        yield _yaml(
            f"{apiserver.DIRECTORY}/encryption.yaml",
            apiserver.encryption(key),
            mode=0o600,
        )


def _join_files(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    document: Mapping[str, Any],
) -> Iterable[NodeFile]:
    endpoint = node_document.endpoint(document)
    yield _yaml(
        "/etc/magnum/kubeadm/join.yaml",
        kubeadm.join_configuration(spec, group, endpoint.port),
    )
    yield _yaml(
        kubeadm.DISCOVERY_PATH,
        kubeadm.discovery_file(
            endpoint, document["join"]["ca_certificates"], group.role
        ),
    )


def _registry_files(spec: spec_module.ClusterSpec) -> Iterable[NodeFile]:
    registry = spec.insecure_registry
    if registry:
        yield _text(
            f"{containerd.CERTS_DIRECTORY}/{registry}/hosts.toml",
            containerd.insecure_hosts(registry),
        )


def _proxy_files(proxy: Mapping[str, Any]) -> Iterable[NodeFile]:
    values = {
        "HTTP_PROXY": proxy["http"],
        "HTTPS_PROXY": proxy["https"],
        "NO_PROXY": ",".join(proxy["no_proxy"]),
    }
    lines = [
        f"{name}={shlex.quote(value)}"
        for key, value in values.items()
        if value
        for name in (key, key.lower())
    ]
    if lines:
        yield _text("/etc/magnum/proxy.env", "\n".join(lines) + "\n", 0o600)


def _text(path: str, text: str, mode: int = 0o644) -> NodeFile:
    return NodeFile(path=path, content=text.encode(), mode=mode)


def _yaml(path: str, *documents: Any, mode: int = 0o644) -> NodeFile:
    text = yaml.safe_dump_all(documents, sort_keys=False, width=1000)
    return _text(path, text, mode)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
