# SPDX-License-Identifier: Apache-2.0
"""A rotation that is under way, as the cluster stack remembers it."""

from collections.abc import Mapping
import dataclasses
import enum
import json
from typing import Any


NEW_CA = "new-ca"
"""Among the nodes to remove of a resize: a failed rotation of CAs goes back
to the old ones. Magnum takes no other call that could say so."""


class Kind(enum.StrEnum):
    """What is exchanged for a new one."""

    CREDENTIAL = "credential"
    CA = "CA"


class Phase(enum.StrEnum):
    """How far a rotation is."""

    BEGUN = "begun"
    """It is wanted; nothing has been made yet."""
    OFFERED = "offered"
    """Control-plane members find the new secrets in their metadata."""
    TRUST = "trust"
    """Every node comes to trust the new CAs beside the old ones."""
    ISSUE = "issue"
    """Every certificate and token is made anew by what is new."""
    RETIRE = "retire"
    """Every node comes to trust the new CAs only."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rotation:
    """One rotation; kept until every member has what is new."""

    id: str
    """Verb and generation, such as ``rotate-7``."""
    kind: Kind
    phase: Phase = Phase.BEGUN
    started: float
    """Seconds since the epoch."""
    user_id: str = ""
    """Who asked for it: the cluster's owner when it has ended."""
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The new secrets as control-plane servers carry them."""
    moved: float = 0.0
    """When its phase began, seconds since the epoch."""
    secret_ref: str = ""
    """Of the cluster secret that takes over when CAs are rotated."""
    old: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Magnum's references of the CAs that go, by name of the field."""
    new: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Those of the CAs that come."""
    abandoned: bool = False
    """Whether it goes back: what was new is ``old`` then, and goes."""

    @property
    def serial(self) -> str:
        """Return the serial of this phase's secrets; nodes echo it."""
        if self.kind is Kind.CREDENTIAL:
            return self.id
        return f"{self.phase}-{self.id.rpartition('-')[2]}"

    @property
    def next_phase(self) -> Phase | None:
        """Return the phase after this one, None after the last."""
        order: tuple[Phase, ...]
        order = (Phase.BEGUN, Phase.TRUST, Phase.ISSUE, Phase.RETIRE)
        if self.kind is Kind.CREDENTIAL:
            order = (Phase.BEGUN, Phase.OFFERED)
        later = order[order.index(self.phase) + 1 :]
        return later[0] if later else None

    @property
    def can_be_abandoned(self) -> bool:
        """Tell whether what is new has signed nothing yet."""
        early = self.phase in (Phase.BEGUN, Phase.TRUST)
        return self.kind is Kind.CA and early

    def back(self, now: float) -> "Rotation":
        """Return the phase that brings every node back to the old CAs.

        It is the last one, in which nodes come to trust one CA only.

        :param now: seconds since the epoch.
        """
        return dataclasses.replace(
            self,
            phase=Phase.RETIRE,
            started=now,
            moved=now,
            old=self.new,
            new=self.old,
            abandoned=True,
        )

    @classmethod
    def from_parameter(cls, value: str) -> "Rotation | None":
        """Read the stack parameter; Heat returns JSON as text."""
        data = json.loads(value or "{}")
        if not isinstance(data, dict):
            raise ValueError("the rotation is no JSON object")
        if not data.get("id"):
            return None
        kind, phase = Kind(data.pop("kind")), Phase(data.pop("phase"))
        return cls(**data, kind=kind, phase=phase)


def to_parameter(rotation: Rotation | None) -> dict[str, Any]:
    """Return the value of the stack parameter.

    Its metadata are merged into those of servers, so they are always there.
    """
    if rotation is None:
        return {"metadata": {}}
    return dataclasses.asdict(rotation)
