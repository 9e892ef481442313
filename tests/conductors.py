# SPDX-License-Identifier: Apache-2.0
"""Magnum's own conductors on a simulated cloud that can go wrong anywhere.

Handlers, status job, objects and driver are the real ones; database, bus and
everything the driver calls are in memory, and each call of them may fail, be
late, or be the last thing a conductor does.
"""

import contextlib
import datetime
import types
import uuid

import fixtures
from magnum.common import context as magnum_context
from magnum.common import exception as magnum_exception
from magnum.conductor.handlers import ca_conductor
from magnum.conductor.handlers import cluster_conductor
from magnum.conductor.handlers import credential_conductor
from magnum.conductor.handlers import nodegroup_conductor
from magnum import objects
from magnum.service import periodic
from oslo_service import loopingcall

from magnum_k8s_driver import exceptions
from magnum_k8s_driver import monitor
from tests import fakes
from tests import magnum_service
from tests import samples
from tests.fakes import database

TICK = 10.0
"""Seconds between two calls of Magnum's status job."""
VERSION = "v1.35.8"
REFERENCES = (
    "ca_cert_ref",
    "magnum_cert_ref",
    "etcd_ca_cert_ref",
    "front_proxy_ca_cert_ref",
)


_POLLED = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_IN_PROGRESS",
    "UPDATE_FAILED",
)
"""States in which Magnum asks for a cluster's health."""


class Killed(BaseException):
    """The conductor was killed; nothing may catch it."""


class Conductors(magnum_service.MagnumService):
    """Any number of conductors; each call is served by one of its own.

    :ivar cloud: the simulated cloud of the current sequence.
    :ivar database: Magnum's rows of the current sequence.
    :ivar refusals: what users were told instead of an operation.
    :ivar died_in_hook: a conductor was killed while a user's call waited.
    """

    def _setUp(self):
        super()._setUp()
        # Small groups have several stacks.
        self.config.config(group="k8s_driver", members_per_stack=2)
        self.fresh()
        clock = types.SimpleNamespace(
            time=lambda: self.cloud.now,
            sleep=lambda seconds: self.cloud.tick(seconds),
        )
        for name, value in (
            ("magnum_k8s_driver.session.cloud_module.open_cloud", self._open),
            ("magnum_k8s_driver.session.cloud_module.user_facts", self._facts),
            ("magnum_k8s_driver.session._lock", lambda: self.cloud.lock),
            ("magnum_k8s_driver.session.time", clock),
            ("magnum_k8s_driver.patience.time", clock),
            ("magnum_k8s_driver.monitor.time", clock),
            ("magnum_k8s_driver.rotations.time", clock),
            (
                "magnum_k8s_driver.monitor.BoardMonitor._client",
                _unreachable,
            ),
            ("oslo_utils.timeutils.utcnow", self._utcnow),
            (
                "magnum.conductor.handlers.common.cert_manager."
                "generate_certificates_to_cluster",
                self._certify,
            ),
            (
                "magnum.conductor.handlers.common.cert_manager."
                "delete_certificates_from_cluster",
                self._forget_certificates,
            ),
            (
                "magnum_k8s_driver.rotations.magnum_certificates."
                "MagnumCertificates",
                lambda *_args: self.cloud.certificates,
            ),
            (
                "magnum.conductor.scale_manager.get_scale_manager",
                lambda *_args: None,
            ),
            ("magnum.common.clients.OpenStackClients", lambda _context: None),
            (
                "magnum.conductor.utils.notify_about_cluster_operation",
                lambda *_args: None,
            ),
        ):
            self.useFixture(fixtures.MonkeyPatch(name, value))

    def _make_tables(self):
        """Let every kind of object ask the database in memory."""
        for name in (
            "cluster.Cluster",
            "cluster_template.ClusterTemplate",
            "nodegroup.NodeGroup",
        ):
            self.useFixture(
                fixtures.MonkeyPatch(
                    f"magnum.objects.{name}.dbapi", _Current(self)
                )
            )

    def fresh(self):
        """Begin a sequence with an empty cloud and an empty Magnum."""
        self.cloud = fakes.FakeCloud()
        self.cloud.compute.build_seconds = 4.0
        self.database = database.FakeDatabase(
            self.cloud.calls, self.cloud.clock
        )
        self.cloud.certificates.extra_authorities = set()
        self.refusals = []
        self.kills = 0
        self.certified = 0
        self.cloud.certificates.current = self._current_ca
        self.died_in_hook = False
        image = samples.image()
        self.cloud.facts.answer = samples.facts(
            images={
                name: samples.image(id=name, name=name)
                for name in (image.name, "ubuntu-next")
            }
        )

    def create(self, control_planes, workers, heals=False):
        """Create a cluster as the API's request does.

        :param heals: with ``auto_healing_enabled``.
        """
        labels = {"kube_tag": VERSION}
        if heals:
            labels |= {
                "auto_healing_enabled": "true",
                "auto_healing_delay": "120",
            }
        with self.unharmed():
            template = self.template(labels={"kube_tag": VERSION})
        cluster = self.new_cluster(
            template,
            labels=labels,
            master_lb_enabled=control_planes > 1,
        )
        return self._call(
            cluster_conductor.Handler().cluster_create,
            cluster,
            control_planes,
            workers,
            60,
        )

    def resize(self, group, count, nodes=()):
        """Resize a node group; nodes are named by id or member name."""
        return self._call(
            cluster_conductor.Handler().cluster_resize,
            self.row(),
            count,
            list(nodes),
            group,
        )

    def update(self, count):
        """Change the number of default workers by PATCH."""
        return self._call(
            cluster_conductor.Handler().cluster_update,
            self.row(),
            count,
            None,
            None,
        )

    def upgrade(self, version, image, batch):
        """Upgrade to a new template."""
        with self.unharmed():
            template = self.template(
                uuid=str(uuid.uuid4()),
                image_id=image,
                labels={"kube_tag": version},
            )
        return self._call(
            cluster_conductor.Handler().cluster_upgrade,
            self.row(),
            template,
            batch,
            self.groups_by_name()["default-worker"],
        )

    def rotate_credential(self, user_id):
        """Rotate the credential in the name of a user."""
        context = magnum_context.make_admin_context()
        context.user_id = user_id
        return self._call_as(
            context,
            credential_conductor.Handler().credential_rotate,
            self.row(),
        )

    def rotate_ca(self):
        """Rotate the CAs."""
        return self._call(
            ca_conductor.Handler().rotate_ca_certificate, self.row()
        )

    def create_group(self, name, count):
        """Create a node group."""
        row = self.row()
        group = objects.NodeGroup(
            self.context,
            cluster_id=row.uuid,
            project_id=row.project_id,
            name=name,
            role="worker",
            node_count=count,
            image_id=self.groups_by_name()["default-worker"].image_id,
            flavor_id="m1.medium",
            labels=dict(row.labels),
            is_default=False,
        )
        return self._call(
            nodegroup_conductor.Handler().nodegroup_create, row, group
        )

    def update_group(self, group, most):
        """Change the upper bound of a node group."""
        group.max_node_count = most
        return self._call(
            nodegroup_conductor.Handler().nodegroup_update, self.row(), group
        )

    def delete_group(self, group):
        """Delete a node group."""
        return self._call(
            nodegroup_conductor.Handler().nodegroup_delete, self.row(), group
        )

    def delete(self):
        """Delete the cluster."""
        row = self.row()
        return self._call(cluster_conductor.Handler().cluster_delete, row.uuid)

    def job(self):
        """Do what the status job does with a cluster in progress, once."""
        row = self.row()
        if row is None or not row.status.endswith("_IN_PROGRESS"):
            return
        with self._mortal():
            try:
                periodic.ClusterUpdateJob(self.admin, row).update_status()
            except loopingcall.LoopingCallDone:
                pass
            except (
                magnum_exception.ClusterNotFound,
                magnum_exception.NodeGroupNotFound,
            ):
                # Another conductor's status job was faster.
                pass

    def poll(self):
        """Do what the health job does with a cluster, once."""
        row = self.row()
        if row is None or row.status not in _POLLED:
            return
        with self._mortal():
            try:
                one = monitor.BoardMonitor(self.admin, row)
                # The job itself would swallow every exception.
                one.poll_health_status()
                row.health_status = one.data["health_status"]
                row.health_status_reason = one.data["health_status_reason"]
                row.save()
            except magnum_exception.ClusterNotFound:
                # A delete was faster.
                pass

    def job_without_lock(self):
        """Do the same while another conductor is in the middle of it."""
        held, self.cloud.lock.held = self.cloud.lock.held, set()
        try:
            self.job()
        finally:
            self.cloud.lock.held = held

    def tick(self, seconds=TICK):
        """Let the status job do its part and time pass."""
        self.job()
        self.cloud.tick(seconds, step=2.0)

    def row(self):
        """Return the cluster's row, None when it is gone."""
        found = list(self.database.clusters)
        if not found:
            return None
        with self.unharmed():
            return objects.Cluster.get_by_uuid(self.admin, found[0])

    def groups_by_name(self):
        """Return the rows of the node groups."""
        row = self.row()
        with self.unharmed():
            return self.groups(row) if row is not None else {}

    @contextlib.contextmanager
    def unharmed(self):
        """Let calls of the test itself neither count nor fail."""
        self.cloud.calls.paused = True
        try:
            yield
        finally:
            self.cloud.calls.paused = False

    def _call(self, handler, *args):
        """Call a handler; return whether Magnum accepted the operation."""
        return self._call_as(self.context, handler, *args)

    def _call_as(self, context, handler, *args):
        with self._mortal():
            try:
                handler(context, *args)
            except magnum_exception.MagnumException as exc:
                self.refusals.append(str(exc))
                return False
            return True
        self.died_in_hook = True
        return False

    @contextlib.contextmanager
    def _mortal(self):
        try:
            yield
        except Killed:
            # Locks of a process that died are free.
            self.cloud.lock.held.clear()
            self.kills += 1

    def _utcnow(self, with_timezone=False):
        zone = datetime.UTC if with_timezone else None
        moment = datetime.datetime.fromtimestamp(self.cloud.now, datetime.UTC)
        return moment.replace(tzinfo=zone)

    @contextlib.contextmanager
    def _open(self, cluster, admin_context, settings, *, again=False):
        del cluster, admin_context, settings
        self.cloud.calls.run("identity", "open", lambda: None)
        yield self.cloud.ports()

    @contextlib.contextmanager
    def _facts(self, context, settings):
        del context, settings
        self.cloud.calls.run("identity", "user_facts", lambda: None)
        yield self.cloud.facts

    def _certify(self, cluster, context=None):
        del context
        self.certified += 1
        for name in REFERENCES:
            reference = f"{name}-{self.certified}"
            setattr(cluster, name, reference)
            self.cloud.certificates.stored.add(reference)
        self.cloud.certificates.extra_authorities = {"etcd", "front-proxy"}

    def _forget_certificates(self, cluster, context=None):
        """Delete what Magnum has of a cluster, and what the port deletes."""
        del context
        references = {getattr(cluster, name, None) for name in REFERENCES}
        self.cloud.certificates.stored -= references

    def _current_ca(self):
        row = self.row()
        return row.ca_cert_ref if row is not None else "ca_cert_ref"


def _unreachable(_monitor):
    raise exceptions.CloudUnavailable("kubernetes", "no route to host")


class _Current:
    """The database of the sequence that runs now."""

    def __init__(self, conductors):
        self._conductors = conductors

    def __getattr__(self, name):
        return getattr(self._conductors.database, name)
