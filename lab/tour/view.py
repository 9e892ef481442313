# SPDX-License-Identifier: Apache-2.0
"""What one look at a growing cluster shows."""

from collections.abc import Mapping
import dataclasses
import enum


class Stage(enum.StrEnum):
    """How far a node is, in the order of a boot."""

    WAITING = "waiting"
    BUILDING = "building"
    BOOTING = "booting"
    READY = "ready"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """One node of the cluster."""

    title: str
    """Short name for people: ``cp-0``, ``worker-1``."""
    stage: Stage
    phase: str = ""
    """The phase of the boot that runs or failed."""
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Finished phases and how long each took, by the node's own clock."""
    error: str = ""

    @property
    def timings(self) -> dict[str, float]:
        """Return the seconds of phases in the order of a boot."""
        return in_order(self.seconds)

    @property
    def told(self) -> str:
        """Return stage and phase as one phrase."""
        if self.error:
            return f"failed in {self.phase or 'boot'}: {self.error}"
        if self.stage is Stage.BOOTING and self.phase:
            return f"booting: {self.phase}"
        return self.stage.value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The whole cluster at one moment."""

    status: str
    """Magnum's, such as ``CREATE_IN_PROGRESS``."""
    reason: str
    steps: tuple[str, ...]
    """What is finished, in the order of :data:`STEPS`."""
    nodes: tuple[Node, ...]

    @property
    def is_over(self) -> bool:
        return not self.status.endswith("IN_PROGRESS")


PHASES = (
    "prepare",
    "runtime",
    "binaries",
    "init",
    "join-control-plane",
    "join",
    "report",
)
"""In the order of a boot; boards have them in the order of the alphabet."""

STEPS = (
    "request checked, identities made",
    "network, API endpoint and boards",
    "control-plane servers",
    "worker servers",
    "control plane ready",
    "workers ready",
    "cluster complete",
)


def in_order(seconds: Mapping[str, float]) -> dict[str, float]:
    """Sort phases in the order of a boot."""
    return dict(sorted(seconds.items(), key=_rank))


def _rank(item: tuple[str, float]) -> tuple[int, str]:
    name = item[0]
    known = name in PHASES
    return (PHASES.index(name) if known else len(PHASES), name)
