# SPDX-License-Identifier: Apache-2.0
"""``magnum-k8s-diagnose`` of clusters of the simulated cloud."""

import contextlib
import io
import json
import pathlib
import pkgutil
import re
import tomllib
from xml.etree import ElementTree

import fixtures
from oslotest import base

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.cmd import diagnose
from magnum_k8s_driver.model import board
from tests.unit.converge import simulation

PHASE = 'MAGNUM-NODE phase {{"phase": "{}", "seconds": {}}}\n'


class FakeUserCloud:
    """What Magnum's API shows of a simulated cluster, and the cloud."""

    def __init__(self, sim):
        self.sim = sim
        self.heat, self.compute = sim.cloud.heat, sim.cloud.compute
        self.project_id = sim.cloud.project_id
        self.reason = None

    def cluster(self, reference):
        record = self.sim.record()
        if reference not in (record.name, record.uuid):
            raise exceptions.CloudError("magnum", f"no {reference}")
        return {
            "name": record.name,
            "uuid": record.uuid,
            "project_id": self.sim.cloud.project_id,
            "stack_id": record.stack_id,
            "status": "CREATE_FAILED",
            "status_reason": self.reason or self.sim.written.reason,
        }

    def node_groups(self, cluster_uuid):
        record = self.sim.record()
        assert cluster_uuid == record.uuid
        return [
            {
                "name": one.name,
                "uuid": one.uuid,
                "role": "worker" if one in record.workers else "master",
                "node_count": one.node_count,
                "status": "CREATE_IN_PROGRESS",
                "status_reason": None,
                # Magnum copies the cluster's.
                "stack_id": record.stack_id,
            }
            for one in record.groups
        ]


class DiagnoseTest(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        self.sim = simulation.Simulation()
        self.cloud = FakeUserCloud(self.sim)
        self.asked = []
        self.useFixture(
            fixtures.MonkeyPatch(
                "magnum_k8s_driver.ports.user_cloud.open_cloud", self._open
            )
        )

    @contextlib.contextmanager
    def _open(self, name):
        self.asked.append(name)
        yield self.cloud

    def run_command(self, *words):
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = diagnose.main([self.sim.spec.name, *words])
        return code, out.getvalue(), err.getvalue()

    def report(self):
        code, out, err = self.run_command()
        self.assertEqual((0, ""), (code, err))
        return out

    def server(self, end):
        (found,) = [
            one
            for one in self.sim.cloud.compute.by_id.values()
            if one.name.endswith(end)
        ]
        return found

    def test_entry_point(self):
        project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())
        target = project["project"]["scripts"]["magnum-k8s-diagnose"]
        self.assertIs(diagnose.main, pkgutil.resolve_name(target))


class TestReport(DiagnoseTest):
    def test_running_cluster(self):
        """Boards are signed; without the key they are shown all the same."""
        self.sim.run()
        out = self.report()
        self.assertRegex(out, r"(?m)^  Board 0 at \S+Z \(unchecked\): ready")
        self.assertRegex(out, r"(?m)^  Nodes at \S+Z \(unchecked\)$")
        for name in self.sim.servers():
            self.assertRegex(out, rf"(?m)^    \S+-{name} v1\S+: ready$")
        self.assertEqual(3, out.count("says that it is ready"))
        self.assertEqual(
            2, len(re.findall(r"(?m)^Stack \S+: \w+_COMPLETE$", out))
        )
        self.assertNotIn("nothing reported", out)

    def test_node_that_failed(self):
        self.sim.cloud.nodes.behave(
            "*worker-1",
            fail_phase="join",
            message="the token is not known",
            hint="Replace the node.",
        )
        self.sim.converge()
        self.sim.cloud.tick(120)
        self.sim.converge()
        self.sim.cloud.tick(120)
        out = self.report()
        name = self.server("worker-1").name
        said = "join: the token is not known. Replace the node."
        self.assertIn(f"Distress of {name} (unchecked)\n    {said}", out)
        self.assertIn("Console in phase join: the token is not known", out)

    def test_stack_and_server_that_failed(self):
        self.sim.cloud.compute.fail_boot(
            "*worker-0", "No valid host was found."
        )
        self.sim.run()
        out = self.report()
        self.assertRegex(out, r"(?m)^  OS::Nova::Server 0 \(.*\): CREATE_FAIL")
        self.assertIn("No valid host was found. Choose a smaller flavor", out)
        self.assertRegex(out, r"(?m)^Server \S+worker-0 \(\S+\): ERROR$")

    def test_nothing_made(self):
        self.sim.written = None
        self.cloud.reason = "Flavor x\ndoes not exist."
        out = self.report()
        self.assertIn("  CREATE_FAILED: Flavor x does not exist.\n", out)
        self.assertEqual(2, out.count(": there is none"))

    def test_a_service_that_is_away(self):
        """The others are asked all the same."""
        self.sim.run()
        self.sim.cloud.fail_next("heat", "show")
        self.sim.cloud.fail_next("compute", "console")
        out = self.report()
        self.assertEqual(2, out.count("Not known: The "), out)
        self.assertEqual(2, out.count("says that it is ready"))

    def test_secrets_are_not_shown(self):
        self.sim.run()
        self.server("worker-0").console = (
            "MAGNUM-NODE failed "
            '{"phase": "join", "message": "token abcdef.0123456789abcdef"}'
        )
        self.assertNotIn("0123456789abcdef", self.report())

    def test_what_a_board_may_hold(self):
        """Whoever writes it reaches no terminal and breaks no report."""
        self.sim.run()
        sight = self.sim.cloud.heat
        forged = {
            "report": {
                "data": json.dumps(
                    {"state": "failed", "error": {"message": "\x1b[2J"}}
                )
            },
            "digest": {"data": json.dumps({"nodes": {"\x1b]0;": {}}})},
        }
        self.useFixture(
            fixtures.MockPatchObject(sight, "metadata", return_value=forged)
        )
        out = self.report()
        self.assertIn("(unchecked): failed", out)
        self.assertNotIn("\x1b", out)

    def test_other_project(self):
        self.sim.run()
        self.cloud.project_id = "mine"
        out = self.report()
        owner = self.sim.cloud.project_id
        said = f"The stacks and servers are in project {owner}; log in to it"
        self.assertRegex(out, rf"(?m)^{said} .*\.$")
        self.assertNotIn("Server ", out)
        code, _out, err = self.run_command("--timeline")
        self.assertEqual(2, code)
        self.assertIn("log in to it", err)

    def test_no_such_cluster(self):
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = diagnose.main(["nowhere", "--os-cloud", "here"])
        self.assertEqual((2, ""), (code, out.getvalue()))
        self.assertEqual(
            "magnum-k8s-diagnose: The magnum service said: no nowhere.\n",
            err.getvalue(),
        )
        self.assertEqual(["here"], self.asked)


class TestTimeline(DiagnoseTest):
    def setUp(self):
        super().setUp()
        self.sim.run()
        phases = PHASE.format("prepare", 1.5) + PHASE.format("join", 3)
        self.server("worker-0").console = phases
        self.server("worker-1").console = ""
        self.svg = pathlib.Path(
            self.useFixture(fixtures.TempDir()).join("timeline.svg")
        )

    def test_text(self):
        code, out, err = self.run_command("--timeline")
        self.assertEqual((0, ""), (code, err))
        self.assertRegex(out, r"(?m)^\S+-worker-0: 4\.5 s$")
        self.assertRegex(out, r"(?m)^  join +3\.0 s  #{30}$")
        self.assertRegex(out, r"(?m)^\S+-worker-1: ")
        self.assertFalse(self.svg.exists())

    def test_reports_where_the_console_has_nothing(self):
        key = bytes(32)
        signed = board.encode(
            {
                "t": 1,
                "nodes": {
                    self.server("worker-1").name: {
                        "ready": True,
                        "report": {"seconds": {"upgrade": 7}},
                    }
                },
            },
            key,
        )
        self.useFixture(
            fixtures.MockPatchObject(
                self.sim.cloud.heat,
                "metadata",
                return_value={"digest": {"data": signed}},
            )
        )
        _code, out, _err = self.run_command("--timeline")
        self.assertRegex(out, r"(?m)^\S+-worker-1: 7\.0 s$")

    def test_picture(self):
        code, _out, _err = self.run_command(
            "--timeline", "--svg", str(self.svg)
        )
        self.assertEqual(0, code)
        root = ElementTree.fromstring(self.svg.read_text())
        words = [one.text for one in root.iter() if one.tag.endswith("text")]
        self.assertIn(self.server("worker-0").name, words)
        self.assertIn("4.5 s", words)
        width = float(root.get("width"))
        for one in root.iter():
            if one.tag.endswith("rect"):
                end = float(one.get("x")) + float(one.get("width"))
                self.assertLess(end, width)

    def test_picture_of_a_report(self):
        error = io.StringIO()
        with contextlib.redirect_stderr(error):
            self.assertRaises(
                SystemExit, diagnose.main, ["k8s", "--svg", "x.svg"]
            )
        self.assertIn("--svg needs --timeline", error.getvalue())

    def test_picture_that_cannot_be_written(self):
        code, _out, err = self.run_command(
            "--timeline", "--svg", "/nowhere/x.svg"
        )
        self.assertEqual(2, code)
        self.assertIn("/nowhere/x.svg", err)
