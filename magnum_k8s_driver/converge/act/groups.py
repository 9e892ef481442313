# SPDX-License-Identifier: Apache-2.0
"""Share a worker group out among its Heat stacks.

Whoever changes a group thinks of one list of members. Which stack holds
whom is decided here and nowhere else.
"""

import dataclasses

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge.act import scene as scene_module
from magnum_k8s_driver.converge.act import stacks
from magnum_k8s_driver.model import members as members_module
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import heat as heat_port
from magnum_k8s_driver.render import worker_stack


def create(
    scene: scene_module.Scene,
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    state: state_module.StackState,
) -> None:
    """Make the anchor stack of a group with all members it may hold.

    The others follow when Heat has made what they share, see
    :func:`is_unfinished`.

    :param state: its members get the first names.
    """
    _make(scene, spec, group, state)


def is_unfinished(scene: scene_module.Scene, group_uuid: str) -> bool:
    """Tell whether Heat has yet to make what a group's stacks share."""
    return not _server_group(scene, scene.observed.workers[group_uuid])


def change(
    scene: scene_module.Scene,
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    state: state_module.StackState,
    planned_from: int,
) -> None:
    """Bring the stacks of a group to a state of the group.

    Stacks whose members stay as they are are left alone, unless Heat failed
    at them.

    :param planned_from: generation of the group that the plan saw.
    :raises StaleGeneration: the group moved on since.
    """
    before = scene.observed.workers[group.uuid]
    if before.state.generation != planned_from:
        raise exceptions.StaleGeneration(f"node group {group.name} moved on")
    parts = before.parts
    shares = members_module.shared_out(
        state.members,
        [one.state.members for one in parts],
        group.members_per_stack,
    )
    for part, share in zip(parts, shares, strict=False):
        if _is_to_change(part, share):
            update = worker_stack.update(
                spec,
                group,
                dataclasses.replace(state, members=share),
                timeout_minutes=_timeout(scene),
            )
            stacks.update(
                scene.cloud.heat,
                part.stack.id,
                update,
                part.state.generation,
            )
    further = shares[len(parts) :]
    if further:
        server_group = _server_group(scene, before)
        for index, share in enumerate(further, parts[-1].index + 1):
            new = dataclasses.replace(state, members=share)
            _make(scene, spec, group, new, index, server_group)


def _is_to_change(
    part: observed_module.WorkerStack, share: members_module.Members
) -> bool:
    failed = part.stack.phase is heat_port.StackPhase.FAILED
    return failed or share.all != part.state.members.all


def _make(
    scene: scene_module.Scene,
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    state: state_module.StackState,
    index: int = 0,
    server_group: str = "",
) -> None:
    """Make one stack; index and server group are those of a further one."""
    outputs = scene.cluster.stack.outputs
    attachment = worker_stack.Attachment(
        network_id=outputs["network_id"],
        subnet_id=outputs["subnet_id"],
        security_group_id=outputs["node_security_group_id"],
        server_group_id=server_group,
    )
    request = worker_stack.request(
        spec,
        group,
        state,
        attachment,
        index=index,
        timeout_minutes=_timeout(scene),
    )
    stacks.create(scene.cloud.heat, request)


def _server_group(
    scene: scene_module.Scene, group: observed_module.WorkerGroup
) -> str:
    """Return the id of the server group of a group, '' without one yet."""
    first = group.parts[0].stack
    shared = first.parameters["shared_server_group"]
    if shared:
        # The anchor is gone.
        return shared
    for one in scene.cloud.heat.resources(first.id, depth=1):
        if one.name == worker_stack.SERVER_GROUP:
            return one.physical_id
    return ""


def _timeout(scene: scene_module.Scene) -> int:
    if scene.record.intent is record_module.Intent.CREATE:
        return scene.record.create_timeout_minutes
    return scene.settings.update_timeout_minutes
