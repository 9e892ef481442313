# SPDX-License-Identifier: Apache-2.0
"""What waits for nothing but the next look. Pure."""

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import sealing
from magnum_k8s_driver.model import record
from magnum_k8s_driver.ports import heat


def is_awaited(observed: observed_module.Observed) -> bool:
    """Tell whether a look in a few seconds brings something forward."""
    return (
        sealing.is_awaited(observed)
        or _is_brief(observed)
        or any(unmade(observed, one) for one in observed.record.workers)
    )


def _is_brief(observed: observed_module.Observed) -> bool:
    """Tell whether a create waits for Heat where that takes seconds only.

    It makes a network, or hands orders to the control plane that works.
    """
    cluster = observed.cluster
    if cluster is None or observed.record.intent is not record.Intent.CREATE:
        return False
    state = cluster.state
    return cluster.stack.phase is heat.StackPhase.IN_PROGRESS and (
        state.initialised or not state.stack.members.all
    )


def unmade(
    observed: observed_module.Observed, group: record.GroupRecord
) -> int:
    """Return how many members of a new worker group have no stack yet."""
    stack = observed.workers.get(group.uuid)
    if stack is None or observed.record.intent is not record.Intent.CREATE:
        return 0
    return max(group.node_count - len(stack.state.members.all), 0)
