# SPDX-License-Identifier: Apache-2.0
"""A directory with real Kubernetes, KUBE_DIST.

doc/source/contributor/kube-dist.rst says what is in it.
"""

import dataclasses
import hashlib
import os
import pathlib
import re

from lab import failure

VARIABLE = "KUBE_DIST"
NEXT = "KUBE_DIST_NEXT"
"""A newer version, for upgrades; only read beside KUBE_DIST."""
PROGRAMS = ("kubeadm", "kubelet", "kubectl")
FURTHER_PROGRAMS = ("crictl",)
VERSION = re.compile(r"v\d+\.\d+\.\d+\S*")


@dataclasses.dataclass(frozen=True)
class Distribution:
    """What is in such a directory."""

    path: pathlib.Path
    version: str
    """Such as ``v1.36.4``."""

    @property
    def programs(self) -> dict[str, pathlib.Path]:
        """Return the programs it has by their names."""
        found = {
            name: self.path / "bin" / name
            for name in (*PROGRAMS, *FURTHER_PROGRAMS)
        }
        return {name: file for name, file in found.items() if file.is_file()}

    @property
    def archives(self) -> list[pathlib.Path]:
        """Return the archives of container images."""
        return sorted((self.path / "images").glob("*.tar"))


def find() -> Distribution | None:
    """Return the KUBE_DIST of this process, if it has one.

    :raises LabError: the directory is not one.
    """
    path = os.environ.get(VARIABLE)
    return read(pathlib.Path(path)) if path else None


def find_next() -> Distribution | None:
    """Return the version that nodes can be upgraded to, if there is one.

    :raises LabError: the directory is not one.
    """
    path = os.environ.get(NEXT)
    return read(pathlib.Path(path)) if path and find() else None


def read(path: pathlib.Path) -> Distribution:
    """Return what a directory holds.

    :raises LabError: something that every node needs is missing.
    """
    try:
        version = (path / "version").read_text().strip()
    except OSError as exc:
        raise failure.LabError(f"{VARIABLE} is not usable: {exc}.") from exc
    found = Distribution(path.resolve(), version)
    if not VERSION.fullmatch(version):
        raise failure.LabError(
            f"{path}/version holds {version!r}, not a version like v1.36.4."
        )
    missing = [name for name in PROGRAMS if name not in found.programs]
    if missing or not found.archives:
        raise failure.LabError(
            f"{VARIABLE}={path} needs bin/ with {', '.join(PROGRAMS)} and "
            "images/ with archives (*.tar) of container images."
        )
    return found


def digest(files: list[pathlib.Path]) -> str:
    """Return what differs when one of the files is another one.

    They are big: their times and sizes stand for their content.
    """
    summary = hashlib.sha256()
    for file in files:
        state = file.stat()
        line = f"{file} {state.st_size} {state.st_mtime_ns}\n"
        summary.update(line.encode())
    return summary.hexdigest()
