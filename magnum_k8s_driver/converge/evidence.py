# SPDX-License-Identifier: Apache-2.0
"""Look closer where something is unusual: consoles, Heat's resources, room.

Evidence explains and is never needed: what cannot be read is left out.
"""

from collections.abc import Iterable
import dataclasses

from oslo_log import log as logging

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import placement
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import heat as heat_port

LOG = logging.getLogger(__name__)

MOST_CONSOLES = 3
"""Read at one look; as many nodes are named in a reason."""
CONSOLE_LINES = 400
_WORKING = (record_module.Intent.CREATE, record_module.Intent.UPDATE)


def with_evidence(
    cloud: cloud_module.Cloud,
    found: observed_module.Observed,
    silent_after: float,
) -> observed_module.Observed:
    """Return the observation with what explains unusual waits."""
    if found.record.intent is record_module.Intent.NOTHING:
        return found
    if found.record.intent in _WORKING:
        found = placement.explained(cloud, found)
    cluster = found.cluster
    if cluster is not None:
        pending = _pending(cloud, found, cluster.stack, silent_after)
        cluster = dataclasses.replace(cluster, pending=pending)
    workers = {
        uuid: group.changed(
            lambda part: {
                "pending": _pending(cloud, found, part.stack, silent_after)
            }
        )
        for uuid, group in found.workers.items()
    }
    return dataclasses.replace(
        found,
        cluster=cluster,
        workers=workers,
        consoles={
            name: _console(cloud, found.servers[name].id)
            for name in silent(found, silent_after)[:MOST_CONSOLES]
        },
    )


def silent(
    observed: observed_module.Observed, silent_after: float
) -> tuple[str, ...]:
    """Return servers that run and have not reported for so many seconds."""
    if observed.record.intent not in _WORKING or observed.cluster is None:
        return ()
    heard = {one.server_name for one in observed.cluster.distress}
    if observed.digest is not None:
        heard |= set(observed.digest.nodes)
    found = []
    for group in observed.record.groups:
        for member in observed.members_of(group).all:
            name = observed.record.node_name(group, member.name)
            server = observed.servers.get(name)
            if server is None or name in heard or server.launched is None:
                continue
            last = server.launched
            report = observed.cluster.boards.get(
                member.name, board.Board()
            ).report
            if report is not None and report.server_id == server.id:
                last = max(last, report.time)
            waited = observed.now - last
            if server.status == "ACTIVE" and waited > silent_after:
                found.append(name)
    return tuple(found)


def deepest(
    found: Iterable[heat_port.StackResource],
) -> tuple[heat_port.StackResource, ...]:
    """Return resources that are not just parents of others among them."""
    resources = tuple(found)
    parents = {one.parent for one in resources if one.parent}
    return tuple(one for one in resources if one.name not in parents)


def _pending(
    cloud: cloud_module.Cloud,
    observed: observed_module.Observed,
    stack: heat_port.Stack,
    silent_after: float,
) -> tuple[heat_port.StackResource, ...]:
    """Return what Heat works on in a stack that takes long."""
    if stack.phase is not heat_port.StackPhase.IN_PROGRESS:
        return ()
    if observed.now - (stack.updated or stack.created) <= silent_after:
        return ()
    try:
        resources = cloud.heat.resources(stack.id, depth=2)
    except exceptions.CloudError as exc:
        LOG.info("What stack %s waits for is not known: %s", stack.name, exc)
        return ()
    return deepest(
        one for one in resources if one.status.endswith("IN_PROGRESS")
    )


def _console(cloud: cloud_module.Cloud, server_id: str) -> str:
    try:
        return cloud.compute.console(server_id, CONSOLE_LINES)
    except exceptions.CloudError as exc:
        LOG.info("The console of server %s is not known: %s", server_id, exc)
        return ""
