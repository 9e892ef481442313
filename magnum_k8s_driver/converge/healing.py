# SPDX-License-Identifier: Apache-2.0
"""Which nodes are replaced although nobody asked for it. Pure.

What is chosen is written into the group's stack at once; the status job
brings it to its end as it does a resize. The control plane comes first and
alone.
"""

from collections.abc import Collection, Mapping
import dataclasses

from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import control_plane_healing
from magnum_k8s_driver.converge import diagnosis
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import remedy
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import state
from magnum_k8s_driver.ports import heat

Change = actions.ChangeMembers | actions.ChangeControlPlane


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What healing does now, and why it does no more."""

    changes: tuple[Change, ...] = ()
    waiting: tuple[str, ...] = ()
    """Sentences about groups with nodes that would have to be replaced."""
    unfinished: bool = False
    """A conductor died after it had begun and before it had told Magnum."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return who is replaced and why."""
        return tuple(one.healing.reason for one in self.changes if one.healing)


def choose(
    observed: observed_module.Observed,
    policies: Mapping[str, diagnosis.Policy],
    *,
    seen: Mapping[str, float],
    ready: Collection[str] = (),
    after_failure: bool = False,
) -> Verdict:
    """Return which members of which groups are replaced now.

    :param policies: by UUID, of the groups that shall be healed.
    :param seen: since when nodes were seen missing, by name; for those of
        which the digest tells no time.
    :param ready: names of nodes that the cluster's API calls ready.
    :param after_failure: the cluster's last operation failed; only healing
        goes on after its own failures.
    """
    cluster = observed.cluster
    if cluster is None or observed.record.intent is not record.Intent.NOTHING:
        return Verdict()
    changes: list[Change] = []
    waiting = []
    for group in (observed.record.control_plane, *observed.record.workers):
        policy = policies.get(group.uuid)
        if policy is None or not _may_be_healed(
            observed, group, after_failure
        ):
            continue
        ill = [
            one
            for one in diagnosis.ailing(observed, group, seen)
            if one.node not in ready
        ]
        found = _treat(observed, group, policy, ill)
        if isinstance(found, str):
            waiting.append(found)
        elif found is not None:
            changes.append(found)
            if isinstance(found, actions.ChangeControlPlane):
                break
    return Verdict(
        changes=tuple(changes),
        waiting=tuple(waiting),
        unfinished=_is_unfinished(observed, after_failure),
    )


def _may_be_healed(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    after_failure: bool,
) -> bool:
    found = observed.state_of(group)
    if found is None or group.intent is not record.Intent.NOTHING:
        return False
    return remedy.heals(observed, found) or not after_failure


def _treat(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    policy: diagnosis.Policy,
    ill: list[diagnosis.Ailment],
) -> Change | str | None:
    """Return the change of a group, or why it has to wait."""
    if group == observed.record.control_plane:
        return control_plane_healing.treat(observed, policy, ill)
    stack = observed.workers[group.uuid]
    due = diagnosis.due(observed, policy, ill)
    if not due:
        return None
    made = diagnosis.attempts(observed, group, due)
    reason = (
        _obstacle(observed, stack)
        or diagnosis.doubt(observed, group)
        or diagnosis.patience(observed, group, policy, made)
    )
    if reason:
        return f"{diagnosis.title(group)} {reason}."
    limit = max(1, int(policy.share * group.node_count))
    chosen = due[:limit]
    # Heat would make these anew under their old names, whatever is asked.
    chosen += [
        one
        for one in ill
        if one not in chosen and diagnosis.is_lost(observed, one.node)
    ]
    told = state.Healing(
        attempt=made + 1,
        started=observed.now,
        reason=diagnosis.told(observed, chosen, made + 1),
    )
    return _change(stack, group, chosen, told)


def _change(
    stack: observed_module.WorkerGroup,
    group: record.GroupRecord,
    chosen: list[diagnosis.Ailment],
    told: state.Healing,
) -> actions.ChangeMembers:
    leaving = {one.member.name for one in chosen}
    staying = [
        one
        for one in stack.state.members.all
        if one.state is members.MemberState.ACTIVE and one.name not in leaving
    ]
    return actions.ChangeMembers(
        group_uuid=group.uuid,
        generation=stack.state.generation,
        drain=tuple(one.member.name for one in chosen if not one.deaf),
        remove=tuple(one.member.name for one in chosen if one.deaf),
        add=max(group.node_count - len(staying), 0),
        healing=told,
    )


def _obstacle(
    observed: observed_module.Observed, stack: observed_module.WorkerGroup
) -> str:
    """Return why nothing may be changed at this moment."""
    reason = control_plane_healing.obstacle(observed, stack.stack)
    if reason:
        return reason
    for node in readiness.nodes(observed, observed.record.control_plane):
        if node.stage is readiness.Stage.FAILED:
            return f"waits for control-plane node {node.name}, which failed"
    return ""


def _is_unfinished(
    observed: observed_module.Observed, after_failure: bool
) -> bool:
    """Tell whether healing was begun and Magnum does not know of it.

    Where Heat has failed, Magnum does: another attempt has its time.
    """
    for one in observed.held:
        found = observed_module.state_of(one)
        if not remedy.heals(observed, found):
            continue
        if one.stack.phase is heat.StackPhase.IN_PROGRESS:
            return True
        if after_failure and one.stack.phase is heat.StackPhase.FAILED:
            continue
        if any(
            member.state is members.MemberState.DRAINING
            for member in found.members.all
        ):
            return True
        if one is observed.cluster and control_plane_healing.is_short(
            observed
        ):
            return True
    return False
