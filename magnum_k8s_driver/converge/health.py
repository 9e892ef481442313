# SPDX-License-Identifier: Apache-2.0
"""From what API and boards say to Magnum's health fields: pure."""

from collections.abc import Mapping
import dataclasses
import enum

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.ports import kubernetes


class Status(enum.StrEnum):
    """Magnum's words for the health of a cluster."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """Health with a reason per part; all values are strings for Magnum."""

    status: Status
    reasons: Mapping[str, str]


def from_api(answer: kubernetes.Health) -> Health:
    """Return the health that the cluster's own API tells."""
    reasons = {"api": answer.api}
    for name, condition in answer.nodes.items():
        reasons[f"{name}.Ready"] = str(condition == "Ready")
        if condition != "Ready":
            reasons[name] = condition
    healthy = answer.api == "ok" and all(
        one == "Ready" for one in answer.nodes.values()
    )
    status = Status.HEALTHY if healthy else Status.UNHEALTHY
    return Health(status=status, reasons=reasons)


def from_boards(
    observed: observed_module.Observed, unreachable: str
) -> Health:
    """Return the health that the control plane wrote on its boards.

    A stale or missing digest means unknown, never unhealthy.

    :param unreachable: why the API was not asked.
    """
    reasons = {"api": unreachable}
    if observed.digest is None:
        reasons["boards"] = "The control plane has not reported lately."
        return Health(status=Status.UNKNOWN, reasons=reasons)
    healthy = True
    for group in observed.record.groups:
        for node in readiness.nodes(observed, group):
            ready = node.stage is readiness.Stage.READY
            healthy = healthy and ready
            reasons[f"{node.name}.Ready"] = str(ready)
            if not ready:
                reasons[node.name] = _why(node)
    status = Status.HEALTHY if healthy else Status.UNHEALTHY
    return Health(status=status, reasons=reasons)


def _why(node: readiness.NodeView) -> str:
    if node.error is not None:
        return readiness.node_sentence(node)
    return f"{node.stage.value} {node.phase}".strip()
