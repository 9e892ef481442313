# SPDX-License-Identifier: Apache-2.0
"""Tempest against the lab: magnum-tempest-plugin, and the plugin of ours.

Of the first:

* ``test_create_list_sign_delete_clusters`` runs kubectl against Kubernetes
  and sleeps ten minutes, so it takes KUBE_DIST and LAB_LONG. What it checks
  of Magnum alone is in test_create.py, too.
* ``test_create_cluster_with_zero_nodes`` is left out: it asks with
  microversion 1.1, in which Magnum's API refuses ``node_count=0``.

The directory ``rbac`` skips itself: Magnum does not enforce scope here.

Tempest gets users that exist. Of those it makes itself the plugin deletes
the ones of a class after the first test, and the next tests depend on whether
some cache still takes their token.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

from lab import settings as lab_settings
from lab.containers import distribution
from tests.functional import base
from tests.functional import containers
from tests.functional import kubernetes

ACCOUNTS = (
    ("admin", {"types": ["admin"], "roles": ["admin"]}),
    ("demo", {"roles": ["member"]}),
    ("other", {"roles": ["member"]}),
)
SIGN_AND_USE = "test_create_list_sign_delete_clusters"
EXCLUDED = (SIGN_AND_USE, "test_create_cluster_with_zero_nodes")
KEYPAIR = "magnum-test"
PLAIN = "ubuntu-24.04"
LEAST = 20
"""Tests there are in release 2.12.0; fewer would mean that some are lost."""

OURS = 7

SECONDS = 900
SLEEPS = 600
"""Seconds that the plugin's test and its script sleep, whatever they see."""
ROTATION = 600
"""Seconds for a rotation of CAs, which waits for five minutes."""

KUBECTL = pathlib.Path("/opt/stack/bin/kubectl")
LEFT = pathlib.Path("/tmp/magnum-nodes")
"""Where the plugin's script looks for kubectl and puts what it has seen."""

CONTAINERS = {
    "cloud_provider_enabled": "false",
    "cinder_csi_enabled": "false",
    # No charts can be had without a mirror.
    "metrics_server_enabled": "false",
}
"""Labels of clusters whose servers are containers."""

CONTAINER_NAMES = {
    "coredns",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
}

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
labels = {labels}
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
        self.configure(base.IMAGE)

    def configure(self, image, **labels):
        """Say which image and labels magnum-tempest-plugin is to use."""
        self.config = self.directory / "tempest.conf"
        self.config.write_text(
            CONFIG.format(
                directory=self.directory,
                flavor=base.FLAVOR,
                identity=base.settings().identity_url,
                image=image,
                # The plugin reads a literal of Python.
                labels=labels,
                master_flavor=base.MASTER_FLAVOR,
                plain=PLAIN,
                password=lab_settings.PASSWORD,
                region=lab_settings.REGION,
            )
        )

    def tempest(self, *arguments, seconds=SECONDS):
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
            timeout=seconds,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def run_all(self, *selection, seconds=SECONDS):
        """Run tests and return their numbers by outcome, and all output."""
        code, text = self.tempest("init", "workspace")
        self.assertEqual(0, code, text)
        code, text = self.tempest(
            "run", "--workspace", "workspace", "--serial",
            "--config-file", str(self.config), *selection,
            seconds=seconds,
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
        counted, text = self.run_all(
            "--regex", r"^magnum_k8s_tempest\.", seconds=SECONDS + ROTATION
        )
        self.assertEqual(OURS, counted["Passed"], text[-4000:])
        self.assertEqual(0, counted["Skipped"], text[-4000:])

    def test_sign_and_use(self):
        """A signed certificate opens a real cluster, whose pods all run.

        The script says nothing when kubectl fails, so what it has left is
        read here.
        """
        base.needs_time()
        if not containers.is_real():
            self.skipTest(f"{kubernetes.NOT_PROVEN} {SIGN_AND_USE}")
        containers.check_machine()
        self.lend_kubectl()
        containers.prepare_lab()
        self.configure(containers.image_name(), **CONTAINERS)
        counted, text = self.run_all(
            "--regex", rf"\.ClusterTest\.{SIGN_AND_USE}",
            seconds=SLEEPS + SECONDS,
        )  # fmt: skip
        self.assertEqual(1, counted["Passed"], text[-4000:])
        nodes = (LEFT / "api-list-nodes").read_text()
        self.assertEqual(2, nodes.count("'kubelet_version'"), nodes)
        logs = {
            path.name.rpartition("_")[2]
            for path in (LEFT / "kubernetes/pods/kube-system").iterdir()
            if path.stat().st_size
        }
        self.assertLessEqual(CONTAINER_NAMES, logs)

    def lend_kubectl(self):
        """Put kubectl where the plugin's script looks for it.

        What is there stays: on a DevStack machine it is Magnum's.
        """
        self.assertFalse(
            LEFT.exists(), f"{LEFT} is of another run; remove it."
        )
        self.addCleanup(shutil.rmtree, LEFT, ignore_errors=True)
        if KUBECTL.exists():
            return
        for one in (KUBECTL.parent.parent, KUBECTL.parent):
            if not one.exists():
                one.mkdir()
                self.addCleanup(one.rmdir)
        KUBECTL.symlink_to(distribution.find().programs["kubectl"])
        self.addCleanup(KUBECTL.unlink)
