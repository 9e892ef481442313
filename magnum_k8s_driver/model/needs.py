# SPDX-License-Identifier: Apache-2.0
"""What clusters, groups and nodes take of each quota. Pure.

The numbers follow the Heat templates; a test counts the resources that the
templates make and compares.
"""

from collections.abc import Mapping
import math

from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import quota
from magnum_k8s_driver.model import spec as spec_module

Flavors = Mapping[str, facts_module.FlavorFacts]
"""By id."""

DEFAULT_RULES = 2
"""Neutron gives each security group two rules for what leaves."""
NODE_RULES = 6
"""Rules of the nodes' security group in templates/heat/cluster.yaml."""
METADATA_ITEMS = 7
"""On every server; each volume adds one. See render/servers.py."""

_ROOT_RESOURCES = 6
"""Of every cluster stack: two security groups, a server group, boards,
distress and the nested control plane."""
TEMPLATE_RESOURCES = 17
"""In templates/heat/cluster.yaml. Heat compares its limit with these before it
looks at their conditions."""
_NETWORK_RESOURCES = 4
"""Network, subnet, router and the router's interface."""
_BALANCER_RESOURCES = 4
"""Load balancer, listener, pool and health monitor."""
_WORKER_RESOURCES = 2
"""Of every worker stack: a server group and the nested workers."""


def flavors(facts: facts_module.CloudFacts) -> Flavors:
    """Return the flavors that were looked up."""
    return {
        one.id: one
        for one in facts.flavors.values()
        if isinstance(one, facts_module.FlavorFacts)
    }


def cluster(spec: spec_module.ClusterSpec, known: Flavors) -> quota.Needs:
    """Return what making a cluster takes: all of it is there at once."""
    groups = quota.total(group(spec, one, known) for one in spec.groups)
    return _infrastructure(spec) + groups


def group(
    spec: spec_module.ClusterSpec,
    one: spec_module.NodeGroupSpec,
    known: Flavors,
) -> quota.Needs:
    """Return what making a node group takes."""
    is_worker = one.role is spec_module.Role.WORKER
    totals = {f"{quota.COMPUTE}.server_groups": 1}
    if is_worker:
        totals[f"{quota.HEAT}.stacks"] = 1
    return quota.Needs(totals=totals) + nodes(
        spec, one, one.count, one.count, known
    )


def nodes(
    spec: spec_module.ClusterSpec,
    one: spec_module.NodeGroupSpec,
    more: int,
    most: int,
    known: Flavors,
) -> quota.Needs:
    """Return what more nodes of a group take.

    :param more: nodes that are made.
    :param most: nodes that the group has when they are there.
    """
    volumes = _volumes(one)
    floating = _floating(spec, one)
    in_one = min(most, one.members_per_stack or most)
    each = {
        f"{quota.COMPUTE}.server_group_members": most,
        f"{quota.COMPUTE}.metadata_items": METADATA_ITEMS + len(volumes),
        f"{quota.HEAT}.resources": _resources(spec, one, in_one),
    }
    if more <= 0:
        return quota.Needs()
    totals = {
        f"{quota.HEAT}.stacks": _further(one, most)
        - _further(one, most - more),
        f"{quota.COMPUTE}.instances": more,
        f"{quota.NETWORK}.port": more,
        f"{quota.NETWORK}.floatingip": more * floating,
    }
    flavor = known.get(one.flavor_id)
    if flavor is not None:
        totals[f"{quota.COMPUTE}.cores"] = more * flavor.vcpus
        totals[f"{quota.COMPUTE}.ram"] = more * flavor.ram_mib
    if spec.endpoint.load_balancer and _is_control_plane(one):
        totals[f"{quota.BALANCING}.member"] = more
    found = quota.Needs(totals=_positive(totals), each=each)
    return quota.total([found, *(_volume(v, more) for v in volumes)])


def _further(one: spec_module.NodeGroupSpec, count: int) -> int:
    """Return how many stacks besides its anchor a group of a size needs."""
    if not one.members_per_stack:
        return 0
    return max(math.ceil(count / one.members_per_stack) - 1, 0)


def surge(
    spec: spec_module.ClusterSpec,
    one: spec_module.NodeGroupSpec,
    batch: int,
    known: Flavors,
) -> quota.Needs:
    """Return what replacing a group's nodes takes at its peak."""
    more = min(batch, one.count)
    return nodes(spec, one, more, one.count + more, known)


def _infrastructure(spec: spec_module.ClusterSpec) -> quota.Needs:
    """Return what a cluster has besides its nodes."""
    cidrs = spec.endpoint.allowed_cidrs
    # The nodes' own range is added to the ranges that users allow.
    api_rules = len({*cidrs, spec.network.subnet_cidr}) if cidrs else 1
    rules = 2 * DEFAULT_RULES + NODE_RULES + api_rules
    totals = {
        f"{quota.HEAT}.stacks": 1,
        f"{quota.NETWORK}.security_group": 2,
        f"{quota.NETWORK}.security_group_rule": rules,
        f"{quota.NETWORK}.floatingip": int(_api_floating(spec)),
        f"{quota.NETWORK}.port": 0,
    }
    if spec.network.network_id is None:
        for name in ("network", "subnet", "router"):
            totals[f"{quota.NETWORK}.{name}"] = 1
        totals[f"{quota.NETWORK}.port"] += 1
    if spec.endpoint.load_balancer:
        for name in ("load_balancer", "listener", "pool", "health_monitor"):
            totals[f"{quota.BALANCING}.{name}"] = 1
        totals[f"{quota.NETWORK}.port"] += 1
    return quota.Needs(totals=_positive(totals))


def _api_floating(spec: spec_module.ClusterSpec) -> bool:
    balanced = spec.endpoint.load_balancer
    return spec.endpoint.floating_ip or (
        spec.control_plane.floating_ip and not balanced
    )


def _floating(
    spec: spec_module.ClusterSpec, one: spec_module.NodeGroupSpec
) -> int:
    """Return the floating IPs of each node."""
    if _is_control_plane(one) and not spec.endpoint.load_balancer:
        return 0
    return int(one.floating_ip)


def _resources(
    spec: spec_module.ClusterSpec, one: spec_module.NodeGroupSpec, count: int
) -> int:
    """Return the resources of the stack that holds a group."""
    # Root volumes are made by Nova, unknown to Heat.
    own = [one.container_volume, one.etcd_volume]
    per_node = 1 + sum(v is not None for v in own) + _floating(spec, one)
    if not _is_control_plane(one):
        return _WORKER_RESOURCES + count * per_node
    found = _ROOT_RESOURCES + int(_api_floating(spec))
    if spec.network.network_id is None:
        found += _NETWORK_RESOURCES
    if spec.endpoint.load_balancer:
        found += _BALANCER_RESOURCES
        per_node += 2  # a port and a pool member
    else:
        found += 1  # the port that is the endpoint
    found += count * (per_node + 1)  # and a board
    return max(found, TEMPLATE_RESOURCES)


def _volumes(
    one: spec_module.NodeGroupSpec,
) -> tuple[spec_module.VolumeSpec, ...]:
    found = (one.boot_volume, one.container_volume, one.etcd_volume)
    return tuple(volume for volume in found if volume is not None)


def _volume(volume: spec_module.VolumeSpec, count: int) -> quota.Needs:
    kind = volume.volume_type or ""
    gigabytes = count * volume.size_gib
    return quota.Needs(
        totals={
            f"{quota.STORAGE}.volumes": count,
            f"{quota.STORAGE}.gigabytes": gigabytes,
            quota.volume_key("volumes", kind): count,
            quota.volume_key("gigabytes", kind): gigabytes,
        },
        each={f"{quota.STORAGE}.per_volume_gigabytes": volume.size_gib},
    )


def _is_control_plane(one: spec_module.NodeGroupSpec) -> bool:
    return one.role is spec_module.Role.CONTROL_PLANE


def _positive(totals: Mapping[str, int]) -> dict[str, int]:
    return {key: value for key, value in totals.items() if value}
