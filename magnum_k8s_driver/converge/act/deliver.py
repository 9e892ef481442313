# SPDX-License-Identifier: Apache-2.0
"""Hand secrets over to members that have proven who they are."""

import dataclasses

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import envelope
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import sealing
from magnum_k8s_driver.converge import user_data
from magnum_k8s_driver.converge.act import orders
from magnum_k8s_driver.converge.act import scene as scene_module
from magnum_k8s_driver.converge.act import stacks
from magnum_k8s_driver.model import sealed
from magnum_k8s_driver.model import spec as spec_module


def deliver_secrets(
    action: actions.DeliverSecrets, scene: scene_module.Scene
) -> None:
    """Change the metadata of members in one update.

    Who has opened its answer is remembered: it never gets another one.
    """
    spec = scene.load_spec()
    cluster = scene.cluster
    cleared = dict(action.clear)
    metadata = {
        name: part
        for name, part in sealing.in_flight(scene.observed).items()
        if name not in cleared
    }
    if action.answer:
        metadata |= _answers(action, scene, spec)
    changed = cluster.state.stack.members.with_secrets(cleared)
    state = dataclasses.replace(
        orders.dispatched(scene, action.dispatch),
        initialised=cluster.state.initialised
        or readiness.is_initialised(scene.observed),
        stack=cluster.state.stack.advanced(members=changed),
    )
    stacks.update_control_plane(
        scene,
        spec,
        state,
        action.generation,
        boards=dict.fromkeys((*changed.names, *cluster.boards)),
        metadata=metadata,
    )


def _answers(
    action: actions.DeliverSecrets,
    scene: scene_module.Scene,
    spec: spec_module.ClusterSpec,
) -> dict[str, dict[str, str]]:
    _reference, bundle = orders.read_secret(scene)
    text = user_data.sealed_text(scene.cloud, spec, bundle)
    limit = scene.cloud.compute.max_server_meta()
    reserved = sealed.RESERVED_KEYS + len(scene.cluster.state.orders.metadata)
    found = {}
    for name, certificate in action.answer:
        try:
            found[name] = sealed.encode(
                envelope.seal(text, certificate), limit, reserved
            )
        except ValueError as exc:
            raise exceptions.K8sDriverError(
                f"Control-plane member {name} cannot be given its secrets: "
                f"{exc}. An operator can raise the project's quota "
                "metadata_items or set [k8s_driver] secret_delivery."
            ) from exc
    return found
