# SPDX-License-Identifier: Apache-2.0
"""Why Nova found no hypervisor for a server.

Nova only says that there was none. Placement tells which of the wanted
resources nobody has; what a filter of Nova's scheduler refuses, it does not
know.
"""

from collections.abc import Mapping
import dataclasses
import re

from oslo_log import log as logging

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import sentences
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import compute as compute_port
from magnum_k8s_driver.ports import heat as heat_port
from magnum_k8s_driver.ports import placement as placement_port

LOG = logging.getLogger(__name__)

_NO_HOST = re.compile("No valid host")
_MOST = 3
"""Flavors that are looked into at one look."""
_UNITS = {
    "VCPU": "vCPUs",
    "PCPU": "dedicated CPUs",
    "MEMORY_MB": "MiB of memory",
    "DISK_GB": "GiB of disk",
}
_STEPS = {"MEMORY_MB": 256}
"""In which amounts of a resource the most is looked for."""
_FILTERED = (
    "there is room for it now, so either that has come since or a filter of "
    "Nova's scheduler refuses every hypervisor (availability zone, server "
    "group, aggregate)"
)


def explained(
    cloud: cloud_module.Cloud, found: observed_module.Observed
) -> observed_module.Observed:
    """Return the observation with Nova's words made longer by the reason."""
    flavors = {
        found.record.node_name(group, member.name): member.flavor_id
        for group in found.record.groups
        for member in found.members_of(group).all
    }
    unplaced = {
        flavors[name]: server
        for name, server in found.servers.items()
        if name in flavors and _is_unplaced(server)
    }
    if not unplaced:
        return found
    reasons = {
        flavor: _reason(cloud, flavor, server)
        for flavor, server in [*unplaced.items()][:_MOST]
    }
    by_id = {
        server.id: reasons[flavors[name]]
        for name, server in found.servers.items()
        if _is_unplaced(server) and flavors.get(name) in reasons
    }
    return _with_reasons(found, by_id)


def _with_reasons(
    found: observed_module.Observed, reasons: Mapping[str, str]
) -> observed_module.Observed:
    """Return the observation with longer words about servers.

    :param reasons: by the server's id.
    """
    cluster = found.cluster
    if cluster is not None:
        failures = _failures(cluster.failures, reasons)
        cluster = dataclasses.replace(cluster, failures=failures)
    workers = {
        uuid: group.changed(
            lambda part: {"failures": _failures(part.failures, reasons)}
        )
        for uuid, group in found.workers.items()
    }
    servers = {
        name: dataclasses.replace(
            server, fault=_longer(server.fault, reasons[server.id])
        )
        if server.id in reasons
        else server
        for name, server in found.servers.items()
    }
    return dataclasses.replace(
        found, cluster=cluster, workers=workers, servers=servers
    )


def shortage(
    demand: compute_port.Demand, port: placement_port.PlacementPort
) -> str:
    """Return what no hypervisor has, as words.

    :raises CloudError: Placement refuses or does not answer.
    """
    short = [
        f"{amount} {_UNITS.get(name, name)} free ({_most(port, name, amount)})"
        for name, amount in demand.resources.items()
        if not port.has_room({name: amount})
    ]
    if short:
        return f"no hypervisor has {' nor '.join(short)}"
    if not port.has_room(demand.resources):
        wanted = [
            f"{amount} {_UNITS.get(name, name)}"
            for name, amount in demand.resources.items()
        ]
        together = f"{', '.join(wanted[:-1])} and {wanted[-1]}"
        return f"no single hypervisor has {together} free"
    for trait in demand.traits:
        if not port.has_room(demand.resources, (trait,)):
            return _without(trait)
    if not port.has_room(demand.resources, demand.traits):
        return (
            "no hypervisor with room for it is as the flavor's traits "
            f"{', '.join(sorted(demand.traits))} ask"
        )
    return _FILTERED


def _without(trait: str) -> str:
    if trait.startswith("!"):
        return f"every hypervisor with room for it has the trait {trait[1:]}"
    return f"no hypervisor with the trait {trait} has room for it"


def _most(port: placement_port.PlacementPort, name: str, too_much: int) -> str:
    """Return the most that one hypervisor can give, as words."""
    step = _STEPS.get(name, 1)
    low, high = 0, -(-too_much // step)
    while high - low > 1:
        middle = (low + high) // 2
        if port.has_room({name: middle * step}):
            low = middle
        else:
            high = middle
    return f"the most is {low * step}" if low else "none has any"


def _reason(
    cloud: cloud_module.Cloud, flavor: str, server: compute_port.Server
) -> str:
    # Not from the server: Heat deletes it to try again.
    try:
        demand = cloud.compute.demand(flavor, on_volume=server.on_volume)
        if not demand.resources:
            return _FILTERED
        return shortage(demand, cloud.placement)
    except exceptions.CloudError as exc:
        LOG.info("Why server %s has no hypervisor: %s", server.id, exc)
        return f"why is not known, because {_clause(str(exc))}"


def _clause(sentence: str) -> str:
    words = sentence.rstrip(". ")
    return f"{words[:1].lower()}{words[1:]}"


def _is_unplaced(server: compute_port.Server) -> bool:
    return server.status == "ERROR" and bool(_NO_HOST.search(server.fault))


def _longer(words: str, reason: str) -> str:
    return f"{sentences.plain(words)}: {reason}."


def _failures(
    found: tuple[heat_port.StackResource, ...], reasons: Mapping[str, str]
) -> tuple[heat_port.StackResource, ...]:
    return tuple(
        dataclasses.replace(
            one, reason=_longer(one.reason, reasons[one.physical_id])
        )
        if one.physical_id in reasons
        else one
        for one in found
    )
