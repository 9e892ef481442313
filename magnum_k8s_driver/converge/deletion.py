# SPDX-License-Identifier: Apache-2.0
"""The next step of a deletion. Pure."""

from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.ports import heat


def steps(
    observed: observed_module.Observed,
) -> tuple[actions.Action, ...]:
    """Return the next step of: silence, empty, workers, cluster, rest.

    When a user asks again, so is Heat: an engine that died leaves a stack
    DELETE_IN_PROGRESS that nobody works on.
    """
    found: list[actions.Action] = []
    if observed.cluster is not None or observed.workers:
        found.append(actions.DisableIdentity())
    if observed.load_balancers:
        found.append(
            actions.RemoveLeftovers(leftovers=observed.load_balancers)
        )
        return tuple(found)
    if observed.workers:
        # The network in the cluster stack cannot go before its users.
        for one in observed.workers.values():
            found += of_group(one, again=observed.asked)
        return tuple(found)
    if observed.cluster is not None:
        if observed.asked or not _deleting(observed.cluster.stack):
            if observed.leftovers:
                found.append(
                    actions.RemoveLeftovers(leftovers=observed.leftovers)
                )
            if observed.rotation is not None:
                found.append(actions.DiscardRotation())
            found.append(
                actions.DeleteStack(stack_id=observed.cluster.stack.id)
            )
        return tuple(found)
    if observed.leftovers:
        return (actions.RemoveLeftovers(leftovers=observed.leftovers),)
    if observed.user_data:
        return (actions.DropUserData(config_ids=tuple(observed.user_data)),)
    return (actions.ForgetCluster(),)


def of_group(
    group: observed_module.WorkerGroup, *, again: bool
) -> list[actions.DeleteStack]:
    """Return what deletes the stacks of a group.

    :param again: also those that Heat is deleting already.
    """
    return [
        actions.DeleteStack(stack_id=one.stack.id)
        for one in group.parts
        if again or not _deleting(one.stack)
    ]


def _deleting(stack: heat.Stack) -> bool:
    return (
        stack.phase is heat.StackPhase.IN_PROGRESS
        and stack.action is heat.StackAction.DELETE
    )
