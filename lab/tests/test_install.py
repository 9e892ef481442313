# SPDX-License-Identifier: Apache-2.0
"""What the lab installs, and when it installs it again."""

import pathlib
import tempfile
import unittest
from unittest import mock

from lab import install
from lab import progress
from lab import settings as lab_settings


class InstallDriverTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.venv = self.root / "venv"
        self.venv.mkdir()

    def install(self, checkout):
        """Return the directories that were installed."""
        (self.root / checkout).mkdir(exist_ok=True)
        settings = lab_settings.Settings(root=self.root)
        with (
            mock.patch.object(lab_settings, "CHECKOUT", self.root / checkout),
            mock.patch.object(
                install, "install_uv", autospec=True, return_value="uv"
            ),
            mock.patch.object(
                install, "uv_environment", autospec=True, return_value={}
            ),
            mock.patch.object(install, "run", autospec=True) as run,
        ):
            install.install_driver(settings, progress.silent, self.venv)
        return [call.args[1][-1] for call in run.call_args_list]

    def test_once(self):
        self.assertEqual([str(self.root / "a")], self.install("a"))
        self.assertEqual([], self.install("a"))

    def test_again_from_another_checkout(self):
        """Or the lab would go on with the code of the one before."""
        self.install("a")
        self.assertEqual([str(self.root / "b")], self.install("b"))

    def test_again_when_metadata_change(self):
        self.install("a")
        (self.root / "a/setup.cfg").write_text("[metadata]\n")
        self.assertEqual([str(self.root / "a")], self.install("a"))
