# SPDX-License-Identifier: Apache-2.0
"""The hollow API server: what all nodes of one cluster share.

Everything here runs on the scheduler's thread.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
from typing import Any

from lab.hollow import addons as addons_module
from lab.hollow import behaviour as behaviour_module
from lab.hollow import document as document_module
from lab.hollow import scheduler as scheduler_module
from magnum_k8s_driver.converge import trust
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import join_token
from magnum_k8s_driver.model import orders
from magnum_k8s_driver.model import permit
from magnum_k8s_driver.render import ca_hash

NOT_READY = "KubeletNotReady"
UNKNOWN = "NodeStatusUnknown"
EVENTS = 200


@dataclasses.dataclass
class NodeObject:
    """A Kubernetes Node, as far as anybody here looks at it."""

    name: str
    server_id: str
    role: str
    group: str
    address: str
    version: str
    created: float
    ready: bool = False
    reason: str = NOT_READY
    since: float = 0.0
    """When it became ready or stopped to be."""

    unschedulable: bool = False
    report: Mapping[str, Any] | None = None
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    """What orders set."""

    taints: tuple[str, ...] = ()
    """As kubectl writes them."""


@dataclasses.dataclass(frozen=True)
class ApiView:
    """What the HTTPS server needs; replaced, never changed."""

    addresses: tuple[str, ...]
    port: int
    ca: str
    ca_key: str = dataclasses.field(repr=False)


class Cluster:
    """One cluster's truth: who joined, who is ready, who may join."""

    def __init__(
        self,
        uuid: str,
        name: str,
        scheduler: scheduler_module.Scheduler,
        behaviour: behaviour_module.Behaviour,
        changed: Callable[["Cluster"], None],
    ) -> None:
        self.uuid = uuid
        self.name = name
        self.nodes: dict[str, NodeObject] = {}
        self.initialised_by = ""
        self.initialised_server = ""
        self.double_init = 0
        self.events: list[dict[str, Any]] = []
        self.view: ApiView | None = None
        self.alive: set[str] = set()
        """Ids of the servers whose kubelet reports."""

        self.watchers: dict[str, Callable[[], None]] = {}
        """Called when the digest would differ, by server id."""

        self.expected: frozenset[str] | None = None
        """Workers that may join; None: every one with a token."""

        self.orders_done: orders.Acknowledgement | None = None
        self.addons = addons_module.Addons(
            name, scheduler, behaviour, self.changed_digest
        )
        self.etcd: dict[str, str] = {}
        """Name of each etcd member to its server's id."""

        self._scheduler = scheduler
        self._behaviour = behaviour
        self._changed = changed
        self._running: set[str] = set()
        self._waiting: list[Callable[[], None]] = []
        self._learner = ""
        self._learners: list[tuple[str, Callable[[], None]]] = []
        self._join_root = b""
        self._board_key = b""
        self._ca_hashes: set[str] = set()
        self.trusted: tuple[str, ...] = ()
        """CAs that the API servers trust, PEM; theirs is the first."""

    @property
    def is_up(self) -> bool:
        """Tell whether the endpoint answers."""
        return bool(self.initialised_by and self._running)

    def touch(self) -> None:
        """Note a change for the state file."""
        self._changed(self)

    def note(self, event: str, node: str) -> None:
        """Keep an event for the state file."""
        now = self._scheduler.wall()
        self.events.append({"t": now, "event": event, "node": node})
        del self.events[:-EVENTS]
        self.touch()

    def record(self) -> dict[str, Any]:
        """Return what the state file says about the cluster."""
        return {
            "uuid": self.uuid,
            "name": self.name,
            "initialised_by": self.initialised_by,
            "initialised_server": self.initialised_server,
            "double_init": self.double_init,
            "up": self.is_up,
            "events": self.events,
            "etcd": self.etcd,
            "expected": None
            if self.expected is None
            else sorted(self.expected),
            "orders": self.orders_done
            and dataclasses.asdict(self.orders_done),
            "addons": self.addons.record(),
            "settings": {
                name: {"labels": dict(one.labels), "taints": [*one.taints]}
                for name, one in self.nodes.items()
            },
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """Continue from what the state file said."""
        self.initialised_by = record.get("initialised_by") or ""
        self.initialised_server = record.get("initialised_server") or ""
        self.double_init = record.get("double_init") or 0
        self.events = [*(record.get("events") or ())]
        self.etcd = dict(record.get("etcd") or {})
        expected = record.get("expected")
        self.expected = None if expected is None else frozenset(expected)
        self.orders_done = orders.acknowledgement(record)
        self.addons.restore(record.get("addons") or [])

    def learn(self, document: document_module.Document) -> str:
        """Take a control plane's secrets over.

        :returns: what is wrong with them; empty when nothing is.
        """
        pki_files = document.secrets.get("pki") or {}
        try:
            ca = pki_files["ca.crt"]
            self.trusted = trust.split(ca)
            self._ca_hashes = {ca_hash.ca_hash(one) for one in self.trusted}
            self._join_root = bytes.fromhex(document.secrets["join_root"])
            self._board_key = bytes.fromhex(document.secrets["board_key"])
        except KeyError as exc:
            return f"the node document has no secret {exc}"
        except ValueError as exc:
            return f"the secrets cannot be used: {exc}"
        ca_key = pki_files.get("ca.key", "")
        self.view = ApiView(document.endpoints, document.port, ca, ca_key)
        return ""

    def initialise(self, node: str, server_id: str) -> bool:
        """Run ``kubeadm init``; refused when it was done before."""
        if self.initialised_by and self.initialised_server != server_id:
            self.double_init += 1
            self.note("double-init", node)
            return False
        if not self.initialised_by:
            self.initialised_by = node
            self.initialised_server = server_id
            self.note("init", node)
        return True

    def start_member(self, server_id: str) -> None:
        """A control-plane member serves the API from now on."""
        self._running.add(server_id)
        self.touch()
        if self.is_up:
            waiting, self._waiting = self._waiting, []
            for action in waiting:
                self._scheduler.call_soon(action)

    def stop_member(self, server_id: str) -> None:
        self._running.discard(server_id)
        self.watchers.pop(server_id, None)
        self.release_learner(server_id)
        self.touch()

    def when_up(self, action: Callable[[], None]) -> None:
        """Call an action as soon as the endpoint answers."""
        if self.is_up:
            action()
        else:
            self._waiting.append(action)

    def become_learner(
        self, server_id: str, action: Callable[[], None]
    ) -> None:
        """Call an action when no other member is joining etcd."""
        if self._learner in ("", server_id):
            self._learner = server_id
            action()
        else:
            self._learners.append((server_id, action))

    def release_learner(self, server_id: str) -> None:
        self._learners = [one for one in self._learners if one[0] != server_id]
        if self._learner != server_id:
            return
        self._learner = ""
        if self._learners:
            self._learner, action = self._learners.pop(0)
            self._scheduler.call_soon(action)

    def remove_etcd(self, name: str) -> str:
        """Remove an etcd member; return why not, empty when it is gone."""
        if name not in self.etcd:
            return ""
        others = {k: v for k, v in self.etcd.items() if k != name}
        healthy = sum(one in self._running for one in others.values())
        if healthy < len(others) // 2 + 1:
            return f"only {healthy} of the {len(others)} others are healthy"
        self.etcd = others
        return ""

    def refusal(self, document: document_module.Document, name: str) -> str:
        """Return why a worker may not join; empty when it may."""
        if not self._ca_hashes.intersection(document.ca_hashes):
            return "the cluster's CA is none of those the node was told"
        accepted = join_token.accepted_tokens(
            self._join_root, self.uuid, self._scheduler.wall()
        )
        if document.token not in accepted:
            return "the API server does not know the bootstrap token"
        if not self._expects(document, name):
            return "the control plane does not expect this node"
        return ""

    def _expects(self, document: document_module.Document, name: str) -> bool:
        if self.expected is None or name in self.expected:
            return True
        known = self.orders_done.seq if self.orders_done else 0
        return permit.allows(document.permit, self._board_key, known, name)

    def put(self, node: NodeObject) -> None:
        self.nodes[node.name] = node
        self.changed_digest()

    def update(self, name: str, server_id: str, **changes: Any) -> None:
        """Change a Node if it still belongs to that server."""
        node = self.nodes.get(name)
        if node is None or node.server_id != server_id:
            return
        if changes.get("ready", node.ready) != node.ready:
            node.since = self._scheduler.wall()
        for key, value in changes.items():
            setattr(node, key, value)
        self.changed_digest()

    def silence(self, name: str, server_id: str) -> None:
        """Let the Node become NotReady: its kubelet reports no more."""
        grace = self._behaviour.knob("not_ready_grace")
        self._scheduler.call_later(
            grace, lambda: self._not_ready(name, server_id)
        )

    def forget(self, name: str, server_id: str) -> None:
        """Remove the Node as the cloud controller manager would."""
        self.silence(name, server_id)
        grace = self._behaviour.knob("removal_grace")
        self._scheduler.call_later(
            grace, lambda: self._remove(name, server_id)
        )

    def changed_digest(self) -> None:
        self.touch()
        for watcher in [*self.watchers.values()]:
            watcher()

    def digest(self) -> dict[str, Any]:
        """Return the ``nodes`` of a digest."""
        return {
            one.name: {
                "ready": one.ready,
                "version": one.version,
                "reason": one.reason,
                "since": "" if one.ready else board.write_moment(one.since),
                "report": one.report,
            }
            for one in self.nodes.values()
        }

    def _not_ready(self, name: str, server_id: str) -> None:
        if server_id not in self.alive:
            self.update(name, server_id, ready=False, reason=UNKNOWN)

    def _remove(self, name: str, server_id: str) -> None:
        node = self.nodes.get(name)
        if node is not None and node.server_id == server_id:
            del self.nodes[name]
            self.changed_digest()
