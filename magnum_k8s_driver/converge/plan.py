# SPDX-License-Identifier: Apache-2.0
"""From what is observed to the next few actions: pure, and nothing else.

A plan holds only what can be done now. When its actions are done the world
is observed again; an empty plan means that there is something to wait for,
or nothing left to do. Whether the operation is finished, and what to tell
its user, is the business of ``report``.
"""

import dataclasses
import re

from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import awaited
from magnum_k8s_driver.converge import control_plane
from magnum_k8s_driver.converge import deletion
from magnum_k8s_driver.converge import dispatch
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import resize
from magnum_k8s_driver.converge import rotation
from magnum_k8s_driver.converge import sealing
from magnum_k8s_driver.converge import upgrade
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import spec
from magnum_k8s_driver.model import state
from magnum_k8s_driver.ports import heat

_ACTIVE = "ACTIVE"
_OPERATION = re.compile(r"(?P<id>[a-z]+-(?P<number>[0-9]+))(-[a-z0-9]+)?")
"""End of the name of user data: an operation's id, perhaps a member."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Operator's choices that plans depend on."""

    drain_timeout: float = 600.0
    """Seconds after which a member goes although pods are left on it."""


def plan(
    observed: observed_module.Observed, limits: Limits
) -> tuple[actions.Action, ...]:
    """Return the next actions towards what Magnum's records ask for."""
    intent = observed.record.intent
    if intent is record.Intent.DELETE:
        return deletion.steps(observed)
    if intent is record.Intent.CREATE:
        return _create(observed, limits)
    if intent is record.Intent.UPDATE:
        return _update(observed, limits)
    return ()


def _create(
    observed: observed_module.Observed, limits: Limits
) -> tuple[actions.Action, ...]:
    if readiness.problems(observed) or not observed.record.prepared:
        return ()
    cluster = observed.cluster
    if cluster is None:
        return (actions.PrepareIdentity(), actions.CreateClusterStack())
    answers = _answers(observed)
    if _busy(cluster.stack):
        return tuple(answers)
    found: list[actions.Action] = []
    if not cluster.state.stack.members.all:
        found.append(
            actions.CreateControlPlane(
                generation=cluster.state.stack.generation
            )
        )
    found += [
        actions.CreateWorkerStack(group_uuid=group.uuid)
        for group in observed.record.workers
        if group.uuid not in observed.workers
    ]
    return (
        *answers,
        *found,
        *_unmade(observed),
        *_housekeeping(observed, found, limits),
    )


def _unmade(
    observed: observed_module.Observed,
) -> list[actions.ChangeMembers]:
    """Return what makes members for which there was no stack yet."""
    return [
        actions.ChangeMembers(
            group_uuid=group.uuid,
            generation=observed.workers[group.uuid].state.generation,
            add=awaited.unmade(observed, group),
        )
        for group in observed.record.workers
        if awaited.unmade(observed, group)
    ]


def _update(
    observed: observed_module.Observed, limits: Limits
) -> tuple[actions.Action, ...]:
    cluster = observed.cluster
    if cluster is None or not cluster.state.stack.members.all:
        return ()
    found = _change_control_plane(observed, limits)
    target = observed.upgrade
    rolling = None
    if target is not None:
        # Also while it waits: its surge is no surplus to be drained.
        rolling = upgrade.current_group(observed, target)
        if not found:
            found += _upgrade(observed, rolling, target, limits)
    for group in observed.record.workers:
        if rolling is not None and group == rolling:
            continue
        stack = observed.workers.get(group.uuid)
        if group.intent is record.Intent.DELETE:
            if stack is not None:
                found += deletion.of_group(stack, again=False)
        elif stack is None:
            if not _busy(cluster.stack):
                found.append(actions.CreateWorkerStack(group_uuid=group.uuid))
        else:
            found += _resize(observed, group, limits)
    return (
        *_answers(observed),
        *found,
        *_housekeeping(observed, found, limits),
    )


def _change_control_plane(
    observed: observed_module.Observed, limits: Limits
) -> list[actions.Action]:
    change = control_plane.change(observed)
    if not change or observed.cluster is None:
        return []
    group = observed.record.control_plane
    lost = tuple(
        observed.record.node_name(group, name) for name in change.lost
    )
    return [
        actions.ChangeControlPlane(
            generation=observed.cluster.state.stack.generation,
            drain=change.drain,
            remove=change.remove,
            prepare=change.prepare,
            add=change.add,
            dispatch=dispatch.due(observed, limits.drain_timeout, lost=lost),
        )
    ]


def _upgrade(
    observed: observed_module.Observed,
    group: record.GroupRecord | None,
    target: state.UpgradeTarget,
    limits: Limits,
) -> list[actions.Action]:
    """Return the next step of the group whose turn it is, or the end."""
    cluster = observed.cluster
    if cluster is None or _busy(cluster.stack):
        return []
    cluster_generation = cluster.state.stack.generation
    if group is None:
        return [actions.CommitUpgrade(generation=cluster_generation)]
    step = upgrade.step(observed, group, target, limits.drain_timeout)
    if not step:
        return []
    worker = observed.workers.get(group.uuid)
    return [
        actions.UpgradeMembers(
            group_uuid=group.uuid,
            generation=worker.state.generation
            if worker
            else cluster_generation,
            order=step.order,
            drain=step.drain,
            remove=step.remove,
            add=step.add,
        )
    ]


def _resize(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    limits: Limits,
) -> list[actions.Action]:
    change = resize.change(observed, group, limits.drain_timeout)
    if not change:
        return []
    return [
        actions.ChangeMembers(
            group_uuid=group.uuid,
            generation=observed.workers[group.uuid].state.generation,
            drain=change.drain,
            remove=change.remove,
            add=change.add,
        )
    ]


def _housekeeping(
    observed: observed_module.Observed,
    planned: list[actions.Action],
    limits: Limits,
) -> tuple[actions.Action, ...]:
    """Return what is due in any running cluster."""
    found: list[actions.Action] = []
    if not any(_changes_cluster_stack(observed, one) for one in planned):
        found += (
            _remembering(observed, limits)
            or rotation.steps(observed)
            or _orders(observed, limits)
        )
    spent = _spent_user_data(observed)
    if spent:
        found.append(actions.DropUserData(config_ids=spent))
    return tuple(found)


def _changes_cluster_stack(
    observed: observed_module.Observed, action: actions.Action
) -> bool:
    """Tell whether an action makes the next one's generation stale."""
    if isinstance(action, actions.UpgradeMembers):
        return action.group_uuid not in observed.workers
    return isinstance(
        action,
        (
            actions.CreateControlPlane,
            actions.ChangeControlPlane,
            actions.CommitUpgrade,
        ),
    )


def _orders(
    observed: observed_module.Observed, limits: Limits
) -> list[actions.Action]:
    """Return what the control plane has to be told.

    Nothing while one of its servers is lost: Heat would replace that.
    """
    cluster = observed.cluster
    if cluster is None or not readiness.is_initialised(observed):
        return []
    if _busy(cluster.stack) or control_plane.has_lost(observed):
        return []
    generation = cluster.state.stack.generation
    due = dispatch.due(observed, limits.drain_timeout)
    if not cluster.state.initialised:
        return [actions.RecordInitialised(generation=generation, dispatch=due)]
    if due is None or cluster.stack.phase is not heat.StackPhase.COMPLETE:
        return []
    return [actions.SendOrders(generation=generation, dispatch=due)]


def _answers(observed: observed_module.Observed) -> list[actions.Action]:
    """Return what members shall have of sealed secrets, busy or not.

    It comes first: a node waits for it, and a request for a stack of many
    servers takes Heat seconds, in which it checks them all.
    """
    questions = tuple(
        actions.Question(
            member=one.member,
            server_id=one.server_id,
            certificate=one.certificate,
        )
        for one in sealing.handshakes(observed).values()
        if one.stage is sealing.Stage.PROVEN
    )
    return [actions.AnswerMembers(questions=questions)] if questions else []


def _remembering(
    observed: observed_module.Observed, limits: Limits
) -> list[actions.Action]:
    """Return who has got its secrets, once nobody else waits for them.

    Orders go with it: each change of the stack takes Heat a while.
    """
    cluster = observed.cluster
    found = sealing.handshakes(observed).values()
    if cluster is None or not readiness.is_initialised(observed):
        return []
    if not found or any(
        one.stage is not sealing.Stage.OPENED for one in found
    ):
        return []
    if _busy(cluster.stack) or control_plane.has_lost(observed):
        return []
    return [
        actions.RememberAnswered(
            generation=cluster.state.stack.generation,
            servers={one.member: one.server_id for one in found},
            dispatch=dispatch.due(observed, limits.drain_timeout),
        )
    ]


def _spent_user_data(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return software configs that every server in need of them has read.

    Nova keeps its own copy from the moment it accepts a server, and a Heat
    that would boot a replacement from the old orders must not find them.
    """
    needed: set[str] = set()
    ordered: set[str] = set()
    for group in observed.record.groups:
        for member in observed.members_of(group).all:
            ordered.add(member.user_data)
            name = observed.record.node_name(group, member.name)
            server = observed.servers.get(name)
            if server is None or server.status != _ACTIVE:
                needed.add(member.user_data)
    answers = {one.config_id for one in observed.answers}
    forgotten = {
        config_id
        for config_id, name in observed.user_data.items()
        if config_id not in ordered | answers and not _is_next(observed, name)
    }
    spent = (ordered - needed) & set(observed.user_data)
    return tuple(sorted(spent | forgotten | set(sealing.spent(observed))))


def _is_next(observed: observed_module.Observed, name: str) -> bool:
    """Tell whether user data may belong to an action of this moment.

    They are stored just before the update that names them. When its stack is
    at their operation or beyond, that update was refused or overtaken.
    """
    for group in observed.record.groups:
        prefix = f"{observed.record.prefix}-{group.name}-"
        found = _OPERATION.fullmatch(name.removeprefix(prefix))
        if not name.startswith(prefix) or found is None:
            continue
        state = _state_of(observed, group)
        if state is None or not state.members.next_index:
            return group.intent is not record.Intent.DELETE
        current = state.operation.id if state.operation else ""
        is_next = int(found["number"]) > state.generation
        # New control-plane members come one by one in one operation.
        is_worker = group.role is spec.Role.WORKER
        return is_next or (not is_worker and found["id"] == current)
    return False


def _state_of(
    observed: observed_module.Observed, group: record.GroupRecord
) -> state.StackState | None:
    if group.uuid in observed.workers:
        return observed.workers[group.uuid].state
    if group.role is spec.Role.WORKER or observed.cluster is None:
        return None
    return observed.cluster.state.stack


def _busy(stack: heat.Stack) -> bool:
    return stack.phase is heat.StackPhase.IN_PROGRESS
