# SPDX-License-Identifier: Apache-2.0
"""Grants with their records, and users of clusters."""

from unittest import mock

import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import sdk_identity
from tests.unit.ports import http

TAGS = "/projects/p/tags"
GRANT = "/projects/p/users/service-user/roles"
ROLES = ["member", "load-balancer_member"]


class SdkIdentityTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.http = http.Answers()
        self.identity = sdk_identity.SdkIdentity(
            http.Connection(self.http), None, "magnum"
        )
        sleep = mock.patch.object(sdk_identity.time, "sleep", autospec=True)
        self.sleep = sleep.start()
        self.addCleanup(sleep.stop)

    def role(self, name, exists=True):
        found = [{"id": f"id-{name}", "name": name, "domain_id": None}]
        self.http.add(
            "GET", f"/roles?name={name}", 200, {"roles": found * exists}
        )

    def domain(self, *found):
        domains = [{"id": one, "name": "magnum"} for one in found]
        self.http.add("GET", "/domains?name=magnum", 200, {"domains": domains})
        self.http.add("GET", "/domains/magnum", 404)

    def users(self, *users):
        self.http.add("GET", "/users", 200, {"users": list(users)})

    def test_project_exists(self):
        self.http.add(
            "GET", "/projects/p", 200, {"project": {"enabled": True}}
        )
        self.http.add("GET", "/projects/q", 404)
        self.assertTrue(self.identity.project_exists("p"))
        self.assertFalse(self.identity.project_exists("q"))

    def test_grant_is_recorded_first(self):
        self.role("member")
        self.role("load-balancer_member", exists=False)
        self.http.add("HEAD", f"{GRANT}/id-member", 404)
        tag = f"{TAGS}/magnum-k8s-grant%3Amember"
        self.http.add("HEAD", tag, 404)
        self.http.add("PUT", tag, 201)
        self.http.add("PUT", f"{GRANT}/id-member", 204)
        self.identity.grant_service_roles("p", ROLES)
        self.assertEqual(
            [("PUT", tag), ("PUT", f"{GRANT}/id-member")],
            self.http.calls("PUT"),
        )

    def test_grant_that_was_only_recorded_is_completed(self):
        self.role("member")
        self.http.add("HEAD", f"{GRANT}/id-member", 404)
        tag = f"{TAGS}/magnum-k8s-grant%3Amember"
        self.http.add("HEAD", tag, 204)
        self.http.add("PUT", f"{GRANT}/id-member", 204)
        self.identity.grant_service_roles("p", ["member"])
        # Keystone answers 400 to a tag that is there already.
        self.assertEqual(
            [("PUT", f"{GRANT}/id-member")], self.http.calls("PUT")
        )

    def test_grant_of_the_operator_is_left_alone(self):
        self.role("member")
        self.http.add("HEAD", f"{GRANT}/id-member", 204)
        self.identity.grant_service_roles("p", ["member"])
        self.assertEqual([], self.http.calls("PUT"))

    def test_first_role_must_exist(self):
        self.role("member", exists=False)
        error = self.assertRaises(
            exceptions.CloudError,
            self.identity.grant_service_roles,
            "p",
            ROLES,
        )
        self.assertIn("no role 'member'", str(error))

    def test_revoke_only_what_is_recorded(self):
        tags = ["other", "magnum-k8s-grant:member", "magnum-k8s-grant:a%2Fb"]
        self.http.add("GET", TAGS, 200, {"tags": tags})
        self.role("member")
        self.http.add("GET", "/roles?name=a%2Fb", 200, {"roles": []})
        self.http.add("DELETE", f"{GRANT}/id-member", 404)
        self.http.add("DELETE", f"{TAGS}/magnum-k8s-grant%3Amember", 204)
        self.http.add("DELETE", f"{TAGS}/magnum-k8s-grant%3Aa%252Fb", 204)
        self.assertEqual(("a/b", "member"), self.identity.service_grants("p"))
        self.identity.revoke_service_roles("p")
        self.assertEqual(3, len(self.http.calls("DELETE")))

    def test_missing_domain_names_the_option(self):
        self.domain()
        error = self.assertRaises(
            exceptions.CloudError,
            self.identity.ensure_cluster_user,
            "c",
            "p",
            "pw",
            ROLES,
        )
        self.assertIn("[k8s_driver] cluster_domain", str(error))
        self.assertIsNone(self.identity.find_cluster_user("c"))
        self.identity.delete_cluster_user("c")

    def grants(self):
        self.role("member")
        self.role("load-balancer_member", exists=False)
        self.http.add("PUT", "/projects/p/users/u/roles/id-member", 204)

    def ensure(self):
        return self.identity.ensure_cluster_user("c", "p", "pw", ROLES)

    def test_new_user(self):
        self.domain("d")
        self.grants()
        self.users()
        user = {"id": "u", "name": "c", "enabled": True}
        self.http.add("POST", "/users", 201, {"user": user})
        self.http.add("POST", "/auth/tokens", 201, {})
        self.assertEqual("u", self.ensure())
        self.assertEqual([], self.http.calls("PATCH"))

    def test_user_made_by_a_faster_one(self):
        self.domain("d")
        self.grants()
        self.users()
        self.users({"id": "u", "name": "c", "enabled": True})
        self.http.add("POST", "/users", 409)
        self.http.add("POST", "/auth/tokens", 201, {})
        self.assertEqual("u", self.ensure())

    def test_user_is_repaired_only_where_needed(self):
        self.domain("d")
        self.grants()
        self.users({"id": "u", "name": "c", "enabled": False})
        self.http.add("POST", "/auth/tokens", 401)
        self.http.add("PATCH", "/users/u", 200, {})
        self.assertEqual("u", self.ensure())
        sent = [b for m, _, b in self.http.sent if m == "PATCH"]
        self.assertEqual(
            [{"user": {"enabled": True}}, {"user": {"password": "pw"}}], sent
        )
        self.assertTrue(self.sleep.called)

    def credential(self):
        own = mock.patch.object(
            self.identity,
            "_as_user",
            autospec=True,
            return_value=http.Connection(self.http),
        )
        with own:
            return self.identity.ensure_application_credential(
                "u", "pw", "p", "name", "secret"
            )

    def listed(self, *found):
        path = "/users/u/application_credentials"
        credentials = [{"id": one, "name": "name"} for one in found]
        self.http.add(
            "GET", path, 200, {"application_credentials": credentials}
        )
        made = {"application_credential": {"id": "new"}}
        self.http.add("POST", path, 201, made)
        self.http.add("DELETE", f"{path}/old", 204)

    def test_credential_is_kept_while_its_secret_fits(self):
        self.listed("old")
        self.http.add("POST", "/auth/tokens", 201, {})
        self.assertEqual("old", self.credential().id)
        self.assertEqual([], self.http.calls("DELETE"))

    def test_credential_is_replaced_otherwise(self):
        self.listed("old")
        self.http.add("POST", "/auth/tokens", 401)
        self.http.add("PATCH", "/users/u", 200, {})
        found = self.credential()
        self.assertEqual(("new", "secret"), (found.id, found.secret))
        self.assertEqual(1, len(self.http.calls("DELETE")))
        # A rotation that was given up left another password behind.
        sent = [b for m, _, b in self.http.sent if m == "PATCH"]
        self.assertEqual([{"user": {"password": "pw"}}], sent)

    def test_all_credentials_but_one_go(self):
        path = "/users/u/application_credentials"
        listed = [
            {"id": "old", "name": "first"},
            {"id": "new", "name": "name"},
        ]
        self.http.add("GET", path, 200, {"application_credentials": listed})
        self.http.add("DELETE", f"{path}/old", 404)
        own = mock.patch.object(
            self.identity,
            "_as_user",
            autospec=True,
            return_value=http.Connection(self.http),
        )
        with own:
            self.identity.keep_application_credential("u", "pw", "p", "name")
        self.assertEqual(
            [("DELETE", f"{path}/old")], self.http.calls("DELETE")
        )

    def test_disable_and_delete(self):
        self.domain("d")
        self.users({"id": "u", "name": "c"})
        self.http.add("PATCH", "/users/u", 404)
        self.http.add("DELETE", "/users/u", 404)
        self.identity.disable_cluster_user("c")
        self.identity.delete_cluster_user("c")
        self.assertEqual([("DELETE", "/users/u")], self.http.calls("DELETE"))
