# SPDX-License-Identifier: Apache-2.0
"""Services that fail on request, asked by a real client."""

import http.client
import json
import os
import pathlib
import tempfile
import threading
import time
import unittest

import waitress.server

from lab.plugins import faults


class FaultsTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = pathlib.Path(directory.name, "faults.json")
        self.asked = []
        self.server = waitress.server.create_server(
            faults.Faulty(self.application, "heat", self.path),
            host="127.0.0.1",
            port=0,
        )
        thread = threading.Thread(target=self.run_server, daemon=True)
        thread.start()
        self.addCleanup(self.server.close)

    def run_server(self):
        try:
            self.server.run()
        except OSError:
            # It was closed while it waited.
            pass

    def application(self, environ, start_response):
        body = environ["wsgi.input"].read()
        self.asked.append((environ["REQUEST_METHOD"], body))
        text = str(len(self.asked)).encode()
        start_response("200 OK", [("Content-Length", str(len(text)))])
        return [text]

    def fail(self, **rule):
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"heat": rule}))
        os.replace(new, self.path)

    def ask(self, method="POST", body=b"x", **headers):
        port = self.server.effective_port
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.addCleanup(client.close)
        client.request(method, "/", body, headers)
        answer = client.getresponse()
        return answer.status, answer.read()

    def test_works_without_a_file_and_with_nonsense(self):
        self.assertEqual((200, b"1"), self.ask())
        for text in ("", "[]", '{"heat": {"kind": "odd"}}', '{"nova": {}}'):
            self.path.write_text(text)
            self.assertEqual(200, self.ask()[0], text)

    def test_error(self):
        self.fail(kind="error", status=503)
        status, body = self.ask()
        self.assertEqual(503, status)
        self.assertIn("message", json.loads(body)["error"])
        self.assertEqual([], self.asked)

    def test_begins_and_ends_at_once(self):
        self.fail(kind="error")
        self.assertEqual(500, self.ask()[0])
        self.path.unlink()
        self.assertEqual(200, self.ask()[0])

    def test_dropped_and_lost(self):
        for kind, asked in (("dropped", 0), ("lost", 1)):
            self.asked.clear()
            self.fail(kind=kind)
            self.assertRaises(
                (http.client.IncompleteRead, ConnectionError), self.ask
            )
            self.assertEqual(asked, len(self.asked), kind)

    def test_twice(self):
        self.fail(kind="twice")
        self.assertEqual((200, b"2"), self.ask(body=b"body"))
        self.assertEqual([("POST", b"body")] * 2, self.asked)

    def test_slow(self):
        self.fail(kind="slow", seconds=0.3)
        began = time.monotonic()
        self.assertEqual(200, self.ask()[0])
        self.assertGreater(time.monotonic() - began, 0.3)

    def test_only_what_is_named(self):
        self.fail(kind="error", methods=["POST"])
        self.assertEqual(200, self.ask("GET", None)[0])
        self.assertEqual(500, self.ask()[0])
        checked = self.ask(**{"User-Agent": "python-keystonemiddleware/1"})
        self.assertEqual(200, checked[0])
        self.fail(kind="error", share=0.0)
        self.assertEqual(200, self.ask()[0])

    def test_names(self):
        for module, name in (
            ("heat.wsgi.api", "heat"),
            ("nova.wsgi.osapi_compute", "nova"),
            ("nova.wsgi.metadata", "nova-metadata"),
            ("lab.plugins.octavia_api", "octavia"),
        ):
            self.assertEqual(name, faults.service_of(module))
