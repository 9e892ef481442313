# SPDX-License-Identifier: Apache-2.0
"""Findings about a site, each with what to do."""

import ast
import dataclasses
import inspect

import testtools

from magnum_k8s_driver.model import site_check
from tests import site_samples

BAD_IMAGES, FINE = site_samples.BAD_IMAGES, site_samples.FINE
IMAGE, WRONG = site_samples.IMAGE, site_samples.WRONG
PROBLEM = site_samples.PROBLEM


class TestFindings(testtools.TestCase):
    def test_all_is_well(self):
        found = site_check.findings(FINE)
        self.assertEqual(site_check.Level.OK, site_check.worst(found), found)
        self.assertGreaterEqual(len(found), 8)

    def test_each_fault_is_told_with_its_cure(self):
        for changes, level, sentence, cure in WRONG:
            found = self.faults(dataclasses.replace(FINE, **changes))
            self.assertEqual([level], [one.level for one in found], changes)
            self.assertIn(sentence, found[0].sentence)
            self.assertIn(cure, found[0].cure)

    def test_images(self):
        for changes, sentence, cure in BAD_IMAGES:
            image = dataclasses.replace(IMAGE, **changes)
            site = dataclasses.replace(FINE, images=(image, IMAGE))
            (one,) = self.faults(site)
            self.assertEqual(PROBLEM, one.level, changes)
            self.assertIn(sentence, one.sentence)
            self.assertIn(cure, one.cure)
            # No other image: that is a second problem.
            alone = dataclasses.replace(FINE, images=(image,))
            self.assertEqual(2, len(self.faults(alone)))

    def test_a_chosen_driver_needs_no_note(self):
        site = dataclasses.replace(
            FINE,
            drivers=frozenset({site_check.DRIVER, "other"}),
            default_driver=site_check.DRIVER,
        )
        self.assertEqual([], self.faults(site))

    def test_plain_image_is_fine(self):
        plain = dataclasses.replace(IMAGE, kubernetes_version="")
        site = dataclasses.replace(FINE, images=(plain,))
        self.assertEqual([], self.faults(site))

    def test_samples_hold_every_fault(self):
        """So the documentation, which is made of them, holds them too."""
        tree = ast.parse(inspect.getsource(site_check))
        calls = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and getattr(node.func, "id", "") in ("_problem", "_note")
        ]
        told = {
            (one.subject.split()[0], one.cure[:42], one.level)
            for site in site_samples.sites()
            for one in site_samples.faults(site)
        }
        self.assertGreater(len(calls), 15)
        self.assertGreaterEqual(len(told), len(calls), told)

    def faults(self, site):
        """Return what is not well; every text is a sentence."""
        found = site_check.findings(site)
        for one in found:
            self.assertRegex(one.sentence, r"^[A-Z].*\.$")
            bad = one.level is not site_check.Level.OK
            self.assertEqual(bad, bool(one.cure), one)
        return site_samples.faults(site)
