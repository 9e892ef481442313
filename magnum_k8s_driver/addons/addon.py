# SPDX-License-Identifier: Apache-2.0
"""What an add-on is: declared in one module each, put together here.

A module of this package declares one :class:`Addon`; the order in which
they are installed is that of :mod:`~magnum_k8s_driver.addons.catalogue`.
"""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

from magnum_k8s_driver.model import spec as spec_module

SYSTEM = "kube-system"
CLOUD_CONFIG = "cloud-config"
"""Secret in kube-system with what programs must know of their cloud."""
CREDENTIAL = "magnum.openstack.org/credential"
"""Annotation with the name of the credential that something was made with."""

Object = dict[str, Any]
"""A Kubernetes object."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A container image as its project publishes it."""

    repository: str
    """With its registry: ``registry.k8s.io/pause``."""
    tag: str = ""
    """Empty: the chart names it, and the release table does not know."""

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}" if self.tag else self.repository

    def at(self, prefix: str) -> "Image":
        """Return where the image is with a label container_infra_prefix.

        Below a prefix lies the last part of every name, as Magnum's users
        know it; without one the image stays where it is published.
        """
        if not prefix:
            return self
        name = self.repository.rpartition("/")[2]
        return dataclasses.replace(
            self, repository=f"{prefix.rstrip('/')}/{name}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """One version of an add-on, from the release table."""

    repository: str
    """Official address of its Helm repository."""
    chart: str
    version: str
    """Of the chart."""
    sha256: str = ""
    """Of the chart's archive; empty: not known."""
    images: Mapping[str, Image] = dataclasses.field(default_factory=dict)
    """By the name that the add-on's module gives them."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a cluster lives, known when its first stack is made."""

    network_id: str
    subnet_id: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Everything that an add-on's values may depend on."""

    spec: spec_module.ClusterSpec
    place: Place
    component: Component
    credential: str = ""
    """Name of the application credential that programs log in with."""

    @property
    def renewed(self) -> dict[str, str]:
        """Return annotations of what has to start anew with another one.

        Programs read their cloud's configuration once, when they start.
        """
        return {CREDENTIAL: self.credential}

    @property
    def prefix(self) -> str:
        """Return the registry and path of all images, empty for theirs."""
        return self.spec.labels.container_infra_prefix

    def image(self, name: str) -> Image:
        """Return where this cluster finds an image of the add-on."""
        return self.component.images[name].at(self.prefix)

    def named(self, name: str) -> dict[str, str]:
        """Return an image as most charts take it."""
        found = self.image(name)
        tag = {"tag": found.tag} if found.tag else {}
        return {"repository": found.repository, **tag}

    def split(self, name: str) -> dict[str, str]:
        """Return an image as charts take it that name the registry apart."""
        found = self.image(name)
        registry, _, repository = found.repository.partition("/")
        return {
            "registry": registry,
            "repository": repository,
            "tag": found.tag,
        }


def _no_objects(setting: Setting) -> list[Object]:
    return []


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Addon:
    """One add-on: when it is wanted, and what a cluster gets for it."""

    name: str
    """A DNS label; Helm's release has it, too."""
    title: str
    """For people, one line."""
    wanted: Callable[[spec_module.ClusterSpec], bool]
    asked_by: str
    """Label or field that decides, for the user guide."""
    required: bool
    """A cluster without it is not complete."""
    namespace: str = SYSTEM
    privileged: bool = False
    """Its namespace may run pods that are part of the machine."""
    values: Callable[[Setting], dict[str, Any]] | None = None
    """Values of the chart; None: there is no chart, only objects."""
    released: Callable[[Setting], list[Object]] | None = None
    """Objects that Helm installs without a chart of anybody's."""
    template: str = ""
    """Of one more of them, where Helm has to make something up."""
    objects: Callable[[Setting], list[Object]] = _no_objects
    """Objects that are applied before the chart is installed."""
    needs: str = ""
    """Name of an add-on that it is left out with."""
    wait: bool = False
    """Helm waits until the workloads are ready: only for what runs before
    there are workers."""

    @property
    def has_chart(self) -> bool:
        """Tell whether Helm installs it."""
        return self.values is not None or self.released is not None


def tolerations() -> list[dict[str, str]]:
    """Return what pods tolerate that run on a control plane being made."""
    return [
        {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"},
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists"},
        {
            "key": "node.cloudprovider.kubernetes.io/uninitialized",
            "operator": "Exists",
        },
    ]


def rule(resources: str, *verbs: str, group: str = "") -> Object:
    """Return a rule of a role.

    :param resources: of one API group, separated by commas.
    """
    return {
        "apiGroups": [group],
        "resources": resources.split(","),
        "verbs": list(verbs),
    }


def account(name: str, *rules: Object) -> list[Object]:
    """Return a service account with a cluster role of the same name."""
    group = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": SYSTEM},
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": list(rules),
        },
        _binding(name),
    ]


def _binding(name: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": name,
        },
        "subjects": [
            {"kind": "ServiceAccount", "name": name, "namespace": SYSTEM}
        ],
    }


def on_control_plane() -> dict[str, str]:
    """Return the node selector of control-plane nodes."""
    return {"node-role.kubernetes.io/control-plane": ""}
