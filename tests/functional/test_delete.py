# SPDX-License-Identifier: Apache-2.0
"""Deleting leaves nothing, whatever state a cluster is in."""

from tests.functional import base
from tests.functional import inventory


class DeleteTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plain = cls.make_template()
        cls.rich = cls.make_template(
            master_lb_enabled=True,
            floating_ip_enabled=True,
            docker_volume_size=2,
        )

    def setUp(self):
        super().setUp()
        self.before = inventory.take()

    def created(self, template, **changes):
        uuid = self.magnum.create(template, **changes)
        self.addCleanup(self.magnum.delete, uuid)
        return uuid

    def leave_load_balancer(self, uuid, subnet_id):
        """Make what cloud-provider-openstack makes for a Service."""
        balancing, network = self.demo.load_balancer, self.demo.network
        what = f"Kubernetes external service x from cluster {uuid}"
        balancer = balancing.create_load_balancer(
            name=f"kube_service_{uuid}_default_x",
            description=what,
            vip_subnet_id=subnet_id,
        )
        balancing.wait_for_load_balancer(balancer.id, interval=1)
        balancing.create_listener(
            loadbalancer_id=balancer.id, protocol="TCP", protocol_port=80
        )
        balancing.wait_for_load_balancer(balancer.id, interval=1)
        network.create_ip(
            floating_network_id=network.find_network("public").id,
            port_id=balancer.vip_port_id,
            description=f"Floating IP for {what}",
        )

    def test_rich_cluster_with_leftovers(self):
        labels = {"boot_volume_size": "20", "etcd_volume_size": "2"}
        uuid = self.created(self.rich, labels=labels)
        cluster = self.magnum.await_status(uuid, "CREATE_COMPLETE")
        subnet = self.demo.network.find_subnet(base.prefix(cluster))
        self.leave_load_balancer(uuid, subnet.id)
        self.demo.network.create_port(
            network_id=subnet.network_id,
            name=f"{base.prefix(cluster)}-stray",
            description=f"magnum-k8s-driver {uuid}",
        )
        # Twice, and once more while it is at work: all are fine.
        self.assertEqual(204, self.magnum.delete(uuid))
        self.assertEqual(204, self.magnum.delete(uuid))
        self.magnum.await_status(uuid, "DELETE_IN_PROGRESS", seconds=60)
        self.assertIn(self.magnum.delete(uuid), (204, 404))
        self.magnum.await_gone(uuid)
        self.assertEqual(404, self.magnum.delete(uuid))
        inventory.assert_same(self.before)

    def test_while_creating(self):
        """One before anything was made, one with servers half built."""
        early = self.created(self.plain)
        late = self.created(self.plain)
        self.assertEqual(204, self.magnum.delete(early))
        prefix = base.prefix({"name": self.name_of(late), "uuid": late})

        def has_server():
            return [*self.demo.compute.servers(name=prefix)]

        base.until(has_server, base.CREATE_SECONDS, interval=0.5)
        cluster = self.magnum.cluster(late)
        self.assertEqual("CREATE_IN_PROGRESS", cluster["status"])
        self.assertEqual(204, self.magnum.delete(late))
        self.magnum.await_gone(early, late)
        inventory.assert_same(self.before)

    def name_of(self, uuid):
        found = base.until(lambda: self.magnum.cluster(uuid), 60)
        return found["name"]

    def test_after_a_failure(self):
        base.needs_time()
        base.write_behaviour(
            **base.FAST,
            rules=[
                {"match": "^unlucky", "spawn_error": "the disk is full"},
                {
                    "match": "^broken",
                    "fail_phase": "init",
                    "message": "etcd does not start",
                },
            ],
        )
        self.addCleanup(base.write_behaviour, **base.FAST)
        unlucky = self.created(self.plain, name=base.unique("unlucky"))
        broken = self.created(self.plain, name=base.unique("broken"))
        for uuid, why in (
            (unlucky, "the disk is full"),
            (broken, "etcd does not start"),
        ):
            cluster = self.magnum.await_status(uuid, "CREATE_FAILED")
            self.assertIn(why, cluster["status_reason"])
            self.assert_sentence(cluster["status_reason"])
            self.assertIn("default-master", cluster["faults"] or {})
        self.magnum.delete(unlucky)
        self.magnum.delete(broken)
        self.magnum.await_gone(unlucky, broken)
        inventory.assert_same(self.before)
