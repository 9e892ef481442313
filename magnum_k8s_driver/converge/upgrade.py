# SPDX-License-Identifier: Apache-2.0
"""The next step of an upgrade. Pure.

The control plane goes first, one member at a time, then each worker group
in batches. A member whose image stays changes its version in place. Where
the image changes, new members join, then as many old ones drain and go. A
failing member stops the roll and leaves the rest untouched.
"""

import dataclasses

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import resize
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import spec
from magnum_k8s_driver.model import state
from magnum_k8s_driver.ports import heat


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One update of a group's members."""

    group: record.GroupRecord
    order: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    add: int = 0
    again: bool = False
    """Heat failed at what it was told and is to be told once more."""

    def __bool__(self) -> bool:
        changes = self.order or self.drain or self.remove or self.add
        return bool(changes or self.again)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Roll:
    """The members of a group, sorted by how far they are."""

    old: tuple[str, ...]
    pending: tuple[str, ...]
    done: tuple[str, ...]
    draining: tuple[str, ...]
    gone: tuple[str, ...]
    """Members that can be taken off the list: drained, or without a working
    server. Heat would make that anew with the orders of its first boot."""

    @property
    def staying(self) -> int:
        """Return how many members are there to stay."""
        return len(self.old) + len(self.pending) + len(self.done)


def is_done(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    target: state.UpgradeTarget,
) -> bool:
    """Tell whether every member of a group is at the target and ready."""
    roll = _roll(observed, group, target, 0.0)
    if roll.old or roll.pending or roll.draining or roll.gone:
        return False
    worker = observed.workers.get(group.uuid)
    if worker is not None:
        return worker.stack.phase is heat.StackPhase.COMPLETE
    # Heat may be handing orders to a control plane that is at the target.
    cluster = observed.cluster
    return (
        cluster is not None
        and cluster.stack.phase is not heat.StackPhase.FAILED
    )


def current_group(
    observed: observed_module.Observed, target: state.UpgradeTarget
) -> record.GroupRecord | None:
    """Return the group whose turn it is, None when all are done."""
    for group in (observed.record.control_plane, *observed.record.workers):
        takes_part = group.uuid in target.images
        if takes_part and not is_done(observed, group, target):
            return group
    return None


def step(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    target: state.UpgradeTarget,
    drain_timeout: float,
) -> Step:
    """Return the next update of the group whose turn it is."""
    nothing = Step(group=group)
    stack = observed.workers.get(group.uuid, observed.cluster)
    asked = observed.removal is not None
    if stack is None or stack.stack.phase is heat.StackPhase.IN_PROGRESS:
        return nothing
    if stack.stack.phase is heat.StackPhase.FAILED and not asked:
        return nothing
    failed = readiness.failed_orders(observed, group)
    if failed and not asked:
        return nothing
    found = _step(observed, group, target, drain_timeout)
    again = stack.stack.phase is heat.StackPhase.FAILED
    return dataclasses.replace(found, again=again)


def _step(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    target: state.UpgradeTarget,
    drain_timeout: float,
) -> Step:
    asked = observed.removal is not None
    failed = readiness.failed_orders(observed, group)
    is_worker = group.role is spec.Role.WORKER
    roll = _roll(observed, group, target, drain_timeout)
    if is_worker and asked and _named(observed, group):
        return _abandon(group, roll, _named(observed, group))
    missing = group.node_count - roll.staying if is_worker else 0
    if failed:
        return Step(group=group, order=failed)
    if is_worker and _is_replaced(observed, group, target):
        return _replace(group, roll, target.batch_size)
    add = max(missing, 0)
    if roll.pending:
        return Step(group=group, remove=roll.gone, add=add)
    batch = target.batch_size if is_worker else 1
    return Step(group=group, order=roll.old[:batch], remove=roll.gone, add=add)


def progress(
    observed: observed_module.Observed, target: state.UpgradeTarget
) -> str:
    """Return how far the upgrade is, as a short phrase."""
    parts = []
    for group in observed.record.kept_groups:
        if group.uuid not in target.images:
            continue
        roll = _roll(observed, group, target, 0.0)
        title = "control plane"
        if group.role is spec.Role.WORKER:
            title = "workers" if group.is_default else f"group {group.name}"
        text = f"{title} {len(roll.done)}/{group.node_count} at"
        text += f" {target.version}"
        draining = _draining(observed, group, roll)
        if draining:
            text += f", draining {draining}"
        rest = len(roll.draining) + len(roll.pending) - draining
        if rest:
            text += f", waiting for {rest}"
        parts.append(text)
    return f"upgrading to {target.version}: {', '.join(parts)}"


def _draining(
    observed: observed_module.Observed, group: record.GroupRecord, roll: _Roll
) -> int:
    """Return how many nodes drain: to go, or to be upgraded in place."""
    views = zip(
        observed.members_of(group).names,
        readiness.nodes(observed, group),
        strict=True,
    )
    return len(roll.draining) + sum(
        view.phase.startswith("drain") and name in roll.pending
        for name, view in views
    )


def _replace(group: record.GroupRecord, roll: _Roll, batch: int) -> Step:
    """Let new members come, then as many old ones go."""
    surplus = roll.staying - group.node_count
    if surplus < 0:
        return Step(group=group, remove=roll.gone, add=-surplus)
    if roll.pending:
        return Step(group=group, remove=roll.gone)
    if roll.old and surplus > 0:
        return Step(group=group, drain=roll.old[:surplus], remove=roll.gone)
    still_draining = set(roll.draining) - set(roll.gone)
    add = 0 if still_draining else min(batch, len(roll.old))
    return Step(group=group, add=add, remove=roll.gone)


def _abandon(
    group: record.GroupRecord, roll: _Roll, named: tuple[str, ...]
) -> Step:
    """Let the named members go and as many at the target come."""
    going = {*roll.draining, *roll.gone}
    drain = tuple(one for one in named if one not in going)
    missing = group.node_count - roll.staying + len(drain)
    return Step(
        group=group, drain=drain, remove=roll.gone, add=max(missing, 0)
    )


def _named(
    observed: observed_module.Observed, group: record.GroupRecord
) -> tuple[str, ...]:
    removal = observed.removal
    if removal is None or removal.group_uuid != group.uuid:
        return ()
    return resize.named_members(observed, group, removal)


def _is_replaced(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    target: state.UpgradeTarget,
) -> bool:
    image = target.images[group.uuid]
    return any(
        one.image_id != image
        for one in observed.members_of(group).all
        if one.state is members.MemberState.ACTIVE
    )


def _roll(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    target: state.UpgradeTarget,
    drain_timeout: float,
) -> _Roll:
    found: dict[str, list[str]] = {
        name: [] for name in ("old", "pending", "done", "draining", "gone")
    }
    is_worker = group.role is spec.Role.WORKER
    image = target.images.get(group.uuid, "")
    views = readiness.nodes(observed, group)
    lost = _lost(observed, group)
    for member, view in zip(
        observed.members_of(group).all, views, strict=True
    ):
        if member.name in lost:
            found["gone"].append(member.name)
        elif member.state is members.MemberState.DRAINING:
            found["draining"].append(member.name)
            if resize.may_go(observed, group, view, drain_timeout):
                found["gone"].append(member.name)
        elif member.kubernetes_version != target.version or (
            # A control-plane member keeps its server; see the user guide.
            is_worker and member.image_id != image
        ):
            found["old"].append(member.name)
        elif (
            view.stage is readiness.Stage.READY
            and view.version == target.version
        ):
            found["done"].append(member.name)
        else:
            found["pending"].append(member.name)
    return _Roll(**{name: tuple(value) for name, value in found.items()})


def _lost(
    observed: observed_module.Observed, group: record.GroupRecord
) -> set[str]:
    """Return workers without a working server, when Heat is not at them."""
    worker = observed.workers.get(group.uuid)
    if worker is None or worker.stack.phase is heat.StackPhase.IN_PROGRESS:
        return set()
    return resize.lost_members(observed, group)
