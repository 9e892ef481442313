# SPDX-License-Identifier: Apache-2.0
"""Control groups of system containers, in each hierarchy of version 1."""

import contextlib
import errno
import os
import pathlib
import time

MOUNTS = pathlib.Path("/sys/fs/cgroup")
PARENT = "lab-nodes"
SHARES = 20480
"""Of processor time, where a service of the lab has about 1,024.

All nodes together would have no more than one of those otherwise, and miss
each other's heartbeats as soon as the machine is busy.
"""
PATIENCE = 3.0


def hierarchies() -> list[pathlib.Path]:
    """Return the mounted ones, each by one of its names."""
    return [
        one
        for one in sorted(MOUNTS.iterdir())
        if one.is_dir() and not one.is_symlink()
    ]


def make(name: str, memory_mb: int) -> list[pathlib.Path]:
    """Make the groups of one container and return them."""
    found = []
    for mount in hierarchies():
        group = mount / PARENT / name
        group.mkdir(parents=True, exist_ok=True)
        if mount.name == "cpuset":
            _inherit(mount)
            _inherit(group.parent)
            _inherit(group)
        found.append(group)
    _weigh(MOUNTS / "cpu" / PARENT)
    limit = MOUNTS / "memory" / PARENT / name / "memory.limit_in_bytes"
    if limit.exists():
        limit.write_text(str(memory_mb << 20))
    return found


def enter(groups: list[pathlib.Path]) -> None:
    """Move this process; called between fork and exec."""
    for group in groups:
        (group / "cgroup.procs").write_text(str(os.getpid()))


def enter_nodes_share() -> None:
    """Let this process have its processor time of what the nodes have.

    For what stands for the network between them.
    """
    group = MOUNTS / "cpu" / PARENT
    if not group.parent.is_dir():
        return
    group.mkdir(exist_ok=True)
    _weigh(group)
    (group / "cgroup.procs").write_text(str(os.getpid()))


def remove(name: str) -> None:
    """Remove the groups; what lived in them is dead or dying."""
    end = time.monotonic() + PATIENCE
    for mount in hierarchies():
        while not _remove(mount / PARENT / name):
            if time.monotonic() > end:
                break
            time.sleep(0.1)
        with contextlib.suppress(OSError):
            # The last one turns out the light.
            (mount / PARENT).rmdir()


def _weigh(group: pathlib.Path) -> None:
    shares = group / "cpu.shares"
    if shares.exists():
        shares.write_text(str(SHARES))


def _inherit(group: pathlib.Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = group / name
        if file.exists() and not file.read_text().strip():
            file.write_text((group.parent / name).read_text())
    clone = group / "cgroup.clone_children"
    if clone.exists() and group.parent.name == PARENT:
        clone.write_text("1")


def _remove(group: pathlib.Path) -> bool:
    clean = True
    for path, _directories, _files in os.walk(group, topdown=False):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError as exc:
            if exc.errno != errno.EBUSY:
                raise
            clean = False
    return clean
