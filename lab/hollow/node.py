# SPDX-License-Identifier: Apache-2.0
"""One hollow node: phases of its boot, then obeying its metadata.

Everything here runs on the scheduler's thread; ``console`` may be read from
any.
"""

import abc
import collections
from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import json
from typing import Any

from lab.hollow import behaviour as behaviour_module
from lab.hollow import cluster as cluster_module
from lab.hollow import document as document_module
from lab.hollow import scheduler as scheduler_module
from lab.hollow import signals
from magnum_k8s_driver.model import board

CONSOLE_LINES = 500
DRAINED = "drained"
FIRST_PHASES = ("prepare", "runtime", "binaries")


@dataclasses.dataclass(frozen=True)
class Server:
    """The Nova server a node lives on."""

    id: str
    name: str
    address: str = ""
    vcpus: int = 0
    """0: not known."""
    memory_mib: int = 0
    """0: not known."""


@dataclasses.dataclass(frozen=True)
class Tools:
    """What all nodes share."""

    scheduler: scheduler_module.Scheduler
    behaviour: behaviour_module.Behaviour
    sender: signals.Sender


class Node(abc.ABC):
    """What workers and control-plane members have in common."""

    def __init__(
        self,
        tools: Tools,
        server: Server,
        document: document_module.Document,
        metadata: Mapping[str, str],
        cluster: cluster_module.Cluster,
    ) -> None:
        self.tools = tools
        self.server = server
        self.document = document
        self.metadata = dict(metadata)
        self.cluster = cluster
        self.member = self.metadata.get("magnum_member") or document.member
        self.group = self.metadata.get("magnum_nodegroup") or document.group
        self.operation = self._wanted_operation()
        self.state = board.NodeState.BOOTING
        self.phase = ""
        self.seconds: dict[str, float] = {}
        self.version = ""
        self.error: board.NodeError | None = None
        self.booted = False
        self.running = False
        self.busy = False
        self.silent = False
        self.drained = False
        self.console: collections.deque[str] = collections.deque(
            maxlen=CONSOLE_LINES
        )
        self._failed_operation: str | None = None
        self._created = 0.0
        self._life = 0
        self._began = 0.0

    @property
    def name(self) -> str:
        return self.server.name

    @property
    @abc.abstractmethod
    def phases(self) -> tuple[str, ...]:
        """Names of the phases of the boot, in order."""

    @abc.abstractmethod
    def enter(self, phase: str, proceed: Callable[[], None]) -> None:
        """Prepare a phase of the boot and call ``proceed`` when it may run."""

    @abc.abstractmethod
    def perform(self, phase: str) -> board.NodeError | None:
        """Take the effect of a phase whose time has passed."""

    @abc.abstractmethod
    def publish(self) -> None:
        """Tell the outside what the node is doing now."""

    @abc.abstractmethod
    def failed(self, error: board.NodeError) -> None:
        """Do what follows from a failure in the boot."""

    def power_on(self) -> None:
        """Boot, or come back from a reboot."""
        self._life += 1
        self.running = True
        self.busy = False
        behaviour = self.tools.behaviour
        self.print(f"Booting hollow node {self.name}")
        text = behaviour.value(self.name, "console")
        if text:
            self.print(str(text))
            if "panic" in str(text).lower():
                return
        if behaviour.value(self.name, "never_report"):
            self.silent = True
            return
        self.silent = False
        if self.booted:
            wait = behaviour.seconds(self.name, "reboot")
            self.later(wait, self.resume)
        else:
            self.state, self.error = board.NodeState.BOOTING, None
            self.seconds = {}
            self._begin(0)

    def power_off(self) -> None:
        """Stop at once, as a machine does that lost its power."""
        self._life += 1
        self.running = False
        self.cluster.alive.discard(self.server.id)
        self.cluster.silence(self.name, self.server.id)
        self.cluster.touch()

    def delete(self) -> None:
        self.power_off()
        self.cluster.forget(self.name, self.server.id)

    def must_follow(self) -> bool:
        """Tell whether a rotation of CAs waits for this node."""
        return False

    def follow(self) -> None:
        """Follow a phase of a rotation of CAs."""
        raise NotImplementedError

    def resume(self) -> None:
        """Continue as a booted node whose kubelet has just started."""
        self.cluster.alive.add(self.server.id)
        self._settle()
        self.put(ready=True)
        self._watch_injected()
        self.publish()
        self._reconcile()

    def obey(self, metadata: Mapping[str, str]) -> None:
        """Take changed server metadata over."""
        self.metadata = dict(metadata)
        if self.booted:
            self._reconcile()

    def recall(self, record: Mapping[str, Any]) -> None:
        """Take over what is on the disk, before anything else."""
        del record

    def restore(self, record: Mapping[str, Any]) -> None:
        """Continue after a restart of nova-compute, already booted."""
        self.booted = self.running = True
        self._life += 1
        self.version = record.get("version") or self.document.version
        self.operation = record.get("op") or self.operation
        self.seconds = dict(record.get("seconds") or {})
        self.drained = bool(record.get("drained"))
        self._created = record.get("created") or 0.0
        self.print(f"Hollow node {self.name} restored")

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Call an action unless the machine stopped meanwhile."""
        self.tools.scheduler.call_later(delay, self.alive(action))

    def alive(self, action: Callable[[], None]) -> Callable[[], None]:
        """Bind an action to this life of the machine."""
        life = self._life

        def guarded() -> None:
            if life == self._life:
                action()

        return guarded

    def print(self, line: str) -> None:
        since = self.tools.scheduler.monotonic() % 100000
        self.console.append(f"[{since:12.6f}] {line}")

    def mark(self, kind: str, content: Mapping[str, Any]) -> None:
        """Print a console marker; it has to begin its line."""
        self.console.append(f"MAGNUM-NODE {kind} {json.dumps(content)}")

    def put(self, *, ready: bool) -> None:
        """Register the Node object, or renew it after a restart."""
        known = self.cluster.nodes.get(self.name)
        same = known is not None and known.server_id == self.server.id
        since = self.tools.scheduler.wall()
        if known and same and known.ready == ready:
            since = known.since
        self._created = self._created or self.tools.scheduler.wall()
        self.cluster.put(
            cluster_module.NodeObject(
                name=self.name,
                server_id=self.server.id,
                role=self.document.role,
                group=self.group,
                address=self.server.address,
                version=self.version,
                created=self._created,
                ready=ready,
                since=since,
                reason="" if ready else cluster_module.NOT_READY,
                unschedulable=self.drained,
                report=known.report if known and same else None,
                labels=known.labels if known and same else {},
                taints=known.taints if known and same else (),
            )
        )

    def become_ready(self) -> None:
        """Let the kubelet report the node ready."""
        self.cluster.update(self.name, self.server.id, ready=True, reason="")
        self._watch_injected()

    def record(self) -> dict[str, Any]:
        """Return what the state file says about the node."""
        known = self.cluster.nodes.get(self.name)
        return {
            "server": self.server.id,
            "role": self.document.role,
            "group": self.group,
            "member": self.member,
            "state": str(self.state),
            "phase": self.phase,
            "version": self.version,
            "op": self.operation,
            "seconds": self.seconds,
            "booted": self.booted,
            "drained": self.drained,
            "running": self.running,
            "created": self._created,
            "ready": bool(known and known.ready),
            "error": self.error and dataclasses.asdict(self.error),
        }

    def fail(self, phase: str, message: str, hint: str = "") -> None:
        """End the boot, or this attempt of it, with an error."""
        error = board.NodeError(phase=phase, message=message, hint=hint)
        self.error, self.state = error, board.NodeState.FAILED
        self.mark("failed", dataclasses.asdict(error))
        self.failed(error)
        self.cluster.touch()

    def abandon(self) -> None:
        """Forget every action that was put off."""
        self._life += 1

    def begin_phase(self, phase: str) -> None:
        """Begin, or begin again, one phase of the boot."""
        self._begin(self.phases.index(phase))

    def _begin(self, index: int) -> None:
        phase = self.phase = self.phases[index]
        self._began = self.tools.scheduler.monotonic()
        self.publish()
        self.cluster.touch()

        def proceed() -> None:
            wait = self.tools.behaviour.seconds(self.name, phase)
            self.later(wait, lambda: self._complete(index))

        self.enter(phase, self.alive(proceed))

    def _complete(self, index: int) -> None:
        phase = self.phases[index]
        injected = self.tools.behaviour.failure(self.name, phase)
        if injected:
            self.fail(phase, injected.message, injected.hint)
            return
        error = self.perform(phase)
        if error:
            self.fail(error.phase, error.message, error.hint)
            return
        self.error, self.state = None, board.NodeState.BOOTING
        self._time(phase)
        self.mark("phase", {"phase": phase, "seconds": self.seconds[phase]})
        if index + 1 < len(self.phases):
            self._begin(index + 1)
        else:
            self._finish()

    def _time(self, phase: str) -> None:
        passed = self.tools.scheduler.monotonic() - self._began
        self.seconds[phase] = round(passed, 2)

    def _finish(self) -> None:
        self.booted = True
        self._settle()
        self.mark("ready", {"seconds": self.seconds})
        self.publish()
        self.cluster.touch()
        self._reconcile()

    def _watch_injected(self) -> None:
        after = self.tools.behaviour.value(self.name, "not_ready_after")
        if after:
            self.later(float(after), self._lose_readiness)

    def _lose_readiness(self) -> None:
        self.cluster.update(
            self.name,
            self.server.id,
            ready=False,
            reason=cluster_module.NOT_READY,
        )

    def _wanted_operation(self) -> str:
        return self.metadata.get("magnum_op") or self.document.operation

    def _reconcile(self) -> None:
        """Start the next task the metadata ask for, if there is one."""
        if self.busy or not self.running or self.silent:
            return
        wanted = self._wanted_operation()
        if self.error and wanted == self._failed_operation:
            return
        if self.must_follow():
            self._task("rotate", self.follow)
            return
        drain = self.metadata.get("magnum_drain") == "1"
        version = _version(self.metadata.get("magnum_version"))
        if drain and not self.drained:
            self._task("drain", self._drain)
        elif version and version != self.version:
            self._task("upgrade", lambda: self._upgrade(version))
        elif drain != self.drained or wanted != self.operation:
            self.operation, self.drained = wanted, drain
            self._settle()
            self._cordon(drain)
            self.publish()
            self.cluster.touch()

    def _task(self, name: str, effect: Callable[[], None]) -> None:
        self.busy = True
        self.operation = self._wanted_operation()
        self.phase, self.error = name, None
        self.state = board.NodeState.BOOTING
        self._began = self.tools.scheduler.monotonic()
        if name == "drain":
            self._cordon(True)
        self.publish()
        self.cluster.touch()
        wait = self.tools.behaviour.seconds(self.name, name)
        self.later(wait, lambda: self._end_task(name, effect))

    def _end_task(self, name: str, effect: Callable[[], None]) -> None:
        self.busy = False
        injected = self.tools.behaviour.failure(self.name, name)
        if injected:
            self._failed_operation = self.operation
            self.state = board.NodeState.FAILED
            self.error = board.NodeError(
                phase=name, message=injected.message, hint=injected.hint
            )
            self.mark("failed", dataclasses.asdict(self.error))
        else:
            self._time(name)
            effect()
            self._settle(name)
            self.mark("phase", {"phase": name, "seconds": self.seconds[name]})
        self.publish()
        self.cluster.touch()
        self._reconcile()

    def _drain(self) -> None:
        self.drained = True

    def _upgrade(self, version: str) -> None:
        self.version = version
        self.cluster.update(self.name, self.server.id, version=version)

    def _settle(self, last: str = "") -> None:
        """Be ready or drained, whatever was before."""
        self.error = None
        ready, drained = board.NodeState.READY, board.NodeState.DRAINED
        self.state = drained if self.drained else ready
        self.phase = DRAINED if self.drained else last or self.phases[-1]

    def _cordon(self, cordoned: bool) -> None:
        self.cluster.update(self.name, self.server.id, unschedulable=cordoned)


def _version(text: str | None) -> str:
    """Return a version as nodes report it, with its ``v``."""
    return f"v{text.lstrip('v')}" if text else ""
