# SPDX-License-Identifier: Apache-2.0
"""Which control-plane node is replaced unasked. Pure.

One at a time, only while the others are a majority of etcd, never the only
one: its data are the cluster. This is the beginning; the rest is the same
as after a resize, see :mod:`magnum_k8s_driver.converge.control_plane`.
"""

from collections.abc import Collection

from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import control_plane
from magnum_k8s_driver.converge import diagnosis
from magnum_k8s_driver.converge import dispatch
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import remedy
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import state
from magnum_k8s_driver.ports import heat

LEAST = 3
"""Nodes of a control plane that outlives the loss of one."""


def treat(
    observed: observed_module.Observed,
    policy: diagnosis.Policy,
    ill: Collection[diagnosis.Ailment],
) -> actions.ChangeControlPlane | str | None:
    """Return how the control plane is healed, or why it is not now."""
    cluster, group = observed.cluster, observed.record.control_plane
    if cluster is None or not cluster.state.initialised:
        return None
    if observed.digest is None:
        return f"{diagnosis.title(group)} {_silence(group)}."
    due = diagnosis.due(observed, policy, ill)
    broken_off = not due and _is_broken_off(observed)
    if not due and not broken_off:
        return None
    made = diagnosis.attempts(observed, group, due, again=broken_off)
    reason = (
        obstacle(observed, cluster.stack)
        or diagnosis.doubt(observed, group)
        or _danger(observed, group, ill)
        or diagnosis.patience(observed, group, policy, made)
    )
    if reason:
        return f"{diagnosis.title(group)} {reason}."
    if broken_off:
        return _once_more(observed, made + 1)
    # Heat would make the lost ones anew under their old names.
    lost = [one for one in ill if diagnosis.is_lost(observed, one.node)]
    return _change(observed, lost or due[:1], made + 1)


def obstacle(observed: observed_module.Observed, *stacks: heat.Stack) -> str:
    """Return why no node may be replaced at this moment.

    :param stacks: that would be updated, beside the cluster's.
    """
    if observed.cluster is not None:
        stacks = (*stacks, observed.cluster.stack)
    for one in stacks:
        if one.phase is heat.StackPhase.IN_PROGRESS:
            return f"waits for Heat, which works on stack {one.name}"
    if observed.upgrade is not None:
        return "waits for the end of the upgrade"
    return ""


def is_short(observed: observed_module.Observed) -> bool:
    """Tell whether the control plane has fewer members than it should."""
    group = observed.record.control_plane
    return len(observed.members_of(group).all) < group.node_count


def _is_broken_off(observed: observed_module.Observed) -> bool:
    """Tell whether healing ended where nobody is ill, but somebody missing."""
    cluster = observed.cluster
    if cluster is None or cluster.stack.phase is not heat.StackPhase.FAILED:
        return False
    leaving = any(
        one.state is members.MemberState.DRAINING
        for one in cluster.state.stack.members.all
    )
    heals = remedy.heals(observed, cluster.state.stack)
    return heals and (leaving or is_short(observed))


def _silence(group: record.GroupRecord) -> str:
    if group.node_count < LEAST:
        return _alone(group)
    return (
        "waits, because no control-plane node has reported lately and nobody "
        "knows whether etcd has a majority: repair the servers, or restore "
        "etcd from a backup into a new cluster"
    )


def _alone(group: record.GroupRecord) -> str:
    return (
        f"is not possible: of {group.node_count} control-plane nodes none can "
        f"be spared, because only with {LEAST} or more of them etcd outlives "
        "the loss of one: repair the server"
    )


def _danger(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    ill: Collection[diagnosis.Ailment],
) -> str:
    """Return why etcd would not survive the loss of a member.

    Members that are just leaving count: nobody knows whether they still
    vote.
    """
    if group.node_count < LEAST:
        return _alone(group)
    names = {one.name for one in observed.members_of(group).all}
    active = {
        one.name
        for one in observed.members_of(group).all
        if one.state is members.MemberState.ACTIVE
    }
    working = active - {one.member.name for one in ill}
    if len(working) > len(names) // 2:
        return ""
    return (
        f"waits, because only {len(working)} of {len(names)} control-plane "
        "nodes are ready, too few for etcd to agree on anything: repair the "
        "servers, or restore etcd from a backup into a new cluster"
    )


def _change(
    observed: observed_module.Observed,
    chosen: Collection[diagnosis.Ailment],
    attempt: int,
) -> actions.ChangeControlPlane | None:
    """Take nodes out of etcd and off the list, what works first."""
    cluster = observed.cluster
    if cluster is None:
        return None
    gone, drain, silent = [], [], []
    for one in chosen:
        server = observed.servers.get(one.node)
        if server is None or server.status != "ACTIVE":
            # Its etcd does not run: both may go at once.
            gone.append(one)
            continue
        drain.append(one)
        if one.deaf:
            silent.append(one)
    return actions.ChangeControlPlane(
        generation=cluster.state.stack.generation,
        drain=tuple(one.member.name for one in drain),
        remove=tuple(one.member.name for one in gone),
        dispatch=dispatch.due(
            observed,
            float("inf"),
            lost=tuple(one.node for one in (*gone, *silent)),
        ),
        healing=state.Healing(
            attempt=attempt,
            started=observed.now,
            reason=diagnosis.told(observed, chosen, attempt),
        ),
    )


def _once_more(
    observed: observed_module.Observed, attempt: int
) -> actions.ChangeControlPlane | None:
    """Go on where Heat failed."""
    cluster = observed.cluster
    last = cluster.state.stack.healing if cluster else None
    if cluster is None or last is None:
        return None
    found = control_plane.next_change(observed)
    nodes = [
        observed.record.node_name(observed.record.control_plane, name)
        for name in found.lost
    ]
    reason = last.reason.partition(", attempt ")[0]
    return actions.ChangeControlPlane(
        generation=cluster.state.stack.generation,
        drain=found.drain,
        remove=found.remove,
        prepare=found.prepare,
        add=found.add,
        dispatch=dispatch.due(observed, float("inf"), lost=tuple(nodes)),
        healing=state.Healing(
            attempt=attempt,
            started=observed.now,
            reason=f"{reason}, attempt {attempt}",
        ),
    )
