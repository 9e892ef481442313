# SPDX-License-Identifier: Apache-2.0
"""Shapes of clusters, read off the real resources they are made of.

All clusters are made at once. What each is for, in ``SHAPES``, together
covers every choice at least once.
"""

import base64

import yaml

from magnum_k8s_driver.render import userdata
from tests.functional import base
from tests.functional import inventory

DNS = ["192.0.2.53", "198.51.100.53"]
ALLOWED = ["127.0.0.0/8", "198.51.100.0/24"]
CREATE_SECONDS = 900

SHAPES = {
    # Three control planes behind Octavia; only the API has a floating IP;
    # the network is made.
    "three": {
        "template": {
            "master_lb_enabled": True,
            "dns_nameserver": ",".join(DNS),
        },
        "cluster": {
            "master_count": 3,
            "labels": {
                "octavia_provider": "amphora",
                "master_lb_floating_ip_enabled": "true",
                "master_lb_allowed_cidrs": ",".join(ALLOWED),
                "server_group_policy": "soft-affinity",
            },
        },
    },
    # One behind OVN's load balancer, volumes of every kind, floating IPs
    # everywhere, an existing network.
    "ovn": {
        "template": {
            "master_lb_enabled": True,
            "floating_ip_enabled": True,
            "docker_volume_size": 5,
        },
        "cluster": {
            "fixed_network": "network",
            "labels": {
                "octavia_provider": "ovn",
                "boot_volume_size": "20",
                "boot_volume_type": "fast",
                "docker_volume_type": "fast",
                "etcd_volume_size": "3",
                "etcd_volume_type": "lab",
                "availability_zone": "nova",
            },
        },
    },
    # No floating IP at all, an existing subnet, proxies, four workers.
    "inside": {
        "template": {
            "http_proxy": "http://192.0.2.1:3128",
            "https_proxy": "http://192.0.2.2:3128",
            "no_proxy": "registry.example",
        },
        "cluster": {
            "node_count": 4,
            "fixed_network": "network",
            "fixed_subnet": "subnet",
        },
    },
    # Floating IPs for nodes but not for the API; a volume for containers.
    "nodes-outside": {
        "template": {"floating_ip_enabled": True, "docker_volume_size": 4},
        "cluster": {"labels": {"master_lb_floating_ip_enabled": "False"}},
    },
    # A floating IP for the API but not for nodes; one plain worker.
    "api-outside": {
        "template": {"http_proxy": "http://192.0.2.1:3128"},
        "cluster": {"labels": {"master_lb_floating_ip_enabled": "True"}},
    },
}


class ShapesTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.existing = cls.make_network()
        templates = {
            name: cls.make_template(**shape["template"])
            for name, shape in SHAPES.items()
        }
        before = inventory.take()
        # After the clusters have gone, before the network does.
        cls.addClassCleanup(inventory.assert_same, before, 60)
        made = {}
        cls.addClassCleanup(lambda: cls.remove(*made.values()))
        for name, shape in SHAPES.items():
            wanted = dict(shape["cluster"])
            for field in ("fixed_network", "fixed_subnet"):
                if field in wanted:
                    wanted[field] = cls.existing[wanted[field]]
            if "labels" in wanted:
                wanted["merge_labels"] = True
            made[name] = cls.magnum.create(
                templates[name], create_timeout=30, **wanted
            )
        cls.clusters = {
            name: cls.magnum.await_status(
                one, "CREATE_COMPLETE", seconds=CREATE_SECONDS
            )
            for name, one in made.items()
        }

    @classmethod
    def make_network(cls):
        network = cls.demo.network.create_network(name=base.unique("n"))
        cls.addClassCleanup(cls.demo.network.delete_network, network)
        subnet = cls.demo.network.create_subnet(
            network_id=network.id, ip_version=4, cidr="10.9.0.0/24"
        )
        outside = cls.demo.network.find_network("public")
        router = cls.demo.network.create_router(
            name=base.unique("r"),
            external_gateway_info={"network_id": outside.id},
        )
        cls.addClassCleanup(cls.demo.network.delete_router, router)
        cls.demo.network.add_interface_to_router(router, subnet_id=subnet.id)
        cls.addClassCleanup(
            cls.demo.network.remove_interface_from_router,
            router,
            subnet_id=subnet.id,
        )
        return {"network": network.id, "subnet": subnet.id}

    def servers(self, shape, group="default-worker"):
        """Return the servers of a group with all that admins see."""
        uuid = self.clusters[shape]["uuid"]
        found = [
            self.admin.compute.get_server(one.id)
            for one in self.demo.compute.servers()
            if one.metadata.get("magnum_cluster") == uuid
            and one.metadata.get("magnum_nodegroup") == group
        ]
        self.assertNotEqual([], found)
        return found

    def masters(self, shape):
        return self.servers(shape, "default-master")

    def load_balancer(self, shape):
        name = f"{base.prefix(self.clusters[shape])}-api"
        return self.demo.load_balancer.find_load_balancer(name)

    def listener(self, shape):
        balancer = self.load_balancer(shape)
        self.assertEqual(1, len(balancer.listeners))
        return self.demo.load_balancer.get_listener(
            balancer.listeners[0]["id"]
        )

    def floating(self, server):
        return [
            address["addr"]
            for addresses in server.addresses.values()
            for address in addresses
            if address["OS-EXT-IPS:type"] == "floating"
        ]

    def volumes(self, server):
        """Return the volumes of a server by what their names end in."""
        found = {}
        for one in self.demo.block_storage.volumes():
            if server.id in [x["server_id"] for x in one.attachments]:
                kind = (one.name or "boot").rpartition("-")[2]
                found[kind] = one
        return found

    def user_data(self, server):
        return base64.b64decode(server.user_data).decode()

    def document(self, server):
        return userdata.parse_node_document(self.user_data(server))

    def worker_resources(self, shape):
        groups = self.magnum.groups(self.clusters[shape]["uuid"])
        stack_id = groups["default-worker"]["stack_id"]
        return [
            one["resource_type"]
            for one in base.stack_resources(self.demo, stack_id)
        ]

    def test_three_control_planes(self):
        self.assertEqual(3, len(self.masters("three")))
        balancer = self.load_balancer("three")
        self.assertEqual("amphora", balancer.provider)
        pool = self.demo.load_balancer.get_pool(balancer.pools[0]["id"])
        addresses = {
            one.address for one in self.demo.load_balancer.members(pool)
        }
        fixed = {
            address["addr"]
            for one in self.masters("three")
            for addresses in one.addresses.values()
            for address in addresses
        }
        self.assertEqual(fixed, addresses)
        self.assertEqual(3, len(addresses))

    def test_balanced_api_has_the_only_floating_ip(self):
        cluster = self.clusters["three"]
        for one in [*self.masters("three"), *self.servers("three")]:
            self.assertEqual([], self.floating(one))
        vip = self.load_balancer("three").vip_port_id
        (address,) = self.demo.network.ips(port_id=vip)
        self.assertEqual(
            f"https://{address.floating_ip_address}:6443",
            cluster["api_address"],
        )

    def test_allowed_cidrs(self):
        subnet = self.subnet("three")
        self.assertEqual(
            sorted([*ALLOWED, subnet.cidr]),
            sorted(self.listener("three").allowed_cidrs),
        )

    def subnet(self, shape):
        return self.demo.network.find_subnet(base.prefix(self.clusters[shape]))

    def test_several_dns_servers(self):
        self.assertEqual(DNS, self.subnet("three").dns_nameservers)

    def test_server_group_policy(self):
        for shape, policy in (
            ("three", "soft-affinity"),
            ("ovn", "soft-anti-affinity"),
        ):
            for one in [*self.masters(shape), *self.servers(shape)]:
                (group,) = one.server_groups
                found = self.admin.compute.get_server_group(group)
                self.assertEqual(policy, found.policy)
                self.assertIn(one.id, found.member_ids)

    def test_ovn(self):
        self.assertEqual("ovn", self.load_balancer("ovn").provider)
        # What OVN cannot do, is left out.
        self.assertFalse(self.listener("ovn").allowed_cidrs)
        pool_id = self.load_balancer("ovn").pools[0]["id"]
        pool = self.demo.load_balancer.get_pool(pool_id)
        self.assertEqual("SOURCE_IP_PORT", pool.lb_algorithm)

    def test_volumes(self):
        (master,), (worker,) = self.masters("ovn"), self.servers("ovn")
        on_master, on_worker = self.volumes(master), self.volumes(worker)
        self.assertEqual(
            {"boot": (20, "fast"), "containers": (5, "fast"),
             "etcd": (3, "lab")},
            {k: (v.size, v.volume_type) for k, v in on_master.items()},
        )  # fmt: skip
        self.assertEqual(
            {"boot": (20, "fast"), "containers": (5, "fast")},
            {k: (v.size, v.volume_type) for k, v in on_worker.items()},
        )
        for server, found in ((master, on_master), (worker, on_worker)):
            # Nodes find their volumes by these.
            for kind in found:
                if kind != "boot":
                    key = f"magnum_volume_{kind}"
                    self.assertEqual(found[kind].id, server.metadata[key])
            self.assertIsNone(getattr(server.image, "id", None))
        wanted = {"containers": True, "etcd": True}
        self.assertEqual(wanted, self.document(master)["volumes"])

    def test_no_volumes_unless_asked_for(self):
        (worker,) = self.servers("api-outside")
        self.assertEqual({}, self.volumes(worker))
        self.assertTrue(worker.image.id)

    def test_availability_zone(self):
        for one in [*self.masters("ovn"), *self.servers("ovn")]:
            self.assertEqual("nova", one.availability_zone)
            for volume in self.volumes(one).values():
                self.assertEqual("nova", volume.availability_zone)

    def test_everything_has_floating_ips(self):
        for one in [*self.masters("ovn"), *self.servers("ovn")]:
            self.assertEqual(1, len(self.floating(one)))
        vip = self.load_balancer("ovn").vip_port_id
        (address,) = self.demo.network.ips(port_id=vip)
        self.assertIn(
            address.floating_ip_address, self.clusters["ovn"]["api_address"]
        )

    def test_existing_network_and_subnet(self):
        for shape in ("ovn", "inside"):
            self.assertIsNone(
                self.demo.network.find_network(
                    base.prefix(self.clusters[shape])
                )
            )
            for one in [*self.masters(shape), *self.servers(shape)]:
                for port in self.demo.network.ports(device_id=one.id):
                    self.assertEqual(
                        [self.existing["subnet"]],
                        [x["subnet_id"] for x in port.fixed_ips],
                    )

    def test_nothing_outside(self):
        servers = [*self.masters("inside"), *self.servers("inside")]
        for one in servers:
            self.assertEqual([], self.floating(one))
        self.assertRegex(
            self.clusters["inside"]["api_address"], r"^https://10\.9\.0\."
        )

    def test_floating_ips_of_nodes_and_api_are_apart(self):
        (worker,) = self.servers("nodes-outside")
        self.assertEqual(1, len(self.floating(worker)))
        (master,) = self.masters("nodes-outside")
        self.assertEqual([], self.floating(master))
        self.assertRegex(
            self.clusters["nodes-outside"]["api_address"], r"^https://10\."
        )
        (worker,) = self.servers("api-outside")
        self.assertEqual([], self.floating(worker))
        (master,) = self.masters("api-outside")
        (address,) = self.floating(master)
        self.assertIn(address, self.clusters["api-outside"]["api_address"])

    def test_keypair_is_in_the_user_data(self):
        wanted = self.demo.compute.find_keypair("lab").public_key.strip()
        for one in [*self.masters("ovn"), *self.servers("ovn")]:
            content = yaml.safe_load(self.user_data(one))
            self.assertEqual([wanted], content["ssh_authorized_keys"])

    def test_proxies(self):
        for one in [*self.masters("inside"), *self.servers("inside")]:
            proxy = self.document(one)["proxy"]
            self.assertEqual("http://192.0.2.1:3128", proxy["http"])
            self.assertEqual("http://192.0.2.2:3128", proxy["https"])
            direct = set(proxy["no_proxy"])
            wanted = {"registry.example", "169.254.169.254", "10.9.0.0/24"}
            self.assertLessEqual(wanted, direct)
        (worker,) = self.servers("api-outside")
        proxy = self.document(worker)["proxy"]
        self.assertEqual("http://192.0.2.1:3128", proxy["http"])
        self.assertEqual("", proxy["https"])
        (worker,) = self.servers("ovn")
        self.assertEqual(
            {"http": "", "https": "", "no_proxy": []},
            self.document(worker)["proxy"],
        )

    def test_a_worker_costs_one_heat_resource(self):
        one = self.worker_resources("api-outside")
        four = self.worker_resources("inside")
        self.assertEqual(3, len(four) - len(one), (one, four))
        self.assertEqual(4, four.count("OS::Nova::Server"))
        # The constant of a group: server group and nested stack.
        self.assertEqual(2, len(one) - 1, one)

    def test_volumes_and_floating_ips_cost_one_more_each(self):
        plain = self.worker_resources("api-outside")
        found = self.worker_resources("nodes-outside")
        self.assertEqual(2, len(found) - len(plain), found)
        self.assertEqual(1, found.count("OS::Cinder::Volume"))
        self.assertEqual(1, found.count("OS::Neutron::FloatingIP"))
        # Boot volumes come with the server.
        self.assertEqual(len(found), len(self.worker_resources("ovn")), found)
