# SPDX-License-Identifier: Apache-2.0
"""A rotation that is under way, as the cluster stack remembers it."""

from collections.abc import Mapping
import dataclasses
import enum
import json
from typing import Any


class Kind(enum.StrEnum):
    """What is exchanged for a new one."""

    CREDENTIAL = "credential"


class Phase(enum.StrEnum):
    """How far a rotation is."""

    BEGUN = "begun"
    """It is wanted; nothing has been made yet."""
    OFFERED = "offered"
    """Control-plane members find the new secrets in their metadata."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rotation:
    """One rotation; kept until every member has what is new."""

    id: str
    """Verb and generation, such as ``rotate-7``; the serial of the new
    secrets, which members echo."""
    kind: Kind
    phase: Phase = Phase.BEGUN
    started: float
    """Seconds since the epoch."""
    user_id: str = ""
    """Who asked for it: the cluster's owner when it has ended."""
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The new secrets as control-plane servers carry them."""

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
