# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.ports.quotas; answers as the lab gives them."""

import dataclasses
import unittest

import requests

from magnum_k8s_driver.model import quota
from magnum_k8s_driver.ports import quotas
from tests.unit.ports import http

PROJECT = "p1"


class QuotasTest(unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.answers = http.Answers()
        connection = http.Connection(self.answers)
        connection.session.get_project_id = lambda: PROJECT
        self.port = quotas.SdkQuotas(
            connection, heat_stacks=10, heat_resources=100
        )

    def read(self, service):
        return self.port.read({service})

    def test_compute(self):
        absolute = {
            "maxTotalCores": 20,
            "totalCoresUsed": 3,
            "maxTotalInstances": -1,
            "totalInstancesUsed": 2,
            "maxServerMeta": 128,
        }
        self.answers.add(
            "GET", "/limits", body={"limits": {"absolute": absolute}}
        )
        self.assertEqual(
            {
                "compute.cores": quota.Allowance(limit=20, used=3),
                "compute.instances": quota.Allowance(limit=-1, used=2),
                "compute.metadata_items": quota.Allowance(limit=128),
            },
            self.read(quota.COMPUTE),
        )

    def test_storage_by_name_by_id_and_by_default(self):
        one = {"limit": 5, "in_use": 1, "reserved": 2}
        self.answers.add(
            "GET",
            "/os-quota-sets/p1",
            body={"quota_set": {"id": "p1", "volumes_ssd": one}},
        )
        types = [{"id": "t1", "name": "ssd"}]
        self.answers.add("GET", "/types", body={"volume_types": types})
        self.answers.add(
            "GET", "/types/default", body={"volume_type": types[0]}
        )
        key = "block-storage.volumes_ssd"
        allowance = quota.Allowance(limit=5, used=3)
        alias = dataclasses.replace(allowance, key=key)
        self.assertEqual(
            {
                key: allowance,
                "block-storage.volumes_t1": alias,
                "block-storage.volumes_": alias,
            },
            self.read(quota.STORAGE),
        )

    def test_storage_that_shows_limits_only(self):
        self.answers.add("GET", "/os-quota-sets/p1", status=403, body={})
        absolute = {"maxTotalVolumes": 7, "totalVolumesUsed": 6}
        self.answers.add(
            "GET", "/limits", body={"limits": {"absolute": absolute}}
        )
        self.assertEqual(
            {"block-storage.volumes": quota.Allowance(limit=7, used=6)},
            self.read(quota.STORAGE),
        )

    def test_network(self):
        port = {"limit": 50, "used": 40, "reserved": 1}
        self.answers.add(
            "GET", "/quotas/p1/details", body={"quota": {"port": port}}
        )
        self.assertEqual(
            {"network.port": quota.Allowance(limit=50, used=41)},
            self.read(quota.NETWORK),
        )

    def test_load_balancers_are_counted_where_limited(self):
        limits = {
            "load_balancer": 3,
            "listener": -1,
            "pool": None,
            "member": 4,
        }
        self.answers.add("GET", "/lbaas/quotas/p1", body={"quota": limits})
        self.answers.add(
            "GET",
            "/lbaas/loadbalancers",
            body={"loadbalancers": [{"id": "1"}, {"id": "2"}]},
        )
        pools = [{"members": [{"id": "m"}]}, {"members": []}]
        self.answers.add("GET", "/lbaas/pools", body={"pools": pools})
        found = self.read(quota.BALANCING)
        self.assertEqual(
            quota.Allowance(limit=3, used=2),
            found["load-balancer.load_balancer"],
        )
        self.assertEqual(
            quota.Allowance(limit=4, used=1), found["load-balancer.member"]
        )
        self.assertEqual(-1, found["load-balancer.pool"].limit)
        self.assertNotIn("/lbaas/listeners", str(self.answers.sent))

    def test_heat(self):
        self.answers.add("GET", "/stacks", body={"stacks": [], "count": 4})
        self.assertEqual(
            {
                "orchestration.stacks": quota.Allowance(limit=10, used=4),
                "orchestration.resources": quota.Allowance(limit=100),
            },
            self.read(quota.HEAT),
        )

    def test_a_service_that_fails_is_no_obstacle(self):
        refused = "http://cloud refuses"
        for answer in (
            {"status": 403, "body": {}},
            {"status": 404, "body": {}},
            {"status": 503, "body": {}},
            {"status": 200, "body": "no JSON"},
            {"body": requests.ConnectionError(refused)},
        ):
            with self.subTest(answer=answer):
                self.answers.answers.clear()
                for path in (
                    "/limits",
                    "/os-quota-sets/p1",
                    "/quotas/p1/details",
                    "/lbaas/quotas/p1",
                    "/stacks",
                    "/types",
                    "/types/default",
                ):
                    self.answers.add("GET", path, **answer)
                found = self.port.read(quota.SERVICES)
                limited = [k for k, v in found.items() if v.limit >= 0]
                self.assertLessEqual(set(limited), {"orchestration.resources"})
