# SPDX-License-Identifier: Apache-2.0
"""A hollow worker: joins with its token, speaks through its Node object."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import json
import random
from typing import Any

from lab.hollow import node
from lab.hollow import signals
from magnum_k8s_driver.model import board

JOIN = "join"
LONGEST_PAUSE = 120.0
HINT = "Token and CA hash have to fit the cluster; a token lives two hours."


class Worker(node.Node):
    """A node without a board: annotation, distress signal, console."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._distress = signals.Channel(
            self.tools.sender, self.document.distress
        )
        self._patience = 0.0
        self._pause = 0.0
        self._quiet_until = 0.0
        self._followed = ""
        self._trusted: tuple[str, ...] = ()
        self._issuer = ""

    @property
    def phases(self) -> tuple[str, ...]:
        return (*node.FIRST_PHASES, JOIN, "report")

    def enter(self, phase: str, proceed: Callable[[], None]) -> None:
        if phase != JOIN:
            proceed()
            return
        if not self._patience:
            self._patience = self.tools.behaviour.knob("join_deadline")
            self.later(self._patience, self._check_reached)
        self.cluster.when_up(proceed)

    def perform(self, phase: str) -> board.NodeError | None:
        if phase == JOIN:
            refusal = self.cluster.refusal(self.document, self.name)
            if refusal:
                return board.NodeError(phase=JOIN, message=refusal, hint=HINT)
            self._trusted = self.cluster.trusted
            self._issuer = self.cluster.trusted[0]
            self.version = self.document.version
            self.cluster.alive.add(self.server.id)
            self._distress.drop(self.name)
            self.put(ready=False)
            wait = self.tools.behaviour.seconds(self.name, "kubelet")
            self.later(wait, self.become_ready)
        return None

    def publish(self) -> None:
        """Annotate the Node object; before the join there is none."""
        healthy = self.booted and not self.busy and self.error is None
        self.cluster.update(
            self.name,
            self.server.id,
            report={
                "op": self.operation,
                "phase": self.phase,
                "version": self.version,
                "ready": healthy,
                "secrets": self._followed,
                "error": self.error and dataclasses.asdict(self.error),
                "seconds": dict(self.seconds),
                "state": str(self.state),
                "t": round(self.tools.scheduler.wall(), 1),
            },
        )

    def must_follow(self) -> bool:
        wanted = self.metadata.get("magnum_trust", "")
        return wanted not in ("", self._followed)

    def follow(self) -> None:
        """Take the CAs of the API server, as far as both trust each other."""
        wanted = self.metadata["magnum_trust"]
        shown, accepted = self.cluster.trusted[0], self.cluster.trusted
        known = not self._trusted or shown in self._trusted
        if not known or (self._issuer and self._issuer not in accepted):
            # A real one would never be heard of again.
            self.cluster.note(f"lost-in-{wanted}", self.name)
            self.cluster.alive.discard(self.server.id)
            self.cluster.silence(self.name, self.server.id)
            return
        self._trusted = accepted
        if wanted.startswith("issue"):
            self._issuer = shown
        self._followed = wanted
        self.cluster.note(f"followed-{wanted}", self.name)

    def failed(self, error: board.NodeError) -> None:
        """Signal distress and try the phase again, for ever."""
        if self.version:
            self.publish()
        else:
            self._signal(error)
        retry = self.tools.behaviour.knob("retry_seconds")
        self.later(
            random.uniform(0.5, 1.5) * retry,
            lambda: self.begin_phase(error.phase),
        )

    def power_on(self) -> None:
        self._patience = self._pause = self._quiet_until = 0.0
        self._distress.reopen()
        super().power_on()

    def power_off(self) -> None:
        self._distress.close()
        super().power_off()

    def record(self) -> dict[str, Any]:
        ours = {"followed": self._followed, "trusted": [*self._trusted]}
        return {**super().record(), **ours, "issuer": self._issuer}

    def restore(self, record: Mapping[str, Any]) -> None:
        self._followed = record.get("followed") or ""
        self._trusted = tuple(record.get("trusted") or ())
        self._issuer = record.get("issuer") or ""
        super().restore(record)
        self.resume()

    def _check_reached(self) -> None:
        """Complain when the endpoint has not answered for too long."""
        if self.version or self.cluster.is_up:
            self._patience = 0.0
            return
        error = board.NodeError(
            phase=JOIN,
            message="the API server does not answer",
            hint="Look at the first control-plane node.",
        )
        self.mark("failed", dataclasses.asdict(error))
        self._signal(error)
        retry = self.tools.behaviour.knob("retry_seconds")
        self.later(random.uniform(0.5, 1.5) * retry, self._check_reached)

    def _signal(self, error: board.NodeError) -> None:
        """Signal ever more rarely: Heat must bear a hundred such workers."""
        now = self.tools.scheduler.monotonic()
        if now < self._quiet_until:
            return
        retry = self.tools.behaviour.knob("retry_seconds")
        self._pause = min(max(2 * self._pause, retry), LONGEST_PAUSE)
        self._quiet_until = now + random.uniform(0.75, 1.25) * self._pause
        text = json.dumps(
            {
                "v": 1,
                "t": round(self.tools.scheduler.wall(), 1),
                "server": self.server.id,
                "group": self.group,
                "member": self.member,
                **dataclasses.asdict(error),
            },
            separators=(",", ":"),
        )
        self._distress.send(self.name, False, error.message[:200], text)
