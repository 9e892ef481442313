# SPDX-License-Identifier: Apache-2.0
"""The threat model names tests that exist."""

import ast
import pathlib
import re

import testtools

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "doc/source/contributor/threats.rst"
NAMES = re.compile(r"``(tests(?:\.\w+)+\.[A-Z]\w+\.test_\w+)``")


def methods(path, name):
    """Return the methods of a class and of its bases, wherever they are."""
    tree = ast.parse(path.read_text())
    found = set()
    modules = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for one in node.names:
                modules[one.asname or one.name] = f"{node.module}.{one.name}"
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or node.name != name:
            continue
        found |= {
            one.name for one in node.body if isinstance(one, ast.FunctionDef)
        }
        for base in node.bases:
            if isinstance(base, ast.Name):
                found |= methods(path, base.id)
            elif isinstance(base, ast.Attribute):
                module = modules.get(base.value.id, "")
                file = ROOT / f"{module.replace('.', '/')}.py"
                if file.exists():
                    found |= methods(file, base.attr)
    return found


class ThreatsTest(testtools.TestCase):
    def test_every_test_exists(self):
        named = NAMES.findall(PAGE.read_text())
        self.assertGreater(len(named), 40)
        for full in named:
            module, case, test = full.rsplit(".", 2)
            path = ROOT / f"{module.replace('.', '/')}.py"
            self.assertTrue(path.exists(), full)
            self.assertIn(test, methods(path, case), full)

    def test_nothing_else_looks_like_one(self):
        """What is misspelt must not go unnoticed."""
        text = PAGE.read_text()
        self.assertEqual(text.count("``tests."), len(NAMES.findall(text)))
