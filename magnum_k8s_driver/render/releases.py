# SPDX-License-Identifier: Apache-2.0
"""What belongs to each Kubernetes minor: ``templates/releases.yaml``."""

from collections.abc import Mapping
import dataclasses
import functools
import types
from typing import Any

import yaml

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.model import problems
from magnum_k8s_driver.render import files

KUBERNETES_BINARIES = ("kubeadm", "kubelet", "kubectl")
"""Artifacts whose version is the cluster's."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """One file that a plain image downloads."""

    name: str
    version: str
    """Without a leading ``v``."""
    url: str
    """With ``{arch}`` still in it."""
    sha256: Mapping[str, str]
    """Architecture to checksum; a node fetches the published one if absent."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One Kubernetes minor and what goes with it."""

    minor: str
    """Such as ``1.36``."""
    kubernetes_version: str
    """With a leading ``v``."""
    etcd: str
    coredns: str
    pause: str
    artifacts: tuple[Artifact, ...]
    helm: addon.Image
    """Of the Jobs that install add-ons."""
    addons: Mapping[str, addon.Component]
    """By the add-on's name."""


@functools.cache
def read_releases() -> Mapping[str, Release]:
    """Return every supported minor, oldest first."""
    document = yaml.safe_load(files.read_text("releases.yaml"))
    found = {
        str(minor): _release(str(minor), entry, document)
        for minor, entry in document["releases"].items()
    }
    ordered = sorted(found.items(), key=lambda item: _order(item[0]))
    return types.MappingProxyType(dict(ordered))


def release_for(kubernetes_version: str) -> Release:
    """Return the release that a Kubernetes version belongs to.

    Its Kubernetes binaries carry the version asked for, which may be another
    patch than the table's.

    :param kubernetes_version: such as ``v1.36.4``.
    :raises InvalidClusterSpec: the minor is not in the table.
    """
    wanted = kubernetes_version.removeprefix("v")
    releases = read_releases()
    release = releases.get(".".join(wanted.split(".")[:2]))
    if release is None:
        raise exceptions.InvalidClusterSpec(
            [
                problems.Problem(
                    subject="label kube_tag",
                    sentence=(
                        f"Kubernetes {kubernetes_version} is not supported; "
                        f"choose a version of {', '.join(releases)}."
                    ),
                )
            ]
        )
    return dataclasses.replace(
        release,
        kubernetes_version=f"v{wanted}",
        artifacts=tuple(_at(one, wanted) for one in release.artifacts),
    )


def _release(
    minor: str, entry: Mapping[str, Any], table: Mapping[str, Any]
) -> Release:
    return Release(
        minor=minor,
        kubernetes_version=f"v{entry['kubernetes']}",
        etcd=entry["etcd"],
        coredns=entry["coredns"],
        pause=entry["pause"],
        artifacts=tuple(
            Artifact(
                name=name,
                version=one["version"],
                url=one["url"].replace("{version}", one["version"]),
                sha256=dict(one["sha256"]),
            )
            for name, one in entry["artifacts"].items()
        ),
        helm=_image(table["helm"]),
        addons={
            name: _component(table["addons"][name], version)
            for name, version in entry["addons"].items()
        },
    )


def _component(entry: Mapping[str, Any], version: str) -> addon.Component:
    found = entry["versions"][version]
    return addon.Component(
        repository=entry.get("repository", ""),
        chart=entry.get("chart", ""),
        version=found.get("chart", ""),
        sha256=found.get("sha256", ""),
        images={name: _image(one) for name, one in found["images"].items()},
    )


def _image(text: str) -> addon.Image:
    repository, _, tag = text.partition(":")
    return addon.Image(repository=repository, tag=tag)


def _at(artifact: Artifact, version: str) -> Artifact:
    if artifact.name not in KUBERNETES_BINARIES:
        return artifact
    if artifact.version == version:
        return artifact
    return dataclasses.replace(
        artifact,
        version=version,
        url=artifact.url.replace(f"/v{artifact.version}/", f"/v{version}/"),
        sha256={},
    )


def _order(minor: str) -> tuple[int, ...]:
    return tuple(int(part) for part in minor.split("."))
