# SPDX-License-Identifier: Apache-2.0
"""Configuration files as data."""

import configparser
import pathlib
import unittest

from lab import access
from lab import ini
from lab import services
from lab import settings as lab_settings
from lab.config import write

SETTINGS = lab_settings.Settings(pathlib.Path("/nowhere"), 100)


class IniTest(unittest.TestCase):
    def test_renders_sections(self):
        text = ini.render({"a": {"flag": True, "many": [1, 2]}, "b": {}})
        self.assertEqual("[a]\nflag = true\nmany = 1\nmany = 2\n\n[b]\n", text)

    def test_the_last_layer_wins(self):
        merged = ini.merge({"a": {"x": 1, "y": 1}}, {"a": {"x": 2}})
        self.assertEqual({"a": {"x": 2, "y": 1}}, merged)


class FilesTest(unittest.TestCase):
    def parsed(self, module, path):
        parser = configparser.RawConfigParser(default_section="none")
        parser.read_string(write.MODULES[module].files(SETTINGS)[path])
        return parser

    def test_ports_are_moved(self):
        magnum = self.parsed("magnum", "magnum/magnum.conf")
        self.assertEqual("15611", magnum["api"]["port"])
        self.assertIn(":15406/magnum", magnum["database"]["connection"])

    def test_nova_compute_sees_no_database(self):
        sections = self.parsed("nova", "nova/compute/nova-compute.conf")
        self.assertFalse({"database", "api_database"} & {*sections})

    def test_the_trustee_has_no_project(self):
        heat = self.parsed("heat", "heat/heat.conf")
        self.assertNotIn("project_name", heat["trustee"])

    def test_nothing_leaves_loopback(self):
        for module in write.MODULES.values():
            for text in module.files(SETTINGS).values():
                for word in text.split():
                    if "://" in word and not word.startswith("file:"):
                        self.assertRegex(word, "127.0.0.1|^fake:/")

    def test_clouds_name_both_users(self):
        text = access.files(SETTINGS)["clouds.yaml"]
        self.assertIn("username: demo", text)
        self.assertIn("username: admin", text)


class ServicesTest(unittest.TestCase):
    def test_ports_and_names_are_unique(self):
        found = services.infrastructure(SETTINGS) + services.cloud(SETTINGS)
        ports = [one.port for one in found if one.port]
        self.assertEqual(len(ports), len({*ports}))
        self.assertEqual(len(found), len({one.name for one in found}))

    def test_barbican_comes_only_on_request(self):
        names = {one.name for one in services.cloud(SETTINGS)}
        self.assertNotIn("barbican", names)


if __name__ == "__main__":
    unittest.main()
