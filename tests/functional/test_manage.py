# SPDX-License-Identifier: Apache-2.0
"""``magnum-k8s-manage check`` against a real cloud, well and unwell."""

import configparser
import json
import pathlib
import subprocess
import sys
import tempfile

from tests.functional import base

CONFIG = "config/magnum/magnum.conf"


class ManageTest(base.LabTest):
    def check(self, *words, **changes):
        """Run the command with options of magnum.conf changed.

        :param changes: section with ``__`` and option -> value.
        :returns: exit code, findings, what was said on standard error.
        """
        parser = configparser.RawConfigParser(
            default_section="none", strict=False
        )
        parser.read(base.ROOT / CONFIG)
        for name, value in changes.items():
            section, option = name.split("__")
            parser.set(section, option, value)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = pathlib.Path(directory.name, "magnum.conf")
        with path.open("w") as file:
            parser.write(file)
        done = subprocess.run(
            [sys.executable, "-W", "ignore"]
            + ["-m", "magnum_k8s_driver.cmd.manage", "check"]
            + ["--config-file", str(path), "--format", "json", *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        found = json.loads(done.stdout) if done.stdout else []
        return done.returncode, found, done.stderr

    def problems(self, found):
        return [one for one in found if one["level"] == "problem"]

    def test_the_lab_is_fine(self):
        code, found, said = self.check()
        self.assertEqual((0, []), (code, self.problems(found)), said)
        subjects = {one["subject"] for one in found}
        self.assertLessEqual(
            {"driver", "service user", "roles", "domain", "heat"}, subjects
        )
        self.assertIn(f"image {base.IMAGE}", subjects)

    def test_a_user_who_may_not(self):
        code, found, said = self.check(
            keystone_auth__username="demo",
            keystone_auth__project_name="demo",
        )
        self.assertEqual(1, code, said)
        cures = [one["cure"] for one in self.problems(found)]
        self.assertIn(
            "Run: openstack role add --user demo --user-domain Default "
            "--project demo admin",
            cures,
        )

    def test_what_is_not_there(self):
        code, found, said = self.check(
            "--image", "mystery", "--image", "nowhere",
            keystone_auth__region_name="",
            k8s_driver__cluster_domain="nobody",
            k8s_driver__service_roles="nothing",
            certificates__cert_manager_type="local",
        )  # fmt: skip
        self.assertEqual(1, code, said)
        told = " ".join(one["sentence"] for one in self.problems(found))
        for sentence in (
            "There is no domain nobody for the users of clusters.",
            "There is no role 'nothing', the first of [k8s_driver] "
            "service_roles.",
            "Image mystery has no os_distro;",
            "Image nowhere is missing.",
            "No image that nodes could boot from was found.",
            "on the disk of one conductor",
        ):
            self.assertIn(sentence, told)

    def test_a_region_that_is_not_there(self):
        code, found, said = self.check(k8s_driver__region_name="Mars")
        self.assertEqual(1, code, said)
        self.assertIn(
            "The catalog has no region Mars; it has RegionOne.",
            [one["sentence"] for one in self.problems(found)],
        )

    def test_a_project_is_tried_and_left_as_it_was(self):
        project = self.admin.identity.create_project(name=base.unique("p"))
        self.addCleanup(self.admin.identity.delete_project, project)
        code, found, said = self.check("--project", project.name)
        self.assertEqual(0, code, (found, said))
        self.assertIn("member", found[-1]["sentence"])
        granted = list(
            self.admin.identity.role_assignments(scope_project_id=project.id)
        )
        self.assertEqual([], granted)
        after = self.admin.identity.get_project(project.id)
        self.assertEqual([], after.tags)

    def test_no_such_project(self):
        code, found, said = self.check("--project", "nowhere")
        self.assertEqual(1, code, said)
        self.assertIn("nowhere", self.problems(found)[-1]["sentence"])

    def test_keystone_does_not_answer(self):
        code, found, said = self.check(
            keystone_auth__auth_url="http://127.0.0.1:9/v3"
        )
        self.assertEqual((2, []), (code, found))
        self.assertRegex(said, r"^magnum-k8s-manage: [^\n]+\n$")

    def test_wrong_password(self):
        code, _found, said = self.check(keystone_auth__password="wrong")
        self.assertEqual(2, code)
        self.assertRegex(said, r"^magnum-k8s-manage: [^\n]+\n$")
