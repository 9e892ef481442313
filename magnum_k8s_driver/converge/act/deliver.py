# SPDX-License-Identifier: Apache-2.0
"""Hand secrets over to members that have proven who they are."""

import dataclasses

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import envelope
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import user_data
from magnum_k8s_driver.converge.act import orders
from magnum_k8s_driver.converge.act import scene as scene_module
from magnum_k8s_driver.converge.act import stacks
from magnum_k8s_driver.model import sealed


def answer_members(
    action: actions.AnswerMembers, scene: scene_module.Scene
) -> None:
    """Store sealed secrets where the boards' users can read them."""
    spec = scene.load_spec()
    material = orders.read_material(scene)
    text = user_data.sealed_text(
        scene.cloud, spec, material.bundle, material.authorities
    )
    for one in action.questions:
        _answer(one, text, scene)


def _answer(
    question: actions.Question, text: str, scene: scene_module.Scene
) -> None:
    heat, server_id = scene.cloud.heat, question.server_id
    try:
        envelope_text = envelope.seal(text, question.certificate)
    except ValueError as exc:
        raise exceptions.K8sDriverError(
            f"Control-plane member {question.member} cannot be given its "
            f"secrets: {exc}."
        ) from exc
    for answer in scene.observed.answers:
        # Of an attempt that was interrupted, or of another certificate.
        if answer.server_id == server_id:
            heat.withdraw(answer.key)
            heat.delete_config(answer.config_id)
    key = sealed.key_of(sealed.fingerprint(question.certificate))
    name = sealed.config_name(scene.record.prefix, server_id, key)
    config_id = heat.create_config(name, envelope_text)
    boards = scene.cluster.stack.outputs["boards"]
    signal = user_data.read_signal(boards[question.member])
    heat.deploy(key, config_id, signal["project_id"])


def remember_answered(
    action: actions.RememberAnswered, scene: scene_module.Scene
) -> None:
    """Remember for ever who has its secrets: it never gets them again."""
    state = scene.cluster.state
    changed = state.stack.members.with_secrets(action.servers)
    state = dataclasses.replace(
        orders.dispatched(scene, action.dispatch),
        initialised=state.initialised
        or readiness.is_initialised(scene.observed),
        stack=state.stack.advanced(members=changed),
    )
    stacks.remember(scene, state, action.generation)
