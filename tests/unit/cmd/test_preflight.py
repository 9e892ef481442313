# SPDX-License-Identifier: Apache-2.0
"""``magnum-k8s-preflight`` against a pretended cloud."""

import contextlib
import io
import json

import fixtures
from oslotest import base

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.cmd import preflight
from magnum_k8s_driver.model import quota
from tests import fakes
from tests import samples


class FakeUserCloud:
    """One template and the facts of the samples."""

    project_id = samples.PROJECT_ID

    def __init__(self):
        self.facts = fakes.FakeCloud().facts
        self.shown = {
            **vars(samples.magnum_template()),
            "labels": {"kube_tag": samples.VERSION, "boot_volume_size": "20"},
            "master_lb_enabled": False,
            "floating_ip_enabled": True,
            "links": [],
        }

    def template(self, reference):
        if reference != "k8s":
            raise exceptions.CloudError("magnum", f"no {reference}")
        return self.shown


class PreflightTest(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        self.cloud = FakeUserCloud()
        self.asked = []
        self.useFixture(
            fixtures.MonkeyPatch(
                "magnum_k8s_driver.ports.user_cloud.open_cloud", self._open
            )
        )

    @contextlib.contextmanager
    def _open(self, name, **limits):
        self.asked.append((name, limits))
        yield self.cloud

    def run_command(self, *words):
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = preflight.main([*words])
        return code, out.getvalue(), err.getvalue()

    def document(self, *words):
        code, out, _err = self.run_command(*words, "--format", "json")
        found = json.loads(out)
        self.assertEqual(code, 0 if found["fits"] else 1)
        needed = {one["quota"]: one["needed"] for one in found["quotas"]}
        return found, needed

    def test_template_as_it_is(self):
        found, needed = self.document("k8s")
        self.assertTrue(found["fits"], found["problems"])
        self.assertEqual(2, needed["compute.instances"])
        self.assertEqual(40, needed["block-storage.gigabytes"])
        self.assertNotIn("load-balancer.pool", needed)

    def test_options_win(self):
        found, needed = self.document(
            "k8s",
            "--master-count=3",
            "--node-count=5",
            "--master-lb-enabled",
            "--no-floating-ip-enabled",
            "--labels=kube_tag=v1.35.8",
            "--os-cloud=here",
            "--heat-stacks=7",
        )
        self.assertTrue(found["fits"], found["problems"])
        self.assertEqual(8, needed["compute.instances"])
        self.assertEqual(3, needed["load-balancer.member"])
        self.assertNotIn("network.floatingip", needed)
        self.assertNotIn("block-storage.volumes", needed, "not merged")
        self.assertEqual(
            [("here", {"heat_stacks": 7, "heat_resources": -1})], self.asked
        )

    def test_merged_labels_with_commas(self):
        found, needed = self.document(
            "k8s",
            "--merge-labels",
            "--master-lb-enabled",
            "--labels",
            "master_lb_allowed_cidrs=192.0.2.0/24,198.51.100.0/24",
        )
        self.assertTrue(found["fits"], found["problems"])
        self.assertEqual(2, needed["block-storage.volumes"])
        rules = needed["network.security_group_rule"]
        self.assertEqual(4 + 6 + 3, rules)

    def test_problems_and_exit_code(self):
        self.cloud.facts.quotas = {
            "compute.instances": quota.Allowance(limit=9, used=8)
        }
        code, out, _err = self.run_command(
            "k8s", "--labels=availability_zone=moon"
        )
        self.assertEqual(1, code)
        self.assertRegex(out, r"servers +2 +1 +TOO LOW")
        self.assertRegex(out, r"vCPUs +4 +not told +ok")
        self.assertIn("Problem: Availability zone moon", out)
        self.assertIn("Problem: The quota of servers is too low", out)

    def test_trouble_is_not_a_verdict(self):
        code, out, err = self.run_command("other")
        self.assertEqual((2, ""), (code, out))
        self.assertEqual(
            "magnum-k8s-preflight: The magnum service said: no other.\n", err
        )

    def test_labels_without_a_key(self):
        error = io.StringIO()
        with contextlib.redirect_stderr(error):
            self.assertRaises(
                SystemExit, preflight.main, ["k8s", "--labels", "moon"]
            )
        self.assertIn("write KEY=VALUE", error.getvalue())
