# SPDX-License-Identifier: Apache-2.0
"""Runs the node program with every program it calls replaced by a stub.

A stub records how it was called and does what its lines of bash say; the
ones nobody gives do nothing. No path outside a temporary directory is
touched.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

PROGRAM = pathlib.Path(__file__).parents[1] / "templates" / "node"

REPLACED = (
    "apt-get blkid conntrack containerd crictl ctr curl dnf ethtool hostname "
    "hostnamectl ip iptables kubeadm kubectl kubelet mkfs.ext4 modprobe mount "
    "mountpoint nft nproc runc setenforce sleep socat swapoff sysctl "
    "systemctl umount uname"
).split()
"""Never the machine's own, whatever a test forgets."""

REAL = (
    "awk base64 bash cat chmod cmp cp cut date dirname find flock grep gzip "
    "head install jq ln mkdir mv openssl rm sed sha256sum sort stat tail tar "
    "timeout touch tr"
).split()
"""The machine's own: they only touch the paths they are given."""

METADATA: Mapping[str, Any] = {
    "uuid": "c0000000-0000-4000-8000-00000000000c",
    "name": "prod-7d1b1b8e6a0c-worker-0",
    "meta": {"magnum_member": "0", "magnum_op": "create-1"},
}

_DEFAULTS = {
    "uname": "case $1 in -n) echo prod-7d1b1b8e6a0c-worker-0 ;; "
    "-m) echo x86_64 ;; esac",
    "nproc": "echo 2",
    "ip": "echo '2: eth0 inet 10.0.0.7/24 brd 10.0.0.255 scope global eth0'",
    "containerd": "echo 'containerd github.com/containerd v2.2.7 0123abc'",
    "kubeadm": 'case $1 in version) echo "v1.36.4" ;; esac',
    "kubelet": 'case $1 in --version) echo "Kubernetes v1.36.4" ;; esac',
    "kubectl": 'case $1 in version) echo "Client Version: v1.36.4" ;; esac',
    "mountpoint": "exit 1",
    "blkid": "exit 2",
}

_STUB = """#!/bin/bash
{{ printf '%s\\x1f' {name} "$@"; printf '\\x1e'; }} >>"$STUB_CALLS"
{body}
"""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a run ended and what it did."""

    rc: int
    out: str
    err: str
    calls: tuple[tuple[str, ...], ...]
    """Every call of a stub: its name and arguments."""
    root: pathlib.Path
    """What the program took for ``/``."""

    def calls_of(self, name: str) -> list[tuple[str, ...]]:
        """Return the arguments of every call of one program."""
        return [call[1:] for call in self.calls if call[0] == name]

    def text(self, path: str) -> str:
        """Return the text of a file, empty when there is none."""
        file = self.root / path.lstrip("/")
        return file.read_text() if file.is_file() else ""


class Machine:
    """A directory that the node program takes for a machine.

    :param directory: an empty temporary directory.
    """

    def __init__(
        self,
        directory: str,
        config: Mapping[str, Any],
        metadata: Mapping[str, Any] = METADATA,
    ) -> None:
        self.root = pathlib.Path(directory) / "root"
        self._stubs = pathlib.Path(directory) / "stubs"
        _link_programs(self._stubs)
        self.write("/etc/magnum/node.json", json.dumps(config))
        self.write("/run/magnum/meta_data.json", json.dumps(metadata))
        self.write("/proc/meminfo", "MemTotal:        8388608 kB\n")
        self.write("/etc/containerd/config.toml", "version = 3\n")
        self.write("/opt/cni/bin/loopback", "")
        (self.root / "opt/cni/bin/loopback").chmod(0o755)

    def write(self, path: str, text: str) -> None:
        """Write a file of the machine."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(
        self,
        *arguments: str,
        stubs: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
        program: str | None = None,
        **environment: str,
    ) -> Result:
        """Run ``magnum-node ARGUMENTS``, or lines that use its libraries.

        :param stubs: program to what it does, in bash.
        :param without: programs that the machine does not have.
        :param program: bash to run with all libraries loaded instead.
        """
        calls = self._stubs.parent / "calls"
        calls.write_text("")
        self._make_stubs({**_DEFAULTS, **(stubs or {})}, without)
        command = [str(PROGRAM / "magnum-node"), *arguments]
        if program is not None:
            command = ["-c", _with_libraries(program)]
        done = subprocess.run(
            ["/bin/bash", *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={
                "PATH": str(self._stubs),
                "MAGNUM_ROOT": str(self.root),
                "MAGNUM_CONSOLE": str(self.root / "console"),
                "MAGNUM_RETRY_LONGEST": "0",
                "STUB_CALLS": str(calls),
                **environment,
            },
        )
        return Result(
            rc=done.returncode,
            out=done.stdout,
            err=done.stderr,
            calls=_parse(calls.read_text()),
            root=self.root,
        )

    def _make_stubs(
        self, stubs: Mapping[str, str], without: Sequence[str]
    ) -> None:
        for name in {*REPLACED, *stubs, *without}:
            file = self._stubs / name
            file.unlink(missing_ok=True)
            if name not in without:
                body = stubs.get(name, ":")
                file.write_text(_STUB.format(name=name, body=body))
                file.chmod(0o755)


def run(
    directory: str,
    *arguments: str,
    config: Mapping[str, Any],
    stubs: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] = METADATA,
) -> Result:
    """Run the node program once on a fresh machine."""
    machine = Machine(directory, config, metadata)
    return machine.run(*arguments, stubs=stubs)


def _link_programs(directory: pathlib.Path) -> None:
    directory.mkdir(parents=True)
    # The interpreter of the tests: the machine's may be a shim.
    (directory / "python3").symlink_to(os.path.realpath(sys.executable))
    for name in REAL:
        found = shutil.which(name)
        if found is None:
            raise FileNotFoundError(f"the tests of the node need {name}")
        (directory / name).symlink_to(found)


def _with_libraries(program: str) -> str:
    return (
        f"set -euo pipefail; export LC_ALL=C; MAGNUM_HOME={PROGRAM}\n"
        'ROOT="$MAGNUM_ROOT"\n'
        'source "$MAGNUM_HOME/lib/all.sh"\n'
        f'mkdir -p "$STATE_DIR" "$RUN_DIR" "$LOG_DIR"\n{program}\n'
    )


def _parse(text: str) -> tuple[tuple[str, ...], ...]:
    records = text.split("\x1e")[:-1]
    return tuple(tuple(one.split("\x1f")[:-1]) for one in records)
