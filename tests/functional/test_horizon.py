# SPDX-License-Identifier: Apache-2.0
"""Magnum's panels in Horizon, through a real browser.

One person makes two templates and a cluster, watches it grow, resizes and
upgrades it, reads its certificate, has one signed, takes its kubeconfig, asks
for a new credential and deletes it.
Screenshots are kept below ``.artefacts/horizon``, or where ARTEFACTS says.

magnum-ui 19 has no panel for node groups: what it shows of a cluster that has
one is checked instead.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
import yaml

from lab import port
from lab import settings as lab_settings
from tests.functional import base
from tests.functional import browser

PEM = serialization.Encoding.PEM
OLD, NEW = "v1.35.8", "v1.36.4"
CLUSTERS = "project/clusters"
TEMPLATES = "project/cluster_templates"
PLAIN = "ubuntu-24.04"
FLAVOR = "m1.medium"
"""The smallest flavor that the form offers."""

QUIET = ("Possibly unhandled rejection",)
"""What the browser's console may complain about: a form that is closed."""


class HorizonTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        base.needs_time()
        lacking = browser.missing()
        if lacking:
            raise unittest.SkipTest(
                f"{' and '.join(lacking)} are not installed and could not be."
            )
        bring_horizon()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.downloads = pathlib.Path(temporary.name)
        driver = browser.start(cls.downloads)
        cls.addClassCleanup(driver.quit)
        cls.page = browser.Horizon(driver, base.settings().url("horizon"))
        cls.page.log_in("demo", lab_settings.PASSWORD)

    def setUp(self):
        super().setUp()
        self.name = base.unique("hz")
        self.addCleanup(self._tidy)

    def _tidy(self):
        """Remove what is left when the test stopped in the middle."""
        for one in self.magnum.get("/clusters")["clusters"]:
            if one["name"] == self.name:
                self.remove(one["uuid"])
        for one in self.magnum.get("/clustertemplates")["clustertemplates"]:
            if one["name"].startswith(self.name):
                self.magnum.call("DELETE", f"/clustertemplates/{one['uuid']}")

    def test_life_of_a_cluster(self):
        old, new = f"{self.name}-old", f"{self.name}-new"
        self.make_a_template(old, OLD)
        self.make_a_template(new, NEW)
        self.make_a_cluster(old)
        self.watch_it_grow()
        # Magnum answers 400 until it has saved a cluster's node groups.
        self.assert_no_complaints("/api/container_infra/clusters/ - Failed")
        self.read_the_details()
        self.take_the_kubeconfig()
        self.show_the_certificate()
        self.sign_a_certificate()
        self.resize(2)
        self.resize_beside_a_group()
        self.upgrade(new, not_offered=old)
        self.rotate_the_credential()
        self.delete()
        self.delete_a_template(new)
        self.assert_no_complaints()

    def assert_no_complaints(self, *known):
        """The browser's console has nothing to say but what is known."""
        complaints = [
            one
            for one in self.page.complaints()
            if not any(quiet in one for quiet in (*QUIET, *known))
        ]
        self.assertEqual([], complaints)

    def make_a_template(self, name, version):
        page = self.page
        page.open(TEMPLATES)
        page.click("button", "Create Cluster Template")
        page.fill("name", name)
        page.choose("coe", "Kubernetes")
        page.tab("Node Spec")
        page.choose("image_id", PLAIN)
        page.choose("flavor_id", FLAVOR)
        page.choose("master_flavor_id", FLAVOR)
        page.choose("keypair_id", "lab")
        page.tab("Network")
        self.assertEqual(
            ["Calico", "Cilium", "Flannel"], page.offered("network_driver")
        )
        page.choose("external_network_id", "public")
        page.tick("floating_ip_enabled", False)
        page.tab("Labels")
        page.fill("labels", f"kube_tag={version}")
        page.shot("template")
        page.submit()
        self.assertIn("successfully created", page.toast("Cluster template"))
        row = page.until(lambda: page.row(name))
        self.assertEqual(["lab", "calico"], row[4:6])

    def make_a_cluster(self, template):
        page = self.page
        page.open(CLUSTERS)
        page.click("button", "Create Cluster")
        page.fill("name", self.name)
        page.choose("cluster_template_id", template)
        page.choose("availability_zone", "nova")
        page.choose("keypair", "lab")
        page.tab("Size")
        page.choose("master_flavor_id", FLAVOR)
        page.fill("node_count", 1)
        page.choose("flavor_id", FLAVOR)
        page.shot("create")
        page.submit()
        said = page.toast("Cluster ")
        self.assertIn("successfully created", said)
        self.uuid = re.search(r"[0-9a-f-]{36}", said).group()
        found = self.magnum.cluster(self.uuid)
        self.assertEqual("nova", found["labels"]["availability_zone"])
        self.assertEqual(OLD, found["labels"]["kube_tag"])

    def watch_it_grow(self):
        """The row opens and says how far the cluster is."""
        page = self.page

        def told():
            page.open(CLUSTERS)
            page.until(lambda: page.row(self.name))
            page.click("td.expander span")
            found = page.until(lambda: page.visible("tr.detail-row"))
            # Whether it is ready by now depends on how busy the machine is.
            return re.search(r"Control plane [01]/1 ready", found.text)

        base.until(told, 240, lambda: "the row does not say how far it is")
        page.shot("growing")
        self.reach("CREATE_COMPLETE", nodes="1", version=OLD)
        page.shot("complete")

    def reach(self, status, nodes, version):
        """Load the table until the cluster's row is as wanted."""
        page = self.page

        def look():
            page.open(CLUSTERS)
            row = page.until(lambda: page.row(self.name))
            self.assertNotIn("FAILED", row[4])
            return [row[4], *row[7:9]] == [status, nodes, version]

        base.until(look, 240, lambda: str(page.row(self.name)), 2.0)

    def read_the_details(self):
        page = self.page
        page.open(CLUSTERS)
        page.click("td a", self.name)
        page.until(lambda: page.visible("dt", "API Address"))
        page.shot("details")
        found = page.facts()
        cluster = self.magnum.cluster(self.uuid)
        self.assertEqual(cluster["api_address"], found["API Address"])
        self.assertEqual(OLD, found["Kubernetes Version"])
        self.assertEqual(OLD, found["kube_tag"])
        self.assertEqual("CREATE_COMPLETE", found["Status"])
        self.assert_sentence(found["Status Reason"])
        self.assertIn(found["Node Addresses"], cluster["node_addresses"])

    def take_the_kubeconfig(self):
        page = self.page
        page.open(CLUSTERS)
        page.act(self.name, "Get Cluster Config")
        path = page.until(lambda: next(self.downloads.glob("*config*"), None))
        page.until(lambda: path.exists() and path.read_text().strip())
        config = yaml.safe_load(path.read_text())
        cluster = self.magnum.cluster(self.uuid)
        server = config["clusters"][0]["cluster"]["server"]
        self.assertEqual(cluster["api_address"], server)
        path.unlink()

    def show_the_certificate(self):
        page = self.page
        page.open(CLUSTERS)
        page.act(self.name, "Show Certificate")
        path = page.until(lambda: next(self.downloads.glob("*.pem"), None))
        page.until(lambda: path.exists() and path.read_text().strip())
        shown = self.magnum.get(f"/certificates/{self.uuid}")["pem"]
        self.assertEqual(shown.split(), path.read_text().split())
        path.unlink()

    def sign_a_certificate(self):
        """What comes back is the key of the request, signed by the CA."""
        key = ec.generate_private_key(ec.SECP256R1())
        jane = x509.Name.from_rfc4514_string("CN=jane,O=developers")
        request = x509.CertificateSigningRequestBuilder().subject_name(jane)
        pem = request.sign(key, hashes.SHA256()).public_bytes(PEM)
        page = self.page
        page.open(CLUSTERS)
        page.act(self.name, "Sign Certificate")
        page.fill("public-key", pem.decode())
        page.shot("sign")
        page.click(".modal-content button.btn-primary", "Sign Certificate")
        self.assertIn("successfully signed", page.toast("Certificate"))
        path = page.until(lambda: next(self.downloads.glob("*.pem"), None))
        page.until(lambda: path.exists() and path.read_text().strip())
        signed = x509.load_pem_x509_certificate(path.read_bytes())
        path.unlink()
        ca = self.magnum.get(f"/certificates/{self.uuid}")["pem"].encode()
        signed.verify_directly_issued_by(x509.load_pem_x509_certificate(ca))
        self.assertEqual(jane, signed.subject)
        self.assertEqual(key.public_key(), signed.public_key())

    def resize(self, count):
        page = self.page
        page.open(CLUSTERS)
        page.act(self.name, "Resize Cluster")
        page.fill("node_count", count)
        page.shot("resize")
        page.submit()
        self.assertIn("Cluster is being resized", page.toast("Cluster "))
        self.reach("UPDATE_COMPLETE", nodes=str(count), version=OLD)

    def resize_beside_a_group(self):
        """The form asks for the default group's nodes, not for all."""
        path = f"/clusters/{self.uuid}/nodegroups"
        body = {"name": "extra", "node_count": 1, "flavor_id": FLAVOR}
        answer = self.magnum.call("POST", path, body)
        self.assertEqual(202, answer.status_code, answer.text)
        page = self.page
        self.reach("UPDATE_COMPLETE", nodes="3", version=OLD)
        page.open(CLUSTERS)
        page.act(self.name, "Resize Cluster")
        self.assertEqual("2", page.value("node_count"))
        page.click(".modal-content button", "Cancel")

    def upgrade(self, template, not_offered):
        page = self.page
        page.open(CLUSTERS)
        page.act(self.name, "Rolling Cluster Upgrade")
        page.choose("cluster_template_id", template)
        self.assertNotIn(not_offered, page.offered("cluster_template_id"))
        page.shot("upgrade")
        page.submit()
        self.assertIn("Cluster is being upgraded", page.toast("Cluster "))
        self.reach("UPDATE_COMPLETE", nodes="3", version=NEW)

    def rotate_the_credential(self):
        """Done, and told; the CA's rotation is not offered."""
        page = self.page
        page.open(CLUSTERS)
        self.assertNotIn("Rotate Certificate", page.actions(self.name))
        page.act(self.name, "Rotate Cluster Credentials")
        page.shot("rotate")
        self.assert_no_complaints()
        page.click(
            ".modal-content button.btn-danger", "Rotate Cluster Credentials"
        )
        said = page.toast("Credentials", shot="rotated")
        self.assertIn("Credentials successfully rotated", said)
        self.reach("UPDATE_COMPLETE", nodes="3", version=NEW)

    def delete(self):
        page = self.page
        page.open(CLUSTERS)
        page.act(self.name, "Delete Cluster")
        page.shot("delete")
        page.click(".modal-content button.btn-danger", "Delete Cluster")
        self.assertIn(self.name, page.toast("Deleted"))

        self.magnum.await_gone(self.uuid)
        page.open(CLUSTERS)
        page.until(lambda: not page.row(self.name))

    def delete_a_template(self, name):
        page = self.page
        page.open(TEMPLATES)
        page.act(name, "Delete Cluster Template")
        page.click(".modal-content button.btn-danger", "Delete")
        self.assertIn(name, page.toast("Deleted"))
        page.until(lambda: not page.row(name))


def bring_horizon():
    """Add Horizon to the lab if it is not there."""
    if port.is_open(base.settings().port("horizon")):
        return
    root = pathlib.Path(lab_settings.__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "lab", "up", "--with", "horizon"],
        cwd=root,
        env={
            **os.environ,
            "LAB_ROOT": str(base.ROOT),
            "LAB_PORT_OFFSET": str(base.settings().port_offset),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(done.stderr[-2000:])
