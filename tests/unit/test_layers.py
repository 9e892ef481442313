# SPDX-License-Identifier: Apache-2.0
"""Who may import whom, and how long things may be.

The table is DESIGN 8 as the code has it; an exception stands here by name,
with its reason, or it is none.
"""

import ast
import pathlib
import sys

import testtools

PACKAGE = "magnum_k8s_driver"
ROOT = pathlib.Path(__file__).parents[2] / PACKAGE

MAGNUM = {
    "census",
    "choices",
    "driver",
    "monitor",
    "records",
    "rows",
    "session",
    "compat",
    "ports.barbican_store",
    "ports.cloud",
    "ports.magnum_certificates",
    "ports.sdk_identity",
}
"""Modules that may import ``magnum``: the edge."""

CLIENTS = {
    "keystoneauth1",
    "kubernetes",
    "openstack",
    "prometheus_client",
    "requests",
    "tooz",
    "urllib3",
}
"""Roots of what talks to other programs: ports only."""

LAYERS = {
    # Its own error classes are values, too: they carry the problems found.
    "model": ({"model", "exceptions"}, {"oslo_config"}),
    # ports.heat: the values of a stack request; no client is behind them.
    "render": (
        {"model", "addons", "render", "exceptions", "ports.heat"},
        {"cryptography", "yaml"},
    ),
    "converge": (
        {"model", "render", "converge", "exceptions", "ports"},
        {"cryptography", "oslo_log", "oslo_utils"},
    ),
    "ports": (
        {"model", "ports", "exceptions"},
        CLIENTS
        | {"cryptography", "magnum", "oslo_concurrency", "oslo_log"}
        # tooz's own errors of a missing plug-in are stevedore's.
        | {"oslo_utils", "stevedore"},
    ),
    "addons": ({"model", "addons"}, {"yaml"}),
}
"""Layer -> what it may import of ours, and of others beside the standard
library."""

VALUES = (
    "ports.heat",
    "ports.compute",
    "ports.leftovers",
    "ports.certificates",
    "ports.identity",
    "ports.lock",
)
"""Ports that hold Protocols and values and import no client."""

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base"}
MAX_MODULE = 400
MAX_FUNCTION = 40

LONG_MODULES: set[str] = set()
LONG_FUNCTIONS = {
    "cmd.documents.documents",
    "ports.cloud.open_cloud",
    "ports.sdk_identity.ensure_application_credential",
    "render.apiserver.audit_policy",
}
"""Known offenders: names leave these lists, none is added."""


def modules():
    """Yield name below the package, path and syntax tree of each module."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts), path, ast.parse(path.read_text())


def imports(tree):
    """Yield the full name of everything a module imports, anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                yield one.name
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{one.name}" for one in node.names)


def of_ours(name):
    """Return a name below the package, None for what is not ours."""
    head, _dot, rest = name.partition(".")
    return rest if head == PACKAGE else None


class TestImports(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.found = {
            name: (tree, set(imports(tree))) for name, _, tree in modules()
        }
        self.assertGreater(len(self.found), 50)

    def test_layers(self):
        for name, (_tree, imported) in self.found.items():
            layer = name.partition(".")[0]
            if layer not in LAYERS:
                continue
            ours, others = LAYERS[layer]
            for one in imported:
                below = of_ours(one)
                if below is not None:
                    fits = any(
                        below == part or below.startswith(f"{part}.")
                        for part in ours
                    )
                    self.assertTrue(fits, f"{name} imports {one}")
                    continue
                root = one.partition(".")[0]
                if root not in sys.stdlib_module_names:
                    self.assertIn(root, others, f"{name} imports {one}")

    def test_magnum_at_the_edge_only(self):
        users = {
            name
            for name, (_tree, imported) in self.found.items()
            if any(one.partition(".")[0] == "magnum" for one in imported)
        }
        self.assertLessEqual(users, MAGNUM)

    def test_clients_in_ports_only(self):
        for name, (_tree, imported) in self.found.items():
            used = {one.partition(".")[0] for one in imported} & CLIENTS
            if not name.startswith("ports."):
                self.assertEqual(set(), used, name)
            if name in VALUES:
                self.assertEqual(set(), used, name)

    def test_pure_modules_have_no_clock_and_no_chance(self):
        impure = {"time", "random", "secrets", "datetime", "uuid", "os"}
        pure = ("model.", "render.", "converge.plan", "converge.report")
        pure += ("converge.readiness", "converge.health", "converge.resize")
        pure += ("converge.operation", "converge.replay")
        for name, (_tree, imported) in self.found.items():
            if name.startswith(pure):
                used = {one.partition(".")[0] for one in imported} & impure
                self.assertEqual(set(), used, name)

    def test_no_eventlet(self):
        for name, (_tree, imported) in self.found.items():
            roots = {one.partition(".")[0] for one in imported}
            self.assertNotIn("eventlet", roots, name)

    def test_modules_not_objects(self):
        """Hacking's H301 and H303 do not see ours from outside."""
        names = set(self.found)
        for name, (_tree, imported) in self.found.items():
            for one in imported:
                below = of_ours(one)
                if below is not None and below not in names:
                    self.assertIn(f"{below}.__init__", names, f"{name}: {one}")


class TestSizes(testtools.TestCase):
    def test_names(self):
        for name, _path, _tree in modules():
            last = name.rpartition(".")[2]
            self.assertNotIn(last, FORBIDDEN_NAMES, name)

    def test_modules(self):
        for name, path, _tree in modules():
            lines = len(path.read_text().splitlines())
            if name not in LONG_MODULES:
                self.assertLess(lines, MAX_MODULE, name)

    def test_functions(self):
        found = set()
        for name, _path, tree in modules():
            for node in ast.walk(tree):
                if not isinstance(node, ast.FunctionDef):
                    continue
                if self._length(node) > MAX_FUNCTION:
                    found.add(f"{name}.{node.name}")
        self.assertEqual(set(), found - LONG_FUNCTIONS)

    def _length(self, function):
        """Return the lines of a function without its docstring."""
        lines = function.end_lineno - function.lineno + 1
        if ast.get_docstring(function) is None:
            return lines
        first = function.body[0]
        return lines - (first.end_lineno - first.lineno + 1)

    def test_license(self):
        for name, path, _tree in modules():
            text = path.read_text()
            if text:
                self.assertTrue(
                    text.startswith("# SPDX-License-Identifier: Apache-2.0"),
                    name,
                )
