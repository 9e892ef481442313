# SPDX-License-Identifier: Apache-2.0
"""What Magnum's service user may do, from Keystone's answers."""

import testtools

from magnum_k8s_driver.ports import rest
from magnum_k8s_driver.ports import site
from tests.unit.ports import http

TOKEN = {
    "project": {"id": "p"},
    "user": {"id": "u"},
    "roles": [{"id": "r", "name": "manager"}],
}
PATH = "/projects/p/users/u/roles/r"


class TestMayGrant(testtools.TestCase):
    def may_grant(self, status):
        answers = http.Answers()
        answers.add("HEAD", PATH, status)
        identity = rest.Rest(http.Connection(answers), "identity")
        return site._may_grant(identity, TOKEN)

    def test_assigned_role(self):
        self.assertTrue(self.may_grant(204))

    def test_implied_role(self):
        """Nobody assigned it, and Keystone told so without refusing."""
        self.assertTrue(self.may_grant(404))

    def test_refused(self):
        self.assertFalse(self.may_grant(403))
