# SPDX-License-Identifier: Apache-2.0
"""What waits for nothing but the next look. Pure."""

from collections.abc import Iterator

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import operation
from magnum_k8s_driver.model import record
from magnum_k8s_driver.ports import heat

_SOON = 180.0
"""Seconds in which a step most often ends: Heat's work, a node's boot, drain,
upgrade or orders. Of what takes longer nobody knows when it will."""


def is_awaited(observed: observed_module.Observed) -> bool:
    """Tell whether a look in a few seconds may bring something forward.

    Not where Heat has failed: that is not mended by looking.
    """
    if observed.record.intent is record.Intent.NOTHING:
        return False
    failed = heat.StackPhase.FAILED
    if any(one.stack.phase is failed for one in observed.stacks):
        return False
    return any(observed.now - at < _SOON for at in _begun(observed))


def _begun(observed: observed_module.Observed) -> Iterator[float]:
    """Yield when the steps began that may be under way."""
    yield operation.started(observed)
    for one in observed.stacks:
        yield one.stack.updated or one.stack.created
    for server in observed.servers.values():
        if server.launched is not None:
            yield server.launched


def unmade(
    observed: observed_module.Observed, group: record.GroupRecord
) -> int:
    """Return how many members of a new worker group have no stack yet."""
    stack = observed.workers.get(group.uuid)
    if stack is None or observed.record.intent is not record.Intent.CREATE:
        return 0
    return max(group.node_count - len(stack.state.members.all), 0)
