# SPDX-License-Identifier: Apache-2.0
"""A hollow control-plane member: serves the API, writes a board."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from lab.hollow import node
from lab.hollow import orders as orders_module
from lab.hollow import renewal
from lab.hollow import scheduler
from lab.hollow import seal
from lab.hollow import signals
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import orders

INIT = "init"
JOIN = "join-control-plane"
SECRETS = "secrets"
LEAST_CPUS, LEAST_MEMORY_MB = 2, 1700
"""Of ``kubeadm init`` and ``join``: ControlPlaneNumCPU and ControlPlaneMem in
cmd/kubeadm/app/constants (v1.36)."""


class ControlPlane(node.Node):
    """A node with secrets: initialises or joins, reports and digests."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._board = signals.Channel(self.tools.sender, self.document.board)
        self._seal: seal.Seal | None = None
        self._answered: Callable[[], None] | None = None
        self._asked = 0
        self._delivered = False
        self._sequence = 0
        self._serves = False
        self._due: scheduler.Event | None = None
        self._sent = 0.0
        self._orders: orders.Acknowledgement | None = None
        self._executing = 0
        self._renewing = ""
        self._followed = ""

    @property
    def phases(self) -> tuple[str, ...]:
        first = (*node.FIRST_PHASES, SECRETS)
        if self.document.init:
            return (*first, INIT, "report")
        return (*first, JOIN, "report")

    @property
    def _key(self) -> bytes:
        """Key of the board; empty until the node has its secrets."""
        return bytes.fromhex(self.document.secrets.get("board_key") or "")

    def enter(self, phase: str, proceed: Callable[[], None]) -> None:
        if phase == SECRETS:
            self._answered = proceed
            self._asked = 0
            self._ask()
            return
        if phase == JOIN:
            deadline = self.tools.behaviour.knob("join_deadline")
            self.later(deadline, self._check_reached)
            self.cluster.when_up(
                self.alive(
                    lambda: self.cluster.become_learner(
                        self.server.id, proceed
                    )
                )
            )
            return
        proceed()

    def perform(self, phase: str) -> board.NodeError | None:
        if phase in (INIT, JOIN):
            return self._serve(phase)
        return None

    def publish(self) -> None:
        """Write the report."""
        document = {
            "v": 1,
            "seq": self._next(),
            "t": round(self.tools.scheduler.wall(), 1),
            "member": self.member,
            "server": self.server.id,
            "op": self.operation,
            "state": str(self.state),
            "phase": self.phase,
            "seconds": dict(self.seconds),
            "version": self.version,
            "error": self.error and dataclasses.asdict(self.error),
            "secrets": self._followed,
        }
        if self._seal is not None:
            document["seal"] = self._seal.text
            self._show()
        if self._orders is not None:
            document["orders"] = dataclasses.asdict(self._orders)
        healthy = self.state != board.NodeState.FAILED
        reason = f"{self.phase} {self.state}"
        self._board.send(
            board.REPORT, healthy, reason, board.encode(document, self._key)
        )

    def failed(self, error: board.NodeError) -> None:
        """Stay as it is: the driver replaces a member that failed."""
        self.cluster.release_learner(self.server.id)
        self.publish()

    def power_on(self) -> None:
        self._executing = 0
        self._board.reopen()
        self._answered = None
        if not self._key and self._seal is None:
            self._seal = seal.Seal()
        super().power_on()

    def power_off(self) -> None:
        self._board.close()
        self._stop_digest()
        self._serves = False
        self.cluster.stop_member(self.server.id)
        super().power_off()

    def resume(self) -> None:
        self._start_serving()
        super().resume()

    def record(self) -> dict[str, Any]:
        found = super().record()
        if self._delivered:
            # A real node has them on its disk.
            found["secrets"] = dict(self.document.secrets)
        return found

    def recall(self, record: Mapping[str, Any]) -> None:
        if record.get("secrets"):
            self._take(record["secrets"])

    def restore(self, record: Mapping[str, Any]) -> None:
        super().restore(record)
        # Whatever was sent before the restart, this is more.
        self._sequence = int(self.tools.scheduler.wall())
        self.cluster.learn(self.document)
        if not self.cluster.initialised_by and self.document.init:
            self.cluster.initialise(self.name, self.server.id)
        self.resume()

    def _ask(self) -> None:
        """Show the fingerprint until the answer is there."""
        if self._key:
            self._proceed()
        if self._answered is None:
            return
        if self._seal is not None:
            self.tools.sender.fetch(
                self.document.board, self._seal.key, self._open
            )
        self._asked += 1
        if self._asked >= 8 and self._asked & (self._asked - 1) == 0:
            # Somebody may have written something else on the board.
            self.publish()
        else:
            self._show()
        patience = self.tools.behaviour.knob("seal_deadline")
        wait = self.tools.behaviour.knob("poll_seconds")
        if self._asked * wait > patience:
            self._answered = None
            message = f"no secrets came within {patience:.0f} s"
            self.fail(SECRETS, message, "Ask the operator of the cloud.")
            return
        self.later(wait, self._ask)

    def _show(self) -> None:
        hidden = self.tools.behaviour.value(self.name, "no_console")
        if self._seal is not None and not hidden:
            self.mark("seal", {"sha256": self._seal.fingerprint})

    def _open(self, texts: Sequence[str]) -> None:
        """Go on when the secrets are there."""
        for text in texts:
            try:
                if self._seal is not None and self.running:
                    self._take(self._seal.open(text))
            except ValueError as exc:
                self.print(f"magnum-node: {exc}")
        if self._key:
            self._proceed()

    def _proceed(self) -> None:
        if self._answered is not None and self.running:
            proceed, self._answered = self._answered, None
            proceed()

    def _take(self, secrets: Mapping[str, Any]) -> None:
        self.document = dataclasses.replace(self.document, secrets=secrets)
        self._seal = None
        self._delivered = True
        if not self.booted:
            self._followed = secrets.get("serial", "")

    def _serve(self, phase: str) -> board.NodeError | None:
        problem = too_small(self.server) or self.cluster.learn(self.document)
        if problem:
            return board.NodeError(phase=phase, message=problem)
        if phase == INIT and not self.cluster.initialise(
            self.name, self.server.id
        ):
            return board.NodeError(
                phase=INIT,
                message="the endpoint answers: the cluster exists already",
                hint=f"It was initialised by {self.cluster.initialised_by}.",
            )
        self.cluster.release_learner(self.server.id)
        self.version = self.document.version
        self.cluster.alive.add(self.server.id)
        self.cluster.etcd[self.name] = self.server.id
        self.put(ready=False)
        self._start_serving()
        wait = self.tools.behaviour.seconds(self.name, "kubelet")
        self.later(wait, self.become_ready)
        return None

    def _reconcile(self) -> None:
        if self.running and not self.silent:
            self._renew()
            self._take_orders()
        super()._reconcile()

    def _renew(self) -> None:
        """Take secrets that are new here, and say so."""
        if not self.booted:
            return
        serial = self.document.secrets.get("serial", "")
        try:
            found = renewal.take(self.metadata, self._key, serial)
        except ValueError as exc:
            self.print(f"magnum-node: new secrets refused: {exc}")
            return
        if found is None or self._renewing == found["serial"]:
            return
        others = found["pki"] != self.document.secrets["pki"]
        self._renewing = found["serial"]
        wait = self.tools.behaviour.seconds(self.name, "rotate")
        self.later(wait if others else 0.0, lambda: self._renewed(found))

    def _renewed(self, found: Mapping[str, Any]) -> None:
        """Use new secrets: the API server gets its certificate anew."""
        self._renewing = ""
        injected = self.tools.behaviour.failure(self.name, "rotate")
        if injected:
            self.fail("rotate", injected.message, injected.hint)
            return
        self._take(found)
        problem = self.cluster.learn(self.document)
        if problem:
            self.fail("rotate", problem, "")
            return
        if self.error and self.error.phase == "rotate":
            self._settle()
        self._followed = found["serial"]
        self.publish()
        self.cluster.touch()

    def _take_orders(self) -> None:
        """Execute new orders in a while, or wait for who may."""
        try:
            wanted = orders.decode(self.metadata, self._key)
        except ValueError as exc:
            self.print(f"magnum-node: orders refused: {exc}")
            return
        known = self._orders.seq if self._orders else 0
        if wanted is None or wanted.seq <= max(known, self._executing):
            return
        self._executing = wanted.seq
        wait = self.tools.behaviour.seconds(self.name, "orders")
        self.later(wait, lambda: self._end_orders(wanted))

    def _end_orders(self, wanted: orders.Orders) -> None:
        self._executing = 0
        done = self.cluster.orders_done
        if done is None or done.seq < wanted.seq:
            if self.name in wanted.remove_etcd:
                # The others have to; look again until one has.
                wait = self.tools.behaviour.knob("poll_seconds")
                self.later(wait, self._take_orders)
                return
            done = self._execute(wanted)
        self._orders = done
        self.publish()
        self._take_orders()

    def _execute(self, wanted: orders.Orders) -> orders.Acknowledgement:
        injected = self.tools.behaviour.failure(self.name, "orders")
        if not injected:
            return orders_module.execute(self.cluster, wanted, self.name)
        failed = orders.AckState.FAILED
        return orders_module.finish(
            self.cluster, wanted, failed, injected.message
        )

    def _check_reached(self) -> None:
        if self.phase != JOIN or self._serves:
            return
        if self.state == board.NodeState.FAILED:
            return
        seconds = self.tools.behaviour.knob("join_deadline")
        reached = self.cluster.is_up
        self.abandon()
        message = (
            f"no turn to join etcd within {seconds:.0f} s"
            if reached
            else f"the API server did not answer for {seconds:.0f} s"
        )
        self.fail(JOIN, message, "Look at the other control-plane nodes.")

    def _start_serving(self) -> None:
        self._serves = True
        self.cluster.watchers[self.server.id] = self._digest_changed
        self.cluster.start_member(self.server.id)
        self._digest_changed()

    def _digest_changed(self) -> None:
        """Send a digest soon, but not sooner than the interval allows."""
        wait = self.tools.behaviour.knob("digest_seconds")
        now = self.tools.scheduler.monotonic()
        due = max(0.05, self._sent + wait - now)
        self._schedule(due)

    def _schedule(self, wait: float) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = self.tools.scheduler.call_later(wait, self._send_digest)

    def _stop_digest(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _send_digest(self) -> None:
        self._sent = self.tools.scheduler.monotonic()
        document = {
            "v": 1,
            "seq": self._next(),
            "t": round(self.tools.scheduler.wall(), 1),
            "server": self.server.id,
            "nodes": self.cluster.digest(),
            "addons": self.cluster.addons.digest(),
        }
        text = board.encode(document, self._key)
        reason = f"{len(self.cluster.nodes)} nodes"
        self._board.send(board.DIGEST, True, reason, text)
        self._schedule(self.tools.behaviour.knob("digest_idle_seconds"))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence


def too_small(server: node.Server) -> str:
    """Return what kubeadm's preflight says of a machine, empty if nothing.

    ``NumCPUCheck`` and ``MemCheck`` in cmd/kubeadm/app/preflight (v1.36).
    """
    if 0 < server.vcpus < LEAST_CPUS:
        return (
            f"[ERROR NumCPU]: the number of available CPUs {server.vcpus} is "
            f"less than the required {LEAST_CPUS}"
        )
    if 0 < server.memory_mib < LEAST_MEMORY_MB:
        return (
            f"[ERROR Mem]: the system RAM ({server.memory_mib} MB) is less "
            f"than the minimum {LEAST_MEMORY_MB} MB"
        )
    return ""
