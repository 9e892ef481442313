# SPDX-License-Identifier: Apache-2.0
"""Observe, plan, act, report: the one way anything is done to a cluster.

A hook calls it once, Magnum's status job every ten seconds until the
operation is over. Nothing is remembered in between: whichever conductor runs
it next sees the same world and goes on from there.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools

from oslo_log import log as logging

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import act
from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import control_plane
from magnum_k8s_driver.converge import healing
from magnum_k8s_driver.converge import observe
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import plan
from magnum_k8s_driver.converge import report
from magnum_k8s_driver.converge import rotation
from magnum_k8s_driver.converge import secret
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import rotation as rotation_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import lock as lock_port

LOG = logging.getLogger(__name__)

_MAX_ROUNDS = 8
"""More than any chain of actions that need no waiting in between."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """Everything ``converge`` needs besides the cluster's own state."""

    cloud: cloud_module.Cloud
    settings: act.Settings
    deadlines: report.Deadlines
    limits: plan.Limits
    clock: Callable[[], float]
    """Seconds since the epoch."""
    read_record: Callable[[], record_module.ClusterRecord]
    """Reads Magnum's records afresh: a delete may have overtaken."""
    load_spec: Callable[[str | None], spec_module.ClusterSpec]
    """Reads the request and the cloud's facts, once per call of converge;
    given the public key that the cluster was made with, if that is known."""
    save_stack_id: Callable[[str], None]
    """Saves the cluster's stack id in Magnum at once."""
    lock: lock_port.LockPort
    """For what clusters of one project share; the cluster's own is held."""
    silent_after: float = observe.SILENT_AFTER
    """Seconds after which a wait has to be explained."""
    removal: record_module.Removal | None = None
    """What a resize call names, while its hook runs."""
    asked: bool = False
    """Whether this is the call of a user and not of the status job."""
    commit_upgrade: Callable[[state_module.UpgradeTarget], None]
    """Saves the target of an upgrade in Magnum as what the cluster is."""
    save_references: Callable[[Mapping[str, str]], None]
    """Saves in Magnum which CAs the cluster has, by name of the field."""
    save_owner: Callable[[str], None]
    """Saves in Magnum whose the cluster is, by Keystone user id."""
    leave_project: Callable[[], bool]
    """Saves that the cluster needs its project no more, and tells whether it
    was the last one that did."""


def converge(around: Surroundings) -> record_module.ClusterReport:
    """Bring a cluster as far as it goes now and say where it is.

    Call it with the cluster's lock held. What a service refuses or the
    request makes impossible is told in the report.

    :raises CloudError: the world could not even be observed.
    """
    done: tuple[actions.Action, ...] = ()
    for _round in range(_MAX_ROUNDS):
        observed = look(around)
        refusal = control_plane.problem(observed) or rotation.refusal(observed)
        if refusal:
            refused = report.Trouble(sentence=refusal, permanent=True)
            return report.report(observed, around.deadlines, trouble=refused)
        todo = plan.plan(observed, around.limits)
        if not todo or todo == done:
            # Done already and not visible yet: look again at the next call.
            break
        done = todo
        trouble = _perform(around, observed, todo)
        if trouble is None:
            continue
        if trouble != _DONE:
            # What was done before the trouble is already visible.
            observed = look(around)
        return report.report(observed, around.deadlines, trouble=trouble)
    return report.report(observed, around.deadlines)


_DONE = report.Trouble(sentence="", forgotten=True)


def _perform(
    around: Surroundings,
    observed: observed_module.Observed,
    todo: Sequence[actions.Action],
) -> report.Trouble | None:
    """Perform the actions; return what ends this call, if anything does."""
    scene = _scene(around, observed)
    uuid = observed.record.uuid
    try:
        for action in todo:
            act.perform(scene, action)
    except exceptions.StaleGeneration as exc:
        LOG.info("Cluster %s: planning again: %s", uuid, exc)
        return None
    except (exceptions.CloudConflict, exceptions.CloudUnavailable) as exc:
        LOG.warning("Cluster %s: %s", uuid, exc)
        if around.removal is not None:
            # Nobody remembers which nodes were named after this call.
            return report.Trouble(
                sentence=f"{exc} Resize it again.", permanent=True
            )
        return report.Trouble(sentence=f"{exc} Trying again.")
    except exceptions.K8sDriverError as exc:
        LOG.error("Cluster %s: %s", uuid, exc)
        return report.Trouble(sentence=str(exc), permanent=True)
    return _DONE if actions.ForgetCluster() in todo else None


def _scene(
    around: Surroundings, observed: observed_module.Observed
) -> act.Scene:
    return act.Scene(
        cloud=around.cloud,
        observed=observed,
        settings=around.settings,
        load_spec=functools.cache(
            lambda: around.load_spec(_public_key(observed))
        ),
        save_stack_id=around.save_stack_id,
        lock=around.lock,
        leave_project=around.leave_project,
        commit_upgrade=around.commit_upgrade,
        save_owner=around.save_owner,
        save_references=around.save_references,
    )


def _public_key(observed: observed_module.Observed) -> str | None:
    cluster = observed.cluster
    return cluster.state.ssh_public_key if cluster else None


def begin_upgrade(
    around: Surroundings, target: state_module.UpgradeTarget
) -> None:
    """Write the target of an upgrade; the status job does the rest.

    Call it with the cluster's lock held.

    :raises K8sDriverError: it could not be written; nothing has changed.
    """
    observed = look(around)
    if observed.cluster is None:
        raise exceptions.UnsupportedOperation("The cluster has no stack.")
    action = actions.BeginUpgrade(
        generation=observed.cluster.state.stack.generation, target=target
    )
    act.perform(_scene(around, observed), action)


def begin_rotation(
    around: Surroundings,
    kind: rotation_module.Kind,
    user_id: str,
    *,
    old: Mapping[str, str] | None = None,
    new: Mapping[str, str] | None = None,
) -> None:
    """Write down what shall be rotated; the status job does the rest.

    Call it with the cluster's lock held.

    :param old: references of the CAs that go, by name of Magnum's field.
    :param new: those of the CAs that come.
    :raises K8sDriverError: it cannot be now; nothing has changed.
    """
    observed = look(around)
    problem = rotation.problem(observed, kind)
    if problem or observed.cluster is None:
        raise exceptions.UnsupportedOperation(problem or "")
    action = actions.BeginRotation(
        generation=observed.cluster.state.stack.generation,
        kind=kind,
        user_id=user_id,
        old=old or {},
        new=new or {},
    )
    act.perform(_scene(around, observed), action)


def heal(
    around: Surroundings,
    choose: Callable[[observed_module.Observed], healing.Verdict],
) -> healing.Verdict:
    """Begin to replace broken nodes; the status job does the rest.

    Call it with the cluster's lock held.

    :param choose: returns what is to be changed.
    :returns: what has been begun, and why no more has.
    :raises CloudError: the world could not even be observed.
    """
    observed = look(around)
    verdict = choose(observed)
    scene = _scene(around, observed)
    begun, waiting = [], [*verdict.waiting]
    for change in verdict.changes:
        try:
            act.perform(scene, change)
        except exceptions.StaleGeneration as exc:
            LOG.info("Cluster %s: %s", observed.record.uuid, exc)
        except exceptions.K8sDriverError as exc:
            LOG.warning("Cluster %s: %s", observed.record.uuid, exc)
            waiting.append(str(exc))
        else:
            begun.append(change)
    return dataclasses.replace(
        verdict, changes=tuple(begun), waiting=tuple(waiting)
    )


def look(around: Surroundings) -> observed_module.Observed:
    """Observe the cluster.

    :raises CloudError: a service did not answer as it should.
    """
    certificates = around.cloud.certificates

    def read_board_key(reference: str) -> bytes:
        text = certificates.read_secret(reference)
        return bytes.fromhex(secret.ClusterSecret.from_text(text).board_key)

    observed = observe.observe(
        around.cloud,
        around.read_record(),
        now=around.clock(),
        read_board_key=read_board_key,
        removal=around.removal,
        silent_after=around.silent_after,
    )
    return dataclasses.replace(observed, asked=around.asked)
