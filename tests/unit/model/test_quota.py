# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.model.quota and .needs.

tests/unit/test_heat_engine.py compares needs with what Heat makes.
"""

import dataclasses
import unittest

from hypothesis import given
from hypothesis import strategies as st

from magnum_k8s_driver.model import needs
from magnum_k8s_driver.model import quota
from magnum_k8s_driver.render import cluster_stack
from tests import samples

KEYS = st.sampled_from(sorted(quota.QUOTAS))
COUNTS = st.dictionaries(KEYS, st.integers(0, 100), max_size=6)
NEEDS = st.builds(quota.Needs, totals=COUNTS, each=COUNTS)
FLAVORS = {"2": samples.flavor()}


class QuotaTest(unittest.TestCase):
    def test_sentence(self):
        (problem,) = quota.problems(
            quota.Needs(totals={"compute.cores": 12}),
            {"compute.cores": quota.Allowance(limit=20, used=16)},
        )
        self.assertEqual(
            "The quota of vCPUs is too low: needed 12, left 4 of "
            "20 (Nova's cores); choose fewer nodes or a smaller flavor or "
            "ask for a higher quota.",
            problem.sentence,
        )

    def test_limit_of_each(self):
        (problem,) = quota.problems(
            quota.Needs(each={"orchestration.resources": 12}),
            {"orchestration.resources": quota.Allowance(limit=11)},
        )
        self.assertIn("needed 12, allowed 11", str(problem))
        self.assertIn("heat_resources_per_stack", str(problem))

    def test_one_limit_of_several_names(self):
        key = quota.volume_key("volumes", "ssd")
        default = quota.volume_key("volumes", "")
        allowances = {
            key: quota.Allowance(limit=5, key=key),
            default: quota.Allowance(limit=5, key=key),
        }
        (problem,) = quota.problems(
            quota.Needs(totals={key: 3, default: 3}), allowances
        )
        self.assertIn("of type ssd", str(problem))
        self.assertIn("needed 6, left 5 of 5", str(problem))
        (problem,) = quota.problems(
            quota.Needs(totals={default: 6}), allowances
        )
        self.assertIn("of the default type", str(problem))

    def test_heat_counts_what_its_conditions_leave_out(self):
        found = cluster_stack.template()["resources"]
        self.assertEqual(needs.TEMPLATE_RESOURCES, len(found))

    def test_volume_type(self):
        key = quota.volume_key("gigabytes", "ssd")
        (problem,) = quota.problems(
            quota.Needs(totals={key: 1}), {key: quota.Allowance(limit=0)}
        )
        self.assertIn("GiB of volumes of type ssd", str(problem))
        self.assertIn("Cinder's gigabytes_ssd", str(problem))

    def test_what_just_fits(self):
        allowance = {"compute.cores": quota.Allowance(limit=20, used=8)}
        needed = quota.Needs(totals={"compute.cores": 12})
        self.assertEqual((), quota.problems(needed, allowance))

    @given(NEEDS)
    def test_unlimited_and_unknown_refuse_nothing(self, needed):
        allowances = {
            key: quota.Allowance(limit=quota.UNLIMITED, used=10**6)
            for key in quota.QUOTAS
        }
        self.assertEqual((), quota.problems(needed, allowances))
        self.assertEqual((), quota.problems(needed, {}))

    @given(NEEDS, st.integers(0, 100), st.integers(0, 120))
    def test_refused_when_and_only_when_too_low(self, needed, limit, used):
        allowances = dict.fromkeys(
            quota.QUOTAS, quota.Allowance(limit=limit, used=used)
        )
        found = quota.problems(needed, allowances)
        left = max(limit - used, 0)
        lacking = [one for one in needed.totals.values() if one > left]
        lacking += [one for one in needed.each.values() if one > limit]
        self.assertEqual(len(lacking), len(found))
        for problem in found:
            self.assertRegex(problem.sentence, r"^[A-Z][^\n]+\.$")

    @given(NEEDS, NEEDS)
    def test_sums_and_maxima(self, one, other):
        for key in {*one.totals, *other.totals}:
            first, second = one.totals.get(key, 0), other.totals.get(key, 0)
            self.assertEqual(first + second, (one + other).totals[key])
            self.assertEqual(
                max(first, second), one.or_more(other).totals[key]
            )
        for key in {*one.each, *other.each}:
            most = max(one.each.get(key, 0), other.each.get(key, 0))
            self.assertEqual(most, (one + other).each[key])


class NeedsTest(unittest.TestCase):
    def test_no_more_nodes_need_nothing(self):
        spec = samples.spec()
        found = needs.nodes(spec, spec.workers[0], 0, 5, FLAVORS)
        self.assertEqual(quota.Needs(), found)

    def test_surge(self):
        spec = samples.spec()
        found = needs.surge(spec, spec.workers[0], 5, FLAVORS)
        self.assertEqual(2, found.totals["compute.instances"])
        self.assertEqual(4, found.each["compute.server_group_members"])

    def test_unknown_flavor_still_counts_servers(self):
        spec = samples.spec()
        found = needs.cluster(spec, {})
        self.assertEqual(3, found.totals["compute.instances"])
        self.assertNotIn("compute.cores", found.totals)

    def test_every_key_can_be_told(self):
        spec = samples.spec()
        found = needs.cluster(spec, FLAVORS)
        for key in (*found.totals, *found.each):
            self.assertIn(key, quota.QUOTAS)

    def test_stacks_of_a_large_group(self):
        spec = samples.spec()
        group = dataclasses.replace(
            spec.workers[0], members_per_stack=20, count=41
        )
        self.assertEqual(
            3, needs.group(spec, group, FLAVORS).totals["orchestration.stacks"]
        )
        for more, most, stacks in ((1, 41, 1), (1, 40, 0), (25, 60, 1)):
            found = needs.nodes(spec, group, more, most, FLAVORS)
            self.assertEqual(
                stacks, found.totals.get("orchestration.stacks", 0)
            )
            small = needs.nodes(spec, group, 1, 20, FLAVORS)
            key = "orchestration.resources"
            self.assertEqual(small.each[key], found.each[key])
