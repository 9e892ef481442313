# SPDX-License-Identifier: Apache-2.0
"""The hollow clusters' Kubernetes API, over TLS on a loopback address."""

import http.client
import json
import pathlib
import socket
import ssl
import tempfile
import time
import unittest

from lab.hollow import api_server
from lab.hollow import testing

ADDRESS = "127.0.0.1"


class ApiTest(unittest.TestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.lab = testing.Lab(self.root)
        self.server = api_server.ApiServer()
        with socket.create_server((ADDRESS, 0)) as free:
            self.port = free.getsockname()[1]
        endpoint = {"host": "10.0.0.9", "addresses": [ADDRESS]}
        content = testing.control_plane(
            "0", True, endpoint={**endpoint, "port": self.port}
        )
        self.lab.boot("cp-0", content)
        self.lab.boot("worker-0", testing.node_document())
        self.lab.run(20)
        self.cluster = self.lab.world.clusters[testing.CLUSTER]
        self.server.follow(self.cluster)
        self.wait_until(self.is_open)
        self.addCleanup(self.stop)

    def stop(self):
        self.lab.world.power_off("id-cp-0")
        self.lab.run(1)
        self.server.follow(self.cluster)
        self.wait_until(lambda: not self.is_open())

    def wait_until(self, condition):
        for _ in range(200):
            if condition():
                return
            time.sleep(0.02)
        self.fail("waited too long")

    def is_open(self):
        try:
            socket.create_connection((ADDRESS, self.port), 1).close()
        except OSError:
            return False
        return True

    def read(self, path, *, known=True, accept="application/json"):
        ca, _ = testing.authority()
        context = ssl.create_default_context(cadata=ca)
        if known:
            file = self.root / "client.pem"
            file.write_text(testing.client_certificate())
            context.load_cert_chain(file)
        connection = http.client.HTTPSConnection(
            ADDRESS, self.port, context=context, timeout=5
        )
        self.addCleanup(connection.close)
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def test_health_for_everybody(self):
        for path in api_server.HEALTH:
            self.assertEqual((200, "ok"), self.read(path, known=False))
        status, text = self.read("/version", known=False)
        self.assertEqual(testing.VERSION, json.loads(text)["gitVersion"])

    def test_certificate_is_wanted(self):
        status, text = self.read("/api/v1/nodes", known=False)
        self.assertEqual(401, status)
        self.assertNotIn("worker-0", text)

    def test_nodes(self):
        _, text = self.read("/api/v1/nodes")
        found = {
            one["metadata"]["name"]: one for one in json.loads(text)["items"]
        }
        self.assertEqual({"cp-0", "worker-0"}, {*found})
        worker = found["worker-0"]
        self.assertEqual(
            "openstack:///id-worker-0", worker["spec"]["providerID"]
        )
        note = worker["metadata"]["annotations"]["magnum.openstack.org/report"]
        self.assertTrue(json.loads(note)["ready"])

    def test_table_selector_and_pods(self):
        _, text = self.read("/api/v1/nodes", accept="x;as=Table;v=v1")
        rows = json.loads(text)["rows"]
        self.assertEqual(
            ["cp-0", "Ready", "control-plane"], rows[0]["cells"][:3]
        )
        role = "labelSelector=magnum.openstack.org%2Frole%3Dworker"
        _, text = self.read(f"/api/v1/nodes?{role}")
        self.assertEqual(1, len(json.loads(text)["items"]))
        _, text = self.read("/api/v1/namespaces/kube-system/pods")
        self.assertEqual(4, len(json.loads(text)["items"]))

    def test_unknown_path(self):
        self.assertEqual(404, self.read("/api/v1/secrets")[0])
