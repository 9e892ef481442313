# SPDX-License-Identifier: Apache-2.0
"""Look at a cluster as its user may: through Magnum, Heat and Nova.

Progress of nodes stands on the boards, metadata of handles in the cluster
stack (doc/source/contributor/protocols.rst). A user does not have the key
they are signed with: good enough for looking.
"""

from collections.abc import Mapping
from typing import Any

from openstack import connection

from lab.tour import view
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import names
from magnum_k8s_driver.ports import heat as heat_port
from magnum_k8s_driver.ports import sdk_heat

HANDLE = "OS::Heat::WaitConditionHandle"
DISTRESS = "distress"
GROUPS = {"cp": "default-master", "worker": "default-worker"}


class Watcher:
    """Looks at one cluster again and again."""

    def __init__(self, cloud: connection.Connection, cluster_id: str) -> None:
        self._cloud = cloud
        self._heat = sdk_heat.SdkHeat(cloud)
        self._cluster_id = cluster_id
        self._boards: tuple[heat_port.StackResource, ...] = ()
        self._stacks: dict[str, str] = {}

    def cluster(self) -> Mapping[str, Any]:
        """Return Magnum's fields; empty when the cluster is gone."""
        answer = self._cloud.container_infrastructure_management.get(
            f"/clusters/{self._cluster_id}"
        )
        if answer.status_code == 404:
            return {}
        answer.raise_for_status()
        found: Mapping[str, Any] = answer.json()
        return found

    def look(self) -> view.Snapshot:
        """Return how the cluster is now."""
        cluster = self.cluster()
        if not cluster:
            return view.Snapshot(
                status="DELETE_COMPLETE", reason="", steps=(), nodes=()
            )
        prefix = names.cluster_prefix(cluster["name"], cluster["uuid"])
        servers = {
            one.name: one.status
            for one in self._cloud.compute.servers(name=f"^{prefix}-")
        }
        entries = self._entries(prefix)
        nodes = [
            _node(f"{key}-{index}", prefix, servers, entries)
            for key, count in (
                ("cp", cluster["master_count"]),
                ("worker", cluster["node_count"]),
            )
            for index in range(count or 0)
        ]
        return view.Snapshot(
            status=cluster["status"],
            reason=cluster["status_reason"] or "",
            steps=self._steps(prefix, cluster["status"], nodes),
            nodes=tuple(nodes),
        )

    def _entries(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Return what the boards say, by the name of the node."""
        found: dict[str, dict[str, Any]] = {}
        for handle in self._handles(prefix):
            metadata = self._heat.metadata(handle.stack_id, handle.name)
            if handle.name == DISTRESS:
                for one in board.read_distress(metadata):
                    found.setdefault(one.server_name, {"state": "failed"})
                    found[one.server_name]["error"] = {
                        "phase": one.error.phase,
                        "message": one.error.message,
                    }
                continue
            for name, entry in (
                _decoded(metadata, board.DIGEST).get("nodes", {}).items()
            ):
                own = entry.get("report") or {}
                state = "ready" if entry.get("ready") else "booting"
                found[name] = {**own, "state": state}
            report = _decoded(metadata, board.REPORT)
            if report:
                found[f"{prefix}-cp-{handle.name}"] = report
        return found

    def _handles(self, prefix: str) -> tuple[heat_port.StackResource, ...]:
        """Return the boards and the distress handle, last of all."""
        stack_id = self._stack(prefix)
        if not self._boards and stack_id:
            handles = [
                one
                for one in self._heat.resources(stack_id)
                if one.type == HANDLE and one.physical_id
            ]
            handles.sort(key=lambda one: one.name == DISTRESS)
            if any(one.name != DISTRESS for one in handles):
                self._boards = tuple(handles)
        return self._boards

    def _stack(self, name: str) -> str:
        """Return the id of a stack, empty as long as there is none."""
        if not self._stacks.get(name):
            self._stacks[name] = self._heat.find(name) or ""
        return self._stacks[name]

    def _steps(
        self, prefix: str, status: str, nodes: list[view.Node]
    ) -> tuple[str, ...]:
        """Return what is finished."""
        masters = [one for one in nodes if one.title.startswith("cp-")]
        workers = [one for one in nodes if one not in masters]
        stack_id = self._stack(prefix)
        stack = self._heat.show(stack_id) if stack_id else None
        created = stack is not None and (
            stack.action is not heat_port.StackAction.CREATE
            or stack.phase is heat_port.StackPhase.COMPLETE
        )
        done = (
            stack is not None,
            created,
            _all_past(masters, view.Stage.BOOTING),
            _all_past(workers, view.Stage.BOOTING),
            _all_past(masters, view.Stage.READY),
            _all_past(workers, view.Stage.READY),
            status == "CREATE_COMPLETE",
        )
        return tuple(
            step
            for step, is_done in zip(view.STEPS, done, strict=True)
            if is_done
        )


def _node(
    title: str,
    prefix: str,
    servers: Mapping[str, str],
    entries: Mapping[str, Mapping[str, Any]],
) -> view.Node:
    name = f"{prefix}-{title}"
    entry = entries.get(name, {})
    error = entry.get("error") or {}
    return view.Node(
        title=title,
        stage=_stage(servers.get(name, ""), str(entry.get("state", ""))),
        phase=str(error.get("phase") or entry.get("phase") or ""),
        seconds=entry.get("seconds") or {},
        error=str(error.get("message") or ""),
    )


def _stage(server: str, state: str) -> view.Stage:
    if server == "ERROR" or state == "failed":
        return view.Stage.FAILED
    if state == "ready":
        return view.Stage.READY
    if server == "ACTIVE" or state:
        return view.Stage.BOOTING
    return view.Stage.BUILDING if server else view.Stage.WAITING


def _all_past(nodes: list[view.Node], stage: view.Stage) -> bool:
    order = list(view.Stage)
    return bool(nodes) and all(
        one.stage is not view.Stage.FAILED
        and order.index(one.stage) >= order.index(stage)
        for one in nodes
    )


def _decoded(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the document of a signal, empty when there is none."""
    try:
        return board.decode(metadata[name]["data"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
