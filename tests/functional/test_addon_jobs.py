# SPDX-License-Identifier: Apache-2.0
"""Add-ons with real Kubernetes and real Helm, and charts of the test.

The charts have the names and versions of the official ones and hold a
ConfigMap with the values they were given. Their repository is served by the
control-plane node itself: with the mirrors the test names nothing is asked
of any other address.
"""

import configparser
import io
import json
import subprocess
import tarfile
import time

import openstack
import yaml

from lab.containers import __main__ as inside
from lab.containers import helm
from magnum_k8s_driver.model import board
from magnum_k8s_driver.render import releases
from tests.functional import base
from tests.functional import containers

PORT = 8879
MIRROR = f"http://127.0.0.1:{PORT}"
BOOT_SECONDS = 300
UPDATE_SECONDS = 300
FAILURE_SECONDS = 60
"""A failing chart is told within a minute."""

TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-values
data:
  values: {{ toJson .Values | quote }}
"""
SERVE = (
    "mkdir -p /srv/charts && tar -C /srv/charts -xf - && "
    "(systemctl is-active --quiet charts || systemd-run --quiet --unit charts "
    f"python3 -m http.server {PORT} --bind 127.0.0.1 "
    "--directory /srv/charts)"
)

SITE = """\
table inet site {
    set strangers {
        type ipv4_addr; flags dynamic
    }
    chain out {
        type filter hook output priority -300
        ip daddr { 10.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16 } accept
        ip daddr { 172.16.0.0/12, 192.168.0.0/16, 203.0.113.0/24 } accept
        ip daddr { 224.0.0.0/4, 255.255.255.255 } accept
        meta nfproto ipv4 add @strangers { ip daddr } counter drop
    }
}
"""
"""Keeps the control plane from every address that is not the lab's."""


def components():
    """Return the release table's line of each chart of this Kubernetes."""
    version = containers.distribution.find().version
    found = releases.release_for(version).addons
    return [found["cinder-csi"], found["metrics-server"]]


def repository():
    """Return a Helm repository as a tar archive."""
    files, entries = {}, {}
    for one in components():
        about = {
            "apiVersion": "v2",
            "name": one.chart,
            "version": one.version,
        }
        name = f"{one.chart}-{one.version}.tgz"
        files[name] = packed(
            {
                f"{one.chart}/Chart.yaml": yaml.safe_dump(about).encode(),
                f"{one.chart}/templates/values.yaml": TEMPLATE.encode(),
            },
            "gz",
        )
        entries[one.chart] = [{**about, "urls": [name]}]
    index = {"apiVersion": "v1", "entries": entries}
    files["index.yaml"] = yaml.safe_dump(index).encode()
    return packed(files)


def packed(files, compression=""):
    """Return files as a tar archive."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=f"w:{compression}") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


class AddonJobsTest(containers.NodesTest):
    """One required and one optional add-on, by Helm."""

    LABELS = {
        "cinder_csi_enabled": "true",
        "metrics_server_enabled": "true",
        "snapshot_controller_enabled": "false",
        "chart_mirror": MIRROR,
    }

    @classmethod
    def setUpClass(cls):
        if not containers.is_real():
            cls.skipTest(cls, "Not proven without KUBE_DIST: Helm's Jobs")
        super().setUpClass()

    @classmethod
    def create(cls, name, template):
        """Give the control plane Helm and charts as soon as it is there."""
        found = super().create(name, template)
        cls.name = name

        def first_process():
            for one in cls.demo.compute.servers():
                if one.name.startswith(name) and "-cp-" in one.name:
                    return cls.machines.first_process(one.id)
            return None

        cls.first = base.until(first_process, BOOT_SECONDS)
        base.until(lambda: cls.inside("ctr version") == 0, BOOT_SECONDS)
        assert cls.inside("nft -f -", SITE.encode()) == 0
        assert cls.inside(SERVE, repository()) == 0
        version = containers.distribution.find().version
        picture = str(releases.release_for(version).helm)
        archive = helm.archive(base.settings(), picture)
        load = "ctr --namespace k8s.io images import -"
        base.until(lambda: cls.inside(load, archive) == 0, BOOT_SECONDS)
        return found

    @classmethod
    def inside(cls, text, stdin=b""):
        """Return how a shell on the control plane ends."""
        return subprocess.run(
            inside.command(cls.first, ["bash", "-c", text]),
            input=stdin,
            capture_output=True,
            timeout=containers.COMMAND_SECONDS,
            check=False,
        ).returncode

    def values(self, release):
        """Return the values a chart was given, None without it."""
        found = self.try_in(
            self.control_plane,
            "kubectl --kubeconfig /etc/kubernetes/admin.conf "
            f"--namespace kube-system get configmap {release}-values "
            "--output json",
        )
        if found.code:
            self.assertIn("NotFound", found.err)
            return None
        return json.loads(json.loads(found.out)["data"]["values"])

    def job(self, addon):
        return self.get(f"--namespace kube-system job magnum-addon-{addon}")

    def upgrade(self, *wanted, **labels):
        """Take labels over and return the cluster in one of these states."""
        template = self.make_template(
            image_id=containers.image_name(),
            master_lb_enabled=True,
            labels={"cloud_provider_enabled": "false", **labels},
        )
        answer = self.magnum.call(
            "POST",
            f"/clusters/{self.uuid}/actions/upgrade",
            {"cluster_template": template, "max_batch_size": 1},
        )
        self.assertEqual(202, answer.status_code, answer.text)
        return self.settled(*wanted)

    def settled(self, *wanted):
        """Wait for the end of a change that was just asked for."""
        base.until(
            lambda: (
                self.magnum.cluster(self.uuid)["status"]
                == "UPDATE_IN_PROGRESS"
            ),
            30,
            interval=0.2,
        )
        return self.magnum.await_status(
            self.uuid, *wanted, seconds=UPDATE_SECONDS
        )

    def not_running(self):
        """Return the pods that magnum-tempest-plugin takes for failures."""
        return self.kubectl(
            "get pods --all-namespaces --output name "
            "--field-selector=status.phase!=Running"
        )

    def test_1_jobs_ran_in_the_order_given(self):
        base.until(
            lambda: not self.not_running(), FAILURE_SECONDS, self.not_running
        )
        began = [
            self.get(
                f"--namespace kube-system secret sh.helm.release.v1.{name}.v1"
            )["metadata"]["creationTimestamp"]
            for name in ("cinder-csi", "metrics-server")
        ]
        self.assertEqual(sorted(began), began)
        found = self.values("cinder-csi")
        self.assertEqual(self.uuid, found["clusterID"])
        self.assertEqual("cloud-config", found["secret"]["name"])
        self.assertEqual(
            ["--kubelet-insecure-tls"], self.values("metrics-server")["args"]
        )
        classes = {
            one["metadata"]["name"]
            for one in self.get("storageclasses")["items"]
        }
        self.assertLessEqual({"cinder", "cinder-lab"}, classes)

    def test_2_cloud_config_opens_the_cloud(self):
        text = self.kubectl(
            "--namespace kube-system get secret cloud-config --output "
            "go-template='{{index .data \"cinder-csi.conf\" | base64decode}}'"
        )
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(text)
        found = {k: v.strip('"') for k, v in parser["Global"].items()}
        cloud = openstack.connect(
            auth_type="v3applicationcredential",
            auth={
                "auth_url": found["auth-url"],
                "application_credential_id": found[
                    "application-credential-id"
                ],
                "application_credential_secret": found[
                    "application-credential-secret"
                ],
            },
            region_name=found.get("region"),
        )
        self.assertEqual(self.project_id, cloud.current_project_id)
        self.assertIn("lab", {one.name for one in cloud.block_storage.types()})

    def test_3_switched_off_and_on_by_upgrades(self):
        found = self.upgrade("UPDATE_COMPLETE", metrics_server_enabled="false")
        base.until(
            lambda: self.values("metrics-server") is None, UPDATE_SECONDS
        )
        self.assertIsNotNone(self.values("cinder-csi"), found)
        self.upgrade("UPDATE_COMPLETE", metrics_server_enabled="true")
        base.until(lambda: self.values("metrics-server"), UPDATE_SECONDS)

    def test_4_failing_chart_is_told_and_tried_again(self):
        started = time.time()
        found = self.upgrade(
            "UPDATE_FAILED", chart_mirror=f"{MIRROR}/elsewhere"
        )
        took = time.time() - started
        self.assertRegex(
            found["status_reason"],
            r"Add-on cinder-csi failed: Error: .*elsewhere",
        )
        self.assert_sentence(found["status_reason"])
        began = base.until(
            lambda: self.job("cinder-csi")["metadata"]["creationTimestamp"], 5
        )
        told = time.time() - board.read_moment(began)
        self.assertLess(told, FAILURE_SECONDS, f"{took:.0f} s altogether")
        self.run_in(
            self.control_plane,
            "mkdir -p /srv/charts/elsewhere && "
            "tar -C /srv/charts/elsewhere -xf -",
            repository(),
        )
        self.magnum.call(
            "POST", f"/clusters/{self.uuid}/actions/resize", {"node_count": 1}
        )
        found = self.settled("UPDATE_COMPLETE")
        self.assertNotIn("failed", found["status_reason"])
        base.until(
            lambda: not self.not_running(), FAILURE_SECONDS, self.not_running
        )

    def test_5_new_credential_starts_programs_anew(self):
        name = "magnum.openstack.org/credential"

        def annotated():
            plugin = self.values("cinder-csi")["csi"]["plugin"]
            return plugin["controllerPlugin"]["podAnnotations"][name]

        def secret():
            return self.kubectl(
                "--namespace kube-system get secret cloud-config "
                "--output 'go-template={{index .data \"cinder-csi.conf\"}}'"
            )

        before, text = annotated(), secret()
        self.assertEqual("magnum-k8s-driver", before)
        answer = self.demo.container_infrastructure_management.request(
            f"/credentials/{self.uuid}",
            "PATCH",
            headers={"OpenStack-API-Version": "container-infra 1.12"},
        )
        self.assertEqual(202, answer.status_code, answer.text)
        self.settled("UPDATE_COMPLETE")
        self.assertRegex(annotated(), f"^{before}-rotate-[0-9]+$")
        self.assertNotEqual(text, secret())
        self.test_2_cloud_config_opens_the_cloud()

    def test_6_nothing_left_the_site(self):
        text = self.run_in(
            self.control_plane, "nft --json list set inet site strangers"
        )
        (found,) = [
            one["set"] for one in json.loads(text)["nftables"] if "set" in one
        ]
        self.assertEqual([], found.get("elem", []))
