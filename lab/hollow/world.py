# SPDX-License-Identifier: Apache-2.0
"""All hollow nodes of one process, independent of Nova.

Every method may be called from any thread; the work happens on the
scheduler's.
"""

from collections.abc import Callable
from collections.abc import Mapping
import functools
import logging
import pathlib
from typing import Any

from lab.hollow import behaviour as behaviour_module
from lab.hollow import cluster as cluster_module
from lab.hollow import control_plane
from lab.hollow import document as document_module
from lab.hollow import node as node_module
from lab.hollow import scheduler as scheduler_module
from lab.hollow import signals
from lab.hollow import state
from lab.hollow import worker

LOG = logging.getLogger(__name__)

WRITE_DELAY = 0.3


class World:
    """Hollow nodes by server id, their clusters by UUID."""

    def __init__(
        self,
        root: pathlib.Path,
        scheduler: scheduler_module.Scheduler | None = None,
        sender: signals.Sender | None = None,
        clusters_changed: Callable[[cluster_module.Cluster], None]
        | None = None,
    ) -> None:
        home = root / "state/hollow"
        self.scheduler = scheduler or scheduler_module.Scheduler()
        self.behaviour = behaviour_module.Behaviour(home / "behaviour.json")
        self.clusters: dict[str, cluster_module.Cluster] = {}
        self.nodes: dict[str, node_module.Node] = {}
        self._store = state.Store(home / "clusters")
        self._store.prune()
        self._sender = sender or signals.Sender(self.scheduler)
        self._tools = node_module.Tools(
            self.scheduler, self.behaviour, self._sender
        )
        self._dirty: set[str] = set()
        self._clusters_changed = clusters_changed

    def boot(
        self,
        server: node_module.Server,
        user_data: bytes,
        metadata: Mapping[str, str],
    ) -> None:
        """Start a new server's node, if its user data makes it one."""
        document = _read(server, user_data)
        if document:
            wanted = dict(metadata)
            self.scheduler.call_soon(
                lambda: self._add(server, document, wanted).power_on()
            )

    def restore(
        self,
        server: node_module.Server,
        user_data: bytes,
        metadata: Mapping[str, str],
        running: bool,
    ) -> None:
        """Go on with a server that was there before this process."""
        document = _read(server, user_data)
        if document:
            wanted = dict(metadata)
            self.scheduler.call_soon(
                lambda: self._restore(server, document, wanted, running)
            )

    def submit(self, work: Callable[[], None]) -> None:
        """Run something slow beside the scheduler's thread."""
        self._sender.submit(work)

    def power_on(self, server_id: str) -> None:
        self._each(server_id, lambda node: node.power_on())

    def power_off(self, server_id: str) -> None:
        self._each(server_id, lambda node: node.power_off())

    def reboot(self, server_id: str) -> None:
        def reboot(node: node_module.Node) -> None:
            node.power_off()
            node.power_on()

        self._each(server_id, reboot)

    def obey(self, server_id: str, metadata: Mapping[str, str]) -> None:
        """Hand metadata over that may have changed."""
        wanted = dict(metadata)

        def obey(node: node_module.Node) -> None:
            if node.metadata != wanted:
                node.obey(wanted)

        self._each(server_id, obey)

    def delete(self, server_id: str) -> None:
        self._each(server_id, self._delete)

    def console(self, server_id: str) -> str:
        """Return what the server's serial console shows."""
        node = self.nodes.get(server_id)
        return "\n".join([*node.console, ""]) if node else ""

    def _each(
        self, server_id: str, action: Callable[[node_module.Node], None]
    ) -> None:
        def act() -> None:
            node = self.nodes.get(server_id)
            if node is not None:
                action(node)

        self.scheduler.call_soon(act)

    def _add(
        self,
        server: node_module.Server,
        document: document_module.Document,
        metadata: Mapping[str, str],
    ) -> node_module.Node:
        role = worker.Worker
        if document.is_control_plane:
            role = control_plane.ControlPlane
        cluster = self._cluster(document)
        node = role(self._tools, server, document, metadata, cluster)
        self.nodes[server.id] = node
        return node

    def _restore(
        self,
        server: node_module.Server,
        document: document_module.Document,
        metadata: Mapping[str, str],
        running: bool,
    ) -> None:
        node = self._add(server, document, metadata)
        known = self._store.read(document.cluster_uuid).get("nodes") or {}
        record = known.get(server.name) or {}
        same = record.get("server") == server.id
        if same:
            node.recall(record)
        if same and not record.get("booted"):
            node.power_on()
        else:
            node.restore(record if same else {})
        if not running:
            node.power_off()

    def _delete(self, node: node_module.Node) -> None:
        node.delete()
        del self.nodes[node.server.id]

    def _cluster(
        self, document: document_module.Document
    ) -> cluster_module.Cluster:
        uuid = document.cluster_uuid
        cluster = self.clusters.get(uuid)
        if cluster is None:
            cluster = self.clusters[uuid] = cluster_module.Cluster(
                uuid,
                document.cluster_name,
                self.scheduler,
                self.behaviour,
                self._changed,
            )
            cluster.restore(self._store.read(uuid))
        return cluster

    def _changed(self, cluster: cluster_module.Cluster) -> None:
        if cluster.uuid not in self._dirty:
            self._dirty.add(cluster.uuid)
            self.scheduler.call_later(
                WRITE_DELAY, lambda: self._write(cluster)
            )
        if self._clusters_changed:
            self._clusters_changed(cluster)

    def _write(self, cluster: cluster_module.Cluster) -> None:
        self._dirty.discard(cluster.uuid)
        content = cluster.record()
        nodes: dict[str, Any] = {
            one.name: {"server": one.server_id, "gone": True, **_seen(one)}
            for one in cluster.nodes.values()
        }
        living = [one for one in self.nodes.values() if one.cluster is cluster]
        nodes |= {one.name: one.record() for one in living}
        self._store.write(cluster.uuid, {**content, "nodes": nodes})
        if not nodes:
            self.clusters.pop(cluster.uuid, None)


def _seen(node: cluster_module.NodeObject) -> dict[str, Any]:
    return {"role": node.role, "group": node.group, "ready": node.ready}


def _read(
    server: node_module.Server, user_data: bytes
) -> document_module.Document | None:
    try:
        return _cached(user_data)
    except ValueError as exc:
        LOG.warning("Server %s is no node: %s", server.id, exc)
        return None


@functools.lru_cache(64)
def _cached(user_data: bytes) -> document_module.Document | None:
    """Parse user data; the workers of an operation share theirs."""
    return document_module.read(user_data)
