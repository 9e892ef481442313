# SPDX-License-Identifier: Apache-2.0
"""Servers and consoles."""

import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import sdk_compute
from tests.unit.ports import http

SERVER = {
    "id": "1",
    "name": "prod-worker-0",
    "status": "ERROR",
    "fault": {"message": "No valid host was found.", "code": 500},
    "addresses": {
        "net": [
            {"addr": "10.0.0.5", "OS-EXT-IPS:type": "fixed"},
            {"addr": "203.0.113.5", "OS-EXT-IPS:type": "floating"},
        ]
    },
    "metadata": {"magnum_member": "0"},
}


class SdkComputeTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.http = http.Answers()
        self.compute = sdk_compute.SdkCompute(http.Connection(self.http))

    def test_servers(self):
        other = {**SERVER, "name": "PROD-worker-1"}
        self.http.add(
            "GET", "/servers/detail", 200, {"servers": [SERVER, other]}
        )
        (found,) = self.compute.servers("prod-")
        self.assertEqual("No valid host was found.", found.fault)
        self.assertEqual(("10.0.0.5",), found.fixed_ips)
        self.assertEqual(("203.0.113.5",), found.floating_ips)
        self.assertEqual({"magnum_member": "0"}, found.metadata)

    def test_console(self):
        self.http.add("POST", "/servers/1/action", 200, {"output": "a\nb"})
        self.assertEqual("a\nb", self.compute.console("1", 10))
        self.assertEqual(
            {"os-getConsoleOutput": {"length": 10}}, self.http.body("POST")
        )

    def test_no_console(self):
        for status in (404, 409, 501):
            self.http.answers.clear()
            self.http.add("POST", "/servers/1/action", status)
            self.assertEqual("", self.compute.console("1", 10))
        self.http.answers.clear()
        self.http.add("POST", "/servers/1/action", 503)
        self.assertRaises(
            exceptions.CloudUnavailable, self.compute.console, "1", 10
        )
