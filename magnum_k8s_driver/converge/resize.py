# SPDX-License-Identifier: Apache-2.0
"""Bring a worker group to its size: which members come, drain and go. Pure.

The list of members in the stack is the only memory. A member that shall go
is first marked draining, which Heat hands to the node as metadata; it is
taken off the list when it has said that it is drained, when its server is
gone, or when draining has taken too long.
"""

import dataclasses

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import rotation
from magnum_k8s_driver.ports import heat

DRAINED = "drained"
"""Phase a node reports when its pods have left."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One update of a group's members."""

    drain: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    add: int = 0
    again: bool = False
    """Heat failed at what it was told and is to be told once more."""

    def __bool__(self) -> bool:
        return bool(self.drain or self.remove or self.add or self.again)


def change(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    drain_timeout: float,
) -> Change:
    """Return the next update of a group, nothing when it must wait.

    :param drain_timeout: seconds after which a member goes undrained.
    """
    stack = observed.workers[group.uuid]
    asked = asked_of(observed, group)
    if _must_wait(observed, stack, asked):
        return Change()
    views = dict(
        zip(
            stack.state.members.names,
            readiness.nodes(observed, group),
            strict=True,
        )
    )
    settled = stack.stack.phase is not heat.StackPhase.IN_PROGRESS
    lost = lost_members(observed, group, settled=settled)
    named = set(named_members(observed, group, asked) if asked else ())
    going = {
        one.name
        for one in stack.state.members.all
        if one.state is members.MemberState.DRAINING
    }
    remove = lost | {
        name
        for name in going
        if settled and may_go(observed, group, views[name], drain_timeout)
    }
    staying = [name for name in views if name not in lost | going | named]
    surplus = len(staying) - group.node_count
    drain = (named - going - lost) | set(
        least_useful(views, staying)[: max(surplus, 0)]
    )
    return Change(
        drain=_ordered(stack.state.members, drain),
        remove=_ordered(stack.state.members, remove),
        add=max(-surplus, 0),
        again=stack.stack.phase is heat.StackPhase.FAILED,
    )


def _must_wait(
    observed: observed_module.Observed,
    stack: observed_module.WorkerGroup,
    asked: record.Removal | None,
) -> bool:
    """Tell whether Heat is at work, or failed and nobody said "go on"."""
    if stack.stack.phase is heat.StackPhase.FAILED:
        # Be it with another group: the whole cluster is to be repaired.
        return observed.removal is None
    return stack.stack.phase is heat.StackPhase.IN_PROGRESS and asked is None


def may_go(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    node: readiness.NodeView,
    drain_timeout: float,
) -> bool:
    """Tell whether a draining member can be taken off the list."""
    return (
        node.phase == DRAINED
        or node.name not in observed.servers
        or _overdue(observed, group, drain_timeout)
    )


def named_members(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    removal: record.Removal,
) -> tuple[str, ...]:
    """Return the members a resize names; what is unknown is no member."""
    references = _references(observed, group)
    named = {references[one] for one in removal.nodes if one in references}
    return _ordered(observed.members_of(group), named)


def unknown_nodes(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return what a resize names and no member is."""
    removal = observed.removal
    if removal is None:
        return ()
    # Not ignored while something is rotated: see converge.rotation.
    known = {rotation.NEW_CA} if observed.rotation else set()
    for group in observed.record.groups:
        if group.uuid == removal.group_uuid:
            known |= set(_references(observed, group))
    return tuple(one for one in removal.nodes if one not in known)


def asked_of(
    observed: observed_module.Observed, group: record.GroupRecord
) -> record.Removal | None:
    """Return what the resize of this moment names, None for no resize."""
    removal = observed.removal
    if removal is None or removal.group_uuid != group.uuid:
        return None
    return removal


def _references(
    observed: observed_module.Observed, group: record.GroupRecord
) -> dict[str, str]:
    """Return member names by everything that may stand for them."""
    found = {}
    for member in observed.members_of(group).all:
        node = observed.record.node_name(group, member.name)
        found[member.name] = found[node] = member.name
        server = observed.servers.get(node)
        if server is not None:
            found[server.id] = member.name
    return found


def lost_members(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    *,
    settled: bool = True,
) -> set[str]:
    """Return members without a working server.

    Heat would replace them at its next update under the same name and with
    the orders of their first boot, so they must leave the list before it.

    :param settled: False: Heat is at work. A member without a server may be
        one that Heat has yet to make, unless its user data are gone: they
        are kept until its server has been ACTIVE.
    """
    found = set()
    for member in observed.members_of(group).all:
        name = observed.record.node_name(group, member.name)
        server = observed.servers.get(name)
        had_one = settled or member.user_data not in observed.user_data
        if server.status == "ERROR" if server else had_one:
            found.add(member.name)
    return found


def _overdue(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    drain_timeout: float,
) -> bool:
    state = observed.state_of(group)
    operation = state.operation if state else None
    started = operation.started if operation else 0.0
    return observed.now - started > drain_timeout


def least_useful(
    views: dict[str, readiness.NodeView], names: list[str]
) -> list[str]:
    """Return names, those that work least first, then the newest."""
    age = {name: index for index, name in enumerate(views)}

    def rank(name: str) -> tuple[bool, int]:
        return views[name].stage is readiness.Stage.READY, -age[name]

    return sorted(names, key=rank)


def _ordered(ordered: members.Members, names: set[str]) -> tuple[str, ...]:
    return tuple(one for one in ordered.names if one in names)
