# SPDX-License-Identifier: Apache-2.0
"""Fills a KUBE_DIST from where Kubernetes is published.

doc/source/contributor/kube-dist.rst describes such a directory.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import hashlib
import json
import pathlib
import shutil
import subprocess
from typing import Any
import urllib.error
import urllib.request

from lab import failure
from lab import oci
from lab import progress
from lab.containers import distribution

BINARIES = "https://dl.k8s.io/release"
ARCHITECTURES = ("amd64", "arm64")
TIMEOUT = 60.0
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    oci.MANIFEST,
    "application/vnd.docker.distribution.manifest.v2+json",
)
CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Where programs and images come from."""

    binaries: str = BINARIES
    registry: str = ""
    """URL of a registry asked in place of the one in an image's name."""
    architecture: str = "amd64"


@dataclasses.dataclass(frozen=True)
class Image:
    """A container image's name in its parts."""

    registry: str
    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}:{self.tag}"

    @property
    def file(self) -> str:
        return f"{self.repository.replace('/', '-')}-{self.tag}.tar"

    @classmethod
    def parse(cls, name: str) -> "Image":
        """Take apart ``registry/repository:tag``.

        :raises LabError: it is not one of these.
        """
        path, _, tag = name.rpartition(":")
        registry, _, repository = path.partition("/")
        if not (registry and repository and tag) or "/" in tag:
            raise failure.LabError(f"{name!r} is not the name of an image.")
        return cls(registry, repository, tag)


def fill(
    directory: pathlib.Path,
    version: str,
    source: Source,
    report: progress.Report = progress.silent,
) -> distribution.Distribution:
    """Make a directory a KUBE_DIST; what is there and right stays.

    :param version: such as ``v1.36.4``.
    :raises LabError: something cannot be had or is not what it should be.
    """
    if not distribution.VERSION.fullmatch(version):
        raise failure.LabError(
            f"{version!r} is not a version of Kubernetes such as v1.36.4."
        )
    _refuse_other(directory, version)
    for name in ("bin", "images"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for name in distribution.PROGRAMS:
        with progress.step(report, name):
            _program(directory / "bin" / name, version, source)
    for image in _images(directory / "bin/kubeadm", version):
        path = directory / "images" / image.file
        if not path.exists():
            with progress.step(report, str(image)):
                _image(path, image, source)
    (directory / "version").write_text(f"{version}\n")
    return distribution.read(directory)


def _refuse_other(directory: pathlib.Path, version: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        found = (directory / "version").read_text().strip()
        if found != version:
            raise failure.LabError(
                f"{directory} holds Kubernetes {found}; "
                f"take another directory for {version}."
            )


def _program(path: pathlib.Path, version: str, source: Source) -> None:
    url = f"{source.binaries}/{version}/bin/linux/{source.architecture}/"
    url += path.name
    with _open(f"{url}.sha256") as answer:
        wanted = answer.read(1024).decode("ascii", "replace").strip()
    if path.exists() and _sha256(path) == wanted:
        return
    partial = path.with_suffix(".partial")
    with _open(url) as answer, partial.open("wb") as file:
        shutil.copyfileobj(answer, file, CHUNK)
    found = _sha256(partial)
    if found != wanted:
        partial.unlink()
        raise failure.LabError(
            f"{url} has the checksum {found}; {wanted} is published."
        )
    partial.chmod(0o755)
    partial.rename(path)


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _images(kubeadm: pathlib.Path, version: str) -> list[Image]:
    """Return what kubeadm of this version makes clusters of."""
    command = [str(kubeadm), "config", "images", "list"]
    command += ["--kubernetes-version", version]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as exc:
        told = getattr(exc, "stderr", "") or ""
        raise failure.LabError(
            f"kubeadm does not say which images it needs: {exc} {told}"
        ) from exc
    return [Image.parse(line) for line in done.stdout.split()]


def _image(path: pathlib.Path, image: Image, source: Source) -> None:
    base = source.registry or f"https://{image.registry}"
    base = f"{base.rstrip('/')}/v2/{image.repository}"
    url = f"{base}/manifests/{image.tag}"
    content = _read(url, accept=(*INDEXES, *MANIFESTS))
    document = _document(url, content)
    if document.get("mediaType") in INDEXES or "manifests" in document:
        digest = _chosen(image, document, source.architecture)
        content = _verified(f"{base}/manifests/{digest}", digest, MANIFESTS)
        document = _document(url, content)
    with oci.Archive(path) as archive:
        for one in (document["config"], *document["layers"]):
            digest = one["digest"]
            blob = _verified(f"{base}/blobs/{digest}", digest)
            archive.blob(one["mediaType"], blob)
        kind = document.get("mediaType", oci.MANIFEST)
        archive.image(str(image), archive.blob(kind, content))


def _chosen(image: Image, index: dict[str, Any], architecture: str) -> str:
    for one in index["manifests"]:
        platform = one.get("platform", {})
        if (platform.get("os"), platform.get("architecture")) == (
            "linux",
            architecture,
        ):
            return one["digest"]
    raise failure.LabError(f"{image} is not there for {architecture}.")


def _document(url: str, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as exc:
        raise failure.LabError(f"{url} is not JSON: {exc}.") from exc
    if not isinstance(found, dict):
        raise failure.LabError(f"{url} is not a manifest.")
    return found


def _verified(url: str, digest: str, accept: tuple[str, ...] = ()) -> bytes:
    content = _read(url, accept)
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != digest:
        raise failure.LabError(f"{url} has the digest {found}.")
    return content


def _read(url: str, accept: tuple[str, ...] = ()) -> bytes:
    with _open(url, accept) as answer:
        return answer.read()


@contextlib.contextmanager
def _open(url: str, accept: tuple[str, ...] = ()) -> Iterator[Any]:
    """Open a URL.

    :raises LabError: it does not answer, also in the middle.
    """
    headers = {"Accept": ", ".join(accept)} if accept else {}
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            yield answer
    except (OSError, ValueError, urllib.error.URLError) as exc:
        raise failure.LabError(f"{url} cannot be read: {exc}.") from exc
