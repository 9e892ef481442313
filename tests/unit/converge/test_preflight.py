# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.converge.preflight."""

import dataclasses
import unittest

from magnum_k8s_driver.converge import preflight
from magnum_k8s_driver.model import orders
from magnum_k8s_driver.model import quota
from magnum_k8s_driver.render import addon_orders
from tests import samples

ITEMS = "compute.metadata_items"


class Facts:
    """A cloud that suits, but for the quotas it is given."""

    def __init__(self, **limits):
        self._limits = {
            key.replace("__", "."): quota.Allowance(limit=limit)
            for key, limit in limits.items()
        }
        self.asked = None

    def read(self, references):
        self.asked = references
        return samples.facts()

    def allowances(self, services):
        return self._limits


def examine(facts, site=samples.SITE):
    return preflight.examine(samples.inputs(), facts, site)


class ExamineTest(unittest.TestCase):
    def test_who_else_is_in_a_subnet_matters(self):
        facts = Facts()
        self.assertEqual((), examine(facts).problems)
        self.assertTrue(facts.asked.surroundings)

    def test_orders_have_to_fit_into_metadata(self):
        found = examine(Facts())
        needed = found.needed.each[ITEMS]
        self.assertEqual(
            (), examine(Facts(compute__metadata_items=needed)).problems
        )
        (problem,) = examine(
            Facts(compute__metadata_items=needed - 1)
        ).problems
        self.assertIn(f"needed {needed}, allowed {needed - 1}", str(problem))

    def test_as_many_as_the_real_ones(self):
        found = examine(Facts())
        place = addon_orders.place(
            "9b2d6c1e-51c3-4a7f-8c0d-1f2e3d4c5b6a",
            "0c8f7e6d-5b4a-4938-8271-605f4e3d2c1b",
        )
        addons = addon_orders.entries(
            found.spec, place, credential="magnum-k8s-driver"
        )
        sent = orders.encode(
            orders.Orders(
                seq=1,
                operation="create-1",
                expected=frozenset(("prod-default-worker-0",)),
                addons=addon_orders.config_map(addons),
            ),
            bytes(32),
        )
        keys = len(sent) + orders.RESERVED_KEYS
        self.assertAlmostEqual(keys, found.needed.each[ITEMS], delta=1)

    def test_addons_that_are_left_out_take_nothing(self):
        every = tuple(
            one.name for one in addon_orders.catalogue.wanted(samples.spec())
        )
        site = dataclasses.replace(samples.SITE, addons_left_out=every)
        fewer = examine(Facts(), site).needed.each[ITEMS]
        self.assertLess(fewer, examine(Facts()).needed.each[ITEMS] - 5)
