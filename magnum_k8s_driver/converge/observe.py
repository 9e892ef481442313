# SPDX-License-Identifier: Apache-2.0
"""Look at the world, change nothing."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

from oslo_log import log as logging

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import evidence
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import sealing
from magnum_k8s_driver.converge import sight
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import names
from magnum_k8s_driver.model import orders
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import sealed
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import compute as compute_port
from magnum_k8s_driver.ports import heat as heat_port

LOG = logging.getLogger(__name__)
_CONSOLE_LINES = 10000
"""All there is: a fingerprint shown once and never again counts, too."""

SILENT_AFTER = 300.0
"""Seconds; most nodes are ready by then."""


def observe(
    cloud: cloud_module.Cloud,
    record: record_module.ClusterRecord,
    *,
    now: float,
    read_board_key: Callable[[str], bytes],
    removal: record_module.Removal | None = None,
    silent_after: float = SILENT_AFTER,
) -> observed_module.Observed:
    """Read stacks, servers and boards of a cluster.

    Stacks are found by the id Magnum has, or else by their name, which is
    known beforehand: a conductor that died between making a stack and saving
    its id leaves nothing that the next look does not find.

    :param read_board_key: returns the key that verifies what nodes write,
        given the reference of the cluster secret.
    :param removal: what the resize call of this moment names.
    :param silent_after: seconds after which a wait has to be explained.
    :raises CloudError: a service did not answer as it should.
    """
    deleting = record.intent is record_module.Intent.DELETE
    # First, so that what changes meanwhile counts as a change.
    listed = cloud.heat.tagged(names.stack_tag(record.uuid))
    written: dict[tuple[str, str], Mapping[str, Any]] = {}
    cluster = _cluster_stack(
        cloud, record, now, None if deleting else read_board_key, written
    )
    workers = _workers(cloud, record, now, listed)
    no_stack = cluster is None and not workers
    user_data, servers = _user_data_and_servers(cloud, record)
    looked = observed_module.Observed(
        now=now,
        record=record,
        cluster=cluster,
        workers=workers,
        servers=servers,
        sight=sight.of(listed, written),
        user_data=user_data,
        removal=removal,
        load_balancers=(
            cloud.leftovers.load_balancers(record.uuid) if deleting else ()
        ),
        leftovers=(
            cloud.leftovers.others(record.uuid, record.prefix)
            if deleting and (no_stack or _is_stuck(cluster))
            else ()
        ),
    )
    looked = _with_shown(cloud.compute, _with_answers(cloud.heat, looked))
    return evidence.with_evidence(cloud, looked, silent_after)


def _user_data_and_servers(
    cloud: cloud_module.Cloud, record: record_module.ClusterRecord
) -> tuple[Mapping[str, str], dict[str, compute_port.Server]]:
    """Read both in this order.

    User data are deleted when their server is ACTIVE: when they are gone and
    there is no server afterwards, the server is gone, too.
    """
    # Without its dash the prefix of "a" would cover the servers of "ab".
    prefix = f"{record.prefix}-"
    user_data = cloud.heat.configs(prefix)
    found = {one.name: one for one in cloud.compute.servers(prefix)}
    return user_data, found


def _with_answers(
    heat: heat_port.HeatPort, observed: observed_module.Observed
) -> observed_module.Observed:
    """Look which sealed secrets can be read."""
    prefix, configs = observed.record.prefix, observed.user_data
    found = tuple(
        dataclasses.replace(
            one, readable=one.config_id in heat.deployed(one.key)
        )
        for one in sealed.answers(prefix, configs)
    )
    return dataclasses.replace(observed, answers=found)


def _with_shown(
    compute: compute_port.ComputePort, observed: observed_module.Observed
) -> observed_module.Observed:
    """Read the consoles of control-plane members that ask for secrets."""
    deleting = observed.record.intent is record_module.Intent.DELETE
    if deleting or observed.cluster is None:
        return observed
    found = {
        server.name: _console(compute, server.id)
        for member, server in sealing.control_plane_servers(observed)
        if sealing.asks(observed, member, server)
    }
    return dataclasses.replace(observed, shown=found)


def _console(
    compute: compute_port.ComputePort, server_id: str
) -> observed_module.Console:
    try:
        text = compute.console(server_id, _CONSOLE_LINES)
    except exceptions.CloudError as exc:
        # Everything else can go on; this member has to wait.
        return observed_module.Console(
            problem=f"its console log cannot be read: {exc}"
        )
    if not text:
        return observed_module.Console(problem="Nova has no console log of it")
    return observed_module.Console(fingerprints=sealed.shown(text))


def _is_stuck(cluster: observed_module.ClusterStack | None) -> bool:
    """Tell whether Heat gave up deleting the cluster stack.

    Something on the cluster's network that Heat does not know is in its way.
    """
    return (
        cluster is not None
        and cluster.stack.action is heat_port.StackAction.DELETE
        and cluster.stack.phase is heat_port.StackPhase.FAILED
    )


def _cluster_stack(
    cloud: cloud_module.Cloud,
    record: record_module.ClusterRecord,
    now: float,
    read_board_key: Callable[[str], bytes] | None,
    written: dict[tuple[str, str], Mapping[str, Any]],
) -> observed_module.ClusterStack | None:
    """Read the cluster stack and its boards.

    :param written: gets what stands on the boards, by stack id and handle.
    """
    stack = _stack(cloud.heat, record.stack_id, record.prefix, now)
    if stack is None:
        return None
    state = state_module.read_cluster_state(stack.parameters)
    boards: Mapping[str, board.Board] = {}
    distress: tuple[board.Distress, ...] = ()
    standing = None
    if read_board_key is not None and state.stack.members.all:
        key = read_board_key(state.secret_ref)
        written.update(_written(cloud.heat, stack.id))
        boards = {
            name: board.read_board(one, key)
            for (_stack_id, name), one in written.items()
        }
        distress = board.read_distress(
            cloud.heat.metadata(stack.id, "distress")
        )
        standing = _standing_orders(state.orders, key)
    return observed_module.ClusterStack(
        stack=stack,
        state=state,
        boards=boards,
        distress=distress,
        failures=_failures(cloud.heat, stack),
        orders=standing,
    )


def _standing_orders(
    standing: state_module.StandingOrders, board_key: bytes
) -> orders.Orders | None:
    try:
        return orders.decode(standing.metadata, board_key)
    except ValueError as exc:
        # Whoever can change the stack can change them; the nodes refuse
        # them as well, and the next ones take their place.
        LOG.warning("Orders %d cannot be read: %s", standing.seq, exc)
        return None


def _workers(
    cloud: cloud_module.Cloud,
    record: record_module.ClusterRecord,
    now: float,
    listed: Mapping[str, heat_port.Listed],
) -> dict[str, observed_module.WorkerGroup]:
    """Read the stacks of all worker groups that have any."""
    found = {}
    for group in record.workers:
        anchor = record.group_stack_name(group)
        further = {
            index: one.id
            for name, one in listed.items()
            if (index := names.part_index(anchor, name))
        }
        first = group.stack_id
        if first is None or first in further.values():
            # Magnum knows the first of those that are left.
            first = cloud.heat.find(anchor)
        parts = [
            _worker_stack(cloud, stack_id, now, index)
            for index, stack_id in ((0, first), *sorted(further.items()))
            if stack_id
        ]
        kept = tuple(one for one in parts if one is not None)
        if kept:
            found[group.uuid] = observed_module.WorkerGroup(kept)
    return found


def _worker_stack(
    cloud: cloud_module.Cloud, stack_id: str, now: float, index: int
) -> observed_module.WorkerStack | None:
    # Nothing of its outputs is needed, and each costs Heat a server's name.
    found = cloud.heat.show(stack_id)
    if found is None:
        return None
    stack = _ended(found, now)
    return observed_module.WorkerStack(
        stack=stack,
        state=state_module.read_stack_state(stack.parameters),
        index=index,
        failures=_failures(cloud.heat, stack),
    )


def _stack(
    heat: heat_port.HeatPort, stack_id: str | None, name: str, now: float
) -> heat_port.Stack | None:
    found = stack_id or heat.find(name)
    stack = heat.show(found, outputs=True) if found else None
    return stack and _ended(stack, now)


def _ended(stack: heat_port.Stack, now: float) -> heat_port.Stack:
    """Return a stack that nobody works on any more as failed.

    The engine that did has died: no other one sets such a stack FAILED
    (heat/engine/service.py, ``reset_stack_status``, leaves those of
    convergence out) or looks at the time, but the next update is accepted.
    """
    started = stack.created if stack.updated is None else stack.updated
    due = started + stack.timeout_minutes * 60.0
    if (
        not stack.timeout_minutes
        or now < due
        or stack.phase is not heat_port.StackPhase.IN_PROGRESS
        or stack.action is heat_port.StackAction.DELETE
    ):
        return stack
    return dataclasses.replace(
        stack,
        phase=heat_port.StackPhase.FAILED,
        reason=f"no end after {stack.timeout_minutes} minutes; its engine "
        "may have been restarted",
    )


def _written(
    heat: heat_port.HeatPort, stack_id: str
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return what stands on each board, by stack id and name of the handle."""
    handles = [
        resource
        for resource in heat.resources(stack_id, depth=1)
        if resource.parent == "boards"
    ]
    return {
        (one.stack_id, one.name): heat.metadata(one.stack_id, one.name)
        for one in handles
    }


def _failures(
    heat: heat_port.HeatPort, stack: heat_port.Stack
) -> tuple[heat_port.StackResource, ...]:
    if stack.phase is not heat_port.StackPhase.FAILED:
        return ()
    failed = [
        resource
        for resource in heat.resources(stack.id, depth=2)
        if resource.status.endswith("FAILED")
    ]
    # The cause is in the nested stack; its parents only repeat it.
    return evidence.deepest(failed)
