# SPDX-License-Identifier: Apache-2.0
"""Requests that cannot work: one sentence, and nothing is left behind.

Magnum's API itself refuses some, then the answer is HTTP 400; the others
end CREATE_FAILED.
"""

from tests.functional import base
from tests.functional import inventory

ROWS = ("cluster", "node group", "x509keypair")
"""What Magnum itself keeps of a failed cluster until it is deleted."""


class RefusalsTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.template = cls.make_template()
        cls.without_tls = cls.make_template(tls_disabled=True)

    def setUp(self):
        super().setUp()
        self.before = inventory.take()

    def assert_fails(self, template, *sentences, **changes):
        """Create a cluster that is to fail; its reason has sentences.

        :returns: the reason.
        """
        uuid = self.magnum.create(template, **changes)
        self.addCleanup(self.magnum.delete, uuid)
        cluster = self.magnum.await_status(uuid, "CREATE_FAILED", seconds=120)
        for sentence in sentences:
            self.assertIn(sentence, cluster["status_reason"])
        made = [
            one
            for one in inventory.difference(self.before, inventory.take())
            if not one[2:].startswith(ROWS)
        ]
        self.assertEqual([], made)
        self.assertEqual(204, self.magnum.delete(uuid))
        self.magnum.await_gone(uuid)
        inventory.assert_same(self.before)
        return cluster["status_reason"]

    def assert_refused(self, response, *sentences):
        self.assertEqual(400, response.status_code, response.text)
        for sentence in sentences:
            self.assertIn(sentence, response.text)
        inventory.assert_same(self.before)

    def test_typo_in_a_label(self):
        reason = self.assert_fails(
            self.template,
            "Label etcd_volume_size is 'ten'",
            "Label server_group_policy is 'soft-antiafinity'",
            labels={
                "etcd_volume_size": "ten",
                "server_group_policy": "soft-antiafinity",
            },
        )
        self.assert_sentence(reason)

    def test_message_of_the_command_line(self):
        name = base.unique("c")
        answer = base.command(
            "coe", "cluster", "create", name,
            "--cluster-template", self.template,
            "--labels", "kube_tag=1.36",
        )  # fmt: skip
        self.assertEqual(0, answer.code, answer.err)
        uuid = self.magnum.cluster(name)["uuid"]
        self.addCleanup(self.magnum.delete, uuid)
        self.magnum.await_status(uuid, "CREATE_FAILED", seconds=120)
        answer = base.command(
            "coe", "cluster", "show", name, "-f", "value", "-c",
            "status_reason",
        )  # fmt: skip
        self.assertIn("kube_tag", answer.out)
        self.assert_sentence(answer.out)
        self.magnum.delete(uuid)
        self.magnum.await_gone(uuid)
        inventory.assert_same(self.before)

    def test_tls_disabled(self):
        reason = self.assert_fails(self.without_tls, "tls_disabled")
        self.assert_sentence(reason)

    def test_long_name(self):
        # Magnum takes 242 characters, its certificates only 64; it says so
        # itself, before the driver is asked.
        self.assert_fails(
            self.template, "Failed to create certificates", name="c" * 100
        )

    def test_too_long_name(self):
        response = self.magnum.post(self.template, name="c" * 243)
        self.assert_refused(response, "name")

    def test_unknown_flavor(self):
        response = self.magnum.post(self.template, flavor_id="m1.nowhere")
        self.assert_refused(response, "Unable to find flavor m1.nowhere")

    def test_flavor_too_small(self):
        reason = self.assert_fails(
            self.template, "Flavor m1.tiny", master_flavor_id="m1.tiny"
        )
        self.assert_sentence(reason)

    def test_image_without_os_distro(self):
        answer = base.command(
            "coe", "cluster", "template", "create", base.unique("t"),
            "--coe", "kubernetes", "--image", "mystery",
            "--external-network", "public",
        )  # fmt: skip
        self.assertNotEqual(0, answer.code)
        self.assertIn("os_distro", answer.err)

    def test_three_masters_without_load_balancer(self):
        response = self.magnum.post(self.template, master_count=3)
        self.assert_refused(response, "master")

    def test_two_masters(self):
        response = self.magnum.post(
            self.template, master_count=2, master_lb_enabled=True
        )
        self.assert_refused(response, "master")
