# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.intake."""

import types
import unittest

from magnum import objects

from magnum_k8s_driver import intake
from magnum_k8s_driver.model import spec
from tests import samples


class IntakeTests(unittest.TestCase):
    def test_equals_the_sample(self):
        read = intake.inputs(
            samples.magnum_cluster(create_timeout=None),
            samples.magnum_template(),
            [
                samples.magnum_node_group(
                    uuid=samples.CONTROL_PLANE_UUID,
                    name="default-master",
                    role="master",
                    node_count=1,
                ),
                samples.magnum_node_group(),
            ],
        )
        self.assertEqual(samples.inputs(), read)

    def test_roles(self):
        for name, role in (
            ("master", spec.Role.CONTROL_PLANE),
            ("worker", spec.Role.WORKER),
            ("infra", spec.Role.WORKER),
        ):
            group = samples.magnum_node_group(role=name)
            self.assertIs(role, intake.role(group))

    def test_newer_fields(self):
        group = samples.magnum_node_group(
            node_labels={"team": "blue"},
            node_taints=[{"key": "a", "effect": "NoExecute", "value": None}],
            max_node_count=7,
            docker_volume_size=20,
        )
        read = intake.inputs(
            samples.magnum_cluster(), samples.magnum_template(), [group]
        ).node_groups[0]
        self.assertEqual({"team": "blue"}, read.node_labels)
        self.assertEqual(
            ({"key": "a", "effect": "NoExecute"},), read.node_taints
        )
        self.assertEqual(7, read.max_count)
        self.assertEqual(20, read.docker_volume_size_gib)

    def test_flavors_fall_back(self):
        read = intake.inputs(
            samples.magnum_cluster(master_flavor_id=None, flavor_id="f1"),
            samples.magnum_template(master_flavor_id="f2"),
            [
                samples.magnum_node_group(role="master", flavor_id=None),
                samples.magnum_node_group(flavor_id=None),
            ],
        )
        self.assertEqual(
            ["f2", "f1"], [one.flavor for one in read.node_groups]
        )

    def test_nothing_but_ids(self):
        read = intake.inputs(
            types.SimpleNamespace(uuid="c", project_id="p", labels=None),
            types.SimpleNamespace(),
            [types.SimpleNamespace(uuid="g", node_count=None)],
        )
        self.assertEqual("calico", read.network_driver)
        self.assertTrue(read.floating_ip_enabled)
        self.assertEqual(0, read.node_groups[0].count)

    def test_magnums_own_objects(self):
        """Every field that is read exists, set or not."""
        cluster = objects.Cluster(
            None, uuid=samples.CLUSTER_UUID, project_id="p", labels={"a": True}
        )
        template = objects.ClusterTemplate(None, tls_disabled=True)
        group = objects.NodeGroup(
            None, uuid=samples.WORKER_UUID, role="master", node_count=3
        )
        read = intake.inputs(cluster, template, [group])
        self.assertEqual({"a": "True"}, read.labels)
        self.assertTrue(read.tls_disabled)
        self.assertEqual(3, read.node_groups[0].count)
