# SPDX-License-Identifier: Apache-2.0
"""Make a cluster."""

import dataclasses

from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import secret as secret_module
from magnum_k8s_driver.converge.act import groups
from magnum_k8s_driver.converge.act import orders
from magnum_k8s_driver.converge.act import scene as scene_module
from magnum_k8s_driver.converge.act import stacks
from magnum_k8s_driver.model import members as members_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.render import cluster_stack


def prepare_identity(
    action: actions.PrepareIdentity, scene: scene_module.Scene
) -> None:
    """Store the cluster secret and make the identities."""
    # Everything wrong with the request is told before the first write.
    spec = scene.load_spec()
    cloud = scene.cloud
    with scene_module.project_lock(scene.lock, spec.project_id):
        cloud.identity.grant_service_roles(
            spec.project_id, scene.settings.service_roles
        )
    if cloud.certificates.find_secret() is None:
        cloud.certificates.store_secret(secret_module.generate().to_text())
    _reference, bundle = orders.read_secret(scene)
    cloud.identity.ensure_cluster_user(
        spec.uuid,
        spec.project_id,
        bundle.identity_password,
        scene.settings.cluster_roles,
    )


def create_cluster_stack(
    action: actions.CreateClusterStack, scene: scene_module.Scene
) -> None:
    """Make network, endpoint and boards."""
    spec = scene.load_spec()
    reference, _bundle = orders.read_secret(scene)
    state = state_module.ClusterState(
        stack=state_module.StackState(
            generation=1,
            operation=orders.create_operation(scene),
            members=members_module.Members(),
        ),
        secret_ref=reference,
        ssh_public_key=spec.ssh_public_key,
    )
    boards = state.stack.members.next_names(spec.control_plane.count)
    request = cluster_stack.request(
        spec,
        state,
        boards=boards,
        timeout_minutes=scene.record.create_timeout_minutes,
    )
    scene.save_stack_id(stacks.create(scene.cloud.heat, request))


def create_control_plane(
    action: actions.CreateControlPlane, scene: scene_module.Scene
) -> None:
    """Add the first control-plane members."""
    spec = scene.load_spec()
    cluster = scene.cluster
    state = cluster.state
    operation = orders.create_operation(scene)
    names = state.stack.members.next_names(spec.control_plane.count)
    stack = state.stack.advanced(
        members=orders.with_new_control_plane(
            scene, spec, state.stack.members, names, operation.id
        ),
        operation=operation,
    )
    update = cluster_stack.update(
        spec,
        dataclasses.replace(state, stack=stack),
        boards=names,
        timeout_minutes=scene.record.create_timeout_minutes,
    )
    stacks.update(
        scene.cloud.heat, cluster.stack.id, update, action.generation
    )


def create_worker_stack(
    action: actions.CreateWorkerStack, scene: scene_module.Scene
) -> None:
    """Make the anchor stack of one worker group."""
    spec = scene.load_spec()
    group = orders.current_group(scene, spec, action.group_uuid)
    operation = orders.create_operation(scene)
    count = min(group.count, group.members_per_stack or group.count)
    members = orders.with_new_workers(
        scene, spec, group, members_module.Members(), count, operation
    )
    state = state_module.StackState(
        generation=1, operation=operation, members=members
    )
    groups.create(scene, spec, group, state)


def record_initialised(
    action: actions.RecordInitialised, scene: scene_module.Scene
) -> None:
    """Remember for ever that kubeadm init succeeded."""
    state = dataclasses.replace(
        orders.dispatched(scene, action.dispatch),
        initialised=True,
        stack=scene.cluster.state.stack.advanced(),
    )
    stacks.remember(scene, state, action.generation)
