# SPDX-License-Identifier: Apache-2.0
"""Sentences of the guide, read from source.

That no refusal is missing is seen where each of them is provoked, by
test_inputs.py, test_version.py and test_labels.py.
"""

import pathlib
import tempfile
import textwrap
import unittest

from tests import catalogue

SOURCE = '''
"""A docstring is not for users."""

_LATER = "Do it again later."


def tell(name, count, lost):
    """Neither is this one."""
    LOG.warning("The log is for operators only.")
    key = "no sentence at all"
    if lost:
        reason = "Nodes cannot be found"
    else:
        reason = f"Only {count} nodes were found"
    yield f"{reason}: look for {name}."
    yield _LATER
    yield f"Node {name} is " + ("gone." if lost else "late.")
    yield f"{name} {count}."
'''


class SentencesTest(unittest.TestCase):
    def test_read(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "module.py")
            path.write_text(textwrap.dedent(SOURCE))
            found = catalogue.sentences().read([path])
        self.assertEqual(
            [
                "Do it again later.",
                "Nodes cannot be found: look for ….",
                "Only … nodes were found: look for ….",
                "Node … is gone.",
                "Node … is late.",
            ],
            found,
        )

    def test_not_everything_is_in_the_guide(self):
        self.assertFalse(catalogue.holds("It rained all day long."))
        self.assertTrue(catalogue.holds("Federation is not supported."))

    def test_every_sentence_says_something(self):
        sentences = catalogue.sentences()
        for one in (*sentences.refusals(), *sentences.troubles()):
            self.assertRegex(one, r"[a-z]{3,}.*\.$")
