# SPDX-License-Identifier: Apache-2.0
"""Change a running cluster."""

import dataclasses

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import remedy
from magnum_k8s_driver.converge.act import groups
from magnum_k8s_driver.converge.act import orders
from magnum_k8s_driver.converge.act import scene as scene_module
from magnum_k8s_driver.converge.act import stacks
from magnum_k8s_driver.model import members as members_module
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import state as state_module


def change_members(
    action: actions.ChangeMembers, scene: scene_module.Scene
) -> None:
    """Let members of a worker group come, drain and go."""
    creating = scene.record.intent is record_module.Intent.CREATE
    if creating and groups.is_unfinished(scene, action.group_uuid):
        return
    spec = scene.load_spec()
    group = orders.current_group(scene, spec, action.group_uuid)
    stack = scene.observed.workers[action.group_uuid]
    operation = stack.state.operation
    if operation is None or action.drain or action.add:
        unasked = action.healing is not None
        operation = _new_operation(scene, stack.state, unasked=unasked)
    kept = stack.state.members.without(*action.remove)
    kept = kept.marked(
        members_module.MemberState.DRAINING, operation.id, *action.drain
    )
    kept = orders.with_new_workers(
        scene, spec, group, kept, action.add, operation
    )
    state = stack.state.advanced(
        members=kept,
        operation=operation,
        healing=action.healing or stack.state.healing,
    )
    groups.change(scene, spec, group, state, action.generation)


def change_control_plane(
    action: actions.ChangeControlPlane, scene: scene_module.Scene
) -> None:
    """Let control-plane members come, drain and go."""
    spec = orders.at_running_version(scene, scene.load_spec())
    before = scene.cluster.state.stack
    operation = _step(scene, before, unasked=action.healing is not None)
    changed = before.members.without(*action.remove)
    changed = changed.marked(
        members_module.MemberState.DRAINING, operation.id, *action.drain
    )
    boards = [*changed.names]
    if action.prepare:
        boards.append(action.prepare)
    if action.add:
        boards.append(action.add)
        changed = orders.with_new_control_plane(
            scene, spec, changed, (action.add,), operation.id
        )
    state = dataclasses.replace(
        orders.dispatched(scene, action.dispatch),
        stack=before.advanced(
            members=changed,
            operation=operation,
            healing=action.healing or before.healing,
        ),
    )
    stacks.update_control_plane(
        scene, spec, state, action.generation, boards=boards
    )


def _step(
    scene: scene_module.Scene,
    before: state_module.StackState,
    *,
    unasked: bool,
) -> state_module.Operation:
    """Return the operation of a change; that of an upgrade stays."""
    operation = before.operation
    if operation is not None and operation.target is not None:
        return operation
    return _new_operation(scene, before, unasked=unasked)


def _new_operation(
    scene: scene_module.Scene,
    before: state_module.StackState,
    *,
    unasked: bool,
) -> state_module.Operation:
    if scene.record.intent is record_module.Intent.CREATE:
        # Of members that are yet to get a stack.
        return orders.operation_after(scene, "create", before.generation)
    heals = unasked or remedy.heals(scene.observed, before)
    kind = state_module.HEAL if heals else "resize"
    return orders.operation_after(scene, kind, before.generation)


def send_orders(action: actions.SendOrders, scene: scene_module.Scene) -> None:
    """Tell the running control plane what is wanted of it."""
    state = dataclasses.replace(
        orders.dispatched(scene, action.dispatch),
        stack=scene.cluster.state.stack.advanced(),
    )
    stacks.remember(scene, state, action.generation)


def begin_upgrade(
    action: actions.BeginUpgrade, scene: scene_module.Scene
) -> None:
    """Write the target of an upgrade into the cluster stack."""
    operation = orders.operation_after(
        scene, "upgrade", action.generation, action.target
    )
    stacks.remember_operation(scene, operation, action.generation)


def upgrade_members(
    action: actions.UpgradeMembers, scene: scene_module.Scene
) -> None:
    """Take the next members of a group to the target."""
    target = scene.observed.upgrade
    if target is None:
        raise exceptions.StaleGeneration("the upgrade is over")
    spec = scene.load_spec()
    worker = scene.observed.workers.get(action.group_uuid)
    state = worker.state if worker else scene.cluster.state.stack
    operation = orders.operation_after(scene, "upgrade", state.generation)
    kept = state.members.without(*action.remove)
    kept = kept.marked(
        members_module.MemberState.DRAINING, operation.id, *action.drain
    ).at_version(target.version, operation.id, *action.order)
    if worker is None:
        changed = dataclasses.replace(
            scene.cluster.state, stack=state.advanced(members=kept)
        )
        stacks.update_control_plane(scene, spec, changed, action.generation)
        return
    group = dataclasses.replace(
        next(one for one in spec.workers if one.uuid == action.group_uuid),
        kubernetes_version=target.version,
        image_id=target.images[action.group_uuid],
    )
    kept = orders.with_new_workers(
        scene, spec, group, kept, action.add, operation
    )
    groups.change(
        scene,
        spec,
        group,
        state.advanced(members=kept, operation=operation),
        action.generation,
    )


def commit_upgrade(
    action: actions.CommitUpgrade, scene: scene_module.Scene
) -> None:
    """Make the target what the cluster is, and forget it."""
    target = scene.observed.upgrade
    if target is None:
        raise exceptions.StaleGeneration("the upgrade is over")
    # Magnum's rows first: repeated after a crash they end the same.
    scene.commit_upgrade(target)
    operation = orders.operation_after(scene, "upgrade", action.generation)
    stacks.remember_operation(scene, operation, action.generation)
