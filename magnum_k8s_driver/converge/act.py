# SPDX-License-Identifier: Apache-2.0
"""Perform the actions of a plan.

Each function finds what an earlier, interrupted attempt has already made
before it makes anything. Nothing here decides what shall be done.
"""

from collections.abc import Callable, Sequence
import contextlib
import dataclasses
import functools

from oslo_log import log as logging

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import secret as secret_module
from magnum_k8s_driver.converge import user_data
from magnum_k8s_driver.model import members as members_module
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import heat as heat_port
from magnum_k8s_driver.ports import lock as lock_port
from magnum_k8s_driver.render import cluster_stack
from magnum_k8s_driver.render import worker_stack

LOG = logging.getLogger(__name__)

_PROJECT_WAIT = 20.0
"""Seconds; grants take a few requests to Keystone."""
_NO_CLUSTER_STACK = "an action needs the cluster stack, and there is none"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Operator's choices that actions depend on."""

    service_roles: Sequence[str]
    cluster_roles: Sequence[str]
    update_timeout_minutes: int
    artifact_mirror: str = ""
    """Base URL that replaces ``https://`` of every download of a node."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What an action works with."""

    cloud: cloud_module.Cloud
    observed: observed_module.Observed
    settings: Settings
    load_spec: Callable[[], spec_module.ClusterSpec]
    """Reads Magnum's request and the cloud's facts; raises
    ``InvalidClusterSpec`` with every problem. May be slow: call it once."""
    save_stack_id: Callable[[str], None]
    """Saves the cluster's stack id in Magnum at once."""
    lock: lock_port.LockPort
    is_last_in_project: Callable[[], bool]

    @property
    def record(self) -> record_module.ClusterRecord:
        """Magnum's records."""
        return self.observed.record

    @property
    def cluster(self) -> observed_module.ClusterStack:
        """The cluster stack, which the plan saw."""
        if self.observed.cluster is None:
            raise exceptions.StaleGeneration(_NO_CLUSTER_STACK)
        return self.observed.cluster


def perform(scene: Scene, action: actions.Action) -> None:
    """Perform one action.

    :raises InvalidClusterSpec: the request cannot be carried out.
    :raises StaleGeneration: the world is not the one the plan was made from.
    :raises CloudError: a service refused or failed.
    """
    LOG.debug("Cluster %s: %s", scene.record.uuid, type(action).__name__)
    _perform(action, scene)


@functools.singledispatch
def _perform(action: actions.Action, scene: Scene) -> None:
    raise TypeError(f"no way to perform {action!r}")


@_perform.register
def _(action: actions.PrepareIdentity, scene: Scene) -> None:
    # Everything wrong with the request is told before the first write.
    spec = scene.load_spec()
    cloud = scene.cloud
    with project_lock(scene.lock, spec.project_id):
        cloud.identity.grant_service_roles(
            spec.project_id, scene.settings.service_roles
        )
    if cloud.certificates.find_secret() is None:
        cloud.certificates.store_secret(secret_module.generate().to_text())
    _reference, bundle = _secret(scene)
    cloud.identity.ensure_cluster_user(
        spec.uuid,
        spec.project_id,
        bundle.identity_password,
        scene.settings.cluster_roles,
    )


@_perform.register
def _(action: actions.CreateClusterStack, scene: Scene) -> None:
    spec = scene.load_spec()
    reference, _bundle = _secret(scene)
    state = state_module.ClusterState(
        stack=state_module.StackState(
            generation=1,
            operation=_create_operation(scene),
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
    scene.save_stack_id(_create_stack(scene.cloud.heat, request))


@_perform.register
def _(action: actions.CreateControlPlane, scene: Scene) -> None:
    spec = scene.load_spec()
    cluster = scene.cluster
    state = cluster.state
    operation = _create_operation(scene)
    names = state.stack.members.next_names(spec.control_plane.count)
    texts = user_data.control_plane(
        scene.cloud, spec, _orders(scene, operation.id), names
    )
    new = [
        _member(
            spec.control_plane,
            name,
            _store(scene, spec.control_plane.name, operation.id, text, name),
            operation.id,
        )
        for name, text in texts.items()
    ]
    stack = state.stack.advanced(
        members=state.stack.members.with_new(*new), operation=operation
    )
    update = cluster_stack.update(
        spec,
        dataclasses.replace(state, stack=stack),
        boards=names,
        timeout_minutes=scene.record.create_timeout_minutes,
    )
    _update_stack(
        scene.cloud.heat, cluster.stack.id, update, action.generation
    )


@_perform.register
def _(action: actions.CreateWorkerStack, scene: Scene) -> None:
    spec = scene.load_spec()
    group = _current(scene, spec, action.group_uuid)
    cluster = scene.cluster
    operation = _create_operation(scene)
    config_id = _worker_config(scene, spec, group, operation.id)
    empty = members_module.Members()
    new = [
        _member(group, name, config_id, operation.id)
        for name in empty.next_names(group.count)
    ]
    outputs = cluster.stack.outputs
    request = worker_stack.request(
        spec,
        group,
        state_module.StackState(
            generation=1,
            operation=operation,
            members=empty.with_new(*new),
        ),
        worker_stack.Attachment(
            network_id=outputs["network_id"],
            subnet_id=outputs["subnet_id"],
            security_group_id=outputs["node_security_group_id"],
        ),
        timeout_minutes=scene.record.create_timeout_minutes,
    )
    _create_stack(scene.cloud.heat, request)


@_perform.register
def _(action: actions.ChangeMembers, scene: Scene) -> None:
    spec = scene.load_spec()
    group = _current(scene, spec, action.group_uuid)
    stack = scene.observed.workers[action.group_uuid]
    operation = stack.state.operation
    if operation is None or action.drain or action.add:
        operation = state_module.Operation(
            id=f"resize-{stack.state.generation + 1}",
            kind="resize",
            started=scene.observed.now,
        )
    kept = stack.state.members.without(*action.remove)
    kept = kept.marked(
        members_module.MemberState.DRAINING, operation.id, *action.drain
    )
    if action.add:
        config_id = _worker_config(scene, spec, group, operation.id)
        new = [
            _member(group, name, config_id, operation.id)
            for name in kept.next_names(action.add)
        ]
        kept = kept.with_new(*new)
    timeout = scene.settings.update_timeout_minutes
    update = worker_stack.update(
        spec,
        group,
        stack.state.advanced(members=kept, operation=operation),
        timeout_minutes=timeout,
    )
    _update_stack(scene.cloud.heat, stack.stack.id, update, action.generation)


def _current(
    scene: Scene, spec: spec_module.ClusterSpec, group_uuid: str
) -> spec_module.NodeGroupSpec:
    """Return a worker group with the version it runs now.

    The version of a request that names none is the newest the driver knows,
    which may have become newer than the cluster's control plane.
    """
    group = next(one for one in spec.workers if one.uuid == group_uuid)
    observed = scene.observed
    if observed.record.intent is record_module.Intent.CREATE:
        return group
    row = next(
        one for one in observed.record.workers if one.uuid == group_uuid
    )
    running = (
        observed.members_of(row).all
        or observed.members_of(observed.record.control_plane).all
    )
    return dataclasses.replace(
        group, kubernetes_version=running[-1].kubernetes_version
    )


def _worker_config(
    scene: Scene,
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    operation: str,
) -> str:
    """Store the user data that new workers of a group share."""
    text = user_data.worker(
        scene.cloud,
        spec,
        group,
        _orders(scene, operation),
        scene.observed.now,
    )
    return _store(scene, group.name, operation, text)


@_perform.register
def _(action: actions.RecordInitialised, scene: Scene) -> None:
    cluster = scene.cluster
    state = dataclasses.replace(
        cluster.state,
        initialised=True,
        stack=cluster.state.stack.advanced(),
    )
    # No template travels along: nothing but the record changes.
    update = heat_port.StackUpdate(
        parameters=state.parameters(),
        timeout_minutes=scene.settings.update_timeout_minutes,
    )
    _update_stack(
        scene.cloud.heat, cluster.stack.id, update, action.generation
    )


@_perform.register
def _(action: actions.DropUserData, scene: Scene) -> None:
    for config_id in action.config_ids:
        scene.cloud.heat.delete_config(config_id)


@_perform.register
def _(action: actions.DisableIdentity, scene: Scene) -> None:
    scene.cloud.identity.disable_cluster_user(scene.record.uuid)


@_perform.register
def _(action: actions.DeleteStack, scene: Scene) -> None:
    scene.cloud.heat.delete(action.stack_id)


@_perform.register
def _(action: actions.RemoveLeftovers, scene: Scene) -> None:
    for one in action.leftovers:
        LOG.warning("Cluster %s left %s; removing it", scene.record.uuid, one)
        scene.cloud.leftovers.remove(one)


@_perform.register
def _(action: actions.ForgetCluster, scene: Scene) -> None:
    cloud, record = scene.cloud, scene.record
    cloud.identity.delete_cluster_user(record.uuid)
    cloud.certificates.delete_secrets()
    cloud.certificates.delete_extra_authorities()
    with project_lock(scene.lock, record.project_id):
        # Earlier removal would kill the trusts by which boards are written.
        if scene.is_last_in_project():
            cloud.identity.revoke_service_roles(record.project_id)


def project_lock(
    lock: lock_port.LockPort, project_id: str
) -> contextlib.AbstractContextManager[None]:
    """Return the lock under which a project's grants change."""
    return lock.hold(
        f"magnum-k8s-project-{project_id}", wait_seconds=_PROJECT_WAIT
    )


def _create_operation(scene: Scene) -> state_module.Operation:
    creating = scene.record.intent is record_module.Intent.CREATE
    started = scene.record.created if creating else scene.observed.now
    return state_module.Operation(
        id="create-1", kind="create", started=started
    )


def _orders(scene: Scene, operation: str) -> user_data.Orders:
    stack = scene.cluster.stack
    _reference, bundle = _secret(scene)
    return user_data.Orders(
        operation=operation,
        endpoint=user_data.endpoint(stack),
        signals=stack.outputs,
        secret=bundle,
        artifact_mirror=scene.settings.artifact_mirror,
    )


def _secret(scene: Scene) -> tuple[str, secret_module.ClusterSecret]:
    """Return the reference and the content of the stored cluster secret."""
    certificates = scene.cloud.certificates
    reference = (
        scene.observed.cluster.state.secret_ref
        if scene.observed.cluster is not None
        else certificates.find_secret()
    )
    if not reference:
        raise exceptions.StaleGeneration("the cluster secret is not stored")
    text = certificates.read_secret(reference)
    return reference, secret_module.ClusterSecret.from_text(text)


def _member(
    group: spec_module.NodeGroupSpec,
    name: str,
    config_id: str,
    operation: str,
) -> members_module.Member:
    return members_module.Member(
        name=name,
        image_id=group.image_id,
        flavor_id=group.flavor_id,
        kubernetes_version=group.kubernetes_version,
        user_data=config_id,
        operation=operation,
    )


def _store(
    scene: Scene, group: str, operation: str, text: str, member: str = ""
) -> str:
    """Store user data under a known name, once."""
    name = "-".join(
        part
        for part in (scene.record.prefix, group, operation, member)
        if part
    )
    for config_id, stored in scene.observed.user_data.items():
        # Of an attempt that died before anything referred to it; its token
        # may be old, and its text cannot be trusted to be this one.
        if stored == name:
            scene.cloud.heat.delete_config(config_id)
    return scene.cloud.heat.create_config(name, text)


def _create_stack(
    heat: heat_port.HeatPort, request: heat_port.StackRequest
) -> str:
    """Create a stack; one of that name is an interrupted attempt's."""
    try:
        return heat.create(request)
    except exceptions.CloudConflict:
        found = heat.find(request.name)
        if found is None:
            raise
        return found


def _update_stack(
    heat: heat_port.HeatPort,
    stack_id: str,
    update: heat_port.StackUpdate,
    planned_from: int,
) -> None:
    """PATCH a stack unless it moved on since the plan was made.

    Heat has no compare-and-swap; reading just before and just after makes
    two conductors that lost their lock notice each other.
    """
    if _generation(heat, stack_id) != planned_from:
        raise exceptions.StaleGeneration(f"stack {stack_id} moved on")
    heat.update(stack_id, update)
    if _generation(heat, stack_id) != update.parameters["generation"]:
        raise exceptions.StaleGeneration(f"stack {stack_id} was overtaken")


def _generation(heat: heat_port.HeatPort, stack_id: str) -> int | None:
    stack = heat.show(stack_id)
    return int(stack.parameters["generation"]) if stack else None
