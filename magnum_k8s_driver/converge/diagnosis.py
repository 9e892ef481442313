# SPDX-License-Identifier: Apache-2.0
"""Which nodes have been broken for how long, and may be replaced. Pure.

Only a signed and fresh digest is evidence, and a node's time of not being
ready ends with the digest: what happened since is unknown.
"""

from collections.abc import Collection
from collections.abc import Mapping
import dataclasses

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import sentences
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import state

SILENT = "NodeStatusUnknown"
"""Kubernetes' reason when a kubelet reports no more: nothing on that node
would hear an order to drain."""

_NAMED = 3
"""How many nodes a reason names; the others are counted."""
_FORGIVEN = 86_400.0
"""Seconds after which an attempt that did not help counts no more."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How the nodes of a group are healed."""

    delay: float
    """Seconds a node may be not ready."""
    share: float
    """Of a worker group, at once; a number from 0 to 1. Control-plane nodes
    go one by one."""
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


def due(
    observed: observed_module.Observed,
    policy: Policy,
    ill: Collection[Ailment],
) -> list[Ailment]:
    """Return those that have been ill for long enough."""
    digest = observed.digest
    if digest is None:
        return []
    return [one for one in ill if digest.time - one.since >= policy.delay]


def doubt(
    observed: observed_module.Observed,
    group: record.GroupRecord,
) -> str:
    """Return which ready node a change of the group would destroy.

    Heat replaces a server that Nova calls broken or does not list, but the
    machine may run: after a migration that failed, say.
    """
    nodes = observed.digest.nodes if observed.digest else {}
    for member in observed.members_of(group).all:
        name = observed.record.node_name(group, member.name)
        known = nodes.get(name)
        if known is not None and known.ready and is_lost(observed, name):
            return (
                f"waits, because {name} is ready although Nova has no "
                "working server of that name: repair the server in Nova, or "
                "name the node in a resize"
            )
    return ""


def patience(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    policy: Policy,
    made: int,
) -> str:
    """Return why another attempt has to wait, or is none.

    :param made: attempts in a row that have not helped.
    """
    stack = observed.state_of(group)
    last = stack.healing if stack else None
    if not made or last is None:
        return ""
    if made >= policy.attempts:
        return (
            f"stopped after {made} attempts in vain ({last.reason}); "
            "remove the cause and resize the node group to its size"
        )
    pause = policy.backoff * 2 ** (made - 1)
    left = last.started + pause - observed.now
    if left > 0:
        return f"waits {minutes(left)} until its next attempt"
    return ""


def attempts(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    ill: Collection[Ailment],
    *,
    again: bool = False,
) -> int:
    """Return how many attempts in a row have not helped.

    One did not help when what it made must be replaced again, or has not
    become ready.

    :param again: the last one did not even come to its end.
    """
    stack = observed.state_of(group)
    last = stack.healing if stack else None
    if last is None or observed.now - last.started > _FORGIVEN:
        return 0
    remedy = f"{state.HEAL}-"
    made = any(one.member.operation.startswith(remedy) for one in ill)
    return last.attempt if made or again else 0


def is_lost(observed: observed_module.Observed, node: str) -> bool:
    """Tell whether Heat would make a node's server anew."""
    server = observed.servers.get(node)
    return server is None or server.status == "ERROR"


def told(
    observed: observed_module.Observed,
    chosen: Collection[Ailment],
    attempt: int,
) -> str:
    """Return who is replaced and why."""
    seen = observed.digest.time if observed.digest else observed.now
    prefix = f"{observed.record.prefix}-"
    parts = [
        f"{one.node.removeprefix(prefix)} not ready for "
        f"{minutes(seen - one.since)} ({one.why})"
        for one in [*chosen][:_NAMED]
    ]
    more = len(chosen) - _NAMED
    text = f"replacing {', '.join(parts)}"
    text += f" and {more} more" if more > 0 else ""
    return f"{text}, attempt {attempt}" if attempt > 1 else text


def minutes(seconds: float) -> str:
    """Return a time in words."""
    if seconds < 120:
        return f"{max(round(seconds), 0)} s"
    return f"{round(seconds / 60)} minutes"


def title(group: record.GroupRecord) -> str:
    """Return how sentences about the healing of a group begin."""
    return f"Healing of node group {group.name}"
