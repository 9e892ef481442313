# SPDX-License-Identifier: Apache-2.0
"""Magnum's own objects, database and certificate store, in memory.

Everything of Magnum's is real but its message bus and the look-up of drivers
by entry point, which would need the package to be installed.
"""

import contextlib
import datetime
import pathlib
import time
import types

import fixtures
from magnum.common import context as magnum_context
from magnum.common import keystone
import magnum.conf
from magnum.db.sqlalchemy import models
from magnum.drivers.common import driver as magnum_driver
from magnum import objects
from oslo_config import fixture as config_fixture
from oslo_db.sqlalchemy import enginefacade

from magnum_k8s_driver import conf
from magnum_k8s_driver import driver
from magnum_k8s_driver.converge import secret
from magnum_k8s_driver.ports import magnum_certificates
from tests import fakes
from tests import samples

CONF = magnum.conf.CONF

_LOGIN = """\
[keystone_auth]
auth_url = http://127.0.0.1:1/v3
username = magnum
password = secret
project_name = service
user_domain_name = Default
project_domain_name = Default
"""


class _Bus:
    """Takes notifications and keeps them."""

    def __init__(self):
        self.sent = []

    def prepare(self, **_kwargs):
        return self

    def info(self, _context, event, payload):
        self.sent.append((event, payload["outcome"]))

    error = info


class MagnumService(fixtures.Fixture):
    """An empty Magnum whose only driver is ours.

    :ivar context: of a user of the project.
    :ivar admin: what Magnum's periodic tasks use.
    """

    def _setUp(self):
        config = self.useFixture(config_fixture.Config(CONF))
        conf.register(CONF)
        # Whoever loads this plugin makes the option a required one, for all
        # tests that come after in the same process.
        file = pathlib.Path(self.useFixture(fixtures.TempDir()).path, "conf")
        file.write_text(_LOGIN)
        CONF([], project="magnum", default_config_files=[str(file)])
        self.addCleanup(CONF.reset)
        config.config(group="certificates", cert_manager_type="x509keypair")
        config.config(group="database", connection="sqlite://")
        cache = self.useFixture(fixtures.TempDir()).path
        config.config(group="cluster", temp_cache_dir=cache)
        self.config = config
        self.bus = _Bus()
        for name, value in (
            ("magnum.common.rpc.NOTIFIER", self.bus),
            ("magnum.common.cert_manager._CERT_MANAGER_PLUGIN", None),
        ):
            self.useFixture(fixtures.MonkeyPatch(name, value))
        if hasattr(keystone.KeystoneClientV3, "trustee_domain_id"):
            self._do_without_trustees()
        for name in ("get_driver", "get_driver_for_cluster"):
            self.useFixture(
                fixtures.MockPatchObject(
                    magnum_driver.Driver,
                    name,
                    side_effect=lambda *_args: driver.Driver(),
                )
            )
        self._make_tables()
        self.context = magnum_context.RequestContext(
            user_id="user",
            project_id=fakes.FakeCloud().project_id,
            is_admin=False,
        )
        self.admin = magnum_context.make_admin_context(all_tenants=True)

    def _do_without_trustees(self):
        """Keep Magnum 22 from asking Keystone for users of its own."""
        client = f"{keystone.__name__}.KeystoneClientV3"
        manager = "magnum.conductor.handlers.common.trust_manager"
        for name, value in (
            (f"{client}.trustee_domain_id", "trustees"),
            (f"{manager}.create_trustee_and_trust", lambda *_args: None),
            (f"{manager}.delete_trustee_and_trust", lambda *_args: None),
        ):
            self.useFixture(fixtures.MonkeyPatch(name, value))

    def _make_tables(self):
        engine = enginefacade.writer.get_engine()
        models.Base.metadata.drop_all(engine)
        models.Base.metadata.create_all(engine)
        self.addCleanup(engine.dispose)

    def template(self, **changes):
        """Make the row of a cluster template."""
        values = {
            **vars(samples.magnum_template()),
            "name": "k8s",
            "project_id": self.context.project_id,
            "user_id": "user",
            "cluster_distro": "ubuntu",
            "labels": {},
            "master_lb_enabled": False,
            **changes,
        }
        row = objects.ClusterTemplate(self.context, **values)
        row.create()
        return row

    def new_cluster(self, template, **changes):
        """Return a cluster as the API hands it to the conductor."""
        values = {
            **vars(samples.magnum_cluster()),
            "project_id": self.context.project_id,
            "user_id": "user",
            "cluster_template_id": template.uuid,
            "master_lb_enabled": False,
            **changes,
        }
        return objects.Cluster(self.context, **values)

    def cluster(self, status="CREATE_COMPLETE", workers=2, **changes):
        """Make the rows of a cluster with its two default groups."""
        template = self.template()
        row = self.new_cluster(template, status=status, **changes)
        row.create()
        self.group(row, "default-master", "master", 1, status=status)
        self.group(row, "default-worker", "worker", workers, status=status)
        return row

    def group(self, cluster, name, role, count, **changes):
        """Make the row of a node group."""
        values = {
            "cluster_id": cluster.uuid,
            "project_id": cluster.project_id,
            "name": name,
            "role": role,
            "node_count": count,
            "image_id": "ubuntu-24.04",
            "flavor_id": "m1.medium",
            "labels": dict(cluster.labels or {}),
            "is_default": name.startswith("default-"),
            "status": cluster.status,
            **changes,
        }
        row = objects.NodeGroup(self.context, **values)
        row.create()
        return row

    def reload(self, cluster):
        """Return what the database has of a cluster."""
        return objects.Cluster.get_by_uuid(self.admin, cluster.uuid)

    def groups(self, cluster):
        """Return what the database has of its node groups, by name."""
        rows = objects.NodeGroup.list(self.admin, cluster.uuid)
        return {row.name: row for row in rows}

    def store_certificate(self, name="ca"):
        """Keep a certificate and return its reference."""
        row = objects.X509KeyPair(
            self.context,
            project_id=self.context.project_id,
            user_id="user",
            certificate=name,
            private_key="key",
        )
        row.create()
        return row.uuid

    def certificates(self):
        """Return the references of everything in the store."""
        return {one.uuid for one in objects.X509KeyPair.list(self.admin)}


class SimulatedCloud(fixtures.Fixture):
    """Sends the driver's session to the simulated cloud."""

    def _setUp(self):
        self.cloud = fakes.FakeCloud()
        self.cloud.now = time.time()
        self.cloud.nodes.find_key = self._board_key
        self.store = None
        clock = types.SimpleNamespace(
            time=self.cloud.clock, sleep=self.cloud.tick
        )
        for name, value in (
            ("cloud_module.open_cloud", self._open),
            ("cloud_module.open_identity", self._open_identity),
            ("cloud_module.user_facts", self._user_facts),
            ("_lock", lambda: self.cloud.lock),
            ("time", clock),
            ("patience.time", clock),
        ):
            self.useFixture(
                fixtures.MonkeyPatch(
                    f"magnum_k8s_driver.session.{name}", value
                )
            )
        self.useFixture(
            fixtures.MonkeyPatch(
                "magnum_k8s_driver.monitor.time",
                types.SimpleNamespace(time=self.cloud.clock),
            )
        )

        # The times at which rows are saved.
        self.useFixture(
            fixtures.MonkeyPatch("oslo_utils.timeutils.utcnow", self._utcnow)
        )

    def _utcnow(self, with_timezone=False):
        zone = datetime.UTC if with_timezone else None
        moment = datetime.datetime.fromtimestamp(self.cloud.now, datetime.UTC)
        return moment.replace(tzinfo=zone)

    @contextlib.contextmanager
    def _open(self, cluster, admin_context, settings, *, again=False):
        self.store = magnum_certificates.MagnumCertificates(
            cluster, admin_context
        )
        # A failure ordered for a call of this name happens at the opening.
        self.cloud.calls.run("cloud", "open", lambda: None)
        identity, project = self.cloud.identity, cluster.project_id
        if not identity.service_grants(project):
            identity.grant_service_roles(project, settings.service_roles)
        yield self.cloud.ports(self.store)

    @contextlib.contextmanager
    def _user_facts(self, context, settings):
        del context, settings
        self.cloud.calls.run("cloud", "user_facts", lambda: None)
        yield self.cloud.facts

    @contextlib.contextmanager
    def _open_identity(self, settings):
        del settings
        yield self.cloud.identity

    def _board_key(self, _cluster_uuid):
        """Find the key as a node would in its user data."""
        reference = self.store.find_secret() if self.store else None
        if reference is None:
            return None
        bundle = secret.ClusterSecret.from_text(
            self.store.read_secret(reference)
        )
        return bytes.fromhex(bundle.board_key)
