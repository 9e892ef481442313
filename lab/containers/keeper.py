# SPDX-License-Identifier: Apache-2.0
"""Keeps one system container: keeper.py DIRECTORY.

One process for each server that is switched on, in a session of its own: it
outlives nova-compute as a virtual machine does. It makes the network and
the control groups, copies the console into a file, starts the container
again when the container reboots itself, and removes what it made when the
container is off. SIGTERM switches off.
"""

import contextlib
import os
import pathlib
import pty
import select
import signal
import subprocess
import sys
import time

from lab.containers import cgroup
from lab.containers import image
from lab.containers import network
from lab.containers import server as server_module

SYSTEMD_POWEROFF = signal.SIGRTMIN + 4
GRACE = 3.0
"""Seconds to shut down; ``lab down`` waits four for this process."""

REBOOTED = -signal.SIGHUP
"""How the kernel reports process 1 of a namespace that asked for it."""

BOOT = pathlib.Path(__file__).with_name("boot.sh")
KEPT = ("upper", "work", "root", "containerd", "kubelet", "etcd", "sysctl")
"""Directories of a server."""

INOTIFY = pathlib.Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 1024
"""A node takes about twenty; all of them share the host's limit."""

CONSOLE = "console.log"
CONSOLE_LIMIT = 4 << 20


class Keeper:
    """One container and what belongs to it."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self._server = server_module.read(directory)
        self._off_at = 0.0
        self._child: subprocess.Popen | None = None

    def run(self) -> int:
        for name in KEPT:
            (self._directory / name).mkdir(exist_ok=True)
        signal.signal(signal.SIGTERM, self._switch_off)
        _raise_inotify()
        lower = ":".join(str(one) for one in image.lower_directories())
        try:
            while True:
                network.connect(self._server)
                code = self._boot(lower)
                cgroup.remove(self._server.id)
                if code not in (REBOOTED, 128 + signal.SIGHUP):
                    return 0
                if self._off_at:
                    return 0
        finally:
            network.disconnect(self._server)
            cgroup.remove(self._server.id)

    def _boot(self, lower: str) -> int:
        """Run the container until it ends and return how."""
        groups = cgroup.make(self._server.id, self._server.memory_mb)
        master, slave = pty.openpty()
        environment = {
            "CONSOLE": os.ttyname(slave),
            "DIRECTORY": str(self._directory),
            "LOWER": lower,
            "NODE_NAME": self._server.name,
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        self._child = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self._server.namespace}"]
            + ["unshare", "--cgroup", "--mount", "--uts", "--ipc", "--pid"]
            + ["--fork", "--kill-child=SIGKILL", "--propagation=private"]
            + ["bash", str(BOOT)],
            env=environment,
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: cgroup.enter(groups),
        )
        try:
            return self._watch(master)
        finally:
            os.close(master)
            os.close(slave)

    def _watch(self, master: int) -> int:
        path = self._directory / CONSOLE
        with path.open("ab", buffering=0) as console:
            while self._child and self._child.poll() is None:
                ready, _, _ = select.select([master], [], [], 0.2)
                if ready:
                    _append(console, os.read(master, 65536))
                if self._off_at and time.monotonic() > self._off_at:
                    self._child.kill()
            while select.select([master], [], [], 0)[0]:
                _append(console, os.read(master, 65536))
        return self._child.returncode if self._child else 0

    def _switch_off(self, *_: object) -> None:
        if self._off_at:
            return
        self._off_at = time.monotonic() + GRACE
        first = self._child and first_process(self._child.pid)
        if first:
            os.kill(first, SYSTEMD_POWEROFF)


def first_process(unshare: int) -> int:
    """Return the host's pid of a container's process 1; 0 for none."""
    path = pathlib.Path(f"/proc/{unshare}/task/{unshare}/children")
    try:
        children = path.read_text().split()
    except OSError:
        return 0
    return int(children[0]) if children else 0


def _raise_inotify() -> None:
    """Let more than the usual seven nodes run at once.

    Where the sysctl may not be written the nodes beyond fail, and say so.
    """
    with contextlib.suppress(OSError):
        if int(INOTIFY.read_text()) < INOTIFY_INSTANCES:
            INOTIFY.write_text(f"{INOTIFY_INSTANCES}\n")


def _append(console, content: bytes) -> None:
    """Write terminal output as lines of a file that does not grow forever."""
    if console.tell() > CONSOLE_LIMIT:
        console.truncate(0)
    console.write(content.replace(b"\r\n", b"\n"))


def main() -> int:
    return Keeper(pathlib.Path(sys.argv[1])).run()


if __name__ == "__main__":
    sys.exit(main())
