# SPDX-License-Identifier: Apache-2.0
"""One call of Magnum's about one cluster, from the edge to ``converge``.

Reads the configuration, opens the ports, takes the cluster's lock, loads
Magnum's records with an all-tenants admin context (the caller's may hide the
template or belong to another project) and writes the report back.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import os
import socket
import time
from typing import Any

from magnum.common import context as magnum_context
from magnum.common import exception as magnum_exception
import magnum.conf
from oslo_log import log as logging

from magnum_k8s_driver import choices
from magnum_k8s_driver import exceptions
from magnum_k8s_driver import grants
from magnum_k8s_driver import intake
from magnum_k8s_driver import patience
from magnum_k8s_driver import records
from magnum_k8s_driver import rows
from magnum_k8s_driver.converge import act
from magnum_k8s_driver.converge import converge
from magnum_k8s_driver.converge import plan
from magnum_k8s_driver.converge import preflight
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import report
from magnum_k8s_driver.converge import sight
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import inputs as inputs_module
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.model import upgrade_request
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import facts as facts_port
from magnum_k8s_driver.ports import lock as lock_port
from magnum_k8s_driver.ports import tooz_lock

LOG = logging.getLogger(__name__)
CONF = magnum.conf.CONF

_NOT_NOW = (
    "The cluster could not be resized at this moment because its stacks are "
    "being worked on or could not be read. Resize it again."
)
_TEXT = "%(text)s"
_HOOK_WAIT = 30.0
"""Seconds a hook waits for the status job to let go of the cluster."""


def begin_create(context: Any, cluster: Any) -> None:
    """Refuse what cannot work with the caller's own rights, then begin.

    :raises magnum.common.exception.InvalidParameterValue: with every
        problem; nothing has been made.
    """
    choices.prepare()
    record = rows.Rows(cluster)
    try:
        # To look at the cluster the status job has to be let into its
        # project: not while nobody knows whether anything will be made.
        with _lock().hold(_lock_of(cluster), wait_seconds=_HOOK_WAIT):
            spec = _check_create(context, record)
    except (
        exceptions.CloudUnavailable,
        exceptions.CloudConflict,
        exceptions.LockBusy,
    ) as exc:
        # The status job will look again, with the service's own identity.
        LOG.warning("Cluster %s: %s", cluster.uuid, exc)
        return
    if spec is not None:
        _converge(record, lambda known: spec, wait=_HOOK_WAIT)


def _check_create(
    context: Any, record: rows.Rows
) -> spec_module.ClusterSpec | None:
    """Return what shall be made, None when others have said no already."""
    try:
        with cloud_module.user_facts(
            context, choices.cloud_settings()
        ) as facts:
            return _read_spec(record, facts, None)
    except (exceptions.CloudUnavailable, exceptions.CloudConflict):
        raise
    except exceptions.K8sDriverError as exc:
        if not record.refuse(str(exc)):
            return None
        # A status job that was faster than this hook was let in.
        with cloud_module.open_identity(choices.cloud_settings()) as identity:
            grants.give_back(record, identity, _lock())
        raise magnum_exception.InvalidParameterValue(err=exc) from exc


def begin(context: Any, cluster: Any) -> None:
    """Begin what the records ask for; the status job goes on whatever is."""
    del context
    choices.prepare()
    _converge(rows.Rows(cluster), None, wait=_HOOK_WAIT, asked=True)


def check_update(
    cluster: Any, removal: record_module.Removal | None = None
) -> None:
    """Refuse a change that the project's quotas do not let happen.

    :param removal: nodes that shall go, for a resize.
    :raises magnum.common.exception.InvalidParameterValue: with every quota
        that is too low; nothing has changed.
    """
    choices.prepare()
    record = rows.Rows(cluster)
    try:
        with _lock().hold(_lock_of(cluster), wait_seconds=_HOOK_WAIT):
            with _open(record) as cloud:
                around = _surroundings(record, cloud, None)
                around = dataclasses.replace(around, removal=removal)
                preflight.check_update(
                    converge.look(around),
                    around.limits.drain_timeout,
                    lambda key: _specify(record.inputs(), cloud.facts, key),
                    cloud.facts,
                )
    except exceptions.InvalidClusterSpec as exc:
        # Magnum tells no reason on the cluster when a node group is refused.
        records.complain(cluster, str(exc))
        raise magnum_exception.InvalidParameterValue(err=exc) from exc
    except exceptions.K8sDriverError as exc:
        LOG.warning("Cluster %s: quotas not checked: %s", cluster.uuid, exc)


def begin_update(
    context: Any, cluster: Any, removal: record_module.Removal | None = None
) -> None:
    """Begin a change of the workers.

    :param removal: nodes that shall go, for a resize.
    :raises magnum.common.exception.InvalidParameterValue: it cannot be done.
    """
    del context
    choices.prepare()
    record = rows.Rows(cluster)
    records.resume_groups(record.groups())
    written = _converge(record, None, wait=_HOOK_WAIT, removal=removal)
    if written is None and removal is not None:
        # Nobody remembers which nodes were named after this call.
        raise magnum_exception.InvalidParameterValue(err=_NOT_NOW)
    if written and written.outcome is record_module.Outcome.FAILED:
        raise magnum_exception.InvalidParameterValue(err=written.reason)


def begin_upgrade(
    context: Any,
    cluster: Any,
    template: Any,
    *,
    batch_size: int,
    group_uuid: str | None,
) -> None:
    """Check an upgrade, write down where it leads, and begin it.

    :param group_uuid: the only group to upgrade; None takes all.
    :raises magnum.common.exception.NotSupported: with every reason; nothing
        has changed.
    """
    choices.prepare()
    record = rows.Rows(cluster)
    try:
        with _lock().hold(_lock_of(cluster), wait_seconds=_HOOK_WAIT):
            target = _upgrade_target(record, template, batch_size, group_uuid)
            with _open(record) as cloud:
                converge.begin_upgrade(
                    _surroundings(record, cloud, None), target
                )
            records.mark_upgrading(cluster, record.groups(), target.images)
    except exceptions.K8sDriverError as exc:
        raise magnum_exception.NotSupported(_TEXT, text=exc) from exc


def _upgrade_target(
    record: rows.Rows,
    template: Any,
    batch_size: int,
    group_uuid: str | None,
) -> state_module.UpgradeTarget:
    """Return where an upgrade leads.

    :raises K8sDriverError: with every reason why it cannot be.
    """
    with _open(record) as cloud:
        observed = converge.look(_surroundings(record, cloud, None))
        unready = readiness.unready(observed)
        current = record.inputs()
        target = upgrade_request.upgraded_inputs(
            current,
            intake.inputs(record.cluster, template, record.groups()),
            template.image_id,
            dict(template.labels or {}),
        )
        key = observed.cluster.state.ssh_public_key if observed.cluster else ""
        old, _known = _specify(current, cloud.facts, key)
        new, known = _specify(target, cloud.facts, key)
        wanted = state_module.UpgradeTarget(
            template_id=template.uuid,
            version=new.kubernetes_version,
            batch_size=batch_size,
            images={
                group.uuid: group.image_id
                for group in new.groups
                if group_uuid in (None, group.uuid)
            },
        )
        running = observed.members_of(observed.record.control_plane).all
        found = [*unready]
        found += upgrade_request.problems(
            current, target, old, new, running[0].kubernetes_version
        )
        found += preflight.upgrade(observed, new, wanted, known, cloud.facts)
    if found:
        raise exceptions.InvalidClusterSpec(found)
    return wanted


def proceed(context: Any, cluster: Any) -> None:
    """Go on with what is under way, and with what ends meanwhile."""
    del context
    choices.prepare()
    record, uuid = rows.Rows(cluster), cluster.uuid
    with contextlib.ExitStack() as opened:
        kept = patience.Kept(opened, _open(record, again=True))
        patience.look_again(
            lambda: _converge(record, None, wait=0.0, kept=kept),
            lambda seen: sight.has_changed(kept.cloud.heat, uuid, seen),
        )


@contextlib.contextmanager
def surroundings(
    record: rows.Rows, *, again: bool = False
) -> Iterator[converge.Surroundings]:
    """Open what is needed to look at a cluster, and to change it.

    :param again: whether the caller comes again if it does not work now.
    :raises CloudError: Keystone refuses or does not answer.
    """
    choices.prepare()
    with _open(record, again=again) as cloud:
        yield _surroundings(record, cloud, None)


def locked(
    cluster: Any, *, wait: float
) -> contextlib.AbstractContextManager[None]:
    """Return the lock of a cluster; waiting is in seconds."""
    choices.prepare()
    return _lock().hold(_lock_of(cluster), wait_seconds=wait)


def _converge(
    record: rows.Rows,
    spec: Any,
    *,
    wait: float,
    removal: record_module.Removal | None = None,
    asked: bool = False,
    kept: patience.Kept | None = None,
) -> record_module.ClusterReport | None:
    """Converge once and write the report; None when nothing could be done."""
    uuid = record.cluster.uuid
    try:
        with _lock().hold(_lock_of(record.cluster), wait_seconds=wait):
            record.cluster.refresh()
            if not wait and not record.is_under_way():
                # It ended after the status job had listed it.
                return None
            with contextlib.ExitStack() as own:
                cloud = (kept or patience.Kept(own, _open(record))).cloud
                around = _surroundings(record, cloud, spec)
                around = dataclasses.replace(
                    around, removal=removal, asked=asked
                )
                written = converge.converge(around)
                record.apply(written)
                grants.give_back(record, cloud.identity, _lock())
            if wait:
                records.leave_to_status_job(record.cluster)
            return written
    except exceptions.LockBusy:
        LOG.debug("Cluster %s: another thread works on it", uuid)
    except magnum_exception.ClusterNotFound:
        LOG.debug("Cluster %s: gone", uuid)
        _leave(record)
    except exceptions.CloudError as exc:
        # The world could not be observed; the next call looks again.
        LOG.warning("Cluster %s: %s", uuid, exc)
        record.complain(str(exc))
    return None


def _leave(record: rows.Rows) -> None:
    try:
        with cloud_module.open_identity(choices.cloud_settings()) as identity:
            grants.give_back_of_gone(record, identity, _lock())
    except exceptions.CloudError as exc:
        LOG.warning("Cluster %s: %s", record.cluster.uuid, exc)


def _surroundings(
    record: rows.Rows, cloud: cloud_module.Cloud, spec: Any
) -> converge.Surroundings:
    options = CONF.k8s_driver
    return converge.Surroundings(
        cloud=cloud,
        settings=act.Settings(
            service_roles=tuple(options.service_roles),
            cluster_roles=tuple(options.cluster_roles),
            update_timeout_minutes=options.update_timeout,
            artifact_mirror=options.artifact_mirror,
            addons_left_out=tuple(options.addons_left_out),
        ),
        deadlines=report.Deadlines(
            orphan=options.orphan_grace,
            delete=options.delete_timeout * 60.0,
            update=options.update_timeout * 60.0,
        ),
        limits=plan.Limits(drain_timeout=options.drain_timeout),
        silent_after=options.silent_after,
        clock=time.time,
        read_record=functools.partial(_read_record, record),
        load_spec=spec or functools.partial(_read_spec, record, cloud.facts),
        save_stack_id=record.save_stack_id,
        lock=_lock(),
        leave_project=record.leave_project,
        commit_upgrade=record.commit_upgrade,
        save_owner=record.save_owner,
        save_references=record.save_references,
    )


def _read_record(record: rows.Rows) -> record_module.ClusterRecord:
    found = record.read()
    made_from = f"{found.addons_from} {choices.addons_from()}"
    return dataclasses.replace(found, addons_from=made_from)


def _read_spec(
    record: rows.Rows, facts: facts_port.FactsPort, known_key: str | None
) -> spec_module.ClusterSpec:
    if known_key is None:
        # Nothing has been made yet; everything wrong is told together.
        return preflight.create(record.inputs(), facts, choices.site())
    spec, _known = _specify(record.inputs(), facts, known_key)
    return spec


def _specify(
    wanted: fields.ClusterInputs,
    facts: facts_port.FactsPort,
    known_key: str,
) -> tuple[spec_module.ClusterSpec, facts_module.CloudFacts]:
    """Return what a cluster that exists shall be, and what it refers to."""
    here = choices.site()
    found = facts.read(inputs_module.references(wanted, here))
    found = dataclasses.replace(found, known_public_key=known_key)
    return inputs_module.to_spec(wanted, found, here), found


def _lock_of(cluster: Any) -> str:
    return f"magnum-k8s-{cluster.uuid}"


def _lock() -> lock_port.LockPort:
    options = CONF.k8s_driver
    url = options.coordination_url or tooz_lock.default_url(
        CONF.database.connection or "", options.state_path
    )
    return tooz_lock.ToozLock(url, f"{socket.gethostname()}-{os.getpid()}")


def _open(
    record: rows.Rows, *, again: bool = False
) -> contextlib.AbstractContextManager[cloud_module.Cloud]:
    context = magnum_context.make_admin_context(all_tenants=True)
    return cloud_module.open_cloud(
        record.cluster, context, choices.cloud_settings(), again=again
    )
