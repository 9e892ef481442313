# SPDX-License-Identifier: Apache-2.0
"""Every shape of a cluster through Heat's own engine."""

import collections
import dataclasses

import testtools

from tests import heat_engine
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

    def _check_workers(self, shape, verdict):
        """A worker is one resource, and one for what Heat cannot inline."""
        found = dict(verdict["resources"])
        self.assertEqual("OS::Nova::ServerGroup", found.pop("server_group"))
        self.assertEqual("members.yaml", found.pop("kube_minions"))
        each = 1 + shape.container_volume + shape.node_floating_ip
        self.assertEqual(each * shape.workers, len(found))
        count = collections.Counter(found.values())
        self.assertEqual(shape.workers, count["OS::Nova::Server"])
