# SPDX-License-Identifier: Apache-2.0
"""Tempest against the lab: magnum-tempest-plugin, and the plugin of ours.

Of the first as much as needs no Kubernetes. Left out, because they do:

* ``test_create_list_sign_delete_clusters`` runs kubectl from
  ``/opt/stack/bin``, waits for pods and sleeps five minutes. What it checks
  of Magnum is in test_create.py.
* ``test_create_cluster_with_zero_nodes`` asks with microversion 1.1, in
  which Magnum's API refuses ``node_count=0``.

The directory ``rbac`` skips itself: Magnum does not enforce scope here.

Tempest gets users that exist. Of those it makes itself the plugin deletes
the ones of a class after the first test, and the next tests depend on whether
some cache still takes their token.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

from lab import settings as lab_settings
from tests.functional import base

ACCOUNTS = (
    ("admin", {"types": ["admin"], "roles": ["admin"]}),
    ("demo", {"roles": ["member"]}),
    ("other", {"roles": ["member"]}),
)
EXCLUDED = (
    "test_create_list_sign_delete_clusters",
    "test_create_cluster_with_zero_nodes",
)
KEYPAIR = "magnum-test"
PLAIN = "ubuntu-24.04"
LEAST = 20
"""Tests there are in release 2.12.0; fewer would mean that some are lost."""

OURS = 5
"""Tests of ours; one more waits for rotation."""

CONFIG = """\
[DEFAULT]
log_file = {directory}/tempest.log
use_stderr = false

[auth]
admin_domain_name = Default
admin_password = {password}
admin_project_name = admin
admin_username = admin
default_credentials_domain_name = Default
test_accounts_file = {directory}/accounts.yaml
use_dynamic_credentials = false

[identity]
auth_version = v3
region = {region}
uri_v3 = {identity}

[magnum]
copy_logs = false
flavor_id = {flavor}
image_id = {image}
master_flavor_id = {master_flavor}
network_driver = calico
nic_id = public

[magnum_k8s]
build_interval = 2
flavor_id = {flavor}
image_id = {plain}
kube_tag = v1.35.8
master_flavor_id = {master_flavor}
upgrade_kube_tag = v1.36.4

[oslo_concurrency]
lock_path = {directory}/locks

[service_available]
cinder = true
glance = true
magnum = true
neutron = true
nova = true
swift = false
"""


class TempestTest(base.LabTest):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.config = self.directory / "tempest.conf"
        self.config.write_text(
            CONFIG.format(
                directory=self.directory,
                flavor=base.FLAVOR,
                identity=base.settings().identity_url,
                image=base.IMAGE,
                master_flavor=base.MASTER_FLAVOR,
                plain=PLAIN,
                password=lab_settings.PASSWORD,
                region=lab_settings.REGION,
            )
        )

        accounts = [
            {
                "username": name,
                "password": lab_settings.PASSWORD,
                "project_name": name,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
                **rights,
            }
            for name, rights in ACCOUNTS
        ]
        path = self.directory / "accounts.yaml"
        path.write_text(yaml.safe_dump(accounts))
        # The plugin leaves it to the end of its users.
        for cloud in (self.demo, self.admin):
            self.addCleanup(cloud.compute.delete_keypair, KEYPAIR)

    def tempest(self, *arguments):
        beside = pathlib.Path(sys.executable).with_name("tempest")
        environment = {
            **{k: v for k, v in os.environ.items() if k[:3] != "OS_"},
            "HOME": str(self.directory),
            "PYTHON": sys.executable,
            "PYTHONWARNINGS": "ignore",
        }
        done = subprocess.run(
            [str(beside), *arguments],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def run_all(self, *selection):
        """Run tests and return their numbers by outcome, and all output."""
        code, text = self.tempest("init", "workspace")
        self.assertEqual(0, code, text)
        code, text = self.tempest(
            "run", "--workspace", "workspace", "--serial",
            "--config-file", str(self.config), *selection,
        )  # fmt: skip
        self.assertEqual(0, code, text[-8000:])
        counted = dict(re.findall(r"^ - (\w+): +(\d+)", text, re.M))
        self.assertEqual("0", counted["Failed"], text[-8000:])
        return {name: int(number) for name, number in counted.items()}, text

    def test_api(self):
        counted, text = self.run_all(
            "--regex", r"magnum_tempest_plugin\.tests\.api\.v1\.test_",
            "--exclude-regex", "|".join(EXCLUDED),
        )  # fmt: skip
        self.assertEqual(0, counted["Skipped"], text[-8000:])
        self.assertGreaterEqual(counted["Passed"], LEAST, text[-4000:])

    def test_ours(self):
        base.needs_time()
        counted, text = self.run_all("--regex", r"^magnum_k8s_tempest\.")
        self.assertEqual(OURS, counted["Passed"], text[-4000:])
        self.assertEqual(1, counted["Skipped"], text[-4000:])
