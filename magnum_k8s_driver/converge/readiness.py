# SPDX-License-Identifier: Apache-2.0
"""Which nodes are ready, and what keeps the others: pure."""

import dataclasses
import enum

from magnum_k8s_driver.converge import addon_states
from magnum_k8s_driver.converge import failures
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import remedy
from magnum_k8s_driver.converge import sealing
from magnum_k8s_driver.converge import sentences
from magnum_k8s_driver.converge import standing
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import causes
from magnum_k8s_driver.model import console
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import problems as problems_module
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import spec
from magnum_k8s_driver.ports import heat


class Stage(enum.StrEnum):
    """How far a member is."""

    ORDERED = "ordered"
    """Heat has not made its server yet."""
    BUILDING = "building"
    """Nova builds the server."""
    BOOTING = "booting"
    """The server runs; the node has not said that it is ready."""
    READY = "ready"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NodeView:
    """One member as everything observed describes it."""

    name: str
    """Name of the server and the Node."""
    stage: Stage
    phase: str = ""
    """Phase of the node program, empty while unknown."""
    operation: str = ""
    """Operation the node last took up, as it says."""
    version: str = ""
    reason: str = ""
    """Why Kubernetes does not call it Ready."""
    error: board.NodeError | None = None
    draining: bool = False
    """It shall go as soon as its pods have left."""


def nodes(
    observed: observed_module.Observed, group: record.GroupRecord
) -> tuple[NodeView, ...]:
    """Return every ordered member of a group, in order."""
    return tuple(
        dataclasses.replace(
            _node(observed, group, member),
            draining=member.state is members.MemberState.DRAINING,
        )
        for member in observed.members_of(group).all
    )


def is_initialised(observed: observed_module.Observed) -> bool:
    """Tell whether a control-plane member signed that it is ready."""
    digest = observed.digest
    if digest is not None and any(one.ready for one in digest.nodes.values()):
        # Digests are signed; a report's signal may have been lost on the way.
        return True
    boards = observed.cluster.boards.values() if observed.cluster else ()
    return any(
        one.report is not None
        and one.report.signed
        and one.report.state is board.NodeState.READY
        for one in boards
    )


def is_complete(observed: observed_module.Observed) -> bool:
    """Tell whether everything ordered is there and ready."""
    cluster = observed.cluster
    if cluster is None or not cluster.state.initialised:
        return False
    if cluster.stack.phase is not heat.StackPhase.COMPLETE:
        return False
    if observed.upgrade is not None or observed.answers:
        return False
    if observed.rotation is not None:
        return False
    for group in observed.record.groups:
        if not is_group_complete(observed, group):
            return False
    if addon_states.is_due(observed) or addon_states.waiting(observed):
        return False
    return standing.is_done(observed)


def is_group_complete(
    observed: observed_module.Observed, group: record.GroupRecord
) -> bool:
    """Tell whether a group is as its row asks: the right size, or gone."""
    stack = observed.workers.get(group.uuid)
    if group.intent is record.Intent.DELETE:
        return stack is None
    if stack and stack.stack.phase is not heat.StackPhase.COMPLETE:
        return False
    if group.role is spec.Role.WORKER and stack is None:
        return False
    ordered = observed.members_of(group).all
    return (
        len(ordered) == group.node_count
        and all(one.state is members.MemberState.ACTIVE for one in ordered)
        and all(one.stage is Stage.READY for one in _awaited(observed, group))
    )


def _awaited(
    observed: observed_module.Observed, group: record.GroupRecord
) -> tuple[NodeView, ...]:
    """Return the nodes of a group that must be ready in the end.

    Healing waits for the nodes it made. Others that are broken wait for
    their turn, and must not make it fail.
    """
    views = nodes(observed, group)
    is_update = observed.record.intent is record.Intent.UPDATE
    if not is_update or not remedy.reasons(observed):
        return views
    made = remedy.made(observed, group)
    ordered = observed.members_of(group).names
    return tuple(
        view for view, name in zip(views, ordered, strict=True) if name in made
    )


def unready(
    observed: observed_module.Observed,
) -> tuple[problems_module.Problem, ...]:
    """Return why a cluster is in no state to be upgraded."""
    if is_complete(observed):
        return ()
    sentences = [
        node_sentence(node)
        for group in observed.record.kept_groups
        for node in nodes(observed, group)
        if node.stage is not Stage.READY
    ] or ["The cluster is not complete; resize it to its size to repair it."]
    return tuple(
        problems_module.Problem(subject="health", sentence=one)
        for one in sentences
    )


def problems(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return one sentence for each permanent error.

    Distress of a worker is none: it may still heal before the deadline.
    """
    found: list[str] = []
    cluster = observed.cluster
    if cluster is None:
        if observed.record.intent is record.Intent.UPDATE:
            return (
                f"Heat stack {observed.record.prefix} of the cluster is "
                "gone. Delete the cluster and create it again.",
            )
        return ()
    if _never_made(observed, cluster):
        return (
            "The control plane of the cluster was never made. Delete the "
            "cluster and create it again.",
        )
    found += failures.of_stack(cluster.stack, cluster.failures)
    for one in observed.workers.values():
        found += failures.of_stack(one.stack, one.failures)
    for group in observed.record.kept_groups:
        found += _server_problems(observed, group)
    for node in _awaited(observed, observed.record.control_plane):
        # One that cannot drain goes when its time is over.
        failed = node.stage is Stage.FAILED and not node.draining
        if failed and node.error is not None:
            found.append(node_sentence(node))
    for group in observed.record.kept_groups:
        found += _order_problems(observed, group)
    found += addon_states.failures(observed)
    return tuple(dict.fromkeys(found))


def _never_made(
    observed: observed_module.Observed, cluster: observed_module.ClusterStack
) -> bool:
    """Tell whether a create failed before there was anything to change."""
    if observed.record.intent is not record.Intent.UPDATE:
        return False
    failed = cluster.stack.phase is heat.StackPhase.FAILED
    begun = cluster.state.initialised or is_initialised(observed)
    return not cluster.state.stack.members.all or (failed and not begun)


def node_sentence(node: NodeView) -> str:
    """Return what a failing node says, as a sentence with its hint."""
    if node.error is None:
        return f"Node {node.name} is {node.stage.value}."
    error = node.error
    phase = f" in phase {error.phase}" if error.phase else ""
    hint = f" {error.hint.rstrip('.')}." if error.hint else ""
    message = error.message.rstrip(".")
    return f"Node {node.name} failed{phase}: {message}.{hint}"


def failed_orders(
    observed: observed_module.Observed, group: record.GroupRecord
) -> tuple[str, ...]:
    """Return members that failed at changing to the version ordered."""
    ordered = observed.members_of(group).all
    return tuple(
        member.name
        for member, node in zip(ordered, nodes(observed, group), strict=True)
        if node.error is not None
        and member.state is members.MemberState.ACTIVE
        and node.operation == member.operation
        and node.version not in ("", member.kubernetes_version)
    )


def _order_problems(
    observed: observed_module.Observed, group: record.GroupRecord
) -> list[str]:
    failed = {
        observed.record.node_name(group, name)
        for name in failed_orders(observed, group)
    }
    return [
        f"{node_sentence(node)} The other nodes work; resize to the same "
        "size to go on, or name this node in nodes_to_remove."
        for node in nodes(observed, group)
        if node.name in failed
    ]


def _server_problems(
    observed: observed_module.Observed, group: record.GroupRecord
) -> list[str]:
    """Return what Nova says of servers nothing will replace by itself."""
    stack = observed.workers.get(group.uuid, observed.cluster)
    creating = observed.record.intent is record.Intent.CREATE
    failed = stack and stack.stack.phase is heat.StackPhase.FAILED
    if not (creating or failed):
        return []
    found = []
    for member in observed.members_of(group).all:
        name = observed.record.node_name(group, member.name)
        server = observed.servers.get(name)
        if server is not None and server.status == "ERROR":
            fault = sentences.plain(server.fault)
            found.append(
                f"Nova put server {name} into ERROR: {causes.with_cure(fault)}"
            )
    return found


def _node(
    observed: observed_module.Observed,
    group: record.GroupRecord,
    member: members.Member,
) -> NodeView:
    name = observed.record.node_name(group, member.name)
    server = observed.servers.get(name)
    if server is None:
        return NodeView(name=name, stage=Stage.ORDERED)
    if server.status == "ERROR":
        fault = sentences.plain(server.fault)
        cause = causes.find(fault)
        error = board.NodeError(
            phase="", message=fault, hint=cause.cure if cause else ""
        )
        return NodeView(name=name, stage=Stage.FAILED, error=error)
    if server.status != "ACTIVE":
        return NodeView(name=name, stage=Stage.BUILDING)
    report = None
    if group.role is spec.Role.CONTROL_PLANE and observed.cluster:
        report = sealing.report_of(observed, member, server)
    view = _running(observed, name, report)
    if report is not None and not report.signed:
        view = _with_handshake(observed, member, view)
    ordered = view.operation in ("", member.operation)
    if view.stage is Stage.FAILED and not ordered:  # The new may heal it.
        return _running(observed, name, None)
    return view


def _with_handshake(
    observed: observed_module.Observed,
    member: members.Member,
    view: NodeView,
) -> NodeView:
    """Add what keeps a member that waits for its secrets from them."""
    found = sealing.handshakes(observed).get(member.name)
    if found is None or found.error is None:
        return view
    if view.stage is Stage.FAILED and view.phase != sealing.PHASE:
        return view
    refused = found.stage is sealing.Stage.REFUSED
    stage = Stage.FAILED if refused else view.stage
    return dataclasses.replace(view, stage=stage, error=found.error)


def _running(
    observed: observed_module.Observed,
    name: str,
    report: board.Report | None,
) -> NodeView:
    digest = observed.digest
    known = digest.nodes.get(name) if digest else None
    if report is not None and report.state is board.NodeState.FAILED:
        return NodeView(
            name=name,
            stage=Stage.FAILED,
            phase=report.phase,
            operation=report.operation,
            version=known.version if known else "",
            error=report.error
            or board.NodeError(
                phase=report.phase, message="the node gave no reason"
            ),
        )
    distress = _distress(observed, name)
    if known is not None:
        ready = known.ready
        return NodeView(
            name=name,
            stage=Stage.READY if ready else Stage.BOOTING,
            phase=_joined_phase(known, report),
            operation=known.operation,
            version=known.version,
            reason="" if ready else known.reason,
            error=known.error or (None if ready else distress),
        )
    phase = report.phase if report is not None else ""
    return NodeView(
        name=name,
        stage=Stage.BOOTING,
        phase=phase,
        error=distress or _silence(observed, name),
    )


def _silence(
    observed: observed_module.Observed, name: str
) -> board.NodeError | None:
    """Return what the console tells of a node that does not report."""
    text = observed.consoles.get(name)
    if text is None:
        return None
    found = console.read(text)
    if found is None:
        launched = observed.servers[name].launched or observed.now
        found = console.silence(observed.now - launched, bool(text.strip()))
    return board.NodeError(
        phase=found.phase, message=found.message, hint=found.cure
    )


def _joined_phase(known: board.NodeDigest, report: board.Report | None) -> str:
    if report is not None and report.state is board.NodeState.DRAINED:
        # The control plane says so on its board, workers on their Node.
        return report.state.value
    return known.phase or ("" if known.ready else "joined")


def _distress(
    observed: observed_module.Observed, name: str
) -> board.NodeError | None:
    entries = observed.cluster.distress if observed.cluster else ()
    for one in entries:
        if one.server_name == name:
            return one.error
    return None
