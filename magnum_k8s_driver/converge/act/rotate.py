# SPDX-License-Identifier: Apache-2.0
"""Exchange secrets of a running cluster for new ones."""

import dataclasses

from oslo_log import log as logging

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import envelope
from magnum_k8s_driver.converge import rotation
from magnum_k8s_driver.converge import secret as secret_module
from magnum_k8s_driver.converge import trust
from magnum_k8s_driver.converge import user_data
from magnum_k8s_driver.converge.act import groups
from magnum_k8s_driver.converge.act import orders
from magnum_k8s_driver.converge.act import scene as scene_module
from magnum_k8s_driver.converge.act import stacks
from magnum_k8s_driver.model import renewal
from magnum_k8s_driver.model import rotation as rotation_module
from magnum_k8s_driver.model import state as state_module

LOG = logging.getLogger(__name__)


def begin_rotation(
    action: actions.BeginRotation, scene: scene_module.Scene
) -> None:
    """Write down that something shall be rotated, and who asked for it.

    One that is under way already goes on, with more time and for another
    owner. The template goes along: older stacks cannot remember a rotation.
    """
    state = scene.cluster.state
    begun = state.rotation or rotation_module.Rotation(
        id=f"rotate-{action.generation + 1}",
        kind=action.kind,
        started=scene.observed.now,
        old=action.old,
        new=action.new,
    )
    begun = dataclasses.replace(
        begun, started=scene.observed.now, user_id=action.user_id
    )
    spec = orders.at_running_version(scene, scene.load_spec())
    stacks.update_control_plane(
        scene, spec, _with(state, begun), action.generation
    )


def advance_rotation(
    action: actions.AdvanceRotation, scene: scene_module.Scene
) -> None:
    """Begin the next phase: lay its secrets into metadata, encrypted.

    From here on new members get them, too. When what is new cannot be made
    the old stays, and the rotation is forgotten.
    """
    state = scene.cluster.state
    try:
        after = _offered(scene)
    except (
        exceptions.StaleGeneration,
        exceptions.CloudConflict,
        exceptions.CloudUnavailable,
    ):
        raise
    except exceptions.K8sDriverError as exc:
        standing = _standing(scene)
        if standing.phase is not rotation_module.Phase.BEGUN:
            advice = rotation.advice(scene.observed)
            raise exceptions.K8sDriverError(f"{exc} {advice}") from exc
        certificates = scene.cloud.certificates
        certificates.keep_secret(state.secret_ref)
        certificates.discard_authorities(standing.new)
        stacks.remember(scene, _with(state, None), action.generation)
        _put_back_password(scene)
        raise exceptions.K8sDriverError(
            f"The {standing.kind} was not rotated, the old one stays in use: "
            f"{exc}"
        ) from exc
    stacks.remember(scene, after, action.generation)


def abandon_rotation(
    action: actions.AbandonRotation, scene: scene_module.Scene
) -> None:
    """Go back to the old CAs; nothing was signed by the new ones yet.

    Nodes that trust both are told to trust the old ones only, like at the
    end of a rotation; no node has heard of one that has only begun.
    """
    standing, state = _standing(scene), scene.cluster.state
    if not standing.can_be_abandoned:
        raise exceptions.StaleGeneration("the rotation has gone on")
    certificates = scene.cloud.certificates
    if standing.phase is rotation_module.Phase.BEGUN:
        certificates.discard_authorities(standing.new)
        stacks.remember(scene, _with(state, None), action.generation)
        return
    back = standing.back(scene.observed.now)
    _reference, old = orders.read_secret(scene)
    # Nodes take what has another serial than theirs.
    bundle = dataclasses.replace(old, serial=back.serial)
    reference = certificates.store_secret(bundle.to_text())
    back = dataclasses.replace(back, secret_ref=reference)
    material = orders.read_material(scene, back)
    back = dataclasses.replace(
        back, metadata=_encoded(scene, back.serial, material)
    )
    after = dataclasses.replace(_with(state, back), secret_ref=reference)
    stacks.remember(scene, after, action.generation)


def tell_workers(
    action: actions.TellWorkers, scene: scene_module.Scene
) -> None:
    """Let every worker of a group follow the phase of a rotation of CAs.

    The control plane is through with it: what Magnum shows and signs with
    is what the API server has.
    """
    standing = _standing(scene)
    _publish(scene, standing)
    spec = scene.load_spec()
    group = orders.current_group(scene, spec, action.group_uuid)
    stack = scene.observed.workers[action.group_uuid]
    operation = orders.operation_after(
        scene, standing.phase.value, stack.state.generation
    )
    told = stack.state.members.trusting(standing.serial, operation.id)
    groups.change(
        scene,
        spec,
        group,
        stack.state.advanced(members=told, operation=operation),
        action.generation,
    )


def end_rotation(
    action: actions.EndRotation, scene: scene_module.Scene
) -> None:
    """Remove what is old, hand the cluster over, and forget the rotation.

    Repeated after a crash it ends the same.
    """
    standing = _standing(scene)
    certificates = scene.cloud.certificates
    reference, bundle = orders.read_secret(scene)
    if standing.kind is rotation_module.Kind.CREDENTIAL:
        _drop_credentials(scene, bundle)
        scene.save_owner(standing.user_id)
    else:
        _publish(scene, standing)
        certificates.discard_authorities(standing.old)
    certificates.keep_secret(reference)
    after = _with(scene.cluster.state, None)
    stacks.remember(scene, after, action.generation)


def _publish(
    scene: scene_module.Scene, standing: rotation_module.Rotation
) -> None:
    """Let Magnum sign with, and hand out, the CA that API servers show."""
    late = (rotation_module.Phase.ISSUE, rotation_module.Phase.RETIRE)
    if standing.phase in late:
        scene.save_references(standing.new)
        scene.cloud.certificates.forget_client_files()


def _put_back_password(scene: scene_module.Scene) -> None:
    """Give the cluster's user the password that nodes still have.

    What cannot be reached now is put right when nodes are made next.
    """
    _reference, bundle = orders.read_secret(scene)
    try:
        user_data.sealed_text(
            scene.cloud,
            scene.load_spec(),
            bundle,
            scene.cloud.certificates.authorities(),
        )
    except exceptions.K8sDriverError as exc:
        LOG.warning("Cluster %s: %s", scene.record.uuid, exc)


def _drop_credentials(
    scene: scene_module.Scene, bundle: secret_module.ClusterSecret
) -> None:
    cloud, spec = scene.cloud, scene.load_spec()
    cloud.identity.keep_application_credential(
        user_data.user_id(cloud, spec.uuid),
        bundle.identity_password,
        spec.project_id,
        bundle.credential_name,
    )


def _offered(scene: scene_module.Scene) -> state_module.ClusterState:
    """Return the state in the next phase, its secrets made and stored."""
    standing, state = _standing(scene), scene.cluster.state
    phase = standing.next_phase
    if phase is None:
        raise exceptions.StaleGeneration("the rotation is over")
    moved = dataclasses.replace(
        standing, phase=phase, moved=scene.observed.now
    )
    if standing.kind is rotation_module.Kind.CREDENTIAL:
        state, material = _new_credential(scene, standing.serial)
    else:
        if not moved.secret_ref:
            moved = dataclasses.replace(
                moved, secret_ref=_store_new_keys(scene, standing)
            )
        material = orders.read_material(scene, moved)
        if phase is rotation_module.Phase.RETIRE:
            # Nothing of the old secret is needed any more.
            state = dataclasses.replace(state, secret_ref=moved.secret_ref)
    metadata = _encoded(scene, moved.serial, material)
    return _with(state, dataclasses.replace(moved, metadata=metadata))


def _new_credential(
    scene: scene_module.Scene, serial: str
) -> tuple[state_module.ClusterState, trust.Material]:
    """Store a bundle with a new credential; return the state with it."""
    certificates = scene.cloud.certificates
    _reference, old = orders.read_secret(scene)
    bundle = secret_module.with_new_credential(old, serial)
    reference = certificates.store_secret(bundle.to_text())
    return (
        dataclasses.replace(scene.cluster.state, secret_ref=reference),
        trust.Material(bundle=bundle, authorities=certificates.authorities()),
    )


def _store_new_keys(
    scene: scene_module.Scene, standing: rotation_module.Rotation
) -> str:
    """Store the bundle that takes over at the end; return its reference."""
    _reference, old = orders.read_secret(scene)
    last = dataclasses.replace(standing, phase=rotation_module.Phase.RETIRE)
    bundle = secret_module.with_new_keys(old, last.serial)
    return scene.cloud.certificates.store_secret(bundle.to_text())


def _encoded(
    scene: scene_module.Scene, serial: str, material: trust.Material
) -> dict[str, str]:
    """Return secrets as metadata of every control-plane server."""
    cloud, spec = scene.cloud, scene.load_spec()
    text = user_data.sealed_text(
        cloud, spec, material.bundle, material.authorities
    )
    key = bytes.fromhex(material.bundle.board_key)
    others = scene.cluster.state.orders.metadata
    try:
        return renewal.encode(
            envelope.renew(text, key, serial),
            key,
            cloud.compute.max_server_meta(),
            renewal.RESERVED_KEYS + len(others),
        )
    except ValueError as exc:
        raise exceptions.K8sDriverError(
            f"{str(exc).capitalize()}. An operator can raise the project's "
            "quota metadata_items."
        ) from exc


def _standing(scene: scene_module.Scene) -> rotation_module.Rotation:
    standing = scene.observed.rotation
    if standing is None:
        raise exceptions.StaleGeneration("the rotation is over")
    return standing


def _with(
    state: state_module.ClusterState,
    rotation: rotation_module.Rotation | None,
) -> state_module.ClusterState:
    """Return the state one generation later, with that rotation."""
    return dataclasses.replace(
        state, rotation=rotation, stack=state.stack.advanced()
    )
