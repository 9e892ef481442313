# SPDX-License-Identifier: Apache-2.0
"""Configuration of containerd 2 as TOML text."""

from collections.abc import Mapping
import json
from typing import Any

CONFIG_PATH = "/etc/containerd/config.toml"
CERTS_DIRECTORY = "/etc/containerd/certs.d"

_RUNTIME = "io.containerd.cri.v1.runtime"
_IMAGES = "io.containerd.cri.v1.images"


def config(sandbox_image: str, cgroup_driver: str) -> str:
    """Return ``config.toml``: what differs from containerd's own defaults.

    :param sandbox_image: image of the pause container.
    :param cgroup_driver: ``systemd`` or ``cgroupfs``.
    """
    runc = {"SystemdCgroup": cgroup_driver == "systemd"}
    document: dict[str, Any] = {
        "version": 3,
        # Images add runtimes (GPU, sandboxes) there.
        "imports": ["/etc/containerd/conf.d/*.toml"],
        "plugins": {
            _IMAGES: {
                "pinned_images": {"sandbox": sandbox_image},
                "registry": {"config_path": CERTS_DIRECTORY},
            },
            _RUNTIME: {
                "containerd": {
                    "default_runtime_name": "runc",
                    "runtimes": {
                        "runc": {
                            "runtime_type": "io.containerd.runc.v2",
                            "options": runc,
                        }
                    },
                },
            },
        },
    }
    return dump(document)


def insecure_hosts(registry: str) -> str:
    """Return ``hosts.toml`` of a registry that speaks plain HTTP.

    :param registry: ``host:port``.
    """
    return dump(
        {
            "server": f"http://{registry}",
            "host": {
                f"http://{registry}": {
                    "capabilities": ["pull", "resolve", "push"],
                    "skip_verify": True,
                }
            },
        }
    )


def dump(document: Mapping[str, Any]) -> str:
    """Return a mapping as TOML: scalars, lists of scalars and tables."""
    return "\n".join(_lines(document, ())) + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    # TOML's basic strings take every escape that JSON writes.
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    if path and lines:
        name = ".".join(json.dumps(part) for part in path)
        lines.insert(0, f"[{name}]")
        lines.insert(0, "")
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += _lines(value, (*path, key))
    return lines
