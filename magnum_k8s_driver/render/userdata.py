# SPDX-License-Identifier: Apache-2.0
"""User data: the final text that Nova hands to a new server."""

import base64
from collections.abc import Mapping
import gzip
import json
import lzma
import tarfile
from typing import Any

import yaml

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import problems
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import ignition
from magnum_k8s_driver.render import node_files

MAX_BYTES = 49149
"""Nova takes 65,535 bytes of base64."""

IGNITION_DISTROS = frozenset(("fcos", "fedora-coreos", "flatcar", "coreos"))
"""Values of ``os_distro`` whose images run Ignition, not cloud-init."""

_HEADER = "#cloud-config\n"
_ELSEWHERE = (f"units/{node_files.UNIT}",)
"""What does not travel in the archive: it unpacks the archive."""
_WORKERS_ONLY = ("phases/join-worker",)
_WITHOUT_ROOM = ("tasks/rotate", "tasks/tools")
"""Rotates CAs and fetches crictl; has no place beside a PKI."""


def user_data(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    document: Mapping[str, Any],
) -> str:
    """Return user data in the format that the group's image understands.

    :param document: from :mod:`~magnum_k8s_driver.render.node_document`.
    :raises InvalidClusterSpec: they are larger than Nova takes.
    """
    if group.distro in IGNITION_DISTROS:
        return ignition_config(spec, group, document)
    return cloud_config(spec, group, document)


def cloud_config(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    document: Mapping[str, Any],
) -> str:
    """Return user data for cloud-init.

    :raises InvalidClusterSpec: they are larger than Nova takes.
    """
    content: dict[str, Any] = {
        # Long before runcmd, which comes after everything else an image has
        # cloud-init do. The unit itself waits for the network and with it
        # for the stage of cloud-init that writes the files. To enable a unit
        # makes systemd read it.
        "bootcmd": [
            f"cat >{node_files.UNIT_PATH} <<'E'\n{node_files.unit()}E\n"
            f"systemctl enable --now --no-block {node_files.UNIT}\n"
        ],
        "write_files": [
            _write_file(one) for one in _files(spec, group, document)
        ],
    }
    if spec.ssh_public_key:
        content["ssh_authorized_keys"] = [spec.ssh_public_key.strip()]
    text = yaml.safe_dump(content, sort_keys=False, width=1 << 20)
    return _checked(_HEADER + text, group)


def ignition_config(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    document: Mapping[str, Any],
) -> str:
    """Return user data for Ignition.

    :raises InvalidClusterSpec: they are larger than Nova takes.
    """
    keys = [spec.ssh_public_key.strip()] if spec.ssh_public_key else []
    units = {node_files.UNIT: node_files.unit()}
    files = _files(spec, group, document)
    return _checked(ignition.config(files, units, keys), group)


def parse_files(text: str) -> dict[str, bytes]:
    """Return path and content of every file in user data of either format.

    :raises ValueError: the text is not user data of this driver.
    """
    try:
        if text.startswith(_HEADER):
            content = yaml.safe_load(text)
            found = {
                one["path"]: _decoded(one) for one in content["write_files"]
            }
        else:
            content = json.loads(text)
            found = {
                one["path"]: _ignited(one["contents"])
                for one in content["storage"]["files"]
            }
        packed = found.pop(node_files.ARCHIVE_PATH)
        return found | node_files.unpack(packed)
    except (
        AttributeError,
        KeyError,
        TypeError,
        OSError,
        EOFError,
        lzma.LZMAError,
        tarfile.TarError,
        yaml.YAMLError,
    ) as exc:
        raise ValueError("not user data of this driver") from exc


def parse_node_document(text: str) -> dict[str, Any]:
    """Return the node document in user data of either format.

    :raises ValueError: there is none.
    """
    content = parse_files(text).get(node_files.DOCUMENT_PATH)
    document = json.loads(content) if content else None
    if not isinstance(document, dict):
        raise ValueError("no node document in the user data")
    return document


def _files(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    document: Mapping[str, Any],
) -> tuple[node_files.NodeFile, ...]:
    without: tuple[str, ...] = _ELSEWHERE
    if group.role is spec_module.Role.CONTROL_PLANE:
        without += _WORKERS_ONLY
    if document.get("secrets"):
        without += _WITHOUT_ROOM
    inside = (
        *node_files.node_files(spec, group, document),
        *node_files.program_files(*without),
    )
    return (
        node_files.document_file(document),
        node_files.NodeFile(
            path=node_files.ARCHIVE_PATH,
            content=node_files.archive(inside),
            mode=0o600,
        ),
    )


def _write_file(one: node_files.NodeFile) -> dict[str, Any]:
    if one.path == node_files.ARCHIVE_PATH:
        return {
            "path": one.path,
            "permissions": f"0{one.mode:o}",
            "encoding": "b64",
            "content": _base64(one.content),
        }
    return {
        "path": one.path,
        "permissions": f"0{one.mode:o}",
        "encoding": "gz+b64",
        "content": _base64(node_files.compress(one.content)),
    }


def _decoded(entry: Mapping[str, Any]) -> bytes:
    encoding = entry.get("encoding", "")
    if not encoding:
        return str(entry["content"]).encode()
    packed = base64.b64decode(entry["content"])
    return gzip.decompress(packed) if encoding == "gz+b64" else packed


def _ignited(contents: Mapping[str, str]) -> bytes:
    packed = base64.b64decode(contents["source"].removeprefix("data:;base64,"))
    gzipped = contents.get("compression") == "gzip"
    return gzip.decompress(packed) if gzipped else packed


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _checked(text: str, group: spec_module.NodeGroupSpec) -> str:
    size = len(text.encode())
    if size <= MAX_BYTES:
        return text
    raise exceptions.InvalidClusterSpec(
        [
            problems.Problem(
                subject="user data",
                sentence=(
                    f"The user data of node group {group.name} have {size} "
                    f"bytes and Nova takes {MAX_BYTES}; shorten labels, "
                    "no_proxy or the CA bundle of the cloud."
                ),
            )
        ]
    )
