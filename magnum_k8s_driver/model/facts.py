# SPDX-License-Identifier: Apache-2.0
"""What the cloud said about everything a request refers to.

Read in one go by :mod:`magnum_k8s_driver.ports.facts`. What is not there is
a value too, so that all that is wrong with a request can be told together.
"""

from collections.abc import Mapping
import dataclasses
from typing import TypeVar

from magnum_k8s_driver.model import spec as spec_module

Found = TypeVar("Found")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """Names or ids to look up; Magnum accepts both everywhere."""

    images: frozenset[str] = frozenset()
    flavors: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    """The external network's too."""
    subnets: frozenset[str] = frozenset()
    keypair: str = ""
    """Empty: none was asked for."""
    availability_zones: bool = False
    """Whether the list of zones is needed."""
    volume_types: bool = False
    """Whether the list of volume types is needed."""
    load_balancer: bool = False
    """Whether the list of load balancer providers is needed."""
    surroundings: bool = False
    """Whether it matters what else is in existing subnets: only before a
    cluster is made, because its own nodes are among it later."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A reference that leads to nothing, and why."""

    reason: str = "does not exist or cannot be seen by this project"
    """Completes "Image X ...": a verb and what it needs."""


AMBIGUOUS = Missing(reason="is the name of more than one; give the id instead")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """A Glance image."""

    id: str
    name: str
    distro: str = ""
    """Property ``os_distro``."""
    kubernetes_version: str = ""
    """Property ``kube_version``, as written; empty for a plain image."""
    min_disk_gib: int = 0
    """Least root disk: ``min_disk`` or what the image unpacks to."""
    min_ram_mib: int = 0
    status: str = "active"
    architecture: str = ""
    """Property ``architecture`` or ``hw_architecture``, empty if unset."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FlavorFacts:
    """A Nova flavor."""

    id: str
    name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    """0: the flavor has no root disk of its own."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SubnetFacts:
    """A Neutron subnet."""

    id: str
    name: str
    network_id: str
    cidr: str
    ip_version: int = 4
    addresses: int | None = None
    """Addresses in its allocation pools, used or not; None: not known."""
    taken: int = 0
    """Of these, as many as somebody is known to use."""
    outside: frozenset[str] | None = None
    """Ids of the external networks that its routers lead to; None: not
    known, or not asked."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NetworkFacts:
    """A Neutron network."""

    id: str
    name: str
    external: bool = False
    """Floating IPs can be taken from it."""
    subnets: tuple[SubnetFacts, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CloudFacts:
    """Answers to :class:`References`; a key that is absent was not asked."""

    images: Mapping[str, ImageFacts | Missing] = dataclasses.field(
        default_factory=dict
    )
    flavors: Mapping[str, FlavorFacts | Missing] = dataclasses.field(
        default_factory=dict
    )
    networks: Mapping[str, NetworkFacts | Missing] = dataclasses.field(
        default_factory=dict
    )
    subnets: Mapping[str, SubnetFacts | Missing] = dataclasses.field(
        default_factory=dict
    )
    public_key: str | Missing | None = None
    """OpenSSH text of the key pair; None: nobody could be asked, because a
    key pair belongs to the user who made it."""
    known_public_key: str | None = None
    """The key the cluster was made with, kept in its stack. It wins, so
    that operations work for other users and after the key pair is gone."""
    availability_zones: frozenset[str] | None = None
    """Nova's zones that are available; None: not known."""
    volume_types: frozenset[str] | None = None
    """Names and ids of volume types; None: not known."""
    block_storage: bool = True
    """Whether the catalog has Cinder."""
    load_balancing: bool = True
    """Whether the catalog has Octavia."""
    load_balancer_providers: frozenset[str] | None = None
    """Enabled Octavia providers; None: not known."""
    cloud: spec_module.CloudSpec = dataclasses.field(
        default_factory=spec_module.CloudSpec
    )


def lookup(
    found: Mapping[str, Found | Missing], reference: str
) -> Found | Missing:
    """Return what a reference led to; not asked for counts as missing."""
    return found.get(reference, Missing())
