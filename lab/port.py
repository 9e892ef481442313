# SPDX-License-Identifier: Apache-2.0
"""Who listens on a loopback port."""

import os
import pathlib
import socket

LISTEN = "0A"


def is_open(port: int) -> bool:
    """Tell whether something accepts connections on 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def holder(port: int) -> int | None:
    """Return the pid of the process that listens on a port.

    :returns: None if the port is free, 0 if the process cannot be seen.
    """
    inodes = _listening(port)
    if not inodes:
        return None
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and inodes & _sockets(entry):
            return int(entry.name)
    return 0


def describe(pid: int) -> str:
    """Name a process for a message."""
    if not pid:
        return "a process that cannot be seen from here"
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        words = []
    command = b" ".join(words).decode(errors="replace").strip()
    return f"pid {pid} ({command[:100] or '?'})"


def _listening(port: int) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = pathlib.Path(f"/proc/net/{table}").read_text()
        except OSError:
            continue
        for line in lines.splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and fields[1].endswith(f":{port:04X}"):
                inodes.add(f"socket:[{fields[9]}]")
    return inodes


def _sockets(process: pathlib.Path) -> set[str]:
    found = set()
    try:
        for descriptor in (process / "fd").iterdir():
            found.add(os.readlink(descriptor))
    except OSError:
        pass
    return found
