# SPDX-License-Identifier: Apache-2.0
"""From what API and boards say to Magnum's health fields: pure."""

from collections.abc import Mapping
import dataclasses
import enum

from magnum_k8s_driver.converge import addon_states
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import replay
from magnum_k8s_driver.converge import sentences
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import members
from magnum_k8s_driver.ports import kubernetes

HEALING = "healing"
"""Key of what healing does or waits for."""

_SINCE = ".NotReadySince"
_READY = ".Ready"
_ADDON = ".AddonFailed"
_WRITTEN = "boards.written"
_DAY = 86_400


class Status(enum.StrEnum):
    """Magnum's words for the health of a cluster."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """Everything one poll has found out."""

    now: float
    """Seconds since the epoch."""
    answer: kubernetes.Health | None = None
    """The API's; None when it could not be asked."""
    unreachable: str = ""
    """Why it could not, a sentence."""
    observed: observed_module.Observed | None = None
    """None when nobody looked."""
    blind: str = ""
    """Why nobody could look, a sentence."""
    seen: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Since when nodes were not ready at the poll before, by name."""
    written: float | None = None
    """When the newest digest ever seen was written, see ``replay``."""
    replayed: bool = False
    """Nothing but older ones was on the boards."""
    client_expires: float | None = None
    """End of Magnum's client certificate, seconds since the epoch."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """Health with a reason per part; all values are strings for Magnum."""

    status: Status
    reasons: Mapping[str, str]
    unready: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Nodes that are not ready, and since when."""
    ready: frozenset[str] = frozenset()
    """Nodes that the API itself calls ready."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Node:
    ready: bool
    why: str = ""
    """A sentence."""
    since: float | None = None


def read_seen(reasons: Mapping[str, str] | None) -> dict[str, float]:
    """Return since when nodes were not ready, from the reasons of a poll.

    Magnum's row is the only memory: polls come from any conductor.
    """
    found = {
        key.removesuffix(_SINCE): board.read_moment(text)
        for key, text in (reasons or {}).items()
        if key.endswith(_SINCE)
    }
    return {name: since for name, since in found.items() if since is not None}


def read_written(reasons: Mapping[str, str] | None) -> float | None:
    """Return when the newest digest seen so far was written."""
    return board.read_moment((reasons or {}).get(_WRITTEN))


def read_ready(reasons: Mapping[str, str] | None) -> list[bool]:
    """Return of each node whether it was ready at a poll."""
    return [
        text == str(True)
        for key, text in (reasons or {}).items()
        if key.endswith(_READY)
    ]


def judge(sight: Sight) -> Health:
    """Return the health of a cluster.

    The API answers for itself and its nodes; the control plane's digest does
    where it cannot be asked. A stale or missing digest means unknown, never
    unhealthy.
    """
    answer, observed = sight.answer, sight.observed
    reasons = {"api": answer.api if answer else sight.unreachable}
    nodes: dict[str, _Node] | None = None
    if answer is not None and answer.nodes:
        nodes = _by_api(answer, observed)
    elif observed is not None and observed.digest is not None:
        nodes = _by_boards(observed)
    else:
        reasons["boards"] = (
            sight.blind or "The control plane has not reported lately."
        )
    reasons.update(_boards(sight))
    reasons.update(_certificates(sight))
    if observed is not None:
        reasons |= {
            f"{name}{_ADDON}": words
            for name, words in addon_states.failed(observed).items()
        }
    since = {
        name: _since(sight, name, one)
        for name, one in (nodes or {}).items()
        if not one.ready
    }
    for name, one in (nodes or {}).items():
        reasons[f"{name}{_READY}"] = str(one.ready)
        if not one.ready:
            reasons[name] = one.why
            reasons[f"{name}{_SINCE}"] = board.write_moment(since[name])
    return Health(
        status=_status(answer, nodes, since),
        reasons=reasons,
        unready=since,
        ready=frozenset(
            name
            for name, one in (answer.nodes.items() if answer else ())
            if one.ready
        ),
    )


def _status(
    answer: kubernetes.Health | None,
    nodes: Mapping[str, _Node] | None,
    unready: Mapping[str, float],
) -> Status:
    if answer is not None and answer.api != "ok":
        return Status.UNHEALTHY
    if nodes is None:
        return Status.UNKNOWN
    return Status.UNHEALTHY if unready else Status.HEALTHY


def _by_api(
    answer: kubernetes.Health, observed: observed_module.Observed | None
) -> dict[str, _Node]:
    found = {
        name: _Node(
            ready=one.ready,
            why=sentences.capitalised(one.reason or "it gives no reason"),
            since=one.since,
        )
        for name, one in answer.nodes.items()
    }
    for name in _ordered(observed) if observed else ():
        missing = _Node(ready=False, why="It is not in the cluster.")
        found.setdefault(name, missing)
    return found


def _ordered(observed: observed_module.Observed) -> list[str]:
    return [
        observed.record.node_name(group, member.name)
        for group in observed.record.kept_groups
        for member in observed.members_of(group).all
        if member.state is members.MemberState.ACTIVE
    ]


def _by_boards(observed: observed_module.Observed) -> dict[str, _Node]:
    digest = observed.digest
    known = digest.nodes if digest else {}
    found = {}
    for group in observed.record.groups:
        for node in readiness.nodes(observed, group):
            ready = node.stage is readiness.Stage.READY
            found[node.name] = _Node(
                ready=ready,
                why=_why(node, known.get(node.name)),
                since=known[node.name].since if node.name in known else None,
            )
    return found


def _why(node: readiness.NodeView, known: board.NodeDigest | None) -> str:
    if node.error is not None:
        return readiness.node_sentence(node)
    if known is not None and known.reason:
        return sentences.capitalised(known.reason.rstrip(". "))
    return sentences.capitalised(f"{node.stage.value} {node.phase}".strip())


def _since(sight: Sight, name: str, node: _Node) -> float:
    if node.since is not None:
        return node.since
    return min(sight.seen.get(name, sight.now), sight.now)


def _boards(sight: Sight) -> dict[str, str]:
    """Return what the next poll must know, and whether boards are old."""
    found = {"boards": replay.SUSPICION} if sight.replayed else {}
    written = replay.mark(sight.observed, sight.written, sight.now)
    if written is not None:
        found[_WRITTEN] = board.write_moment(written)
    return found


def _certificates(sight: Sight) -> dict[str, str]:
    answer = sight.answer
    ends = {
        "api_certificate": answer.certificate_expires if answer else None,
        "magnum_certificate": sight.client_expires,
    }
    return {
        f"{name}.days_left": str(int((end - sight.now) // _DAY))
        for name, end in ends.items()
        if end is not None
    }
