# SPDX-License-Identifier: Apache-2.0
"""The bill of materials: what a site has to mirror for a cluster."""

from collections.abc import Iterable
from typing import Any

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import catalogue
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import kubeadm
from magnum_k8s_driver.render import releases

_KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
)


def bill(spec: spec_module.ClusterSpec) -> dict[str, Any]:
    """Return every image, chart and file of a cluster.

    What the release table does not know, such as a digest, is None: nothing
    is guessed. kubeadm's own word on its images is ``kubeadm config images
    list``.
    """
    release = releases.release_for(spec.control_plane.kubernetes_version)
    prefix = spec.labels.container_infra_prefix
    images = [
        _image(one, prefix, "kubernetes") for one in _kubernetes(release)
    ]
    charts = []
    chosen = [one for one in catalogue.wanted(spec) if one.has_chart]
    if chosen:
        images.append(_image(release.helm, prefix, "the Jobs of add-ons"))
    for one in chosen:
        component = release.addons[one.name]
        images += [
            _image(image, prefix, one.name)
            for image in component.images.values()
        ]
        if one.released is None:
            charts.append(_chart(one.name, component, spec))
    return {"images": images, "charts": charts, "files": _files(release)}


def _kubernetes(release: releases.Release) -> Iterable[addon.Image]:
    for name in _KUBERNETES:
        yield addon.Image(
            repository=f"{kubeadm.REGISTRY}/{name}",
            tag=release.kubernetes_version,
        )
    for name, tag in (
        ("coredns/coredns", f"v{release.coredns}"),
        ("etcd", f"{release.etcd}-0"),
        ("pause", release.pause),
    ):
        yield addon.Image(repository=f"{kubeadm.REGISTRY}/{name}", tag=tag)


def _image(one: addon.Image, prefix: str, used_by: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "image": one.repository,
        "tag": one.tag or None,
        "digest": None,
        "used_by": used_by,
    }
    if prefix:
        found["taken_from"] = str(one.at(prefix))
    return found


def _chart(
    name: str, component: addon.Component, spec: spec_module.ClusterSpec
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "repository": component.repository,
        "chart": component.chart,
        "version": component.version,
        "sha256": component.sha256 or None,
        "used_by": name,
    }
    if spec.labels.chart_mirror:
        found["taken_from"] = spec.labels.chart_mirror
    return found


def _files(release: releases.Release) -> list[dict[str, Any]]:
    return [
        {
            "url": one.url.replace("{arch}", architecture),
            "sha256": one.sha256.get(architecture),
        }
        for one in release.artifacts
        for architecture in ("amd64", "arm64")
    ]
