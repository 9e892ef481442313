# SPDX-License-Identifier: Apache-2.0
"""Errors of services become the driver's own."""

import requests
import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import rest
from tests.unit.ports import http


class RestTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.http = http.Answers()
        self.rest = rest.Rest(http.Connection(self.http), "orchestration")

    def refused(self, status, body=None, **headers):
        self.http.add("POST", "/x", status, body, **headers)
        return self.assertRaises(
            exceptions.CloudError, self.rest.send, "POST", "/x", {}
        )

    def test_absence_is_an_answer(self):
        self.http.add("GET", "/x", 404)
        self.http.add("DELETE", "/x", 404)
        self.http.add("HEAD", "/x", 404)
        self.assertIsNone(self.rest.find("/x"))
        self.assertFalse(self.rest.discard("/x"))
        self.assertFalse(self.rest.exists("/x"))

    def test_message_of_heat_without_traceback(self):
        error = self.refused(
            400,
            {
                "code": 400,
                "explanation": "The server could not comply.",
                "error": {
                    "type": "StackValidationFailed",
                    "message": "Property error:\n a is b"
                    "\nTraceback (most recent call last):\n x",
                },
            },
            x_openstack_request_id="req-1",
        )
        self.assertEqual(
            "The orchestration service said: Property error: a is b.",
            str(error),
        )
        self.assertEqual((400, "req-1"), (error.status, error.request_id))

    def test_messages_of_other_services(self):
        for body in (
            {"badRequest": {"message": "no", "code": 400}},
            {"NeutronError": {"type": "X", "message": "no", "detail": ""}},
            {"faultcode": "Client", "faultstring": "no"},
            {"error": {"code": 400, "message": "no", "title": "Bad"}},
        ):
            self.assertEqual("no", rest.message_of(body))

    def test_kinds(self):
        conflict = self.refused(409, {"error": {"message": "busy"}})
        self.assertIsInstance(conflict, exceptions.CloudConflict)

    def test_try_later(self):
        for status in (429, 500, 502, 503, 504):
            self.http.answers.clear()
            error = self.refused(status, "<html>not JSON")
            self.assertIsInstance(error, exceptions.CloudUnavailable)

    def test_no_answer(self):
        for cause in (
            requests.exceptions.ConnectTimeout("t"),
            requests.exceptions.ReadTimeout("t"),
            requests.exceptions.ConnectionError("t"),
        ):
            self.http.answers.clear()
            error = self.refused(0, cause)
            self.assertIsInstance(error, exceptions.CloudUnavailable)
        # What changes something is never sent twice.
        self.assertEqual(3, len(self.http.sent))

    def test_every_request_has_timeouts(self):
        self.http.add("GET", "/x", 200, {})
        self.rest.find("/x")
        self.assertEqual([(60.0, 60.0)], self.http.timeouts)

    def test_pages(self):
        link = {"rel": "next", "href": f"{http.URL}/x?marker=1"}
        self.http.add("GET", "/x?a=b", 200, {"l": [1], "l_links": [link]})
        self.http.add("GET", "/x?marker=1", 200, {"l": [2]})
        self.assertEqual([1, 2], list(self.rest.pages("/x", "l", {"a": "b"})))
