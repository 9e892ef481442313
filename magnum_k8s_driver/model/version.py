# SPDX-License-Identifier: Apache-2.0
"""Kubernetes versions and how far apart they may be.

Rules from https://kubernetes.io/releases/version-skew-policy/ : a kubelet is
never newer than the API server and at most three minors older, and kubeadm
upgrades one minor at a time, never backwards.
"""

from collections.abc import Sequence
import dataclasses
import re

from magnum_k8s_driver.model import problems as problems_module

KUBELET_MINORS_BEHIND = 3
"""How many minors a kubelet may be older than the API server."""


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class KubernetesVersion:
    """A released version, ordered by age; ``str()`` has a leading ``v``."""

    major: int
    minor_number: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> "KubernetesVersion":
        """Return the version written as ``v1.36.4`` or ``1.36.4``.

        :raises ValueError: it is no released version; the text is a
            sentence's end: "must be ...".
        """
        match = re.fullmatch(
            r"v?([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,4})", text.strip()
        )
        if match is None:
            raise ValueError("a Kubernetes version such as v1.36.4")
        major, minor, patch = (int(part) for part in match.groups())
        return cls(major, minor, patch)

    @property
    def minor(self) -> str:
        """Return the minor as people write it: ``1.36``."""
        return f"{self.major}.{self.minor_number}"

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor_number}.{self.patch}"


def support_problems(
    version: KubernetesVersion, supported_minors: Sequence[str], subject: str
) -> tuple[problems_module.Problem, ...]:
    """Return a problem unless the release table knows the minor.

    :param supported_minors: such as ``("1.35", "1.36", "1.37")``.
    :param subject: where the version stands: ``label kube_tag``.
    """
    if version.minor in supported_minors:
        return ()
    return (
        problems_module.Problem(
            subject=subject,
            sentence=(
                f"Kubernetes {version} ({subject}) is not supported; choose "
                f"a version of {', '.join(supported_minors)}."
            ),
        ),
    )


def upgrade_problems(
    current: KubernetesVersion, target: KubernetesVersion
) -> tuple[problems_module.Problem, ...]:
    """Return why a control plane cannot go from one version to another."""
    steps = _minors_between(current, target)
    if target < current:
        reason = "Kubernetes cannot be downgraded"
    elif target.major != current.major or steps > 1:
        reason = (
            "Kubernetes goes one minor at a time, upgrade to "
            f"{current.major}.{current.minor_number + 1} first"
        )
    else:
        return ()
    return (
        problems_module.Problem(
            subject="kubernetes version",
            # Magnum's client shows no more than what is before the first
            # dot, which is in a version.
            sentence=f"{reason}: from {current} to {target}.",
        ),
    )


def kubelet_problems(
    control_plane: KubernetesVersion,
    kubelet: KubernetesVersion,
    group_name: str,
) -> tuple[problems_module.Problem, ...]:
    """Return why nodes of a version cannot serve under a control plane."""
    behind = _minors_between(kubelet, control_plane)
    if behind < 0 or kubelet.major > control_plane.major:
        # Minors only: another patch of the same minor is within the policy.
        rule = "nodes may not be newer than the control plane"
    elif behind > KUBELET_MINORS_BEHIND or (
        kubelet.major < control_plane.major
    ):
        rule = f"nodes may be {KUBELET_MINORS_BEHIND} minors older at most"
    else:
        return ()
    return (
        problems_module.Problem(
            subject=f"node group {group_name}",
            sentence=(
                f"Node group {group_name} has Kubernetes {kubelet} and the "
                f"control plane {control_plane}: {rule}."
            ),
        ),
    )


def _minors_between(older: KubernetesVersion, newer: KubernetesVersion) -> int:
    return newer.minor_number - older.minor_number
