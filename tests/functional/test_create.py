# SPDX-License-Identifier: Apache-2.0
"""A cluster as its user lives through it, and what it can be used for."""

import datetime
import json
import pathlib
import ssl
import subprocess
import tempfile
import time
from urllib import request

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import oid
import yaml

from tests.functional import base

HORIZON = {
    "availability_zone": "nova",
    "auto_scaling_enabled": "False",
    "auto_healing_enabled": "False",
    "master_lb_floating_ip_enabled": "True",
    "api_master_lb_allowed_cidrs": "192.0.2.0/24,127.0.0.0/8",
    "kube_tag": "v1.36.4",
}
"""Labels as magnum-ui sends them: all texts, names in lower case."""


class CreateTest(base.LabTest):
    """One control plane and two workers, the way Horizon asks for them.

    Then what a user does with the finished cluster.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.uuid = cls.make_cluster(
            cls.make_template(floating_ip_enabled=True),
            node_count=2,
            labels=HORIZON,
            discovery_url="",
            master_flavor_id=base.MASTER_FLAVOR,
        )
        cls.seen = cls.watch()
        cls.cluster = cls.magnum.cluster(cls.uuid)

    @classmethod
    def watch(cls):
        """Return each status and reason there was until it is over."""
        seen = []
        end = time.monotonic() + base.CREATE_SECONDS
        while time.monotonic() < end:
            found = cls.magnum.cluster(cls.uuid)
            if found:
                pair = found["status"], found["status_reason"]
                if pair not in seen:
                    seen.append(pair)
                if not found["status"].endswith("IN_PROGRESS"):
                    return seen
            time.sleep(0.5)
        raise AssertionError(f"not within {base.CREATE_SECONDS} s: {seen}")

    def test_reasons_are_sentences_at_every_moment(self):
        self.assertEqual("CREATE_COMPLETE", self.seen[-1][0], self.seen)
        told = [reason for _status, reason in self.seen]
        while told and told[0] is None:
            # Magnum itself, before it calls the driver.
            told.pop(0)
        self.assertGreater(len(told), 2, self.seen)
        for reason in told:
            self.assert_sentence(reason)

    def test_cluster_tells_all_its_fields(self):
        cluster = self.cluster
        self.assertRegex(cluster["api_address"], r"^https://127\..*:6443$")
        self.assertEqual(2, len(cluster["node_addresses"]), cluster)
        self.assertEqual(1, len(cluster["master_addresses"]), cluster)
        self.assertEqual(base.VERSION, cluster["coe_version"])
        self.assertIsNotNone(cluster["stack_id"])

    def test_addresses_are_those_of_the_servers(self):
        floating = {
            one.floating_ip_address
            for one in self.demo.network.ips()
            if one.fixed_ip_address
        }
        self.assertLessEqual({*self.cluster["node_addresses"]}, floating)
        self.assertLessEqual({*self.cluster["master_addresses"]}, floating)
        self.assertIn(
            self.cluster["master_addresses"][0], self.cluster["api_address"]
        )

    def test_becomes_healthy(self):
        found = {}

        def healthy():
            found.update(self.magnum.cluster(self.uuid))
            return found["health_status"] == "HEALTHY"

        base.until(healthy, base.HEALTH_SECONDS, lambda: str(found))
        self.assertEqual("ok", found["health_status_reason"]["api"])

    def test_node_groups_have_state_of_their_own(self):
        groups = self.magnum.groups(self.uuid)
        for one in groups.values():
            self.assertEqual("CREATE_COMPLETE", one["status"], one)
            self.assertEqual(base.VERSION, one["version"], one)
        master, worker = groups["default-master"], groups["default-worker"]
        self.assertEqual(self.cluster["stack_id"], master["stack_id"])
        self.assertNotEqual(self.cluster["stack_id"], worker["stack_id"])
        self.assertEqual(2, len(worker["node_addresses"]))

    def test_autoscaler_finds_members(self):
        # cluster-autoscaler's provider magnum looks for these names.
        worker = self.magnum.groups(self.uuid)["default-worker"]
        resources = {
            one["resource_name"]: one
            for one in base.stack_resources(self.demo, worker["stack_id"])
        }
        nested = resources["kube_minions"]["physical_resource_id"]
        members = base.outputs(base.stack(self.demo, nested))["refs_map"]
        servers = {
            one.id
            for one in self.demo.compute.servers()
            if one.metadata.get("magnum_cluster") == self.uuid
            and one.metadata.get("magnum_nodegroup") == "default-worker"
        }
        self.assertEqual(servers, set(members.values()))
        self.assertEqual(2, len(members))

    def test_labels_of_horizon_work(self):
        kept = self.cluster["labels"]
        self.assertEqual("True", kept["master_lb_floating_ip_enabled"])
        name = f"{base.prefix(self.cluster)}-api"
        group = self.demo.network.find_security_group(name)
        allowed = {
            rule["remote_ip_prefix"]
            for rule in group.security_group_rules
            if rule["direction"] == "ingress"
        }
        self.assertLessEqual({"192.0.2.0/24", "127.0.0.0/8"}, allowed)
        self.assertNotIn("0.0.0.0/0", allowed)
        for server in self.demo.compute.servers():
            if server.metadata.get("magnum_cluster") == self.uuid:
                self.assertEqual("nova", server.availability_zone)

    def test_user_data_are_dropped_from_heat(self):
        left = base.sql(
            "heat",
            "SELECT name FROM software_config WHERE name LIKE %s",
            f"{base.prefix(self.cluster)}-%",
        )
        self.assertEqual([], left)

    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.home = pathlib.Path(directory.name)

    def run_client(self, *arguments):
        answer = base.command(*arguments, cwd=self.home)
        self.assertEqual(0, answer.code, answer.err)
        return answer.out

    def shown_ca(self):
        text = self.run_client("coe", "ca", "show", self.uuid)
        return x509.load_pem_x509_certificate(text.encode())

    def assert_signed(self, ca, certificate):
        certificate.verify_directly_issued_by(ca)
        now = datetime.datetime.now(datetime.UTC)
        self.assertLess(certificate.not_valid_before_utc, now)
        self.assertGreater(certificate.not_valid_after_utc, now)

    def test_kubeconfig(self):
        self.run_client(
            "coe", "cluster", "config", self.uuid, "--dir", str(self.home),
            "--output-certs", "--force",
        )  # fmt: skip
        config = yaml.safe_load((self.home / "config").read_text())
        server = config["clusters"][0]["cluster"]["server"]
        self.assertEqual(self.cluster["api_address"], server)
        paths = {name: self.home / f"{name}.pem" for name in ("ca", "cert")}
        paths["key"] = self.home / "key.pem"
        ca, certificate = (
            x509.load_pem_x509_certificate(paths[one].read_bytes())
            for one in ("ca", "cert")
        )
        self.assert_signed(ca, certificate)
        key = serialization.load_pem_private_key(
            paths["key"].read_bytes(), None
        )
        self.assertEqual(key.public_key(), certificate.public_key())
        verified = subprocess.run(
            ["openssl", "verify", "-CAfile", paths["ca"], paths["cert"]],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(0, verified.returncode, verified.stderr)
        self.assert_usable(server, paths)

    def assert_usable(self, server, paths):
        context = ssl.create_default_context(cafile=str(paths["ca"]))
        context.load_cert_chain(paths["cert"], paths["key"])

        def get(path):
            url = f"{server}{path}"
            return request.urlopen(url, context=context, timeout=10).read()

        self.assertEqual(b"ok", get("/readyz"))
        nodes = json.loads(get("/api/v1/nodes"))["items"]
        prefix = base.prefix(self.cluster)
        # What follows is the name of the member within its group.
        found = [one["metadata"]["name"].rsplit("-", 1)[0] for one in nodes]
        wanted = [f"{prefix}-cp", f"{prefix}-worker", f"{prefix}-worker"]
        self.assertEqual(wanted, sorted(found))

    def test_ca_signs(self):
        ca = self.shown_ca()
        basic = ca.extensions.get_extension_for_class(x509.BasicConstraints)
        self.assertTrue(basic.value.ca)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name(
            [
                x509.NameAttribute(oid.NameOID.COMMON_NAME, "admin"),
                x509.NameAttribute(
                    oid.NameOID.ORGANIZATION_NAME, "system:masters"
                ),
            ]
        )
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
        wanted = builder.sign(key, hashes.SHA256())
        path = self.home / "client.csr"
        path.write_bytes(wanted.public_bytes(serialization.Encoding.PEM))
        text = self.run_client("coe", "ca", "sign", self.uuid, str(path))
        certificate = x509.load_pem_x509_certificate(text.encode())
        self.assert_signed(ca, certificate)
        self.assertEqual(subject, certificate.subject)
        self.assertEqual(key.public_key(), certificate.public_key())

    def test_nodes_trust_the_shown_ca(self):
        host, port = self.cluster["api_address"][len("https://") :].split(":")
        shown = self.shown_ca().public_bytes(serialization.Encoding.PEM)
        served = ssl.get_server_certificate((host, int(port)))
        certificate = x509.load_pem_x509_certificate(served.encode())
        self.assert_signed(x509.load_pem_x509_certificate(shown), certificate)
