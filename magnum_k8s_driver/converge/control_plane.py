# SPDX-License-Identifier: Apache-2.0
"""Bring the control plane to its size, one member at a time. Pure.

Every step waits for the one before it, because each of them changes who
votes in etcd: a member that shall go is drained, then a survivor removes it
from etcd, then its server goes; a new one first gets its board, then its
server, and has to be ready before the next one comes. Nothing is done that
would leave etcd without a majority.
"""

import dataclasses

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import remedy
from magnum_k8s_driver.converge import resize
from magnum_k8s_driver.converge import standing
from magnum_k8s_driver.model import members
from magnum_k8s_driver.ports import heat


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One update of the control plane's members."""

    drain: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    """Among those to remove: members whose etcd nobody has removed yet."""
    prepare: str = ""
    """Member to come, which needs a board."""
    add: str = ""
    """Member to come, whose board is there."""
    again: bool = False
    """Heat failed at what it was told and is to be told once more."""

    def __bool__(self) -> bool:
        changes = self.drain or self.remove or self.prepare or self.add
        return bool(changes or self.again)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """The members by name, sorted by what is wanted of them."""

    nodes: dict[str, readiness.NodeView]
    lost: tuple[str, ...]
    draining: tuple[str, ...]
    named: tuple[str, ...]
    staying: tuple[str, ...]
    voters: tuple[str, ...]
    """Members of etcd: those that have joined, all while nobody says who."""

    def ready(self, names: tuple[str, ...]) -> bool:
        return all(
            self.nodes[one].stage is readiness.Stage.READY for one in names
        )


def change(observed: observed_module.Observed) -> Change:
    """Return the next update of the control plane, nothing when it waits."""
    cluster, nothing = observed.cluster, Change()
    if cluster is None or not cluster.state.initialised:
        return nothing
    phase = cluster.stack.phase
    if phase is heat.StackPhase.IN_PROGRESS:
        return nothing
    if phase is not heat.StackPhase.FAILED:
        return next_change(observed)
    if observed.removal is None or quorum_problem(observed):
        # Only the user may say "go on", be it with another group.
        return nothing
    return dataclasses.replace(next_change(observed), again=True)


def next_change(observed: observed_module.Observed) -> Change:
    """Return the next update towards the size, whatever Heat does."""
    nothing, count = Change(), observed.record.control_plane.node_count
    view = _view(observed)
    gone = tuple(
        name
        for name in view.draining
        if standing.etcd_is_removed(observed, view.nodes[name].name)
    )
    if gone:
        return Change(remove=gone)
    if view.lost:
        return _without_lost(observed, view)
    if standing.outstanding(observed).remove_etcd or view.draining:
        return nothing
    return _sized(observed, view, count)


def problem(observed: observed_module.Observed) -> str:
    """Return why a resize of the control plane cannot be, as a sentence."""
    cluster = observed.cluster
    if observed.removal is None or cluster is None:
        # A row of a create that died early has no control-plane group.
        return ""
    group = observed.record.control_plane
    if resize.asked_of(observed, group) is None:
        return ""
    if group.node_count > 1 and cluster.stack.parameters.get(
        "use_load_balancer", ""
    ).lower() not in ("true", "1"):
        return (
            "A control plane of more than one node needs a load balancer in "
            "front of it; this cluster was made without one "
            "(master_lb_enabled)."
        )
    view = _view(observed)
    count = len(view.nodes)
    if len(view.named) > (count - 1) // 2:
        return (
            f"Of {count} control-plane nodes at most {(count - 1) // 2} can "
            f"be replaced at a time; {len(view.named)} were named."
        )
    return _quorum_problem(view)


def has_lost(observed: observed_module.Observed) -> bool:
    """Tell whether a member of the control plane has no working server."""
    return bool(_lost(observed))


def quorum_problem(observed: observed_module.Observed) -> str:
    """Return what to do about an etcd without a majority, as a sentence."""
    cluster = observed.cluster
    if cluster is None or not cluster.state.initialised:
        return ""
    return _quorum_problem(_view(observed))


def _quorum_problem(view: _View) -> str:
    count = len(view.voters)
    left = len(set(view.voters) - set(view.lost))
    if not view.lost or left >= count // 2 + 1:
        return ""
    return (
        f"Of {count} control-plane nodes only {left} still have a server, "
        "too few for etcd to agree on anything. Nothing is done on its own; "
        "restore etcd from a backup into a new cluster."
    )


def _without_lost(observed: observed_module.Observed, view: _View) -> Change:
    """Take members without a server off the list and out of etcd."""
    if _quorum_problem(view):
        return Change()
    still_members = tuple(
        name
        for name in view.lost
        if not standing.etcd_is_removed(observed, view.nodes[name].name)
    )
    return Change(remove=view.lost, lost=still_members)


def _sized(
    observed: observed_module.Observed, view: _View, count: int
) -> Change:
    surplus = len(view.staying) + len(view.named) - count
    if view.named:
        # The others of the moment are kept: they hold the majority.
        return Change(drain=view.named)
    if surplus > 0:
        ranked = resize.least_useful(view.nodes, list(view.staying))
        others = tuple(one for one in view.staying if one != ranked[0])
        return Change(drain=(ranked[0],) if view.ready(others) else ())
    if surplus < 0 and _may_grow(observed, view):
        (name,) = observed.members_of(
            observed.record.control_plane
        ).next_names(1)
        ready = _has_board(observed, name)
        return Change(add=name) if ready else Change(prepare=name)
    return Change()


def _has_board(observed: observed_module.Observed, member: str) -> bool:
    """Tell whether a member to come has where to write.

    A handle that failed is there and has no URL.
    """
    cluster = observed.cluster
    if cluster is None or member not in cluster.boards:
        return False
    return bool((cluster.stack.outputs.get("boards") or {}).get(member))


def _may_grow(observed: observed_module.Observed, view: _View) -> bool:
    """Tell whether the next member may come.

    Healing does not wait for others that are broken as long as etcd keeps
    its majority with one more.
    """
    if view.ready(view.staying):
        return True
    cluster = observed.cluster
    if cluster is None or not remedy.heals(observed, cluster.state.stack):
        return False
    if not set(view.staying) <= set(view.voters):
        return False
    working = [one for one in view.staying if view.ready((one,))]
    return len(working) > (len(view.voters) + 1) // 2


def _view(observed: observed_module.Observed) -> _View:
    group = observed.record.control_plane
    ordered = observed.members_of(group)
    nodes = dict(
        zip(ordered.names, readiness.nodes(observed, group), strict=True)
    )
    lost = _lost(observed)
    known = observed.digest.nodes if observed.digest else None
    draining = {
        one.name
        for one in ordered.all
        if one.state is members.MemberState.DRAINING
    }
    removal = resize.asked_of(observed, group)
    named = (
        set(resize.named_members(observed, group, removal)) - draining - lost
        if removal
        else set()
    )

    def pick(names: set[str]) -> tuple[str, ...]:
        return tuple(one for one in ordered.names if one in names)

    return _View(
        nodes=nodes,
        lost=pick(lost),
        draining=pick(draining - lost),
        named=pick(named),
        staying=pick(set(nodes) - lost - draining - named),
        voters=pick(
            {
                name
                for name, node in nodes.items()
                if known is None or node.name in known
            }
        ),
    )


def _lost(observed: observed_module.Observed) -> set[str]:
    """Return members without a working server, when Heat is not at it."""
    cluster = observed.cluster
    if cluster is None or cluster.stack.phase is heat.StackPhase.IN_PROGRESS:
        return set()
    return resize.lost_members(observed, observed.record.control_plane)
