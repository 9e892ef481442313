# SPDX-License-Identifier: Apache-2.0
"""Which version of Kubernetes the nodes of a group get."""

from magnum_k8s_driver.model import checks as checks_module
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import labels as labels_module
from magnum_k8s_driver.model import version as version_module


def baked(image: facts_module.ImageFacts | None) -> str | None:
    """Return the version an image holds, None for none that can be read."""
    if image is None or not image.kubernetes_version:
        return None
    try:
        return str(
            version_module.KubernetesVersion.parse(image.kubernetes_version)
        )
    except ValueError:
        return None


def version(
    group: fields.NodeGroupInputs,
    labels: labels_module.Labels,
    image: facts_module.ImageFacts | None,
    checks: checks_module.Checks,
) -> str:
    """Return the version of the group's nodes.

    The label wins, then what is baked into the image, then the newest the
    driver knows. With both, the minors must agree: such an image brings
    binaries, packages and images of its own minor. Another patch is
    downloaded by the node program.
    """
    holds = baked(image)
    if image is not None and image.kubernetes_version and holds is None:
        checks.tell(
            f"image {group.image}",
            f"Image {image.name} has the property kube_version "
            f"{image.kubernetes_version[:40]!r} but it must be a Kubernetes "
            "version such as v1.36.4.",
        )
    newest = list(checks.site.kubernetes_versions.values())
    text = labels.kube_tag or holds or (newest[-1] if newest else "")
    subject = "label kube_tag" if labels.kube_tag else f"image {group.image}"
    if not text:
        checks.tell("label kube_tag", "Set the label kube_tag.")
        return ""
    wanted = version_module.KubernetesVersion.parse(text)
    minors = tuple(checks.site.kubernetes_versions)
    if minors:
        checks.problems.extend(
            version_module.support_problems(wanted, minors, subject)
        )
    if holds and image is not None:
        _check_baked(holds, wanted, image, checks)
    return str(wanted)


def _check_baked(
    text: str,
    wanted: version_module.KubernetesVersion,
    image: facts_module.ImageFacts,
    checks: checks_module.Checks,
) -> None:
    holds = version_module.KubernetesVersion.parse(text)
    if holds.minor != wanted.minor:
        checks.tell(
            "label kube_tag",
            f"Label kube_tag asks for {wanted} but image {image.name} holds "
            f"Kubernetes {holds}; choose an image of {wanted.minor} or a "
            "plain one.",
        )
