# SPDX-License-Identifier: Apache-2.0
"""Ignition (spec 3.4) for Flatcar and Fedora CoreOS."""

import base64
from collections.abc import Iterable, Mapping, Sequence
import json
from typing import Any

from magnum_k8s_driver.render import node_files

VERSION = "3.4.0"


def config(
    files: Iterable[node_files.NodeFile],
    units: Mapping[str, str],
    ssh_keys: Sequence[str] = (),
) -> str:
    """Return an Ignition document that writes files and enables units."""
    document: dict[str, Any] = {
        "ignition": {"version": VERSION},
        "storage": {"files": [_file(one) for one in files]},
        "systemd": {
            "units": [
                {"name": name, "enabled": True, "contents": text}
                for name, text in units.items()
            ]
        },
    }
    if ssh_keys:
        document["passwd"] = {
            "users": [{"name": "core", "sshAuthorizedKeys": list(ssh_keys)}]
        }
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def _file(one: node_files.NodeFile) -> dict[str, Any]:
    packed = one.content
    contents: dict[str, Any] = {}
    if one.path != node_files.ARCHIVE_PATH:
        packed = node_files.compress(packed)
        contents["compression"] = "gzip"
    text = base64.b64encode(packed).decode()
    contents["source"] = f"data:;base64,{text}"
    return {
        "path": one.path,
        "mode": one.mode,
        "overwrite": True,
        "contents": contents,
    }
