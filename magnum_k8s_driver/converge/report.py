# SPDX-License-Identifier: Apache-2.0
"""From what is observed to Magnum's status fields: pure.

Every reason is written for the person who runs ``openstack coe cluster
show``: progress while there is some, otherwise which node, which phase, what
it said and what to do.
"""

import dataclasses

from magnum_k8s_driver.converge import addon_states
from magnum_k8s_driver.converge import awaited
from magnum_k8s_driver.converge import control_plane
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import operation
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import remedy
from magnum_k8s_driver.converge import resize
from magnum_k8s_driver.converge import rotation
from magnum_k8s_driver.converge import sentences
from magnum_k8s_driver.converge import standing
from magnum_k8s_driver.converge import upgrade
from magnum_k8s_driver.model import causes
from magnum_k8s_driver.model import record
from magnum_k8s_driver.ports import heat

_NAMED = 3
"""How many nodes of a group a reason names; the others are counted."""
_VERSION_LIMIT = 20
"""Characters of Magnum's column; what is longer is no version anyway."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """When waiting ends, in seconds."""

    orphan: float = 120.0
    """For a create whose hook never saved what it must."""
    delete: float = 3600.0
    update: float = 3600.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What ended a round of actions early."""

    sentence: str
    """Told while the operation goes on, and the reason when it fails."""
    permanent: bool = False
    """Trying again would end the same."""
    forgotten: bool = False
    """No trouble: the last step of a delete has been done."""


_NONE = Trouble(sentence="")
_LAST = "the cluster's user and certificates"
"""A delete removes them when nothing else is left."""


def report(
    observed: observed_module.Observed,
    deadlines: Deadlines,
    *,
    trouble: Trouble = _NONE,
) -> record.ClusterReport:
    """Return what to write on Magnum's records."""
    intent = observed.record.intent
    if intent is record.Intent.DELETE:
        outcome, reason = _deleted(observed, deadlines, trouble)
    elif not observed.record.prepared:
        outcome, reason = _orphan(observed, deadlines)
    else:
        outcome, reason = _made(observed, deadlines, trouble)
    reason = sentences.bounded(reason)
    return record.ClusterReport(
        intent=intent,
        outcome=outcome,
        reason=reason,
        stack_id=observed.cluster.stack.id if observed.cluster else None,
        api_address=_api_address(observed),
        coe_version=_version(observed, observed.record.control_plane)
        if observed.record.prepared
        else None,
        groups={
            group.uuid: _group(observed, group, outcome, reason)
            for group in observed.record.groups
        },
        awaited=outcome is record.Outcome.IN_PROGRESS
        and not trouble.sentence
        and awaited.is_awaited(observed),
        # Consoles tell nobody when they change.
        sight=None if observed.shown else observed.sight,
        operation=operation.kind(observed),
        started=operation.started(observed),
        seen=observed.now,
    )


def progress(observed: observed_module.Observed) -> str:
    """Return how far a cluster is, as a short phrase."""
    cluster = observed.cluster
    if cluster is None:
        return "preparing identity, network and API endpoint"
    if not cluster.state.stack.members.all:
        return f"building network and API endpoint{_pending(observed)}"
    if observed.upgrade is not None:
        return upgrade.progress(observed, observed.upgrade)
    parts = [
        _group_progress(observed, group)
        for group in observed.record.kept_groups
    ]
    unknown = resize.unknown_nodes(observed)
    if unknown:
        parts.append(f"ignoring unknown nodes {', '.join(unknown)}")
    if not standing.is_done(observed):
        parts.append(_orders_progress(observed))
    if observed.rotation is not None:
        parts.insert(0, rotation.progress(observed))
    parts += remedy.reasons(observed)
    addons = addon_states.waiting(observed)
    if addons:
        parts.append(f"waiting for add-ons {', '.join(addons)}")
    parts += [one.rstrip(".") for one in addon_states.complaints(observed)]
    return ", ".join(parts) + _pending(observed)


def _pending(observed: observed_module.Observed) -> str:
    """Return what Heat has been working on for long, if anything."""
    waiting = [
        f"{one.type} {one.name}"
        for stack in observed.stacks
        for one in stack.pending
    ]
    if not waiting:
        return ""
    return f", Heat waits for {sentences.listed(waiting)}"


def _orders_progress(observed: observed_module.Observed) -> str:
    problem = standing.problem(observed)
    if problem:
        return f"{problem.rstrip('.')}; it tries again"
    return "waiting for the control plane to carry out its orders"


def _made(
    observed: observed_module.Observed,
    deadlines: Deadlines,
    trouble: Trouble,
) -> tuple[record.Outcome, str]:
    if trouble.permanent:
        return record.Outcome.FAILED, trouble.sentence
    problems = readiness.problems(observed)
    quorum = control_plane.quorum_problem(observed)
    if problems or quorum:
        found = (quorum, *problems, rotation.advice(observed))
        return record.Outcome.FAILED, sentences.joined(*found)
    if readiness.is_complete(observed):
        return record.Outcome.COMPLETE, sentences.capitalised(
            progress(observed)
        )
    creating = observed.record.intent is record.Intent.CREATE
    limit = deadlines.update
    if creating:
        limit = observed.record.create_timeout_minutes * 60.0
    waited = observed.now - operation.started(observed)
    if waited > limit:
        minutes = round(limit / 60)
        return record.Outcome.FAILED, (
            f"Not ready after {minutes} minutes: "
            f"{trouble.sentence or _unfinished(observed)}"
        )
    sentence = sentences.capitalised(progress(observed))
    return record.Outcome.IN_PROGRESS, sentences.joined(
        sentence, trouble.sentence
    )


def _orphan(
    observed: observed_module.Observed, deadlines: Deadlines
) -> tuple[record.Outcome, str]:
    """A conductor that dies before the hook leaves no certificates."""
    if observed.now - observed.record.created > deadlines.orphan:
        return record.Outcome.FAILED, (
            "The conductor stopped before it had made the certificates of "
            "this cluster. Delete it and create it again."
        )
    return record.Outcome.IN_PROGRESS, "Magnum is making certificates."


def _deleted(
    observed: observed_module.Observed,
    deadlines: Deadlines,
    trouble: Trouble,
) -> tuple[record.Outcome, str]:
    if trouble.forgotten:
        return record.Outcome.COMPLETE, "Nothing of the cluster is left."
    found = _left(observed)
    left = ", ".join(found) or _LAST
    if observed.now - operation.started(observed) > deadlines.delete:
        minutes = round(deadlines.delete / 60)
        # What goes last is there as long as anything else is.
        configs = [f"user data {name}" for name in observed.user_data.values()]
        left = ", ".join([*found, *configs, _LAST])
        return record.Outcome.FAILED, sentences.joined(
            f"Still there after {minutes} minutes: {left}.",
            trouble.sentence,
            "Delete the cluster again when the cause is removed.",
        )
    sentence = f"Deleting {left}."
    return record.Outcome.IN_PROGRESS, sentences.joined(
        sentence, trouble.sentence
    )


def _left(observed: observed_module.Observed) -> list[str]:
    found = [str(one) for one in observed.load_balancers]
    workers = [one for one in observed.stacks if one is not observed.cluster]
    cluster = [] if observed.cluster is None else [observed.cluster]
    for stack in (one.stack for one in (*workers, *cluster)):
        text = f"stack {stack.name}"
        if stack.phase is heat.StackPhase.FAILED:
            words = causes.with_cure(_deepest(observed, stack))
            text += f" ({sentences.short(words).rstrip('.')})"
        found.append(text)
    return [*found, *(str(one) for one in observed.leftovers)]


def _deepest(observed: observed_module.Observed, failed: heat.Stack) -> str:
    """Return what the deepest failed resource of a stack says."""
    for one in observed.stacks:
        if one.stack.id == failed.id and one.failures:
            first = one.failures[0]
            words = sentences.plain(first.reason)
            return f"{first.type} {first.name}: {words}"
    return sentences.plain(failed.reason)


def _group(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    cluster_outcome: record.Outcome,
    cluster_reason: str,
) -> record.GroupReport:
    deleting = record.Intent.DELETE
    if observed.record.intent is deleting:
        failed = cluster_outcome is record.Outcome.FAILED
        return _deleted_group(
            cluster_outcome, cluster_reason if failed else ""
        )
    if group.intent is deleting:
        gone = group.uuid not in observed.workers
        done = record.Outcome.COMPLETE
        return _deleted_group(done if gone else cluster_outcome, "")
    views = readiness.nodes(observed, group)
    outcome = cluster_outcome
    if readiness.is_group_complete(observed, group):
        outcome = record.Outcome.COMPLETE
    failing = [
        readiness.node_sentence(one) for one in views if one.error is not None
    ]
    reason = " ".join(failing[:_NAMED])
    if outcome is record.Outcome.FAILED and not reason:
        reason = sentences.capitalised(_group_progress(observed, group))
    return record.GroupReport(
        intent=group.intent,
        outcome=outcome,
        reason=sentences.bounded(reason),
        stack_id=_group_stack_id(observed, group),
        version=_version(observed, group),
        node_addresses=_addresses(observed, group),
    )


def _deleted_group(outcome: record.Outcome, reason: str) -> record.GroupReport:
    """Return the report of a group that shall go."""
    return record.GroupReport(
        intent=record.Intent.DELETE,
        outcome=outcome,
        reason=reason,
        stack_id=None,
        version="",
        node_addresses=(),
    )


def _group_stack_id(
    observed: observed_module.Observed, group: record.GroupRecord
) -> str | None:
    if group.uuid in observed.workers:
        return observed.workers[group.uuid].stack.id
    is_worker = group in observed.record.workers
    if is_worker or observed.cluster is None:
        return None
    return observed.cluster.stack.id


def _group_progress(
    observed: observed_module.Observed, group: record.GroupRecord
) -> str:
    views = readiness.nodes(observed, group)
    ready = sum(
        one.stage is readiness.Stage.READY and not one.draining
        for one in views
    )
    count = f"{sentences.title(group)} {ready}/{group.node_count} ready"
    waiting = [
        one
        for one in views
        if one.draining or one.stage is not readiness.Stage.READY
    ]
    if not waiting:
        return count
    prefix = f"{observed.record.prefix}-"
    named = [
        f"{one.name.removeprefix(prefix)}: {_stage(one)}" for one in waiting
    ]
    return f"{count} ({sentences.listed(named)})"


def _stage(node: readiness.NodeView) -> str:
    if node.error is not None:
        phase = f"{node.error.phase}: " if node.error.phase else ""
        return f"{phase}{sentences.short(node.error.message)}"
    if node.draining:
        return "draining"
    if node.stage is readiness.Stage.ORDERED:
        return "waiting for Heat"
    if node.stage is readiness.Stage.BUILDING:
        return "waiting for Nova"
    return node.phase or "booting"


def _unfinished(observed: observed_module.Observed) -> str:
    views = [
        one
        for group in observed.record.groups
        for one in readiness.nodes(observed, group)
    ]
    failing = [
        readiness.node_sentence(one) for one in views if one.error is not None
    ]
    failing += [
        f"Node {one.name} is not Ready: {one.reason.rstrip('.')}."
        for one in views
        if one.error is None and one.reason
    ]
    found = [f"{progress(observed)}.", *failing[:_NAMED]]
    return sentences.joined(*found, rotation.advice(observed))


def _api_address(observed: observed_module.Observed) -> str | None:
    cluster = observed.cluster
    if cluster is None:
        return None
    outputs = cluster.stack.outputs
    host = outputs.get("endpoint_public") or outputs.get("endpoint_private")
    port = cluster.stack.parameters.get("api_port")
    return f"https://{host}:{port}" if host and port else None


def _version(
    observed: observed_module.Observed, group: record.GroupRecord
) -> str:
    """Return the oldest version in a group, as ordered or as reported."""
    ordered = [
        one.kubernetes_version for one in observed.members_of(group).all
    ]
    seen = [
        one.version
        for one in readiness.nodes(observed, group)
        if 0 < len(one.version) <= _VERSION_LIMIT
    ]
    return min(seen or ordered, key=_version_key, default="")


def _version_key(version: str) -> tuple[int, ...]:
    parts = version.lstrip("v").split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _addresses(
    observed: observed_module.Observed, group: record.GroupRecord
) -> tuple[str, ...]:
    found = []
    for member in observed.members_of(group).all:
        name = observed.record.node_name(group, member.name)
        server = observed.servers.get(name)
        if server is not None:
            found += list(server.floating_ips[:1] or server.fixed_ips[:1])
    return tuple(found)
