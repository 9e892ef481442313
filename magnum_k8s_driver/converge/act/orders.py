# SPDX-License-Identifier: Apache-2.0
"""What new members are told: secrets, user data, their entry in the list."""

from collections.abc import Mapping, Sequence
import dataclasses

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import addon_states
from magnum_k8s_driver.converge import dispatch as dispatch_module
from magnum_k8s_driver.converge import secret as secret_module
from magnum_k8s_driver.converge import trust
from magnum_k8s_driver.converge import user_data
from magnum_k8s_driver.converge.act import scene as scene_module
from magnum_k8s_driver.model import members as members_module
from magnum_k8s_driver.model import orders
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import rotation as rotation_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.render import addon_orders
from magnum_k8s_driver.render import servers


def create_operation(scene: scene_module.Scene) -> state_module.Operation:
    creating = scene.record.intent is record_module.Intent.CREATE
    started = scene.record.created if creating else scene.observed.now
    return state_module.Operation(
        id="create-1", kind="create", started=started
    )


def operation_after(
    scene: scene_module.Scene,
    kind: str,
    generation: int,
    target: state_module.UpgradeTarget | None = None,
) -> state_module.Operation:
    """Return a new operation that begins now.

    :param generation: of the stack before it.
    """
    return state_module.Operation(
        id=f"{kind}-{generation + 1}",
        kind=kind,
        started=scene.observed.now,
        target=target,
    )


def for_nodes(scene: scene_module.Scene, operation: str) -> user_data.Orders:
    stack = scene.cluster.stack
    material = read_material(scene)
    return user_data.Orders(
        operation=operation,
        endpoint=user_data.endpoint(stack),
        signals=stack.outputs,
        secret=material.bundle,
        authorities=material.authorities,
        artifact_mirror=scene.settings.artifact_mirror,
        seq=scene.cluster.state.orders.seq,
    )


def read_secret(
    scene: scene_module.Scene,
) -> tuple[str, secret_module.ClusterSecret]:
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


def read_material(
    scene: scene_module.Scene,
    rotation: rotation_module.Rotation | None = None,
) -> trust.Material:
    """Return what control-plane nodes have to hold at this moment.

    :param rotation: None: the one that is under way, if any is.
    """
    certificates = scene.cloud.certificates
    _reference, bundle = read_secret(scene)
    rotation = rotation or scene.observed.rotation
    if rotation is None or not rotation.secret_ref:
        return trust.Material(
            bundle=bundle, authorities=certificates.authorities()
        )
    text = certificates.read_secret(rotation.secret_ref)
    new = trust.Material(
        bundle=secret_module.ClusterSecret.from_text(text),
        authorities=certificates.authorities(rotation.new),
    )
    if rotation.phase is rotation_module.Phase.RETIRE:
        # The old ones may be gone already.
        return new
    old = trust.Material(
        bundle=bundle, authorities=certificates.authorities(rotation.old)
    )
    return trust.between(rotation.phase, rotation.serial, old, new)


def member(
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


def store(
    scene: scene_module.Scene,
    group: str,
    operation: str,
    text: str,
    member: str = "",
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


def worker_config(
    scene: scene_module.Scene,
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    members: Sequence[str],
    operation: str,
) -> str:
    """Store the user data that new workers of a group share."""
    text = user_data.worker(
        spec,
        group,
        for_nodes(scene, operation),
        [servers.node_name(spec, group, one) for one in members],
        scene.observed.now,
    )
    return store(scene, group.name, operation, text)


def current_group(
    scene: scene_module.Scene, spec: spec_module.ClusterSpec, group_uuid: str
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


def at_running_version(
    scene: scene_module.Scene, spec: spec_module.ClusterSpec
) -> spec_module.ClusterSpec:
    """Return a specification whose new control-plane nodes fit the others."""
    running = scene.cluster.state.stack.members.all
    return dataclasses.replace(
        spec,
        control_plane=dataclasses.replace(
            spec.control_plane,
            kubernetes_version=running[-1].kubernetes_version,
        ),
    )


def with_new_control_plane(
    scene: scene_module.Scene,
    spec: spec_module.ClusterSpec,
    kept: members_module.Members,
    names: Sequence[str],
    operation: str,
) -> members_module.Members:
    """Return the list with new control-plane members, their boards made."""
    texts = user_data.control_plane(
        scene.cloud,
        spec,
        for_nodes(scene, operation),
        names,
        may_init=not scene.cluster.state.initialised,
    )
    group = spec.control_plane
    return kept.with_new(
        *(
            member(
                group,
                name,
                store(scene, group.name, operation, text, name),
                operation,
            )
            for name, text in texts.items()
        )
    )


def dispatched(
    scene: scene_module.Scene, dispatch: dispatch_module.Dispatch | None
) -> state_module.ClusterState:
    """Return the state with orders in it, as it is without.

    :raises UnsupportedOperation: they do not fit into server metadata.
    """
    state = scene.cluster.state
    if dispatch is None:
        return state
    _reference, bundle = read_secret(scene)
    wanted, addons, addons_for = _with_addons(scene, dispatch)
    try:
        metadata = orders.encode(
            wanted,
            bytes.fromhex(bundle.board_key),
            scene.cloud.compute.max_server_meta(),
        )
    except ValueError as exc:
        raise exceptions.UnsupportedOperation(
            f"The control plane cannot be told what to do: {exc}."
        ) from exc
    return dataclasses.replace(
        state,
        orders=state_module.StandingOrders(
            seq=dispatch.orders.seq,
            sent=scene.observed.now,
            expected=tuple(sorted(dispatch.orders.expected or ())),
            removed=dispatch.removed,
            settings=dispatch.settings,
            metadata=metadata,
            addons=addons,
            addons_for=addons_for,
        ),
    )


def _with_addons(
    scene: scene_module.Scene, dispatch: dispatch_module.Dispatch
) -> tuple[orders.Orders, Mapping[str, state_module.OrderedAddon], str]:
    """Return orders with add-ons in them, if those are due.

    And what is to be remembered: which they are and what they are made from.
    """
    last = scene.cluster.state.orders
    if not dispatch.addons_for:
        return dispatch.orders, last.addons, last.addons_for
    found = _addons(scene)
    wanted = dataclasses.replace(
        dispatch.orders, addons=addon_orders.config_map(found)
    )
    known = {
        one.name: state_module.OrderedAddon(
            id=one.id, required=one.required, removes=one.removes
        )
        for one in found
    }
    return wanted, known, dispatch.addons_for


def _addons(scene: scene_module.Scene) -> tuple[addon_orders.Entry, ...]:
    """Return the add-ons of the cluster as its rows ask for them now."""
    spec = at_running_version(scene, scene.load_spec())
    outputs = scene.cluster.stack.outputs
    last = scene.cluster.state.orders
    _reference, bundle = read_secret(scene)
    return addon_orders.entries(
        spec,
        addon_orders.place(outputs["network_id"], outputs["subnet_id"]),
        left_out=scene.settings.addons_left_out,
        credential=bundle.credential_name,
        history=addon_orders.History(
            ids={name: one.id for name, one in last.addons.items()},
            failed=addon_states.failed(scene.observed),
            attempt=last.seq + 1,
        ),
    )


def with_new_workers(
    scene: scene_module.Scene,
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    kept: members_module.Members,
    count: int,
    operation: state_module.Operation,
) -> members_module.Members:
    if not count:
        return kept
    new = kept.next_names(count)
    config_id = worker_config(scene, spec, group, new, operation.id)
    return kept.with_new(
        *(member(group, name, config_id, operation.id) for name in new)
    )
