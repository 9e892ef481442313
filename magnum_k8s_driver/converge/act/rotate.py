# SPDX-License-Identifier: Apache-2.0
"""Exchange secrets of a running cluster for new ones."""

import dataclasses

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import envelope
from magnum_k8s_driver.converge import secret as secret_module
from magnum_k8s_driver.converge import user_data
from magnum_k8s_driver.converge.act import orders
from magnum_k8s_driver.converge.act import scene as scene_module
from magnum_k8s_driver.converge.act import stacks
from magnum_k8s_driver.model import renewal
from magnum_k8s_driver.model import rotation as rotation_module
from magnum_k8s_driver.model import state as state_module


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
    )
    begun = dataclasses.replace(
        begun, started=scene.observed.now, user_id=action.user_id
    )
    spec = orders.at_running_version(scene, scene.load_spec())
    stacks.update_control_plane(
        scene, spec, _with(state, begun), action.generation
    )


def offer_credential(
    action: actions.OfferCredential, scene: scene_module.Scene
) -> None:
    """Make a new credential and lay it into metadata, encrypted.

    From here on new members get it, too. When it cannot be made the old one
    stays, and the rotation is forgotten.
    """
    standing = _standing(scene)
    state = scene.cluster.state
    try:
        reference, metadata = _new_credential(scene, standing.id)
    except (
        exceptions.StaleGeneration,
        exceptions.CloudConflict,
        exceptions.CloudUnavailable,
    ):
        raise
    except exceptions.K8sDriverError as exc:
        scene.cloud.certificates.keep_secret(state.secret_ref)
        stacks.remember(scene, _with(state, None), action.generation)
        raise exceptions.K8sDriverError(
            f"The credential was not rotated, the old one stays in use: {exc}"
        ) from exc
    offered = dataclasses.replace(
        standing, phase=rotation_module.Phase.OFFERED, metadata=metadata
    )
    after = dataclasses.replace(_with(state, offered), secret_ref=reference)
    stacks.remember(scene, after, action.generation)


def end_rotation(
    action: actions.EndRotation, scene: scene_module.Scene
) -> None:
    """Remove what is old, hand the cluster over, and forget the rotation.

    Repeated after a crash it ends the same.
    """
    standing = _standing(scene)
    spec = scene.load_spec()
    cloud = scene.cloud
    reference, bundle = orders.read_secret(scene)
    cloud.identity.keep_application_credential(
        user_data.user_id(cloud, spec.uuid),
        bundle.identity_password,
        spec.project_id,
        bundle.credential_name,
    )
    cloud.certificates.keep_secret(reference)
    scene.save_owner(standing.user_id)
    after = _with(scene.cluster.state, None)
    stacks.remember(scene, after, action.generation)


def _new_credential(
    scene: scene_module.Scene, serial: str
) -> tuple[str, dict[str, str]]:
    """Store a new bundle; return its reference, and it as metadata."""
    cloud, spec = scene.cloud, scene.load_spec()
    _reference, old = orders.read_secret(scene)
    bundle = secret_module.with_new_credential(old, serial)
    reference = cloud.certificates.store_secret(bundle.to_text())
    text = user_data.sealed_text(cloud, spec, bundle)
    key = bytes.fromhex(bundle.board_key)
    state = scene.cluster.state
    try:
        return reference, renewal.encode(
            envelope.renew(text, key, serial),
            key,
            cloud.compute.max_server_meta(),
            renewal.RESERVED_KEYS + len(state.orders.metadata),
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
