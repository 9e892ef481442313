# SPDX-License-Identifier: Apache-2.0
"""Container images in files: archives of the OCI image layout.

containerd, podman and skopeo read them.
https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

from collections.abc import Mapping
import contextlib
import hashlib
import io
import json
import pathlib
import tarfile
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
NAME = "io.containerd.image.name"
"""The annotation by which containerd names what it imports."""


class Archive(contextlib.AbstractContextManager):
    """An archive that is being written; it is there whole or not at all."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._partial = path.with_suffix(".partial")
        self._tar = tarfile.open(self._partial, "w")
        self._images: list[dict[str, Any]] = []
        self._blobs: set[str] = set()

    def blob(self, kind: str, content: bytes) -> dict[str, Any]:
        """Add a blob and return its descriptor."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if digest not in self._blobs:
            self._blobs.add(digest)
            self._add(f"blobs/{digest.replace(':', '/')}", content)
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    def image(self, name: str, manifest: Mapping[str, Any]) -> None:
        """Name a manifest whose blobs have been added.

        :param name: with registry and tag, ``registry.k8s.io/pause:3.10``.
        """
        self._images.append({**manifest, "annotations": {NAME: name}})

    def __exit__(self, kind, *_: object) -> None:
        if kind is None:
            index = {"schemaVersion": 2, "manifests": self._images}
            self._add("index.json", json.dumps(index).encode())
            layout = {"imageLayoutVersion": "1.0.0"}
            self._add("oci-layout", json.dumps(layout).encode())
        self._tar.close()
        if kind is None:
            self._partial.rename(self._path)
        else:
            self._partial.unlink()

    def _add(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        self._tar.addfile(entry, io.BytesIO(content))


def build(
    path: pathlib.Path,
    name: str,
    files: Mapping[str, pathlib.Path],
    config: Mapping[str, Any],
    architecture: str = "amd64",
) -> None:
    """Write an image of one layer with some programs in it.

    :param files: programs by their places in the image.
    :param config: how it is run, such as ``{"Entrypoint": ["/pause"]}``.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as layer:
        for place, file in files.items():
            content = file.read_bytes()
            entry = tarfile.TarInfo(place.lstrip("/"))
            entry.size, entry.mode = len(content), 0o755
            layer.addfile(entry, io.BytesIO(content))
    with Archive(path) as archive:
        layers = [archive.blob(LAYER, packed.getvalue())]
        document = {
            "architecture": architecture,
            "os": "linux",
            "config": dict(config),
            "rootfs": {
                "type": "layers",
                "diff_ids": [one["digest"] for one in layers],
            },
        }
        text = json.dumps(document).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": archive.blob(CONFIG, text),
            "layers": layers,
        }
        archive.image(
            name, archive.blob(MANIFEST, json.dumps(manifest).encode())
        )
