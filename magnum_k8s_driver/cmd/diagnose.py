# SPDX-License-Identifier: Apache-2.0
"""``magnum-k8s-diagnose``: everything that explains the state of a cluster.

Reads with the rights of whoever calls it and changes nothing.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping
import dataclasses
import pathlib
import sys
from typing import Any

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import evidence
from magnum_k8s_driver.converge import sentences
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import causes
from magnum_k8s_driver.model import console
from magnum_k8s_driver.model import names
from magnum_k8s_driver.model import timeline
from magnum_k8s_driver.ports import compute as compute_port
from magnum_k8s_driver.ports import heat as heat_port
from magnum_k8s_driver.ports import user_cloud

_LINES = 2000
_BOARDS = "boards"
_DISTRESS = "distress"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Boards:
    """What nodes have written; nobody has checked it."""

    by_member: Mapping[str, board.Board]
    distress: tuple[board.Distress, ...] = ()

    @property
    def digest(self) -> board.Digest | None:
        """What the control plane said last of all nodes."""
        found = [one.digest for one in self.by_member.values() if one.digest]
        return max(found, key=lambda one: one.time, default=None)


def main(words: list[str] | None = None) -> int:
    """Run the command.

    :returns: exit code: 0, or 2 when the cluster could not be looked at.
    """
    options = _options(words)
    try:
        with user_cloud.open_cloud(options.os_cloud) as cloud:
            cluster = cloud.cluster(options.cluster)
            if options.timeline:
                _check_project(cloud, cluster)
                nodes = phases(cloud, cluster)
                print(timeline.as_text(nodes) or "The cluster has no servers.")
                if options.svg:
                    picture = timeline.as_svg(nodes)
                    options.svg.write_text(picture, encoding="utf-8")
            else:
                for line in report(cloud, cluster):
                    print(causes.masked(line))
    except (exceptions.K8sDriverError, OSError) as exc:
        print(f"magnum-k8s-diagnose: {exc}", file=sys.stderr)
        return 2
    return 0


def report(
    cloud: user_cloud.UserCloud, cluster: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the lines of a report about a cluster.

    What a service does not tell is said so; the others are asked anyway.

    :param cluster: as Magnum's API shows it.
    """
    yield f"Cluster {cluster['name']} ({cluster['uuid']})"
    yield from _status(cluster)
    yield from _guarded(_groups(cloud, cluster))
    try:
        _check_project(cloud, cluster)
    except exceptions.UnsupportedOperation as exc:
        yield str(exc)
        return
    yield from _guarded(_stacks(cloud, cluster))
    yield from _guarded(_servers(cloud, cluster))


def phases(
    cloud: user_cloud.UserCloud, cluster: Mapping[str, Any]
) -> dict[str, timeline.Phases]:
    """Return the phases of each node's boot.

    Its console has them in order; where that has nothing, what the node
    last reported counts.

    :param cluster: as Magnum's API shows it.
    :raises CloudError: a service did not answer as it should.
    """
    prefix = _prefix(cluster)
    reported = _reported(_cluster_boards(cloud, cluster), prefix)
    found: dict[str, timeline.Phases] = {}
    for server in sorted(
        cloud.compute.servers(f"{prefix}-"), key=lambda one: one.name
    ):
        text = cloud.compute.console(server.id, _LINES)
        found[server.name] = console.phases(text) or tuple(
            reported.get(server.name, {}).items()
        )
    return found


def _reported(boards: Boards, prefix: str) -> dict[str, Mapping[str, float]]:
    digest = boards.digest
    found = {
        name: one.seconds
        for name, one in (digest.nodes.items() if digest else ())
    }
    for member, one in boards.by_member.items():
        if one.report and one.report.seconds:
            name = names.server_name(prefix, "default-master", "", member)
            found[name] = one.report.seconds
    return found


def _check_project(
    cloud: user_cloud.UserCloud, cluster: Mapping[str, Any]
) -> None:
    """Refuse to look at stacks and servers of another project.

    :raises UnsupportedOperation: Heat and Nova would show nothing of it.
    """
    owner = str(cluster.get("project_id") or cloud.project_id)
    if owner != cloud.project_id:
        raise exceptions.UnsupportedOperation(
            f"The stacks and servers are in project {owner}; log in to it "
            "to see them (OS_PROJECT_ID)."
        )


def _guarded(lines: Iterable[str]) -> Iterator[str]:
    try:
        yield from lines
    except exceptions.CloudError as exc:
        yield f"  Not known: {exc}"


def _prefix(cluster: Mapping[str, Any]) -> str:
    return names.cluster_prefix(cluster["name"], cluster["uuid"])


def _status(row: Mapping[str, Any]) -> Iterator[str]:
    reason = sentences.one_line(str(row.get("status_reason") or ""))
    yield f"  {row.get('status')}: {reason}".rstrip(": ")


def _groups(
    cloud: user_cloud.UserCloud, cluster: Mapping[str, Any]
) -> Iterator[str]:
    for group in cloud.node_groups(cluster["uuid"]):
        yield f"Node group {group['name']}, {group['node_count']} nodes"
        yield from _status(group)


def _stacks(
    cloud: user_cloud.UserCloud, cluster: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what Heat tells of every stack, whatever Magnum knows of it."""
    prefix = _prefix(cluster)
    wanted = {"the cluster": (cluster.get("stack_id"), prefix)}
    tagged = cloud.heat.tagged(names.stack_tag(cluster["uuid"]))
    for group in cloud.node_groups(cluster["uuid"]):
        if group["role"] != "master":
            name = names.group_stack_name(prefix, group["name"], group["uuid"])
            wanted[f"node group {group['name']}"] = (None, name)
            wanted |= {
                further: (found.id, further)
                for further, found in sorted(tagged.items())
                if names.part_index(name, further)
            }
    for title, (known, name) in wanted.items():
        stack_id = known or cloud.heat.find(name)
        stack = cloud.heat.show(stack_id) if stack_id else None
        if stack is None:
            yield f"Stack of {title}: there is none"
            continue
        yield from _guarded(_stack(cloud, stack))


def _stack(
    cloud: user_cloud.UserCloud, stack: heat_port.Stack
) -> Iterator[str]:
    yield f"Stack {stack.name}: {stack.action}_{stack.phase}"
    if stack.phase is heat_port.StackPhase.FAILED:
        yield f"  {sentences.plain(stack.reason)}"
    resources = cloud.heat.resources(stack.id, depth=2)
    for state in ("FAILED", "IN_PROGRESS"):
        found = [one for one in resources if one.status.endswith(state)]
        for one in evidence.deepest(found):
            yield f"  {one.type} {one.name} ({one.physical_id}): {one.status}"
            if state == "FAILED":
                words = sentences.plain(one.reason)
                yield f"    {causes.with_cure(words)}"
    yield from _boards(_read_boards(cloud, resources))


def _cluster_boards(
    cloud: user_cloud.UserCloud, cluster: Mapping[str, Any]
) -> Boards:
    stack_id = cluster.get("stack_id") or cloud.heat.find(_prefix(cluster))
    if not stack_id:
        return Boards(by_member={})
    return _read_boards(cloud, cloud.heat.resources(stack_id, depth=2))


def _read_boards(
    cloud: user_cloud.UserCloud,
    resources: Iterable[heat_port.StackResource],
) -> Boards:
    by_member: dict[str, board.Board] = {}
    distress: tuple[board.Distress, ...] = ()
    for one in resources:
        if one.name == _DISTRESS:
            metadata = cloud.heat.metadata(one.stack_id, one.name)
            distress = board.read_distress(metadata)
        elif one.parent == _BOARDS:
            metadata = cloud.heat.metadata(one.stack_id, one.name)
            by_member[one.name] = board.read_unchecked(metadata)
    return Boards(by_member=by_member, distress=distress)


def _boards(found: Boards) -> Iterator[str]:
    """Yield what nodes say; only the driver has the key to check it."""
    for call in found.distress:
        yield f"  Distress of {board.printable(call.server_name)} (unchecked)"
        yield f"    {_said(call.error)}"
    for member, one in sorted(found.by_member.items()):
        if one.report is None:
            yield f"  Board {member}: nothing reported"
        else:
            yield from _member(member, one.report)
    digest = found.digest
    if digest is None:
        return
    yield f"  Nodes at {board.write_moment(digest.time)} (unchecked)"
    for node in digest.nodes.values():
        state = "ready" if node.ready else f"not ready: {node.reason}"
        yield f"    {node.name} {node.version}: {state}"
        if node.error is not None:
            yield f"      {_said(node.error)}"


def _member(member: str, said: board.Report) -> Iterator[str]:
    phase = f" in phase {said.phase}" if said.phase else ""
    when = board.write_moment(said.time)
    yield f"  Board {member} at {when} (unchecked): {said.state}{phase}"
    if said.error is not None:
        yield f"    {_said(said.error)}"


def _said(error: board.NodeError) -> str:
    phase = f"{error.phase}: " if error.phase else ""
    return f"{phase}{error.message.rstrip('.')}. {error.hint}".rstrip()


def _servers(
    cloud: user_cloud.UserCloud, cluster: Mapping[str, Any]
) -> Iterator[str]:
    for server in cloud.compute.servers(f"{_prefix(cluster)}-"):
        yield f"Server {server.name} ({server.id}): {server.status}"
        yield from _guarded(_server(cloud, server))


def _server(
    cloud: user_cloud.UserCloud, server: compute_port.Server
) -> Iterator[str]:
    if server.fault:
        yield f"  {causes.with_cure(sentences.plain(server.fault))}"
    text = cloud.compute.console(server.id, _LINES)
    if console.is_ready(text):
        yield "  Console: the node program says that it is ready"
        return
    found = console.read(text)
    if found is not None:
        phase = f" in phase {found.phase}" if found.phase else ""
        yield f"  Console{phase}: {found.message}. {found.cure}".rstrip()
    elif not text.strip():
        yield "  Console: empty or not readable"
    else:
        yield "  Console: no error"


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="magnum-k8s-diagnose",
        description="Print everything that explains the state of a cluster: "
        "stacks, boards, servers and consoles.",
    )
    parser.add_argument("cluster", help="name or UUID")
    parser.add_argument("--os-cloud", metavar="CLOUD")
    parser.add_argument(
        "--timeline",
        action="store_true",
        help="print how long each phase of each node's boot took instead",
    )
    parser.add_argument(
        "--svg",
        type=pathlib.Path,
        metavar="FILE",
        help="with --timeline: draw it into a file, too",
    )
    options = parser.parse_args(words)
    if options.svg and not options.timeline:
        parser.error("--svg needs --timeline")
    return options


if __name__ == "__main__":
    sys.exit(main())
