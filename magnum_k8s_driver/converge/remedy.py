# SPDX-License-Identifier: Apache-2.0
"""Whether what goes on is healing, which nobody asked for. Pure."""

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import state


def heals(observed: observed_module.Observed, stack: state.StackState) -> bool:
    """Tell whether healing was the last that happened to a group.

    Nobody has begun anything with the cluster since.

    :param stack: what the group's stack remembers.
    """
    operation = stack.operation
    if operation is None or operation.kind != state.HEAL:
        return False
    if observed.removal is not None:
        return False
    begun = [
        one.operation.started
        for one in observed.states
        if one.operation and one.operation.kind != state.HEAL
    ]
    asked = (
        one.intent is not record.Intent.NOTHING
        for one in observed.record.groups
    )
    return not any(asked) and operation.started > max(begun, default=0.0)


def reasons(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return who is replaced because of what, where healing goes on."""
    return tuple(
        one.healing.reason
        for one in observed.states
        if one.healing is not None and heals(observed, one)
    )


def made(
    observed: observed_module.Observed, group: record.GroupRecord
) -> frozenset[str]:
    """Return the members that the last healing of a group named."""
    stack = observed.state_of(group)
    operation = stack.operation if stack else None
    if stack is None or operation is None or not heals(observed, stack):
        return frozenset()
    return frozenset(
        one.name for one in stack.members.all if one.operation == operation.id
    )
