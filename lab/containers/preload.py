# SPDX-License-Identifier: Apache-2.0
"""The container images of a KUBE_DIST, as if every server's image held them.

containerd unpacks them once into a directory of the cache; every new server
gets a copy of it that shares the files themselves. What containerd changes
later, its databases, is copied; layers and blobs are never written again.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess

from lab.containers import distribution
from lab.containers import image

SCRIPT = pathlib.Path(__file__).with_name("preload.sh")
SNAPSHOTS = "snapshots"


def prepare() -> pathlib.Path | None:
    """Return a directory as /var/lib/containerd, made when it is missing.

    :raises LabError: containerd does not take an archive.
    """
    found = [
        one for one in (distribution.find(), distribution.find_next()) if one
    ]
    if not found:
        return None
    base = image.base()
    archives = [archive for one in found for archive in one.archives]
    summary = hashlib.sha256(f"{base.name} {SCRIPT.read_text()}".encode())
    summary.update(distribution.digest(archives).encode())
    target = image.cache() / f"containerd-{summary.hexdigest()[:12]}"
    with image.exclusive():
        if not target.is_dir():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            image.run(
                ["unshare", "--mount", "--pid", "--net", "--fork"]
                + ["--kill-child", "--propagation=private"]
                + ["bash", str(SCRIPT), str(base), str(partial)]
                + [str(one.path / "images") for one in found]
            )
            partial.rename(target)
    return target


def clone(source: pathlib.Path, target: pathlib.Path) -> None:
    """Make a server's /var/lib/containerd."""
    subprocess.run(
        ["cp", "-a", "--link", str(source), str(target)], check=True
    )
    for directory, names, files in os.walk(target):
        if SNAPSHOTS in names:
            names.remove(SNAPSHOTS)
        for name in files:
            if name.endswith(".db"):
                path = pathlib.Path(directory, name)
                own = path.with_suffix(".own")
                shutil.copy2(path, own)
                os.replace(own, path)
