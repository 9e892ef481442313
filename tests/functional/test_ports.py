# SPDX-License-Identifier: Apache-2.0
"""The ports against the lab's real services."""

import os
import pathlib
import time
import unittest
import uuid

from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import session as ksa_session
from keystoneauth1.identity import v3
from magnum.common import context as magnum_context
from magnum.conductor.handlers.common import cert_manager
import magnum.conf
from openstack import connection as sdk_connection
import testtools
import yaml

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import cloud
from magnum_k8s_driver.ports import heat
from magnum_k8s_driver.ports import magnum_certificates
from magnum_k8s_driver.ports import rest
from magnum_k8s_driver.ports import sdk_compute
from magnum_k8s_driver.ports import sdk_heat
from magnum_k8s_driver.ports import sdk_identity
from magnum_k8s_driver.ports import sdk_leftovers
from magnum_k8s_driver.ports import tooz_lock

ROOT = pathlib.Path(os.environ.get("LAB_ROOT", "/var/tmp/magnum-k8s-lab"))
MAGNUM_CONF = ROOT / "config" / "magnum" / "magnum.conf"
NESTED = """
heat_template_version: "2021-04-16"
resources:
  "0":
    type: OS::Heat::WaitConditionHandle
    properties: {signal_transport: HEAT_SIGNAL}
outputs:
  signals: {value: {"0": {get_attr: ["0", signal]}}}
"""
TEMPLATE = {
    "heat_template_version": "2021-04-16",
    "parameters": {
        "generation": {"type": "number"},
        "members": {"type": "json", "default": {}},
    },
    "resources": {"boards": {"type": "boards.yaml"}},
    "outputs": {"signals": {"value": {"get_attr": ["boards", "signals"]}}},
}
ROLES = ("member", "load-balancer_member", "no-such-role")
SECONDS = 240


class Cluster:
    """What ports read of a Magnum cluster."""

    ca_cert_ref = magnum_cert_ref = None
    etcd_ca_cert_ref = front_proxy_ca_cert_ref = None

    def __init__(self, project_id):
        self.uuid, self.name = str(uuid.uuid4()), "ports"
        self.project_id, self.user_id = project_id, "ports"


class LabTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        try:
            text = (ROOT / "clouds.yaml").read_text()
            self.clouds = yaml.safe_load(text)["clouds"]
            self.demo = self.connect("demo")
            self.project_id = self.demo.session.get_project_id()
        except (OSError, ksa_exceptions.ClientException) as exc:
            raise unittest.SkipTest(
                f"the lab is not up in {ROOT}, start it with lab/lab up: {exc}"
            ) from exc
        self.admin = self.connect("admin")

    def connect(self, name):
        auth = v3.Password(**self.clouds[name]["auth"])
        connection = sdk_connection.Connection(
            session=ksa_session.Session(auth=auth),
            region_name=self.clouds[name]["region_name"],
        )
        self.addCleanup(connection.close)
        return connection

    def until(self, wanted):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            found = wanted()
            if found:
                return found
            time.sleep(0.5)
        return self.fail(f"not within {SECONDS} s")


class HeatTest(LabTest):
    def setUp(self):
        super().setUp()
        self.heat = sdk_heat.SdkHeat(self.demo)
        self.name = f"ports-{uuid.uuid4().hex[:12]}"
        self.addCleanup(self.remove)

    def remove(self):
        stack_id = self.heat.find(self.name)
        if stack_id:
            self.heat.delete(stack_id)

    def request(self, template, files, parameters):
        return heat.StackRequest(
            name=self.name,
            template=template,
            files=files,
            parameters=parameters,
            tags=("one", "two"),
            timeout_minutes=5,
        )

    def settled(self, stack_id):
        def ended():
            found = self.heat.show(stack_id, outputs=True)
            return found if found.phase != "IN_PROGRESS" else None

        return self.until(ended)

    def test_life_of_a_stack(self):
        request = self.request(
            TEMPLATE, {"boards.yaml": NESTED}, {"generation": 1}
        )
        self.assertIsNone(self.heat.find(self.name))
        stack_id = self.heat.create(request)
        self.assertRaises(exceptions.CloudConflict, self.heat.create, request)
        self.assertEqual(stack_id, self.heat.find(self.name))
        stack = self.settled(stack_id)
        self.assertEqual("COMPLETE", stack.phase, stack.reason)
        self.assertIn("alarm_url", stack.outputs["signals"]["0"])

        (board,) = (
            one
            for one in self.heat.resources(stack_id)
            if one.parent == "boards"
        )
        fresh = sdk_heat.SdkHeat(self.demo)
        self.assertEqual({}, fresh.metadata(board.stack_id, board.name))
        self.assertIsNotNone(fresh.show(board.stack_id))

        fresh.update(
            stack_id,
            heat.StackUpdate(
                parameters={"generation": 2, "members": {"a": [1]}},
                timeout_minutes=5,
            ),
        )
        stack = self.settled(stack_id)
        self.assertEqual("UPDATE", stack.action)
        self.assertEqual("2", stack.parameters["generation"])
        self.assertEqual('{"a": [1]}', stack.parameters["members"])
        self.assertIn("0", stack.outputs["signals"])

        sdk_heat.SdkHeat(self.admin).delete(stack_id)
        self.until(lambda: self.heat.show(stack_id) is None)
        self.assertEqual((), sdk_heat.SdkHeat(self.demo).resources(stack_id))
        self.assertIsNone(self.heat.find(self.name))
        self.heat.delete(stack_id)

    def test_refusal_is_a_sentence(self):
        request = self.request(TEMPLATE, {"boards.yaml": "a: ["}, {})
        error = self.assertRaises(
            exceptions.CloudError, self.heat.create, request
        )
        self.assertEqual(400, error.status)
        self.assertNotIn("Traceback", str(error))
        self.assertNotIn("\n", str(error))

    def test_configs(self):
        config_id = self.heat.create_config(self.name, "x" * 40000)
        self.assertEqual({config_id: self.name}, self.heat.configs(self.name))
        key = uuid.uuid4().hex
        self.assertEqual(frozenset(), self.heat.deployed(key))
        self.heat.deploy(key, config_id, uuid.uuid4().hex)
        self.assertEqual({config_id}, self.heat.deployed(key))
        self.heat.withdraw(key)
        self.heat.withdraw(key)
        self.assertEqual(frozenset(), self.heat.deployed(key))
        self.heat.delete_config(config_id)
        self.heat.delete_config(config_id)
        self.assertEqual({}, self.heat.configs(self.name))

    def test_servers(self):
        (net,) = [self.demo.network.create_network(name=self.name)]
        self.addCleanup(self.demo.network.delete_network, net.id)
        self.demo.network.create_subnet(
            network_id=net.id, ip_version=4, cidr="10.78.0.0/24"
        )
        config = self.heat.create_config(self.name, "#cloud-config\n")
        self.addCleanup(self.heat.delete_config, config)
        image = next(
            one for one in self.demo.image.images() if one.name == "mystery"
        )
        server = {
            "type": "OS::Nova::Server",
            "properties": {
                "name": f"{self.name}-0",
                "image": image.id,
                "flavor": "m1.medium",
                "networks": [{"network": net.id}],
                "user_data_format": "RAW",
                "user_data": config,
                "metadata": {"magnum_member": "0"},
            },
        }
        template = {
            "heat_template_version": "2021-04-16",
            "resources": {"0": server},
        }
        stack = self.settled(self.heat.create(self.request(template, {}, {})))
        self.assertEqual("COMPLETE", stack.phase, stack.reason)
        compute = sdk_compute.SdkCompute(self.demo)
        (found,) = compute.servers(f"{self.name}-")
        self.assertEqual(("ACTIVE", ""), (found.status, found.fault))
        self.assertEqual("0", found.metadata["magnum_member"])
        self.assertEqual(1, len(found.fixed_ips))
        self.assertIsInstance(compute.console(found.id, 5), str)
        everywhere = sdk_compute.SdkCompute(self.admin, all_of=self.project_id)
        self.assertEqual(1, len(everywhere.servers(self.name)))
        compute.delete(found.id)
        self.until(lambda: not compute.servers(self.name))
        compute.delete(found.id)
        self.heat.delete(stack.id)
        self.until(lambda: self.heat.show(stack.id) is None)


class IdentityTest(LabTest):
    def setUp(self):
        super().setUp()
        users = self.admin.identity.users(name="magnum")
        self.service_user = next(iter(users)).id
        self.identity = sdk_identity.SdkIdentity(
            self.admin, self.service_user, "magnum"
        )
        made = self.admin.identity.create_project(
            name=f"ports-{uuid.uuid4().hex[:12]}", domain_id="default"
        )
        self.addCleanup(self.admin.identity.delete_project, made.id)
        self.project = made.id

    def test_grants(self):
        self.assertTrue(self.identity.project_exists(self.project))
        self.assertFalse(self.identity.project_exists("0" * 32))
        for _ in range(2):
            self.identity.grant_service_roles(self.project, ROLES)
        self.assertEqual(
            ("load-balancer_member", "member"),
            self.identity.service_grants(self.project),
        )
        for _ in range(2):
            self.identity.revoke_service_roles(self.project)
        self.assertEqual((), self.identity.service_grants(self.project))

    def test_grant_of_the_operator(self):
        roles = self.admin.identity.roles(name="member")
        role = next(iter(roles)).id
        path = f"users/{self.service_user}/roles/{role}"
        grant = f"/projects/{self.project}/{path}"
        keystone = rest.Rest(self.admin, "identity")
        keystone.send("PUT", grant)
        self.identity.grant_service_roles(self.project, ("member",))
        self.identity.revoke_service_roles(self.project)
        self.assertTrue(keystone.exists(grant))

    def log_in(self, credential):
        auth = v3.ApplicationCredential(
            auth_url=self.clouds["admin"]["auth"]["auth_url"],
            application_credential_id=credential.id,
            application_credential_secret=credential.secret,
        )
        return ksa_session.Session(auth=auth).get_project_id()

    def test_cluster_user(self):
        cluster = str(uuid.uuid4())
        self.addCleanup(self.identity.delete_cluster_user, cluster)

        def ensure(password):
            return self.identity.ensure_cluster_user(
                cluster, self.project, password, ROLES
            )

        user = ensure("Secret-1")
        self.assertEqual(user, ensure("Secret-1"))
        self.assertEqual(user, ensure("Secret-2"))
        self.assertEqual(user, self.identity.find_cluster_user(cluster))

        def credential(secret):
            return self.identity.ensure_application_credential(
                user, "Secret-2", self.project, "cluster", secret
            )

        first = credential("a" * 40)
        self.assertEqual(self.project, self.log_in(first))
        self.assertEqual(first.id, credential("a" * 40).id)
        second = credential("b" * 40)
        self.assertNotEqual(first.id, second.id)
        self.assertRaises(ksa_exceptions.ClientException, self.log_in, first)
        for _ in range(2):
            self.identity.disable_cluster_user(cluster)
        self.assertRaises(ksa_exceptions.Unauthorized, self.log_in, second)
        for _ in range(2):
            self.identity.delete_cluster_user(cluster)
        self.assertIsNone(self.identity.find_cluster_user(cluster))


class LeftoversTest(LabTest):
    def test_find_and_remove(self):
        cluster = str(uuid.uuid4())
        prefix = f"ports-{cluster.replace('-', '')[:12]}"
        network = self.demo.network
        net = network.create_network(name="ports-leftovers")
        self.addCleanup(network.delete_network, net.id)
        subnet = network.create_subnet(
            network_id=net.id, ip_version=4, cidr="10.79.0.0/24"
        )
        network.create_port(network_id=net.id, name=f"{prefix}-cp-0")
        network.create_port(
            network_id=net.id, description=f"magnum-k8s-driver {cluster}"
        )
        kept = network.create_port(network_id=net.id, name=f"{prefix}0-cp")
        self.addCleanup(network.delete_port, kept.id)
        network.create_security_group(
            name="lb-sg-1",
            description="Security Group for default/x Service LoadBalancer "
            f"in cluster {cluster}",
        )
        self.demo.block_storage.create_volume(
            size=1,
            name="pvc",
            metadata={sdk_leftovers._VOLUME_CLUSTER: cluster},
        )
        self.demo.load_balancer.create_load_balancer(
            name="kube_service_x",
            vip_subnet_id=subnet.id,
            description=f"Kubernetes external service a/b from cluster "
            f"{cluster}",
        )
        mine = sdk_leftovers.SdkLeftovers(self.demo, self.project_id)
        admin = sdk_leftovers.SdkLeftovers(
            self.admin, self.project_id, as_admin=True
        )

        def everything(port):
            return [
                *port.load_balancers(cluster),
                *port.others(cluster, prefix),
                *port.volumes(cluster),
            ]

        for port in (mine, admin):
            self.assertEqual(
                ["load balancer", "port", "port", "security group", "volume"],
                [one.kind for one in everything(port)],
            )

        def removed():
            left = everything(mine)
            for one in left:
                try:
                    mine.remove(one)
                except exceptions.CloudError:
                    # Being made still, or already on its way out.
                    continue
            return not left

        self.until(removed)


class LockTest(LabTest):
    def test_database_lock(self):
        url = tooz_lock.default_url(
            magnum_conf().database.connection, "/no/such"
        )
        self.assertStartsWith(url, "mysql://")
        name = f"magnum-k8s-{uuid.uuid4()}"
        one, two = (tooz_lock.ToozLock(url, m) for m in ("one", "two"))
        with one.hold(name, wait_seconds=0):
            began = time.monotonic()
            self.assertRaises(
                exceptions.LockBusy,
                two.hold(name, wait_seconds=0).__enter__,
            )
            self.assertLess(time.monotonic() - began, 1.0)
            self.assertRaises(
                exceptions.LockBusy, one.hold(name, wait_seconds=1).__enter__
            )
        with two.hold(name, wait_seconds=0):
            pass

    def assertStartsWith(self, text, start):
        self.assertTrue(text.startswith(start), text)


def magnum_conf():
    """Return Magnum's configuration as the lab's conductor reads it."""
    conf = magnum.conf.CONF
    conf(["--config-file", str(MAGNUM_CONF)], project="magnum")
    return conf


class MagnumTest(LabTest):
    def setUp(self):
        super().setUp()
        magnum_conf()
        self.context = magnum_context.make_admin_context(all_tenants=True)
        self.cluster = Cluster(self.project_id)

    def test_certificates(self):
        user = magnum_context.RequestContext(
            project_id=self.project_id, user_id="somebody"
        )
        cert_manager.generate_certificates_to_cluster(
            self.cluster, context=user
        )
        port = magnum_certificates.MagnumCertificates(
            self.cluster, self.context
        )
        found = port.authorities()
        keys = {found.kubernetes.private_key, found.etcd.private_key}
        self.assertEqual(2, len(keys))
        self.assertIn("BEGIN PRIVATE KEY", found.front_proxy.private_key)
        self.assertIsNone(port.find_secret())
        reference = port.store_secret('{"a": 1}')
        again = magnum_certificates.MagnumCertificates(
            self.cluster, self.context
        )
        self.assertEqual(reference, again.find_secret())
        self.assertEqual('{"a": 1}', again.read_secret(reference))
        for _ in range(2):
            again.delete_secrets()
            again.delete_extra_authorities()
        self.assertIsNone(port.find_secret())
        error = self.assertRaises(exceptions.CloudError, port.authorities)
        self.assertEqual(404, error.status)
        cert_manager.delete_certificates_from_cluster(
            self.cluster, context=user
        )

    def test_open_cloud(self):
        made = self.admin.identity.create_project(
            name=f"ports-{uuid.uuid4().hex[:12]}", domain_id="default"
        )
        self.cluster.project_id = made.id
        settings = cloud.CloudSettings(service_roles=ROLES)
        try:
            # Nobody let the service user in so far: opening does.
            with cloud.open_cloud(
                self.cluster, self.context, settings
            ) as opened:
                self.assertIsNone(opened.heat.find("no-such-stack"))
                self.assertEqual((), opened.compute.servers("x"))
                self.assertEqual(
                    ("load-balancer_member", "member"),
                    opened.identity.service_grants(made.id),
                )
                opened.identity.revoke_service_roles(made.id)
        finally:
            self.admin.identity.delete_project(made.id)
        with cloud.open_cloud(self.cluster, self.context, settings) as opened:
            self.assertFalse(opened.identity.project_exists(made.id))
            self.assertIsNone(opened.heat.find("no-such-stack"))
            self.assertEqual((), opened.compute.servers("x"))
            self.assertEqual((), opened.leftovers.load_balancers("x"))
