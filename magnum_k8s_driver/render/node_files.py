# SPDX-License-Identifier: Apache-2.0
"""Every file that user data put on a node, whatever writes them there."""

from collections.abc import Iterable, Mapping
import dataclasses
import gzip
import io
import json
import lzma
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
PROGRAM_DIRECTORY = "/opt/magnum"
ARCHIVE_PATH = f"{PROGRAM_DIRECTORY}/node.tar.xz"
_LIBRARIES = "node/lib/all.sh"
UNIT = "magnum-node.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"

# The small dictionary matters: with the preset's own, each call would take
# 700 MB of the conductor's memory.
_FILTER: Mapping[str, Any] = {
    "id": lzma.FILTER_LZMA2,
    "preset": 9 | lzma.PRESET_EXTREME,
    "dict_size": 1 << 20,
    # What is packed is text, which is aligned to nothing.
    "pb": 0,
}


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
    """Return every file of a node but its document and program, by path."""
    found = [
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
            mode=0o600,
        ),
        *_join_files(spec, group, document),
        *_registry_files(spec),
        *_proxy_files(document["proxy"]),
    ]
    if group.role is spec_module.Role.CONTROL_PLANE:
        found += _control_plane_files(spec, document)
    return tuple(sorted(found, key=lambda one: one.path))


def program_files(*without: str) -> tuple[NodeFile, ...]:
    """Return the node program, ``templates/node``, as it lies on a node.

    Its libraries lie there as one file: each name in the archive would take
    forty bytes.

    :param without: how names of files begin that are left out.
    """
    found = {
        path: _program_file(path)
        for path in templates.list_files("node")
        if not path.removeprefix("node/").startswith(without)
    }
    every = found[_LIBRARIES]
    lines = [every.content.split(b"\n", 1)[0] + b"\n"]
    for name in _library_names():
        one = found.pop(f"node/lib/{name}.sh")
        lines.append(one.content.split(b"\n", 1)[1])
    found[_LIBRARIES] = dataclasses.replace(every, content=b"".join(lines))
    return tuple(found.values())


def _library_names() -> list[str]:
    """Return the libraries in the order in which ``all.sh`` has them."""
    text = templates.read_text(_LIBRARIES).replace("\\\n", " ")
    listed = text.partition("for library in ")[2].partition(";")[0]
    return listed.split()


def archive(files: Iterable[NodeFile]) -> bytes:
    """Return files as one tar.xz to be unpacked below ``/``.

    Everything but the node document travels in it: forty files compressed
    one by one would not fit into user data beside a PKI. Reproducible:
    neither times nor owners are in it.
    """
    packed = io.BytesIO()
    with tarfile.open(
        fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT
    ) as tar:
        for one in files:
            entry = tarfile.TarInfo(one.path.lstrip("/"))
            entry.size = len(one.content)
            entry.mode = one.mode
            tar.addfile(entry, io.BytesIO(one.content))
    return lzma.compress(packed.getvalue(), filters=[_FILTER])


def unpack(content: bytes) -> dict[str, bytes]:
    """Return path and content of every file in such an archive."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:xz") as tar:
        for entry in tar.getmembers():
            opened = tar.extractfile(entry)
            if opened is not None:
                found[f"/{entry.name}"] = opened.read()
    return found


def document_file(document: Mapping[str, Any]) -> NodeFile:
    """Return the node document as a file."""
    text = json.dumps(document, separators=(",", ":"), sort_keys=True) + "\n"
    return _text(DOCUMENT_PATH, text, 0o600)


def unit() -> str:
    """Return the systemd unit that unpacks and starts the program."""
    text = templates.read_text(f"node/units/{UNIT}")
    lines = text.splitlines(keepends=True)
    return "".join(one for one in lines if not one.startswith("#"))


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
    found = [
        ("admission", apiserver.admission()),
        ("audit-policy", apiserver.audit_policy()),
        ("authentication", apiserver.authentication()),
    ]
    if spec.labels.keystone_auth_enabled:
        found.append((apiserver.WEBHOOK, apiserver.webhook()))
        found.append(("authorization", apiserver.authorization()))
    for name, content in found:
        yield _yaml(f"{apiserver.DIRECTORY}/{name}.yaml", content, mode=0o600)


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
            endpoint, group.role, document["join"].get("token", "")
        ),
        mode=0o600,
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


def _program_file(path: str) -> NodeFile:
    """Return one file of the program, its comments left here.

    They would take a fifth of the archive, the indentation of shell scripts
    600 bytes. The first line stays: it may name the interpreter.
    """
    first, *lines = templates.read_text(path).splitlines(keepends=True)
    kept = [line for line in lines if not line.lstrip().startswith("#")]
    if first.rstrip().endswith("bash"):
        kept = [line.lstrip(" ") for line in kept]
    content = "".join((first, *kept)).encode()
    return NodeFile(
        path=f"{PROGRAM_DIRECTORY}/{path.removeprefix('node/')}",
        content=content,
        mode=0o755 if content.startswith(b"#!") else 0o644,
    )
