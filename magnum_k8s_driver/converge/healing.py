# SPDX-License-Identifier: Apache-2.0
"""Which workers are replaced although nobody asked for it. Pure.

Only a signed and fresh digest is evidence, and a node's time of not being
ready ends with the digest: what happened since is unknown. What is chosen is
written into the group's stack at once; the status job brings it to its end
as it does a resize.

Control-plane members are not replaced here: that needs a quorum check and
etcd's consent. :func:`ailing` takes any group; :func:`choose` asks it about
workers only.
"""

from collections.abc import Collection, Mapping
import dataclasses

from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import remedy
from magnum_k8s_driver.converge import sentences
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import state
from magnum_k8s_driver.ports import heat

SILENT = "NodeStatusUnknown"
"""Kubernetes' reason when a kubelet reports no more: nothing on that node
would hear an order to drain."""

_NAMED = 3
"""How many nodes a reason names; the others are counted."""
_FORGIVEN = 86_400.0
"""Seconds after which an attempt that did not help counts no more."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How the workers of a group are healed."""

    delay: float
    """Seconds a node may be not ready."""
    share: float
    """Of the group, at once; a number from 0 to 1."""
    attempts: int
    backoff: float
    """Seconds between the first two attempts, then doubled."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ailment:
    """A member that has not been ready for some time."""

    member: members.Member
    node: str
    since: float
    """Seconds since the epoch."""
    why: str
    """Words, no full stop."""
    deaf: bool
    """It cannot drain itself."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What healing does now, and why it does no more."""

    changes: tuple[actions.ChangeMembers, ...] = ()
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
    policies: Mapping[str, Policy],
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
    changes, waiting = [], []
    for group in observed.record.workers:
        stack = observed.workers.get(group.uuid)
        policy = policies.get(group.uuid)
        if stack is None or policy is None:
            continue
        if group.intent is not record.Intent.NOTHING or (
            after_failure and not remedy.heals(observed, stack)
        ):
            continue
        ill = [
            one
            for one in ailing(observed, group, seen)
            if one.node not in ready
        ]
        found = _treat(observed, group, policy, ill)
        if isinstance(found, str):
            waiting.append(found)
        elif found is not None:
            changes.append(found)
    return Verdict(
        changes=tuple(changes),
        waiting=tuple(waiting),
        unfinished=_is_unfinished(observed),
    )


def ailing(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    seen: Mapping[str, float],
) -> tuple[Ailment, ...]:
    """Return the members that are not ready, the longest ill first."""
    digest = observed.digest
    if digest is None:
        return ()
    found = [
        _examine(observed, digest, group, member, seen)
        for member in observed.members_of(group).all
        if member.state is members.MemberState.ACTIVE
    ]
    ill = [one for one in found if one is not None]
    return tuple(sorted(ill, key=lambda one: one.since))


def _examine(
    observed: observed_module.Observed,
    digest: board.Digest,
    group: record.GroupRecord,
    member: members.Member,
    seen: Mapping[str, float],
) -> Ailment | None:
    name = observed.record.node_name(group, member.name)
    known, server = digest.nodes.get(name), observed.servers.get(name)
    if known is not None and known.ready:
        return None
    since = known.since if known else None
    if since is None:
        since = seen.get(name)
    if server is None:
        why = "its server is gone"
    elif server.status != "ACTIVE":
        fault = f": {sentences.plain(server.fault)}" if server.fault else ""
        why = f"its server is {server.status}{fault}"
    elif known is None:
        why = "it is not in the cluster"
    else:
        why = known.reason or "it gives no reason"
    return Ailment(
        member=member,
        node=name,
        since=observed.now if since is None else since,
        why=sentences.short(why),
        deaf=server is None
        or server.status != "ACTIVE"
        or known is None
        or known.reason.startswith(SILENT),
    )


def _treat(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    policy: Policy,
    ill: list[Ailment],
) -> actions.ChangeMembers | str | None:
    """Return the change of a group, or why it has to wait."""
    digest, stack = observed.digest, observed.workers[group.uuid]
    if digest is None:
        return None
    due = [one for one in ill if digest.time - one.since >= policy.delay]
    if not due:
        return None
    reason = (
        _obstacle(observed, stack)
        or _doubt(observed, digest, group)
        or _patience(observed, stack, policy, due)
    )
    if reason:
        return f"{_title(group)} {reason}."
    limit = max(1, int(policy.share * group.node_count))
    chosen = due[:limit]
    # Heat would make these anew under their old names, whatever is asked.
    chosen += [
        one
        for one in ill
        if one not in chosen and _is_lost(observed, one.node)
    ]
    attempt = _attempts(observed, stack, due) + 1
    told = state.Healing(
        attempt=attempt,
        started=observed.now,
        reason=_told(observed, digest.time, chosen, attempt),
    )
    return _change(stack, group, chosen, told)


def _change(
    stack: observed_module.WorkerStack,
    group: record.GroupRecord,
    chosen: list[Ailment],
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
    observed: observed_module.Observed, stack: observed_module.WorkerStack
) -> str:
    """Return why nothing may be changed at this moment."""
    stacks = [stack.stack]
    if observed.cluster is not None:
        stacks.append(observed.cluster.stack)
    for one in stacks:
        if one.phase is heat.StackPhase.IN_PROGRESS:
            return f"waits for Heat, which works on stack {one.name}"
    if observed.upgrade is not None:
        return "waits for the end of the upgrade"
    for node in readiness.nodes(observed, observed.record.control_plane):
        if node.stage is readiness.Stage.FAILED:
            return f"waits for control-plane node {node.name}, which failed"
    return ""


def _doubt(
    observed: observed_module.Observed,
    digest: board.Digest,
    group: record.GroupRecord,
) -> str:
    """Return which ready node a change of the group would destroy.

    Heat replaces a server that Nova calls broken or does not list, but the
    machine may run: after a migration that failed, say.
    """
    for member in observed.members_of(group).all:
        name = observed.record.node_name(group, member.name)
        known = digest.nodes.get(name)
        if known is not None and known.ready and _is_lost(observed, name):
            return (
                f"waits, because {name} is ready although Nova has no "
                "working server of that name: repair the server in Nova, or "
                "name the node in a resize"
            )
    return ""


def _patience(
    observed: observed_module.Observed,
    stack: observed_module.WorkerStack,
    policy: Policy,
    due: list[Ailment],
) -> str:
    """Return why another attempt has to wait, or is none."""
    attempts, last = _attempts(observed, stack, due), stack.state.healing
    if not attempts or last is None:
        return ""
    if attempts >= policy.attempts:
        return (
            f"stopped after {attempts} attempts in vain ({last.reason}); "
            "remove the cause and resize the node group to its size"
        )
    pause = policy.backoff * 2 ** (attempts - 1)
    left = last.started + pause - observed.now
    if left > 0:
        return f"waits {_minutes(left)} until its next attempt"
    return ""


def _attempts(
    observed: observed_module.Observed,
    stack: observed_module.WorkerStack,
    due: list[Ailment],
) -> int:
    """Return how many attempts in a row have not helped.

    One did not help when what it made must be replaced again, or has not
    become ready.
    """
    last = stack.state.healing
    if last is None or observed.now - last.started > _FORGIVEN:
        return 0
    remedy = f"{state.HEAL}-"
    again = any(one.member.operation.startswith(remedy) for one in due)
    return last.attempt if again else 0


def _is_unfinished(observed: observed_module.Observed) -> bool:
    return any(
        remedy.heals(observed, one)
        and (
            one.stack.phase is heat.StackPhase.IN_PROGRESS
            or any(
                member.state is members.MemberState.DRAINING
                for member in one.state.members.all
            )
        )
        for one in observed.workers.values()
    )


def _is_lost(observed: observed_module.Observed, node: str) -> bool:
    server = observed.servers.get(node)
    return server is None or server.status == "ERROR"


def _told(
    observed: observed_module.Observed,
    seen: float,
    chosen: list[Ailment],
    attempt: int,
) -> str:
    prefix = f"{observed.record.prefix}-"
    parts = [
        f"{one.node.removeprefix(prefix)} not ready for "
        f"{_minutes(seen - one.since)} ({one.why})"
        for one in chosen[:_NAMED]
    ]
    more = len(chosen) - _NAMED
    text = f"replacing {', '.join(parts)}"
    text += f" and {more} more" if more > 0 else ""
    return f"{text}, attempt {attempt}" if attempt > 1 else text


def _minutes(seconds: float) -> str:
    if seconds < 120:
        return f"{max(round(seconds), 0)} s"
    return f"{round(seconds / 60)} minutes"


def _title(group: record.GroupRecord) -> str:
    return f"Healing of node group {group.name}"
