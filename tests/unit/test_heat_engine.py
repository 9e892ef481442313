# SPDX-License-Identifier: Apache-2.0
"""Every shape of a cluster through Heat's own engine."""

import collections
import dataclasses

import testtools

from magnum_k8s_driver.model import needs
from tests import heat_engine
from tests import samples
from tests import stacks

Shape = stacks.Shape

PLAIN = Shape()
BALANCED = Shape(load_balancer=True, control_planes=3)
SHAPES = {
    "plain": PLAIN,
    "no worker": Shape(workers=0),
    "one worker": Shape(workers=1),
    "three workers": Shape(workers=3),
    "private API": Shape(api_floating_ip=False),
    "addresses for nodes": Shape(node_floating_ip=True),
    "addresses for nodes only": Shape(
        node_floating_ip=True, api_floating_ip=False
    ),
    "existing network": Shape(existing_network=True),
    "no resolver": Shape(dns=()),
    "balanced": BALANCED,
    "balanced single": Shape(load_balancer=True),
    "balanced, ovn": dataclasses.replace(BALANCED, provider="ovn"),
    "balanced, private API": dataclasses.replace(
        BALANCED, api_floating_ip=False
    ),
    "balanced, existing network": dataclasses.replace(
        BALANCED, existing_network=True
    ),
    "balanced, addresses for nodes": dataclasses.replace(
        BALANCED, node_floating_ip=True
    ),
    "balanced, allowed ranges": dataclasses.replace(
        BALANCED, allowed_cidrs=("192.0.2.0/24", "198.51.100.7/32")
    ),
    "ovn, allowed ranges": dataclasses.replace(
        BALANCED, provider="ovn", allowed_cidrs=("192.0.2.0/24",)
    ),
    "allowed ranges": Shape(allowed_cidrs=("192.0.2.0/24",)),
    "boot volumes": Shape(boot_volume=True),
    "typed boot volumes": Shape(boot_volume=True, volume_type="ssd"),
    "container volumes": Shape(container_volume=True, volume_type="ssd"),
    "etcd volume": Shape(etcd_volume=True),
    "zone": Shape(availability_zone="az2", container_volume=True),
    "strict placement": Shape(server_group_policy="anti-affinity"),
    "all of it": Shape(
        control_planes=3,
        workers=3,
        load_balancer=True,
        node_floating_ip=True,
        boot_volume=True,
        container_volume=True,
        etcd_volume=True,
        volume_type="ssd",
        availability_zone="az2",
        allowed_cidrs=("192.0.2.0/24",),
    ),
}

OUTPUTS = {
    "network_id",
    "subnet_id",
    "node_security_group_id",
    "refs_map",
    "endpoint_private",
    "endpoint_public",
    "boards",
    "distress",
}
"""What the driver reads; see converge/act.py and converge/user_data.py."""


class TestHeatEngine(testtools.TestCase):
    """One test, because starting the engine takes most of the time."""

    def test_every_shape(self):
        asked = {
            (name, step): request
            for name, shape in SHAPES.items()
            for step, request in stacks.requests(shape.spec()).items()
        }
        self.assertEqual(3 * len(SHAPES), len(asked))
        # A judge that finds nothing in anything is none.
        wrong = self._wrong(asked["plain", "cluster"])
        *found, of_wrong = heat_engine.judge([*asked.values(), wrong])
        self.assertIn("nonsense", "".join(of_wrong["errors"]))
        verdicts = dict(zip(asked, found, strict=True))
        for (name, step), verdict in verdicts.items():
            self.assertEqual([], verdict["errors"], f"{name}, {step}")
        for name, shape in SHAPES.items():
            self._check_cluster(shape, verdicts[name, "cluster"], 0)
            self._check_cluster(
                shape, verdicts[name, "control-plane"], shape.control_planes
            )
            self._check_workers(shape, verdicts[name, "default-worker"])
            self._check_needs(
                shape,
                asked[name, "cluster"],
                verdicts[name, "control-plane"],
                verdicts[name, "default-worker"],
            )

    def _wrong(self, request):
        template = dict(request["template"])
        network = template["resources"]["network"]
        network = {**network, "properties": {"nonsense": "x"}}
        resources = {**template["resources"], "network": network}
        return {**request, "template": {**template, "resources": resources}}

    def _count(self, verdict):
        return collections.Counter(verdict["resources"].values())

    def _check_cluster(self, shape, verdict, members):
        count = self._count(verdict)
        self.assertLessEqual(OUTPUTS, set(verdict["outputs"]))
        made = 0 if shape.existing_network else 1
        for kind in ("Net", "Subnet", "Router", "RouterInterface"):
            self.assertEqual(made, count[f"OS::Neutron::{kind}"], kind)
        balanced = 1 if shape.load_balancer else 0
        for kind in ("LoadBalancer", "Listener", "Pool", "HealthMonitor"):
            self.assertEqual(balanced, count[f"OS::Octavia::{kind}"], kind)
        self.assertEqual(balanced * members, count["OS::Octavia::PoolMember"])
        self.assertEqual(
            members if balanced else 1, count["OS::Neutron::Port"]
        )
        self.assertEqual(members, count["OS::Nova::Server"])
        # The boards and the distress handle.
        self.assertEqual(
            shape.control_planes + 1, count["OS::Heat::WaitConditionHandle"]
        )
        volumes = shape.etcd_volume + shape.container_volume
        self.assertEqual(volumes * members, count["OS::Cinder::Volume"])
        on_api = shape.api_floating_ip or (
            shape.node_floating_ip and not balanced
        )
        on_nodes = members * shape.node_floating_ip * balanced
        self.assertEqual(on_api + on_nodes, count["OS::Neutron::FloatingIP"])

    def _check_needs(self, shape, asked, cluster, workers):
        """Quotas are checked against what the templates really make."""
        spec = shape.spec()
        flavors = {"2": samples.flavor()}
        needed = needs.cluster(spec, flavors)
        count = self._count(cluster) + self._count(workers)
        nodes = shape.control_planes + shape.workers
        # Workers' ports stand inside of their servers; Octavia and Neutron
        # make one each for the address and the router.
        ports = count["OS::Neutron::Port"] + shape.workers
        ports += count["OS::Octavia::LoadBalancer"]
        ports += count["OS::Neutron::RouterInterface"]
        volumes = count["OS::Cinder::Volume"] + nodes * shape.boot_volume
        expected = {
            "compute.instances": nodes,
            "compute.cores": nodes * 2,
            "compute.ram": nodes * 4096,
            "compute.server_groups": count["OS::Nova::ServerGroup"],
            "block-storage.volumes": volumes,
            "block-storage.gigabytes": volumes * 20,
            f"block-storage.volumes_{shape.volume_type}": volumes,
            f"block-storage.gigabytes_{shape.volume_type}": volumes * 20,
            "network.network": count["OS::Neutron::Net"],
            "network.subnet": count["OS::Neutron::Subnet"],
            "network.router": count["OS::Neutron::Router"],
            "network.port": ports,
            "network.floatingip": count["OS::Neutron::FloatingIP"],
            "network.security_group": count["OS::Neutron::SecurityGroup"],
            "network.security_group_rule": self._rules(asked),
            "load-balancer.load_balancer": count["OS::Octavia::LoadBalancer"],
            "load-balancer.listener": count["OS::Octavia::Listener"],
            "load-balancer.pool": count["OS::Octavia::Pool"],
            "load-balancer.member": count["OS::Octavia::PoolMember"],
            "load-balancer.health_monitor": count[
                "OS::Octavia::HealthMonitor"
            ],
            "orchestration.stacks": 2,
        }
        self.assertEqual(
            {key: value for key, value in expected.items() if value},
            needed.totals,
        )
        self.assertEqual(
            max(
                len(cluster["resources"]),
                len(workers["resources"]),
                needs.TEMPLATE_RESOURCES,
            ),
            needed.each["orchestration.resources"],
        )
        self.assertEqual(
            max(shape.control_planes, shape.workers),
            needed.each["compute.server_group_members"],
        )

    def _rules(self, request):
        """Return how many rules Neutron counts for the groups."""
        groups = [
            one["properties"]["rules"]
            for one in request["template"]["resources"].values()
            if one["type"] == "OS::Neutron::SecurityGroup"
        ]
        cidrs = request["parameters"]["allowed_cidrs"].split(",")
        repeated = sum(isinstance(one, dict) for one in groups)
        listed = sum(len(one) for one in groups if isinstance(one, list))
        # Neutron adds two to each group for what leaves.
        return 2 * len(groups) + listed + repeated * len(cidrs)

    def _check_workers(self, shape, verdict):
        """A worker is one resource, and one for what Heat cannot inline."""
        found = dict(verdict["resources"])
        self.assertEqual("OS::Nova::ServerGroup", found.pop("server_group"))
        self.assertEqual("members.yaml", found.pop("kube_minions"))
        each = 1 + shape.container_volume + shape.node_floating_ip
        self.assertEqual(each * shape.workers, len(found))
        count = collections.Counter(found.values())
        self.assertEqual(shape.workers, count["OS::Nova::Server"])
