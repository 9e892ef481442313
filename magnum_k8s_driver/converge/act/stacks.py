# SPDX-License-Identifier: Apache-2.0
"""Create and change stacks so that nothing is made twice or lost."""

from collections.abc import Iterable
import dataclasses

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge.act import scene as scene_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import heat as heat_port
from magnum_k8s_driver.render import cluster_stack


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


def remember(
    scene: scene_module.Scene,
    state: state_module.ClusterState,
    planned_from: int,
) -> None:
    """Change what the cluster stack remembers, and nothing else.

    No template travels along, so only what servers carry can change.
    """
    change = heat_port.StackUpdate(
        parameters=state.parameters(),
        timeout_minutes=scene.settings.update_timeout_minutes,
    )
    update(scene.cloud.heat, scene.cluster.stack.id, change, planned_from)


def remember_operation(
    scene: scene_module.Scene,
    operation: state_module.Operation,
    planned_from: int,
) -> None:
    """Change the operation the cluster stack remembers."""
    before = scene.cluster.state
    after = dataclasses.replace(
        before, stack=before.stack.advanced(operation=operation)
    )
    remember(scene, after, planned_from)


def update_control_plane(
    scene: scene_module.Scene,
    spec: spec_module.ClusterSpec,
    state: state_module.ClusterState,
    planned_from: int,
    *,
    boards: Iterable[str] | None = None,
) -> None:
    """Bring a running cluster's own stack to a state.

    :param boards: names of members that have one; those in the list unless
        told.
    """
    change = cluster_stack.update(
        spec,
        state,
        boards=state.stack.members.names if boards is None else boards,
        timeout_minutes=scene.settings.update_timeout_minutes,
    )
    update(scene.cloud.heat, scene.cluster.stack.id, change, planned_from)


def _generation(heat: heat_port.HeatPort, stack_id: str) -> int | None:
    stack = heat.show(stack_id)
    return int(stack.parameters["generation"]) if stack else None
