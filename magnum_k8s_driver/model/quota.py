# SPDX-License-Identifier: Apache-2.0
"""What an operation needs against what the project may still have. Pure.

Keys are ``<service>.<resource>`` with the service's own word for what it
counts, so that an operator finds it again in ``openstack quota show``.
"""

from collections.abc import Callable, Iterable, Mapping
import dataclasses

from magnum_k8s_driver.model import problems as problems_module

UNLIMITED = -1
"""As Nova, Cinder, Neutron and Octavia write it."""

COMPUTE = "compute"
STORAGE = "block-storage"
NETWORK = "network"
BALANCING = "load-balancer"
HEAT = "orchestration"

SERVICES = frozenset((COMPUTE, STORAGE, NETWORK, BALANCING, HEAT))
"""Catalog types of the services that have quotas."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """A limit of a project."""

    limit: int
    """:data:`UNLIMITED` or how many there may be."""
    used: int = 0
    """In use or reserved."""
    key: str = ""
    """Where one limit has several names, the one that all of them mean:
    volume types have a name, an id, and may be the default."""

    @property
    def free(self) -> int:
        """Return how many are left, for limited ones."""
        return max(self.limit - self.used, 0)


_NO_LIMIT = Allowance(limit=UNLIMITED)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What an operation takes at its peak."""

    totals: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Compared to what is left of the project's quota."""
    each: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """The most that any one server, volume, group or stack has; compared to
    the limit itself."""

    def __add__(self, other: "Needs") -> "Needs":
        return Needs(
            totals=_merged(self.totals, other.totals, int.__add__),
            each=_merged(self.each, other.each, max),
        )

    def or_more(self, other: "Needs") -> "Needs":
        """Return what is enough for either, but not for both at once."""
        return Needs(
            totals=_merged(self.totals, other.totals, max),
            each=_merged(self.each, other.each, max),
        )

    @property
    def services(self) -> frozenset[str]:
        """Return the services something is needed of."""
        keys = (*self.totals, *self.each)
        return frozenset(key.partition(".")[0] for key in keys)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """How to talk about one key."""

    title: str
    service: str
    advice: str


_PROGRAMS = {
    COMPUTE: "Nova",
    STORAGE: "Cinder",
    NETWORK: "Neutron",
    BALANCING: "Octavia",
    HEAT: "Heat",
}
_OPTIONS = {
    "stacks": ", as option heat_stacks_per_project of the driver says",
    "resources": ", as option heat_resources_per_stack of the driver says",
}
"""Heat has no API for its limits."""
_FEWER = "choose fewer nodes"
_RAISE = "or ask for a higher quota"
_VOLUMES = f"use fewer or smaller volumes {_RAISE}"
_EXISTING = f"set fixed_network {_RAISE}"
_GROUPS = f"remove unused security groups {_RAISE}"
_BALANCERS = f"remove unused load balancers {_RAISE}"

QUOTAS: Mapping[str, Quota] = {
    f"{service}.{name}": Quota(
        title=title,
        service=f"{_PROGRAMS[service]}'s {name}{_OPTIONS.get(name, '')}",
        advice=advice,
    )
    for service, name, title, advice in (
        (COMPUTE, "instances", "servers", f"{_FEWER} {_RAISE}"),
        (COMPUTE, "cores", "vCPUs", f"{_FEWER} or a smaller flavor {_RAISE}"),
        (
            COMPUTE,
            "ram",
            "MiB of memory",
            f"{_FEWER} or a smaller flavor {_RAISE}",
        ),
        (
            COMPUTE,
            "server_groups",
            "server groups",
            f"remove unused server groups {_RAISE}",
        ),
        (
            COMPUTE,
            "server_group_members",
            "servers in one server group",
            f"spread the nodes over more node groups {_RAISE}",
        ),
        (
            COMPUTE,
            "metadata_items",
            "metadata items on one server",
            "ask for a higher quota",
        ),
        (STORAGE, "volumes", "volumes", _VOLUMES),
        (STORAGE, "gigabytes", "GiB of volumes", _VOLUMES),
        (STORAGE, "per_volume_gigabytes", "GiB in one volume", _VOLUMES),
        (NETWORK, "network", "networks", _EXISTING),
        (NETWORK, "subnet", "subnets", _EXISTING),
        (NETWORK, "router", "routers", _EXISTING),
        (NETWORK, "port", "ports", f"{_FEWER} {_RAISE}"),
        (
            NETWORK,
            "floatingip",
            "floating IPs",
            f"release unused ones, turn floating_ip_enabled off {_RAISE}",
        ),
        (NETWORK, "security_group", "security groups", _GROUPS),
        (NETWORK, "security_group_rule", "security group rules", _GROUPS),
        (BALANCING, "load_balancer", "load balancers", _BALANCERS),
        (BALANCING, "listener", "listeners", _BALANCERS),
        (BALANCING, "pool", "pools", _BALANCERS),
        (BALANCING, "member", "pool members", _BALANCERS),
        (BALANCING, "health_monitor", "health monitors", _BALANCERS),
        (HEAT, "stacks", "stacks", f"delete unused stacks {_RAISE}"),
        (
            HEAT,
            "resources",
            "resources in one stack",
            f"spread the nodes over more node groups {_RAISE}",
        ),
    )
}
"""Every key but those of single volume types."""


def volume_key(kind: str, volume_type: str) -> str:
    """Return the key of ``volumes`` or ``gigabytes`` of one volume type.

    :param volume_type: name or id; empty for the cloud's default.
    """
    return f"{STORAGE}.{kind}_{volume_type}"


def problems(
    needs: Needs, allowances: Mapping[str, Allowance]
) -> tuple[problems_module.Problem, ...]:
    """Return a problem for each limit that is too low.

    What no service told is no problem: a quota is checked early to save
    time, and the service itself enforces it.
    """
    found = []
    needs = by_limit(needs, allowances)
    for key, wanted in needs.totals.items():
        allowance = allowances.get(key, _NO_LIMIT)
        if allowance.limit >= 0 and wanted > allowance.free:
            left = f"left {allowance.free} of {allowance.limit}"
            found.append(_problem(key, wanted, left))
    for key, wanted in needs.each.items():
        limit = allowances.get(key, _NO_LIMIT).limit
        if 0 <= limit < wanted:
            allowed = f"allowed {limit}"
            found.append(_problem(key, wanted, allowed))
    return tuple(found)


def by_limit(needs: Needs, allowances: Mapping[str, Allowance]) -> Needs:
    """Return needs of one limit together, where it has several names."""
    limits: dict[str, list[str]] = {}
    for key in needs.totals:
        same = allowances.get(key, _NO_LIMIT).key or key
        limits.setdefault(same, []).append(key)
    totals = {
        names[0] if len(names) == 1 else same: sum(
            needs.totals[one] for one in names
        )
        for same, names in limits.items()
    }
    return dataclasses.replace(needs, totals=totals)


def describe(key: str) -> Quota:
    """Return how to talk about a key."""
    known = QUOTAS.get(key)
    if known is not None:
        return known
    kind, _underscore, volume_type = key.partition(".")[2].partition("_")
    title = "GiB of volumes" if kind == "gigabytes" else "volumes"
    of_type = f"type {volume_type}" if volume_type else "the default type"
    return Quota(
        title=f"{title} of {of_type}",
        service=f"Cinder's {kind}_{volume_type}",
        advice=_VOLUMES,
    )


def _problem(key: str, wanted: int, found: str) -> problems_module.Problem:
    quota = describe(key)
    return problems_module.Problem(
        subject=f"quota {key}",
        sentence=(
            f"The quota of {quota.title} is too low: needed {wanted}, {found} "
            f"({quota.service}); {quota.advice}."
        ),
    )


def _merged(
    one: Mapping[str, int],
    other: Mapping[str, int],
    how: Callable[[int, int], int],
) -> dict[str, int]:
    found = dict(one)
    for key, value in other.items():
        found[key] = how(found[key], value) if key in found else value
    return found


def total(needs: Iterable[Needs]) -> Needs:
    """Return what is needed for all of them at once."""
    found = Needs()
    for one in needs:
        found = found + one
    return found
