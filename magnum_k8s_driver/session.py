# SPDX-License-Identifier: Apache-2.0
"""One call of Magnum's about one cluster, from the edge to ``converge``.

Reads the configuration, opens the ports, takes the cluster's lock, loads
Magnum's records with an all-tenants admin context (the caller's may hide the
template or belong to another project) and writes the report back.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import socket
import tempfile
import time
from typing import Any

from magnum.common import context as magnum_context
from magnum.common import exception as magnum_exception
from magnum.common import utils as magnum_utils
from magnum.conductor.handlers.common import cert_manager
import magnum.conf
from magnum import objects
from oslo_log import log as logging
from oslo_utils import encodeutils

from magnum_k8s_driver import conf
from magnum_k8s_driver import exceptions
from magnum_k8s_driver import intake
from magnum_k8s_driver import records
from magnum_k8s_driver.converge import act
from magnum_k8s_driver.converge import converge
from magnum_k8s_driver.converge import health
from magnum_k8s_driver.converge import plan
from magnum_k8s_driver.converge import report
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import inputs as inputs_module
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import facts as facts_port
from magnum_k8s_driver.ports import kubernetes
from magnum_k8s_driver.ports import lock as lock_port
from magnum_k8s_driver.ports import tooz_lock
from magnum_k8s_driver.render import releases

LOG = logging.getLogger(__name__)
CONF = magnum.conf.CONF

_NOT_NOW = (
    "The cluster could not be resized at this moment because its stacks are "
    "being worked on or could not be read. Resize it again."
)
_HOOK_WAIT = 30.0
"""Seconds a hook waits for the status job to let go of the cluster."""


def begin_create(context: Any, cluster: Any) -> None:
    """Refuse what cannot work with the caller's own rights, then begin.

    :raises magnum.common.exception.InvalidParameterValue: with every
        problem; nothing has been made.
    """
    conf.register(CONF)
    record = _Records(cluster)
    try:
        with cloud_module.user_facts(context, _settings()) as facts:
            spec = _read_spec(record, facts, None)
    except (exceptions.CloudUnavailable, exceptions.CloudConflict) as exc:
        # The status job will look again, with the service's own identity.
        LOG.warning("Cluster %s: %s", cluster.uuid, exc)
        return
    except exceptions.K8sDriverError as exc:
        record.refuse(str(exc))
        raise magnum_exception.InvalidParameterValue(err=exc) from exc
    _converge(record, lambda known: spec, wait=_HOOK_WAIT)


def begin(context: Any, cluster: Any) -> None:
    """Begin what the records ask for; the status job finishes it.

    Whatever goes wrong here is no reason to give up: the intent is saved.
    """
    del context
    conf.register(CONF)
    _converge(_Records(cluster), None, wait=_HOOK_WAIT)


def begin_update(
    context: Any, cluster: Any, removal: record_module.Removal | None = None
) -> None:
    """Begin a change of the workers.

    :param removal: nodes that shall go, for a resize.
    :raises magnum.common.exception.InvalidParameterValue: it cannot be done.
    """
    del context
    conf.register(CONF)
    record = _Records(cluster)
    written = _converge(record, None, wait=_HOOK_WAIT, removal=removal)
    if written is None and removal is not None:
        # Nobody remembers which nodes were named after this call.
        raise magnum_exception.InvalidParameterValue(err=_NOT_NOW)
    if written and written.outcome is record_module.Outcome.FAILED:
        raise magnum_exception.InvalidParameterValue(err=written.reason)


def proceed(context: Any, cluster: Any) -> None:
    """Go on with what is under way, unless somebody else does already."""
    del context
    conf.register(CONF)
    _converge(_Records(cluster), None, wait=0.0)


def health_of(context: Any, cluster: Any) -> health.Health:
    """Return the health of a cluster, by its API or else by its boards."""
    conf.register(CONF)
    unreachable = "The cluster has no API address yet."
    if cluster.api_address and cluster.magnum_cert_ref:
        try:
            return health.from_api(_ask_api(context, cluster))
        except kubernetes.ClusterUnreachable as exc:
            unreachable = str(exc)
    record = _Records(cluster)
    with _open(record) as cloud:
        around = _surroundings(record, cloud, None)
        return health.from_boards(converge.look(around), unreachable)


class _Records:
    """Magnum's rows of one cluster, always as they are in the database."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self._context = magnum_context.make_admin_context(all_tenants=True)

    def groups(self) -> list[Any]:
        """Return the node group rows."""
        return list(objects.NodeGroup.list(self._context, self.cluster.uuid))

    def read(self) -> record_module.ClusterRecord:
        """Return the rows as values.

        :raises magnum.common.exception.ClusterNotFound: the row is gone.
        """
        fresh = objects.Cluster.get_by_uuid(self._context, self.cluster.uuid)
        return records.read(fresh, self.groups())

    def inputs(self) -> fields.ClusterInputs:
        """Return what the user asked for."""
        template = objects.ClusterTemplate.get_by_uuid(
            self._context, self.cluster.cluster_template_id
        )
        return intake.inputs(self.cluster, template, self.groups())

    def apply(self, written: record_module.ClusterReport) -> None:
        """Write a report, unless the intent changed while it was made."""
        if self.read().intent is written.intent:
            records.apply(self.cluster, self.groups(), written)

    def refuse(self, reason: str) -> None:
        """Mark a cluster of which nothing was made as failed."""
        record = self.read()
        failed = record_module.Outcome.FAILED
        groups = {
            group.uuid: record_module.GroupReport(
                intent=record.intent,
                outcome=failed,
                reason=reason,
                stack_id=None,
                version="",
                node_addresses=(),
            )
            for group in record.groups
        }
        self.apply(
            record_module.ClusterReport(
                intent=record.intent,
                outcome=failed,
                reason=reason,
                groups=groups,
            )
        )

    def complain(self, sentence: str) -> None:
        """Tell why nothing could be done this time."""
        records.complain(self.cluster, f"{sentence} Trying again.")

    def is_last_in_project(self) -> bool:
        """Tell whether no other cluster of ours is in the project."""
        project = {"project_id": self.cluster.project_id}
        listed = objects.Cluster.list(self._context, filters=project)
        return all(one.uuid == self.cluster.uuid for one in listed)

    def save_stack_id(self, stack_id: str) -> None:
        """Save the cluster stack's id at once."""
        records.save_stack_id(self.cluster, stack_id)


def _converge(
    record: _Records,
    spec: Any,
    *,
    wait: float,
    removal: record_module.Removal | None = None,
) -> record_module.ClusterReport | None:
    """Converge once and write the report; None when nothing could be done."""
    uuid = record.cluster.uuid
    try:
        with _lock().hold(f"magnum-k8s-{uuid}", wait_seconds=wait):
            record.cluster.refresh()
            with _open(record) as cloud:
                around = _surroundings(record, cloud, spec)
                around = dataclasses.replace(around, removal=removal)
                written = converge.converge(around)
            record.apply(written)
            return written
    except exceptions.LockBusy:
        LOG.debug("Cluster %s: another thread works on it", uuid)
    except magnum_exception.ClusterNotFound:
        LOG.debug("Cluster %s: gone", uuid)
    except exceptions.CloudError as exc:
        # The world could not be observed; the next call looks again.
        LOG.warning("Cluster %s: %s", uuid, exc)
        record.complain(str(exc))
    return None


def _surroundings(
    record: _Records, cloud: cloud_module.Cloud, spec: Any
) -> converge.Surroundings:
    options = CONF.k8s_driver
    load = spec or functools.partial(_read_spec, record, cloud.facts)
    return converge.Surroundings(
        cloud=cloud,
        settings=act.Settings(
            service_roles=tuple(options.service_roles),
            cluster_roles=tuple(options.cluster_roles),
            update_timeout_minutes=options.update_timeout,
            artifact_mirror=options.artifact_mirror,
        ),
        deadlines=report.Deadlines(
            orphan=options.orphan_grace,
            delete=options.delete_timeout * 60.0,
            update=options.update_timeout * 60.0,
        ),
        limits=plan.Limits(drain_timeout=options.drain_timeout),
        clock=time.time,
        read_record=record.read,
        load_spec=load,
        save_stack_id=record.save_stack_id,
        lock=_lock(),
        is_last_in_project=record.is_last_in_project,
    )


def _read_spec(
    record: _Records, facts: facts_port.FactsPort, known_key: str | None
) -> spec_module.ClusterSpec:
    site = fields.Site(
        label_defaults=conf.label_defaults(CONF),
        kubernetes_versions={
            minor: release.kubernetes_version
            for minor, release in releases.read_releases().items()
        },
    )
    wanted = record.inputs()
    found = facts.read(inputs_module.references(wanted, site))
    if known_key is not None:
        found = dataclasses.replace(found, known_public_key=known_key)
    return inputs_module.to_spec(wanted, found, site)


def _lock() -> lock_port.LockPort:
    options = CONF.k8s_driver
    url = options.coordination_url or tooz_lock.default_url(
        CONF.database.connection or "", options.state_path
    )
    return tooz_lock.ToozLock(url, f"{socket.gethostname()}-{os.getpid()}")


def _settings() -> cloud_module.CloudSettings:
    options = CONF.k8s_driver
    return cloud_module.CloudSettings(
        region_name=options.region_name,
        interface=options.endpoint_type,
        request_timeout=options.request_timeout,
        service_roles=tuple(options.service_roles),
        cluster_domain=options.cluster_domain,
        node_cloud=spec_module.CloudSpec(
            auth_url=options.node_auth_url or "",
            region=options.region_name or "",
            ca_certificate=magnum_utils.get_openstack_ca() or "",
            verify=CONF.drivers.verify_ca,
        ),
    )


def _open(
    record: _Records,
) -> contextlib.AbstractContextManager[cloud_module.Cloud]:
    context = magnum_context.make_admin_context(all_tenants=True)
    return cloud_module.open_cloud(record.cluster, context, _settings())


def _ask_api(context: Any, cluster: Any) -> kubernetes.Health:
    """Ask with Magnum's client certificate.

    Magnum's own cache of these files is never refreshed and is left behind
    when a cluster goes, so they live for this call only.
    """
    authority = cert_manager.get_cluster_ca_certificate(cluster, context)
    client = cert_manager.get_cluster_magnum_cert(cluster, context)
    with tempfile.TemporaryDirectory(prefix="magnum-k8s-") as directory:
        paths = {}
        for name, content in (
            ("ca.crt", authority.get_certificate()),
            ("client.crt", client.get_certificate()),
            ("client.key", client.get_decrypted_private_key()),
        ):
            paths[name] = pathlib.Path(directory, name)
            paths[name].touch(mode=0o600)
            paths[name].write_text(encodeutils.safe_decode(content))
        return kubernetes.ApiServer(
            cluster.api_address,
            ca_file=str(paths["ca.crt"]),
            certificate_file=str(paths["client.crt"]),
            key_file=str(paths["client.key"]),
            timeout=CONF.k8s_driver.api_timeout,
        ).health()
