# SPDX-License-Identifier: Apache-2.0
"""Simulated nodes: they boot, report on boards, upgrade and drain."""

from collections.abc import Callable, Mapping
import dataclasses
import fnmatch
import functools
import json
from typing import Any

from lab.hollow import addons as addons_module
from lab.hollow import renewal as renewal_module
from lab.hollow import seal as seal_module
from magnum_k8s_driver.converge import trust
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import orders
from magnum_k8s_driver.render import userdata
from tests.fakes import compute as compute_module
from tests.fakes import heat as heat_module
from tests.fakes import stack_tree

PHASES = ("prepare", "runtime", "binaries", "join", "report")


@dataclasses.dataclass
class Behaviour:
    """How the nodes whose name fits a pattern behave."""

    boot_seconds: float = 30.0
    fail_phase: str = ""
    """Phase the node fails in, empty when it works."""
    message: str = "it did not work"
    hint: str = ""
    no_console: bool = False
    """Its console shows nothing."""
    silent: bool = False
    """Never says or does anything."""
    unready: str = ""
    """Reason why the node, having joined, is not ready."""
    upgrade_seconds: float = 20.0
    upgrade_error: str = ""
    drain_seconds: float = 10.0
    drain_error: str = ""
    keeps_secrets: bool = False
    """Does not take new ones."""
    rotate_error: str = ""
    """Why it cannot follow a rotation of CAs; it tries again."""
    orders_error: str = ""
    """Why orders that this control-plane member executes fail."""


@dataclasses.dataclass
class FakeNode:
    """What runs on a server."""

    server: compute_module.FakeServer
    joined: bool = False
    failed_phase: str = ""
    version: str = ""
    upgrade_due: float | None = None
    drain_due: float | None = None
    drained: bool = False
    error: board.NodeError | None = None
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    taints: tuple[str, ...] = ()
    gave_up: str | None = None
    """Operation whose upgrade failed; only another one is tried."""
    seal: seal_module.Seal | None = None
    """Its key pair, while it waits for its secrets."""
    secrets: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    serial: str = ""
    """Rotation of CAs that a worker has followed."""
    trusted: tuple[str, ...] = ()
    """CAs of which a worker takes the API server's certificate, PEM."""
    issuer: str = ""
    """CA of a worker's own certificate; empty: the first one."""
    sequence: int = 0
    ready_at: float = 0.0
    """When it was last ready."""
    told: str = ""
    told_at: float = float("-inf")

    @property
    def metadata(self) -> Mapping[str, str]:
        """The server's metadata as the node reads them."""
        return self.server.metadata

    @property
    def control_plane(self) -> bool:
        """Tell whether it is a control-plane member."""
        return self.metadata.get("magnum_role") == "control-plane"

    @property
    def cluster(self) -> str:
        """UUID of the cluster, empty for a server that is no node."""
        return self.metadata.get("magnum_cluster", "")


class FakeNodes:
    """Every node of the simulated cloud.

    :ivar board_key: key that signs boards; None: taken from the node's
        secrets or, where user data are none, with ``find_key``.
    :ivar find_key: returns the board key of a cluster UUID.
    :ivar addons: what clusters say of add-ons by name: state and message of
        those that do not simply work.
    :ivar versions: version that new nodes run, when their metadata has no
        ``magnum_version``.
    :ivar forget: True: nodes of deleted servers leave the digest, as the cloud
        controller manager does it.
    """

    def __init__(
        self,
        heat: heat_module.FakeHeat,
        compute: compute_module.FakeCompute,
        clock: Callable[[], float],
    ) -> None:
        self._heat = heat
        self._compute = compute
        self._clock = clock
        self._behaviours: list[tuple[str, Behaviour]] = []
        self.default = Behaviour()
        self.by_id: dict[str, FakeNode] = {}
        self.board_key: bytes | None = None
        self.find_key: Callable[[str], bytes | None] = lambda uuid: None
        self.addons: dict[str, dict[str, str]] = {}
        self.ordered: dict[str, list[addons_module.Addon]] = {}
        self.version = "v1.36.0"
        self.forget = True
        self.acknowledged: dict[str, orders.Acknowledgement] = {}
        self.etcd: dict[str, set[str]] = {}
        self.mute = False
        """True: no control plane writes its board any more."""
        self.lost_signals = 0
        """How many of the next signals get lost on their way to Heat."""
        self.initialised: list[tuple[str, str]] = []
        """UUID of cluster and id of server of each ``kubeadm init``."""

    def behave(self, pattern: str, **changes: Any) -> Behaviour:
        """Set how nodes with such server names behave; the last one wins."""
        behaviour = dataclasses.replace(self.default, **changes)
        self._behaviours.insert(0, (pattern, behaviour))
        return behaviour

    def heal(self) -> None:
        """Let every node work again as nodes do."""
        self._behaviours.clear()
        self.mute, self.lost_signals = False, 0

    def behaviour(self, node: FakeNode) -> Behaviour:
        """Return how a node behaves."""
        for pattern, behaviour in self._behaviours:
            if fnmatch.fnmatchcase(node.server.name, pattern):
                return behaviour
        return self.default

    def named(self, pattern: str) -> FakeNode:
        """Return the node on the only server whose name fits."""
        return self.by_id[self._compute.named(pattern).id]

    def tick(self) -> None:
        """Let every node do what is due."""
        for server in self._compute.by_id.values():
            if server.metadata.get("magnum_cluster"):
                if server.id not in self.by_id:
                    self.by_id[server.id] = self._made(server)
        if self.forget:
            gone = set(self.by_id) - set(self._compute.by_id)
            for server_id in gone:
                del self.by_id[server_id]
        for node in self._living():
            self._live(node)
        for node in self._living():
            if node.control_plane and node.joined:
                self._renew(node)
                self._execute(node)
        for node in self._living():
            if node.control_plane and not self.mute:
                self._write_board(node)

    def _execute(self, node: FakeNode) -> None:
        """Let one member do what orders nobody has executed ask for."""
        key = self._key(node)
        wanted = orders.decode(node.metadata, key) if key else None
        done = self.acknowledged.get(node.cluster)
        if wanted is None or (done and done.seq >= wanted.seq):
            return
        if not self._has_quorum(node.cluster):
            return
        if node.server.name in wanted.remove_etcd:
            return
        problems = [
            self._remove_etcd(node.cluster, name)
            for name in wanted.remove_etcd
        ]
        self._settle(wanted)
        for name in wanted.delete_nodes:
            for server_id, other in list(self.by_id.items()):
                if other.server.name == name:
                    del self.by_id[server_id]
        if wanted.addons:
            self.ordered[node.cluster] = addons_module.read(wanted.addons)
        error = self.behaviour(node).orders_error or "; ".join(
            one for one in problems if one
        )
        state = orders.AckState.FAILED if error else orders.AckState.DONE
        self.acknowledged[node.cluster] = orders.Acknowledgement(
            seq=wanted.seq, state=state, message=error
        )

    def _settle(self, wanted: orders.Orders) -> None:
        """Put labels and taints on nodes as orders say."""
        for other in self.by_id.values():
            name = other.server.name
            for label, value in wanted.node_labels.get(name, {}).items():
                other.labels.pop(label, None)
                if value is not None:
                    other.labels[label] = value
            for taint in wanted.node_taints.get(name, ()):
                rest = set(other.taints) - {taint.removesuffix("-")}
                key_of = taint.removesuffix("-").partition("=")[0]
                rest = {
                    one
                    for one in rest
                    if one.partition("=")[0] != key_of.partition(":")[0]
                }
                if not taint.endswith("-"):
                    rest.add(taint)
                other.taints = tuple(sorted(rest))

    def _renew(self, node: FakeNode) -> None:
        """Let a member take secrets that are new to it."""
        key, how = self._key(node), self.behaviour(node)
        serial = str(node.secrets.get("serial", ""))
        if not key or how.keeps_secrets:
            return
        found = renewal_module.take(node.metadata, key, serial)
        of_cas = found is not None and not found["serial"].startswith("rotate")
        if not (of_cas and _cannot_rotate(node, how)):
            node.secrets = found or node.secrets

    def _follow(self, node: FakeNode, how: Behaviour) -> None:
        """Let a worker take what the control plane says of its CAs.

        It is lost when it trusts nobody who signed what the others show,
        or shows what nobody trusts.
        """
        serial = node.metadata.get("magnum_trust", "")
        if node.control_plane or serial in ("", node.serial):
            return
        leaders = [
            one
            for one in self._living()
            if one.control_plane and one.joined and one.cluster == node.cluster
        ]
        if how.keeps_secrets or not leaders or _cannot_rotate(node, how):
            return
        for one in leaders:
            text = one.secrets["pki"]["ca.crt"]
            shown = trust.split(text)[0]
            known = node.trusted or trust.split(self._first_ca(node))
            if shown not in known or (
                node.issuer and node.issuer not in trust.split(text)
            ):
                raise AssertionError(
                    f"{node.server.name} lost the API in {serial}"
                )
            node.trusted = trust.split(text)
        if serial.startswith("issue"):
            node.issuer = shown
        node.serial = serial

    def _first_ca(self, node: FakeNode) -> str:
        document = _document(node.server.user_data) or {}
        return "".join(document["join"]["ca_certificates"])

    def may_lose(self, server: compute_module.FakeServer) -> bool:
        """Tell whether etcd keeps its majority without a server."""
        cluster = server.metadata.get("magnum_cluster", "")
        left = self._etcd_running(cluster) - {server.name}
        voters = self.etcd.get(cluster, set())
        return len(left & voters) > len(voters) // 2

    def _remove_etcd(self, cluster: str, name: str) -> str:
        """Remove an etcd member; return why not, empty when it is gone."""
        voters = self.etcd.setdefault(cluster, set())
        others = voters - {name}
        healthy = others & self._etcd_running(cluster)
        if name in voters and len(healthy) < len(others) // 2 + 1:
            return f"only {len(healthy)} of {len(others)} are healthy"
        voters.discard(name)
        return ""

    def _etcd_running(self, cluster: str) -> set[str]:
        return {
            node.server.name
            for node in self._living()
            if node.joined and node.control_plane and node.cluster == cluster
        }

    def _has_quorum(self, cluster: str) -> bool:
        voters = self.etcd.get(cluster, set())
        return len(voters & self._etcd_running(cluster)) > len(voters) // 2

    def _living(self) -> list[FakeNode]:
        return [
            node
            for node in self.by_id.values()
            if node.server.id in self._compute.by_id
            and node.server.status == "ACTIVE"
            and not self.behaviour(node).silent
        ]

    def _live(self, node: FakeNode) -> None:
        behaviour, now = self.behaviour(node), self._clock()
        if not node.joined:
            self._boot(node, behaviour, now)
            return
        self._upgrade(node, behaviour, now)
        self._follow(node, behaviour)
        self._drain(node, behaviour, now)

    def _boot(self, node: FakeNode, how: Behaviour, now: float) -> None:
        age = now - node.server.created
        phase = self.phase(node)
        if how.fail_phase and phase == how.fail_phase:
            node.failed_phase = phase
            node.error = board.NodeError(
                phase=phase, message=how.message, hint=how.hint
            )
            node.server.console = "MAGNUM-NODE failed " + json.dumps(
                dataclasses.asdict(node.error)
            )
            if not node.control_plane:
                self._write_distress(node)
        if node.failed_phase and not how.fail_phase:
            node.failed_phase, node.error = "", None
        if node.seal is not None:
            self._handshake(node, how)
        if age < how.boot_seconds or node.failed_phase:
            return
        if node.seal is not None:
            return
        joins = self._control_plane_is_up(node.cluster)
        if not joins and node.control_plane and _may_initialise(node):
            self.initialised.append((node.cluster, node.server.id))
            joins = True
        if joins:
            node.joined = True
            if node.control_plane:
                self.etcd.setdefault(node.cluster, set()).add(node.server.name)
            node.version = node.metadata.get("magnum_version", self.version)
            node.server.console = "MAGNUM-NODE ready {}"

    def _made(self, server: compute_module.FakeServer) -> FakeNode:
        node = FakeNode(server=server)
        document = _document(server.user_data)
        if node.control_plane and document is not None:
            node.secrets = document.get("secrets") or {}
            if not node.secrets:
                node.seal = _seal(len(self.by_id) % _SEALS)
        return node

    def _handshake(self, node: FakeNode, how: Behaviour) -> None:
        """Show the fingerprint until the secrets are there."""
        if node.seal is None:
            return
        marker = json.dumps({"sha256": node.seal.fingerprint})
        # What was printed before may not have ended its line.
        line = f"\nMAGNUM-NODE seal {marker}\n"
        if line not in node.server.console and not how.no_console:
            node.server.console += line
        for text in self._heat.readable(node.seal.key):
            node.secrets, node.seal = node.seal.open(text), None
            return

    def phase(self, node: FakeNode) -> str:
        """Return the phase a node is in."""
        if node.failed_phase:
            return node.failed_phase
        if node.drained:
            return "drained"
        if node.joined:
            return "upgrade" if node.upgrade_due is not None else "ready"
        total = max(self.behaviour(node).boot_seconds, 0.001)
        age = self._clock() - node.server.created
        index = int(age / total * len(PHASES))
        return PHASES[min(index, len(PHASES) - 1)]

    def _control_plane_is_up(self, cluster: str) -> bool:
        return self._has_quorum(cluster)

    def _upgrade(self, node: FakeNode, how: Behaviour, now: float) -> None:
        wanted = node.metadata.get("magnum_version", node.version)
        operation = node.metadata.get("magnum_op", "")
        if wanted == node.version:
            if node.gave_up is not None:
                # The order was taken back.
                node.error, node.gave_up = None, None
            node.upgrade_due = None
            return
        if operation == node.gave_up:
            return
        if node.gave_up is not None:
            node.upgrade_due = None
            node.error, node.gave_up = None, None
        if node.upgrade_due is None:
            node.upgrade_due = now + how.upgrade_seconds
        if now < node.upgrade_due:
            return
        if how.upgrade_error:
            node.error = board.NodeError(
                phase="upgrade", message=how.upgrade_error
            )
            node.gave_up = operation
            return
        node.version, node.upgrade_due, node.error = wanted, None, None

    def _drain(self, node: FakeNode, how: Behaviour, now: float) -> None:
        if node.metadata.get("magnum_drain") != "1":
            node.drain_due, node.drained = None, False
            return
        if node.drain_due is None:
            node.drain_due = now + how.drain_seconds
        if now < node.drain_due or node.drained:
            return
        if how.drain_error:
            node.error = board.NodeError(
                phase="drain", message=how.drain_error
            )
            return
        node.drained = True

    def _handle(
        self, cluster: str, member: str | None
    ) -> stack_tree.Resource | None:
        """Return a member's board, or the distress handle."""
        for stack, one in self._heat.handles():
            if not self._is_of(stack, cluster):
                continue
            if member is None and one.name == "distress":
                return one
            names = (member, f"board_{member}", f"board-{member}")
            if member is not None and one.name in names:
                return one
        return None

    def _is_of(self, stack: heat_module.FakeStack, cluster: str) -> bool:
        """Tell whether a stack has a server or a tag of the cluster."""
        if any(cluster in tag for tag in stack.tags):
            return True
        if cluster in json.dumps([stack.name, stack.parameters], default=str):
            return True
        return any(
            one.properties.get("metadata", {}).get("magnum_cluster") == cluster
            for one in stack.root.walk()
            if one.type == stack_tree.SERVER
        )

    def _key(self, node: FakeNode) -> bytes | None:
        if self.board_key is not None:
            return self.board_key
        if node.secrets:
            return bytes.fromhex(node.secrets["board_key"])
        return None if node.seal else self.find_key(node.cluster)

    def _write_distress(self, node: FakeNode) -> None:
        handle = self._handle(node.cluster, None)
        if handle is None or node.error is None:
            return
        document = {
            "v": 1,
            "t": self._clock(),
            "server": node.server.id,
            "group": node.metadata.get("magnum_nodegroup", ""),
            "member": node.metadata.get("magnum_member", ""),
            **dataclasses.asdict(node.error),
        }
        _signal(handle, node.server.name, document, None, "FAILURE")

    def _write_board(self, node: FakeNode) -> None:
        member = node.metadata.get("magnum_member", "")
        handle = self._handle(node.cluster, member)
        if handle is None:
            return
        nodes = self.digest(node.cluster) if node.joined else {}
        report = self._report(node)
        addons = self.addon_digest(node.cluster)
        told = json.dumps([report, nodes, addons], sort_keys=True)
        now = self._clock()
        if told == node.told and now < node.told_at + 60.0:
            return
        if node.joined and report["state"] == "ready" and node.told:
            if now < node.told_at + 10.0:
                return
        node.told, node.told_at = told, now
        if self.lost_signals > 0:
            self.lost_signals -= 1
            return
        key = self._key(node)
        node.sequence += 1
        head = {"v": 1, "seq": node.sequence, "t": now}
        _signal(handle, board.REPORT, {**head, **report}, key, "SUCCESS")
        if node.joined and self._has_quorum(node.cluster):
            body = {**head, "server": node.server.id, "nodes": nodes}
            body["addons"] = self.addon_digest(node.cluster)
            _signal(handle, board.DIGEST, body, key, "SUCCESS")

    def _report(self, node: FakeNode) -> dict[str, Any]:
        state = "ready" if node.joined else "booting"
        if node.drained:
            state = "drained"
        if node.failed_phase or (node.error is not None and node.joined):
            state = "failed"
        return {
            "member": node.metadata.get("magnum_member", ""),
            "server": node.server.id,
            "op": node.metadata.get("magnum_op", ""),
            "state": state,
            "phase": self.phase(node),
            "seconds": {},
            "version": node.version,
            "error": dataclasses.asdict(node.error) if node.error else None,
            "orders": self._acknowledgement(node),
            "secrets": node.secrets.get("serial", ""),
            **({"seal": node.seal.text} if node.seal else {}),
        }

    def _acknowledgement(self, node: FakeNode) -> dict[str, Any] | None:
        found = self.acknowledged.get(node.cluster)
        return dataclasses.asdict(found) if found and node.joined else None

    def addon_digest(self, cluster: str) -> dict[str, Any]:
        """Return the ``addons`` of a cluster's digest."""
        return {
            one.name: {
                "id": one.id,
                **self.addons.get(one.name, {"state": "done", "message": ""}),
            }
            for one in self.ordered.get(cluster, ())
        }

    def digest(self, cluster: str) -> dict[str, Any]:
        """Return the ``nodes`` of a cluster's digest."""
        living = {node.server.id for node in self._living()}
        found: dict[str, Any] = {}
        for node in self.by_id.values():
            if not node.joined or node.cluster != cluster:
                continue
            reason = self.behaviour(node).unready
            if node.server.id not in living:
                reason = "NodeStatusUnknown: Kubelet stopped posting status"
            if not reason:
                node.ready_at = self._clock()
            since = board.write_moment(node.ready_at) if reason else ""
            found[node.server.name] = {
                "ready": not reason,
                "version": node.version,
                "reason": reason,
                "since": since,
                "report": None
                if node.control_plane
                else {
                    "op": node.metadata.get("magnum_op", ""),
                    "phase": self.phase(node),
                    "version": node.version,
                    "secrets": node.serial,
                    "ready": not reason,
                    "error": (
                        dataclasses.asdict(node.error) if node.error else None
                    ),
                    "seconds": {},
                    "t": 0,
                },
            }
        return found


def _cannot_rotate(node: FakeNode, how: Behaviour) -> bool:
    """Say, or no longer say, that a node cannot follow a rotation."""
    if how.rotate_error:
        node.error = board.NodeError(phase="rotate", message=how.rotate_error)
    elif node.error is not None and node.error.phase == "rotate":
        node.error = None
    return bool(how.rotate_error)


def _may_initialise(node: FakeNode) -> bool:
    """Tell whether user data allow ``kubeadm init``; True when unreadable."""
    try:
        document = json.loads(node.server.user_data)
    except ValueError:
        return True
    return not isinstance(document, dict) or bool(document.get("init", True))


_SEALS = 8
"""As many key pairs as nodes that are seen at the same time."""


@functools.cache
def _seal(index: int) -> seal_module.Seal:
    """Return one of a few key pairs; to make one takes a while."""
    del index
    return seal_module.Seal()


@functools.lru_cache(256)
def _document(user_data: str) -> Mapping[str, Any] | None:
    """Return the node document in user data, None when there is none.

    Tests that do not care for user data write the bare document.
    """
    try:
        return userdata.parse_node_document(user_data)
    except ValueError:
        found = json.loads(user_data) if user_data[:1] == "{" else {}
        return found if "signals" in found else None


def _signal(
    handle: stack_tree.Resource,
    name: str,
    document: Mapping[str, Any],
    key: bytes | None,
    status: str,
) -> None:
    handle.metadata[name] = {
        "data": board.encode(document, key),
        "reason": str(document.get("phase", name)),
        "status": status,
    }
