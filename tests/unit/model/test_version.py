# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.model.version."""

import unittest

import hypothesis
from hypothesis import strategies as st

from magnum_k8s_driver.model import version

V = version.KubernetesVersion.parse


class VersionTests(unittest.TestCase):
    def test_spellings(self):
        self.assertEqual("v1.36.4", str(V("1.36.4")))
        self.assertEqual(V("v1.36.4"), V(" 1.36.4 "))
        self.assertEqual("1.36", V("v1.36.4").minor)

    def test_what_is_no_version(self):
        for text in (
            "",
            "1.36",
            "v1.36.4-rc.1",
            "latest",
            "1.36.x",
            "1.36.4\n1",
        ):
            with self.assertRaises(ValueError):
                V(text)

    @hypothesis.given(
        *[st.tuples(*[st.integers(0, 999)] * 3) for _ in range(2)]
    )
    def test_order_is_by_number(self, one, other):
        texts = (".".join(map(str, each)) for each in (one, other))
        first, second = (V(text) for text in texts)
        self.assertEqual(one < other, first < second)

    def test_supported(self):
        self.assertEqual(
            (), version.support_problems(V("1.36.9"), ("1.36",), "x")
        )
        (problem,) = version.support_problems(
            V("1.23.3"), ("1.35", "1.36"), "label kube_tag"
        )
        self.assertEqual(
            "Kubernetes v1.23.3 (label kube_tag) is not supported; choose a "
            "version of 1.35, 1.36.",
            problem.sentence,
        )

    def test_upgrades_go_one_minor_at_a_time(self):
        for current, target, allowed in (
            ("1.35.1", "1.36.0", True),
            ("1.35.1", "1.35.1", True),
            ("1.35.1", "1.35.9", True),
            ("1.35.1", "1.37.0", False),
            ("1.35.1", "1.35.0", False),
            ("1.36.1", "1.35.9", False),
            ("1.36.1", "2.36.1", False),
        ):
            with self.subTest(current=current, target=target):
                problems = version.upgrade_problems(V(current), V(target))
                self.assertEqual(allowed, not problems)

    def test_kubelets_may_lag_three_minors(self):
        for control_plane, kubelet, allowed in (
            ("1.37.0", "1.34.9", True),
            ("1.37.0", "1.33.9", False),
            ("1.36.0", "1.36.4", True),
            ("1.36.0", "1.37.0", False),
        ):
            with self.subTest(control_plane=control_plane, kubelet=kubelet):
                problems = version.kubelet_problems(
                    V(control_plane), V(kubelet), "gpu"
                )
                self.assertEqual(allowed, not problems)
