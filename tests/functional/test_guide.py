# SPDX-License-Identifier: Apache-2.0
"""The user guide, command by command, as its readers copy it.

It is at the same time a session of python-openstackclient with
python-magnumclient: the messages and tables that the guide shows are
compared with what is printed.
"""

import os
import pathlib
import tempfile

from tests.functional import base
from tests.functional import guide

WALKTHROUGH = "user/walkthrough.rst"
SECONDS = 300
"""The longest a command of the guide may take, most of it waiting."""

LEAST = 40
"""Steps there are; fewer would mean that some are not found any more."""


class GuideTest(base.LabTest):
    def setUp(self):
        super().setUp()
        base.needs_time()
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        programs = base.settings().venv / "bin"
        self.shell = guide.Shell(
            pathlib.Path(temporary.name),
            {
                **{k: v for k, v in os.environ.items() if k[:3] != "OS_"},
                "HOME": temporary.name,
                "OS_CLIENT_CONFIG_FILE": str(base.ROOT / "clouds.yaml"),
                "OS_CLOUD": "demo",
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PYTHONWARNINGS": "ignore",
                "SHELL": "/bin/bash",
            },
        )
        self.addCleanup(self._tidy)
        self.addCleanup(self.shell.close)

    def _tidy(self):
        """Remove what is left when a step failed."""
        for one in self.magnum.get("/clusters")["clusters"]:
            if one["name"] == "walk":
                self.remove(one["uuid"])
        for one in self.magnum.get("/clustertemplates")["clustertemplates"]:
            if one["name"].startswith("walk-"):
                self.magnum.call("DELETE", f"/clustertemplates/{one['uuid']}")
        self.demo.compute.delete_keypair("walk", ignore_missing=True)

    def test_walkthrough(self):
        steps = guide.steps(WALKTHROUGH)
        self.assertGreaterEqual(len(steps), LEAST)
        without = set()
        for step in steps:
            if step.program == "kubectl" and hollow():
                without.add(step.command)
                continue
            code, printed = self.shell.run(step.command, SECONDS)
            told = f"$ {step.command}\n{printed}"
            self.assertEqual(0, code, told)
            if step.shown:
                self.assertIsNone(guide.differs(step.shown, printed), told)
        self.assertLessEqual(without, {"kubectl get nodes"})


def hollow():
    """Tell whether nodes run nothing: kubectl has no API to talk to."""
    remembered = base.ROOT / "extras"
    extras = remembered.read_text().split() if remembered.exists() else []
    return "containers" not in extras
