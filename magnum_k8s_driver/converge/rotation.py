# SPDX-License-Identifier: Apache-2.0
"""How far a rotation is. Pure.

Everybody who has a secret that is exchanged keeps the old one until every
control-plane member has said, signed, that it has the new one.
"""

from collections.abc import Mapping

from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import addon_states
from magnum_k8s_driver.converge import control_plane
from magnum_k8s_driver.converge import holders
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import sentences
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import rotation
from magnum_k8s_driver.ports import heat

SETTLE_SECONDS = 300.0
"""Until pods have tokens of the new key: a kubelet that was started anew
asks for them within two minutes, programs read theirs every minute."""
_NO_PROGRAM = (
    "The control plane got its secrets in user data ([k8s_driver] "
    "secret_delivery = user_data), which leave no room for what rotates CAs."
)
_GO_ON = "Resize the cluster to its size to go on"
_GO_BACK = (
    f"{_GO_ON}, or name {rotation.NEW_CA} in nodes_to_remove to go back to "
    "the old CA."
)
_WORDS = {
    rotation.Phase.OFFERED: "rotating the credential",
    rotation.Phase.TRUST: "trusting the new CA beside the old one",
    rotation.Phase.ISSUE: "re-issuing certificates",
    rotation.Phase.RETIRE: "trusting the new CA only",
}


def problem(
    observed: observed_module.Observed, kind: rotation.Kind
) -> str | None:
    """Return why a rotation cannot begin now, as a sentence."""
    cluster = observed.cluster
    if cluster is None or not cluster.state.initialised:
        return "The control plane of the cluster has never worked."
    if cluster.stack.phase is not heat.StackPhase.COMPLETE:
        return (
            f"Heat stack {cluster.stack.name} is {cluster.stack.phase}. Wait "
            "until it is complete, or resize the cluster to its size to "
            "repair it."
        )
    standing = cluster.state.rotation
    again = standing is not None and kind is rotation.Kind.CREDENTIAL
    if standing is not None and (standing.kind is not kind or not again):
        return f"The {standing.kind} of the cluster is being rotated."
    if kind is rotation.Kind.CA:
        if not all(one.sealed_for for one in cluster.state.stack.members.all):
            return _NO_PROGRAM
        found = readiness.unready(observed)
        return " ".join(one.sentence for one in found) or None
    for node in readiness.nodes(observed, observed.record.control_plane):
        if node.stage is not readiness.Stage.READY:
            return readiness.node_sentence(node)
    return None


def refusal(observed: observed_module.Observed) -> str:
    """Return why a resize cannot abandon a rotation, as a sentence."""
    cluster, standing = observed.cluster, observed.rotation
    if cluster is None or standing is None or standing.abandoned:
        return ""
    if not _is_given_up(observed):
        return ""
    if not standing.can_be_abandoned:
        return (
            f"The {standing.kind} cannot go back to what it was: the new one "
            f"is in use. Resize the cluster without {rotation.NEW_CA} to go "
            "on."
        )
    if cluster.stack.phase is not heat.StackPhase.COMPLETE:
        return (
            f"Heat stack {cluster.stack.name} is {cluster.stack.phase}. Wait "
            "while it is in progress; when it has failed, resize the cluster "
            f"without {rotation.NEW_CA} first."
        )
    if control_plane.has_lost(observed):
        return (
            "A control-plane node has no server. Resize the cluster without "
            f"{rotation.NEW_CA} to replace it first."
        )
    return ""


def advice(observed: observed_module.Observed) -> str:
    """Return what to do about a rotation that has failed."""
    standing = observed.rotation
    if standing is None:
        return ""
    return _GO_BACK if standing.can_be_abandoned else f"{_GO_ON}."


def _is_given_up(observed: observed_module.Observed) -> bool:
    removal = observed.removal
    return removal is not None and rotation.NEW_CA in removal.nodes


def steps(observed: observed_module.Observed) -> list[actions.Action]:
    """Return the next step of a rotation.

    Nothing while a control-plane server is lost: Heat would replace that.
    """
    cluster, standing = observed.cluster, observed.rotation
    if cluster is None or standing is None:
        return []
    if cluster.stack.phase is not heat.StackPhase.COMPLETE:
        return []
    if control_plane.has_lost(observed):
        return []
    if _is_given_up(observed) and standing.can_be_abandoned:
        return [
            actions.AbandonRotation(generation=cluster.state.stack.generation)
        ]
    groups = untold(observed)
    if groups:
        return [
            actions.TellWorkers(
                group_uuid=group.uuid,
                generation=observed.workers[group.uuid].state.generation,
            )
            for group in groups
        ]
    if not is_phase_done(observed):
        return []
    generation = cluster.state.stack.generation
    if standing.next_phase is not None:
        return [actions.AdvanceRotation(generation=generation)]
    if _is_read_anew(observed):
        return [actions.EndRotation(generation=generation)]
    return []


def _is_read_anew(observed: observed_module.Observed) -> bool:
    """Tell whether programs have started with the new credential.

    The old one goes with the rotation's end. An add-on that fails is told as
    ever and holds nothing up.
    """
    serial = holders.renewed_credential(observed)
    if not serial:
        return True
    told = not addon_states.is_due(observed, serial)
    return told and addon_states.is_settled(observed)


def untold(
    observed: observed_module.Observed,
) -> tuple[record.GroupRecord, ...]:
    """Return worker groups that are to follow the phase and do not know.

    The control plane goes first in each phase.
    """
    standing = observed.rotation
    if standing is None or standing.kind is not rotation.Kind.CA:
        return ()
    begun = standing.phase is not rotation.Phase.BEGUN
    if not begun or not all(holders.have(observed, standing).values()):
        return ()
    return tuple(
        group
        for group in observed.record.workers
        if group.uuid in observed.workers
        and group.intent is not record.Intent.DELETE
        and observed.workers[group.uuid].stack.phase
        is not heat.StackPhase.IN_PROGRESS
        and any(
            one.trust != standing.serial
            for one in observed.members_of(group).all
        )
    )


def is_phase_done(observed: observed_module.Observed) -> bool:
    """Tell whether everybody is through with the phase."""
    standing = observed.rotation
    if standing is None:
        return False
    if standing.phase is rotation.Phase.BEGUN:
        return True
    if not all(holders.have(observed, standing).values()):
        return False
    if standing.kind is rotation.Kind.CREDENTIAL:
        return True
    settled = observed.now - _last_told(observed, standing) > SETTLE_SECONDS
    return all(_follow(observed, standing).values()) and (
        settled or standing.phase is not rotation.Phase.ISSUE
    )


def progress(observed: observed_module.Observed) -> str:
    """Return how far the rotation is, as a short phrase."""
    standing = observed.rotation
    if standing is None:
        return ""
    if standing.phase is rotation.Phase.BEGUN:
        return f"rotating the {standing.kind}: making a new one"
    have, follow = (
        holders.have(observed, standing),
        _follow(observed, standing),
    )
    words = _WORDS[standing.phase]
    if standing.abandoned:
        words = "going back to the old CA"
    text = f"{words}: control plane {sum(have.values())}/{len(have)}"
    if standing.kind is rotation.Kind.CREDENTIAL:
        text += f" have the new one{_missing(observed, have)}"
        return text + (", add-ons start with it" if all(have.values()) else "")
    text += _missing(observed, have)
    text += f", workers {sum(follow.values())}/{len(follow)}"
    text += _missing(observed, follow)
    if standing.phase is rotation.Phase.ISSUE and all(
        [*have.values(), *follow.values()]
    ):
        text += ", waiting until every pod has a new token"
    return text


def _missing(
    observed: observed_module.Observed, done: Mapping[str, bool]
) -> str:
    """Return who is missing when others are through."""
    prefix = f"{observed.record.prefix}-"
    missing = [
        name.removeprefix(prefix)
        for name, is_done in done.items()
        if not is_done
    ]
    if not missing or len(missing) == len(done):
        return ""
    return f" (not {sentences.listed(missing)})"


def _last_told(
    observed: observed_module.Observed, standing: rotation.Rotation
) -> float:
    """Return when the last nodes were told of the phase."""
    return max(
        standing.moved,
        *(
            one.state.operation.started
            for one in observed.workers.values()
            if one.state.operation is not None
        ),
        0.0,
    )


def _follow(
    observed: observed_module.Observed, standing: rotation.Rotation
) -> dict[str, bool]:
    """Tell of each worker that stays whether it is through with the phase."""
    known = observed.digest.nodes if observed.digest else {}
    return {
        name: name in known and known[name].serial == standing.serial
        for group in observed.record.workers
        if group.intent is not record.Intent.DELETE
        for name in holders.staying(observed, group)
    }
