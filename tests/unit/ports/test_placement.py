# SPDX-License-Identifier: Apache-2.0
"""Questions to Placement, and what Nova asks it for."""

import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import placement
from magnum_k8s_driver.ports import sdk_compute
from tests.unit.ports import http

FLAVOR = {
    "vcpus": 4, "ram": 8192, "disk": 40, "swap": 1500,
    "OS-FLV-EXT-DATA:ephemeral": 10,
}  # fmt: skip


class PlacementTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.http = http.Answers()
        self.port = placement.SdkPlacement(http.Connection(self.http))

    def answer(self, status, body):
        self.http.answers.clear()
        self.http.add("GET", "/allocation_candidates", status, body)

    def test_room(self):
        for requests, expected in (([{}], True), ([], False)):
            self.answer(200, {"allocation_requests": requests})
            found = self.port.has_room({"VCPU": 8, "DISK_GB": 4}, ("!A",))
            self.assertIs(expected, found)
        ((_method, path),) = {*self.http.calls("GET")}
        self.assertIn("resources=VCPU%3A8%2CDISK_GB%3A4", path)
        self.assertIn("required=%21COMPUTE_STATUS_DISABLED%2C%21A", path)

    def test_no_answer_is_no_no(self):
        for status in (403, 404, 503):
            self.answer(status, {"errors": [{"detail": "no"}]})
            self.assertRaises(
                exceptions.CloudError, self.port.has_room, {"VCPU": 1}
            )


class DemandTest(testtools.TestCase):
    def demand(self, on_volume=False, **specs):
        specs = {one.replace("__", ":"): v for one, v in specs.items()}
        answers = http.Answers()
        answers.add(
            "GET",
            "/flavors/f",
            200,
            {"flavor": {**FLAVOR, "extra_specs": specs}},
        )
        port = sdk_compute.SdkCompute(http.Connection(answers))
        return port.demand("f", on_volume=on_volume)

    def test_flavor(self):
        self.assertEqual(
            {"VCPU": 4, "MEMORY_MB": 8192, "DISK_GB": 52},
            self.demand().resources,
        )

    def test_boot_from_volume(self):
        self.assertEqual(12, self.demand(on_volume=True).resources["DISK_GB"])

    def test_extra_specs(self):
        found = self.demand(
            resources__VCPU="0",
            resources__CUSTOM_GPU="1",
            trait__A="required",
            trait__B="forbidden",
            hw__mem_page_size="large",
        )
        self.assertEqual(
            {"MEMORY_MB": 8192, "DISK_GB": 52, "CUSTOM_GPU": 1},
            found.resources,
        )
        self.assertEqual(("A", "!B"), found.traits)

    def test_dedicated(self):
        found = self.demand(hw__cpu_policy="dedicated")
        self.assertEqual(4, found.resources["PCPU"])
        self.assertNotIn("VCPU", found.resources)
