# SPDX-License-Identifier: Apache-2.0
"""One cluster, changed in every way a user can change it."""

import time

from tempest import config
from tempest import test
from tempest.lib import decorators
from tempest.lib import exceptions
from tempest.lib.common.utils import data_utils
from tempest.lib.common.utils import test_utils

from magnum_k8s_tempest import client as client_module

CONF = config.CONF
WORKER = "default-worker"


class DayTwoTest(test.BaseTestCase):
    credentials = ["primary"]

    @classmethod
    def skip_checks(cls):
        super().skip_checks()
        if not CONF.service_available.magnum_k8s:
            raise cls.skipException("magnum-k8s-driver is not available")
        if not CONF.magnum_k8s.image_id:
            raise cls.skipException("[magnum_k8s] image_id is not set")

    @classmethod
    def setup_clients(cls):
        super().setup_clients()
        cls.client = client_module.MagnumClient(
            cls.os_primary.auth_provider,
            "container-infra",
            CONF.identity.region,
        )
        cls.servers = cls.os_primary.servers_client
        cls.keypairs = cls.os_primary.keypairs_client

    @classmethod
    def resource_setup(cls):
        super().resource_setup()
        cls.keypair = data_utils.rand_name("magnum-k8s")
        cls.keypairs.create_keypair(name=cls.keypair)
        cls.addClassResourceCleanup(cls.keypairs.delete_keypair, cls.keypair)
        cls.templates = []
        cls.addClassResourceCleanup(cls.remove_templates)
        cls.template = cls.make_template(CONF.magnum_k8s.kube_tag)
        made = cls.client.create(
            "/clusters",
            202,
            name=data_utils.rand_name("k8s"),
            cluster_template_id=cls.template,
            keypair=cls.keypair,
            master_count=1,
            node_count=1,
        )
        cls.path = f"/clusters/{made['uuid']}"
        cls.addClassResourceCleanup(cls.remove_cluster)
        cls.wait("CREATE_COMPLETE", CONF.magnum_k8s.create_timeout)

    @classmethod
    def make_template(cls, version, image=None):
        options = CONF.magnum_k8s
        labels = dict(options.labels)
        if version:
            labels["kube_tag"] = version
        document = {
            "name": data_utils.rand_name("k8s"),
            "coe": "kubernetes",
            "image_id": image or options.image_id,
            "flavor_id": options.flavor_id,
            "master_flavor_id": options.master_flavor_id,
            "external_network_id": options.external_network_id,
            "network_driver": options.network_driver,
            "floating_ip_enabled": options.floating_ip_enabled,
            "labels": labels,
        }
        if options.dns_nameserver:
            document["dns_nameserver"] = options.dns_nameserver
        made = cls.client.create("/clustertemplates", 201, **document)
        cls.templates.append(made["uuid"])
        return made["uuid"]

    @classmethod
    def remove_templates(cls):
        """Remove all of them when the cluster, which needs one, is gone."""
        for one in cls.templates:
            test_utils.call_and_ignore_notfound_exc(
                cls.client.remove, f"/clustertemplates/{one}"
            )

    @classmethod
    def remove_cluster(cls):
        cls.client.remove(cls.path)
        end = time.monotonic() + CONF.magnum_k8s.delete_timeout
        while time.monotonic() < end:
            try:
                found = cls.client.show(cls.path)
            except exceptions.NotFound:
                return
            if found["status"] == "DELETE_FAILED":
                raise exceptions.DeleteErrorException(
                    resource_id=found["status_reason"]
                )
            time.sleep(CONF.magnum_k8s.build_interval)
        raise exceptions.TimeoutException("the cluster is not gone")

    @classmethod
    def wait(cls, status, seconds, settled=lambda found: True):
        """Return the cluster once it has a status and a test is true."""
        found, end = {}, time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                found = cls.client.show(cls.path)
            except exceptions.BadRequest:
                # Magnum answers so while a cluster has no node groups yet.
                found = {"status": ""}
            if found["status"].endswith("_FAILED"):
                raise exceptions.TempestException(
                    f"{found['status']}: {found['status_reason']}"
                )
            if found["status"] == status and settled(found):
                return found
            time.sleep(CONF.magnum_k8s.build_interval)
        raise exceptions.TimeoutException(
            f"not {status} in {seconds} s: {found.get('status_reason')}"
        )

    def updated(self, settled=lambda found: True):
        """Wait for the end of a change.

        Magnum may still say that the one before is complete.
        """
        return self.wait(
            "UPDATE_COMPLETE", CONF.magnum_k8s.update_timeout, settled
        )

    def act(self, name, **body):
        return self.client.create(f"{self.path}/actions/{name}", 202, **body)

    def groups(self):
        listed = self.client.show(f"{self.path}/nodegroups")["nodegroups"]
        return {
            one["name"]: self.client.show(
                f"{self.path}/nodegroups/{one['uuid']}"
            )
            for one in listed
        }

    def server_ids(self):
        """Return the ids of the cluster's servers by their names."""
        uuid = self.path.rpartition("/")[2].replace("-", "")
        # Twelve digits stand in the name of everything of a cluster.
        listed = self.servers.list_servers(name=f"-{uuid[:12]}-")["servers"]
        return {one["name"]: one["id"] for one in listed}

    def addresses(self, count):
        """Return a test for the number of the workers' addresses."""

        def settled(_cluster):
            worker = self.groups()[WORKER]
            return len(worker["node_addresses"]) == count

        return settled

    @decorators.attr(type="slow")
    @decorators.idempotent_id("b2b7a54c-2f6a-4f0e-9b6e-0d2a2f1f7a01")
    def test_resize_touches_only_what_it_must(self):
        before = self.server_ids()
        self.assertEqual(2, len(before), before)
        self.act("resize", node_count=2)
        self.updated(self.addresses(2))
        grown = self.server_ids()
        self.assertEqual(3, len(grown), grown)
        self.assertLessEqual(before.items(), grown.items())
        victim = next(name for name in before if "worker" in name)
        self.act("resize", node_count=1, nodes_to_remove=[grown.pop(victim)])
        self.updated(self.addresses(1))
        self.assertEqual(grown, self.server_ids())

    @decorators.attr(type="slow")
    @decorators.idempotent_id("b2b7a54c-2f6a-4f0e-9b6e-0d2a2f1f7a02")
    def test_node_group_comes_and_goes(self):
        name = "extra"
        self.client.create(
            f"{self.path}/nodegroups",
            202,
            name=name,
            node_count=1,
            flavor_id=CONF.magnum_k8s.flavor_id,
        )
        self.updated(
            lambda _found: self.groups()[name]["status"] == "CREATE_COMPLETE"
        )
        extra = self.groups()[name]
        self.assertEqual(1, len(extra["node_addresses"]), extra)
        self.assertNotEqual(
            self.groups()[WORKER]["stack_id"], extra["stack_id"]
        )
        self.client.remove(f"{self.path}/nodegroups/{name}")
        self.updated(lambda _found: name not in self.groups())

    @decorators.attr(type="slow")
    @decorators.idempotent_id("b2b7a54c-2f6a-4f0e-9b6e-0d2a2f1f7a03")
    def test_upgrade(self):
        options = CONF.magnum_k8s
        version = options.upgrade_kube_tag
        if not version:
            raise self.skipException("[magnum_k8s] upgrade_kube_tag is unset")
        target = self.make_template(version, options.upgrade_image_id)
        self.act("upgrade", cluster_template=target, max_batch_size=1)
        found = self.updated(lambda one: one["coe_version"] == version)
        self.assertEqual(target, found["cluster_template_id"])
        for one in self.groups().values():
            self.assertEqual(version, one["version"], one)

    @decorators.idempotent_id("b2b7a54c-2f6a-4f0e-9b6e-0d2a2f1f7a04")
    def test_an_upgrade_that_cannot_be_changes_nothing(self):
        before = self.client.show(self.path)
        target = self.make_template("v1.99.0")
        refused = self.assertRaises(
            exceptions.BadRequest,
            self.act,
            "upgrade",
            cluster_template=target,
            max_batch_size=1,
        )
        self.assertIn("v1.99.0", str(refused))
        after = self.client.show(self.path)
        for name in ("cluster_template_id", "coe_version", "labels"):
            self.assertEqual(before[name], after[name])

    @decorators.idempotent_id("b2b7a54c-2f6a-4f0e-9b6e-0d2a2f1f7a05")
    def test_becomes_healthy(self):
        end = time.monotonic() + CONF.magnum_k8s.update_timeout
        found = self.client.show(self.path)
        while found["health_status"] != "HEALTHY":
            self.assertLess(time.monotonic(), end, found)
            time.sleep(CONF.magnum_k8s.build_interval)
            found = self.client.show(self.path)
        for key, value in found["health_status_reason"].items():
            self.assertIsInstance(value, str, key)

    @decorators.attr(type="slow")
    @decorators.idempotent_id("b2b7a54c-2f6a-4f0e-9b6e-0d2a2f1f7a06")
    def test_rotate_ca(self):
        self.needs_rotation()
        path = f"/certificates/{self.path.rpartition('/')[2]}"
        before, servers = self.client.show(path)["pem"], self.server_ids()
        self.client.change(path, 202)
        self.updated(lambda _found: self.client.show(path)["pem"] != before)
        self.assertEqual(servers, self.server_ids())

    @decorators.attr(type="slow")
    @decorators.idempotent_id("b2b7a54c-2f6a-4f0e-9b6e-0d2a2f1f7a07")
    def test_rotate_credential(self):
        self.needs_rotation()
        servers = self.server_ids()
        self.client.change(f"/credentials/{self.path.rpartition('/')[2]}", 202)
        # Magnum answers when it has begun.
        found = self.client.show(self.path)
        self.assertEqual("UPDATE_IN_PROGRESS", found["status"], found)
        self.updated()
        self.assertEqual(servers, self.server_ids())

    def needs_rotation(self):
        if not CONF.magnum_k8s_feature_enabled.rotation:
            raise self.skipException("rotation is not enabled")
