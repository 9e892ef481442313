# SPDX-License-Identifier: Apache-2.0
"""Create and change stacks so that nothing is made twice or lost."""

import dataclasses

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge.act import scene as scene_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import heat as heat_port


def create(heat: heat_port.HeatPort, request: heat_port.StackRequest) -> str:
    """Create a stack; one of that name is an interrupted attempt's."""
    try:
        return heat.create(request)
    except exceptions.CloudConflict:
        found = heat.find(request.name)
        if found is None:
            raise
        return found


def update(
    heat: heat_port.HeatPort,
    stack_id: str,
    change: heat_port.StackUpdate,
    planned_from: int,
) -> None:
    """PATCH a stack unless it moved on since the plan was made.

    Heat has no compare-and-swap; reading just before and just after makes
    two conductors that lost their lock notice each other.
    """
    if _generation(heat, stack_id) != planned_from:
        raise exceptions.StaleGeneration(f"stack {stack_id} moved on")
    heat.update(stack_id, change)
    if _generation(heat, stack_id) != change.parameters["generation"]:
        raise exceptions.StaleGeneration(f"stack {stack_id} was overtaken")


def update_record(
    scene: scene_module.Scene,
    generation: int,
    operation: state_module.Operation,
) -> None:
    """Change what the cluster stack remembers, and nothing else."""
    cluster = scene.cluster
    state = dataclasses.replace(
        cluster.state, stack=cluster.state.stack.advanced(operation=operation)
    )
    change = heat_port.StackUpdate(
        parameters=state.parameters(),
        timeout_minutes=scene.settings.update_timeout_minutes,
    )
    update(scene.cloud.heat, cluster.stack.id, change, generation)


def _generation(heat: heat_port.HeatPort, stack_id: str) -> int | None:
    stack = heat.show(stack_id)
    return int(stack.parameters["generation"]) if stack else None
