# SPDX-License-Identifier: Apache-2.0
"""The recorded hooks of Magnum 22 are those of its wheel."""

import importlib.util
import json
import subprocess
import sys
import zipfile

import fixtures
import testtools

from tests import magnum_hooks
from tests.unit import test_contract


class TestMagnum22(testtools.TestCase):
    def test_recorded_hooks(self):
        directory = self.useFixture(fixtures.TempDir()).path
        recorded = json.loads(test_contract.MAGNUM_22.read_text())
        wheel = recorded["source"].split(",")[0]
        # Environments made by uv have no pip of their own.
        here = importlib.util.find_spec("pip")
        pip = [sys.executable, "-m", "pip"] if here else ["pip3"]
        done = subprocess.run(
            [
                *(*pip, "download", "--no-deps", "--quiet"),
                *("--dest", directory, "magnum==22.0.0"),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            self.skipTest(f"pip cannot fetch Magnum 22: {done.stderr[-200:]}")
        with zipfile.ZipFile(f"{directory}/{wheel}") as archive:
            source = archive.read(magnum_hooks.MODULE).decode()
        self.assertEqual(
            recorded["signatures"], magnum_hooks.signatures(source)
        )
