# SPDX-License-Identifier: Apache-2.0
"""What a guide shows is compared as strictly as it has to be."""

import testtools

from tests.functional import guide


class TestGuide(testtools.TestCase):
    def test_reads_commands_and_what_they_print(self):
        found = guide.steps("user/walkthrough.rst")
        first = found[0]
        self.assertTrue(first.command.startswith("openstack image list"))
        create = next(x for x in found if "template create" in x.command)
        self.assertIn("--network-driver calico", create.command)
        self.assertEqual("...", create.shown[-1])
        loop = next(x for x in found if x.command.startswith("while"))
        self.assertIn("done", loop.command)
        self.assertEqual("while", loop.program)

    def test_differences(self):
        for shown, printed, differs in (
            (("a ... c",), "a b c\n", None),
            (("a",), "b\n", "a"),
            (("a",), "a\nb\n", "b"),
            (("a", "..."), "a\nb\nc\n", None),
            (("...", "c"), "a\nb\nc\n", None),
            (("...", "d"), "a\nb\nc\n", "d"),
            (("| a | 1 |",), "|  a |     1 |\n", None),
            (("+----+",), "+--------+\n", None),
            (("a.c",), "abc\n", "a.c"),
            (("a", "b"), "a\n", "b"),
        ):
            self.assertEqual(differs, guide.differs(shown, printed), shown)
