# SPDX-License-Identifier: Apache-2.0
"""Secrets that are found again, in each of Magnum's stores."""

import contextlib
from unittest import mock

import fixtures
from magnum.common import cert_manager as store_module
from magnum.common import context as magnum_context
import magnum.conf
from magnum import objects
from oslo_config import fixture as config_fixture
import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import magnum_certificates
from magnum_k8s_driver.ports import rest
from tests.unit.ports import http

UUID = "5d12f6fd-a196-4bf0-ae4c-1f639a523a52"
MARK = f"magnum-k8s-driver:{UUID}"


class Cluster:
    uuid = UUID
    name = "prod"
    project_id = "p"
    ca_cert_ref = None
    etcd_ca_cert_ref = None
    front_proxy_ca_cert_ref = None


class CertificatesTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.config = self.useFixture(config_fixture.Config(magnum.conf.CONF))
        self.useFixture(
            fixtures.MonkeyPatch(
                "magnum.common.cert_manager._CERT_MANAGER_PLUGIN", None
            )
        )
        self.cluster = Cluster()
        self.context = magnum_context.make_admin_context(all_tenants=True)

    def port(self, kind):
        self.config.config(group="certificates", cert_manager_type=kind)
        return magnum_certificates.MagnumCertificates(
            self.cluster, self.context
        )

    def test_unknown_store(self):
        self.assertRaises(exceptions.CloudError, self.port, "other")

    def test_cluster_without_authorities(self):
        port = self.port("local")
        error = self.assertRaises(exceptions.CloudError, port.authorities)
        self.assertIn("has no kubernetes CA", str(error))

    def test_local(self):
        path = self.useFixture(fixtures.TempDir()).path
        self.config.config(group="certificates", storage_path=path)
        port = self.port("local")
        self.assertIsNone(port.find_secret())
        reference = port.store_secret("text")
        self.assertEqual(reference, port.find_secret())
        self.assertEqual("text", port.read_secret(reference))
        port.delete_secrets()
        port.delete_secrets()
        self.assertIsNone(port.find_secret())
        self.cluster.etcd_ca_cert_ref = reference
        port.delete_extra_authorities()

    def test_unused(self):
        path = self.useFixture(fixtures.TempDir()).path
        self.config.config(group="certificates", storage_path=path)
        port = self.port("local")
        own, other = port.store_secret("own"), port.store_secret("other")
        self.cluster.etcd_ca_cert_ref = own
        for reference in (own, other, other):
            port.discard_unused({"etcd_ca_cert_ref": reference})
        self.assertEqual("own", port.read_secret(own))
        self.assertRaises(exceptions.CloudError, port.read_secret, other)

    def test_local_needs_its_directory(self):
        self.config.config(group="certificates", storage_path="/no/such")
        port = self.port("local")
        self.assertRaises(exceptions.CloudUnavailable, port.find_secret)

    def test_rows_of_magnum(self):
        rows = []
        listing = mock.patch.object(
            objects.X509KeyPair,
            "list",
            autospec=True,
            side_effect=lambda *a, **k: rows,
        )

        def create(row):
            row.id, row.uuid = len(rows) + 1, f"{len(rows):032x}"
            rows.insert(0, row)

        def destroy(row):
            rows.remove(row)

        creating = mock.patch.object(
            objects.X509KeyPair, "create", autospec=True, side_effect=create
        )
        destroying = mock.patch.object(
            objects.X509KeyPair, "destroy", autospec=True, side_effect=destroy
        )
        with listing, creating, destroying:
            port = self.port("x509keypair")
            first = port.store_secret("one")
            port.store_secret("two")
            rows.append(objects.X509KeyPair(certificate="PEM"))
            # Two conductors, one secret: the oldest.
            self.assertEqual(first, port.find_secret())
            self.assertEqual("p", rows[0].project_id)
            newest = port.store_secret("three")
            port.keep_secret(newest)
            self.assertEqual(newest, port.find_secret())
            port.delete_secrets()
        self.assertEqual(["PEM"], [row.certificate for row in rows])

    def barbican(self):
        answers = http.Answers()
        port = self.port("barbican")

        @contextlib.contextmanager
        def opened():
            yield rest.Rest(http.Connection(answers), "key_manager")

        self.useFixture(
            fixtures.MonkeyPatch(
                "magnum_k8s_driver.ports.barbican_store.BarbicanStore"
                "._barbican",
                lambda store: opened(),
            )
        )
        return answers, port

    def test_barbican(self):
        answers, port = self.barbican()
        url = "http://b/v1"
        answers.add("POST", "/secrets", 201, {"secret_ref": f"{url}/s/1"})
        answers.add("POST", "/secrets", 201, {"secret_ref": f"{url}/s/2"})
        made = {"container_ref": f"{url}/containers/c"}
        answers.add("POST", "/containers", 201, made)
        self.assertEqual(f"{url}/containers/c", port.store_secret("text"))
        names = {b["name"] for m, _p, b in answers.sent if m == "POST"}
        self.assertEqual({MARK}, names)
        container = {**made, "name": MARK, "created": "2"}
        older = {"container_ref": "o", "name": MARK, "created": "1"}
        answers.add(
            "GET", "/containers", 200, {"containers": [container, older]}
        )
        self.assertEqual("o", port.find_secret())
        secret = {"secret_ref": f"{url}/secrets/s", "name": MARK}
        answers.add("GET", "/secrets", 200, {"secrets": [secret]})
        for path in ("/containers/c", "/containers/o", "/secrets/s"):
            answers.add("DELETE", path, 404)
        port.delete_secrets()
        self.assertEqual(3, len(answers.calls("DELETE")))

    def test_barbican_keeps_one(self):
        """The container named is spared, and the secrets it refers to."""
        answers, port = self.barbican()
        listed = {
            f"{kind}s": [
                {f"{kind}_ref": f"h/{kind}s/{one}", "name": MARK}
                for one in ("old", "kept")
            ]
            for kind in ("container", "secret")
        }
        for one in listed["containers"]:
            name = one["container_ref"].rpartition("/")[2]
            one["secret_refs"] = [{"secret_ref": f"h/secrets/{name}"}]
        answers.add("GET", "/containers", 200, listed)
        answers.add("GET", "/secrets", 200, listed)
        answers.add("DELETE", "/containers/old", 204)
        answers.add("DELETE", "/secrets/old", 204)
        port.keep_secret("h/containers/kept")
        self.assertEqual(
            [("DELETE", "/containers/old"), ("DELETE", "/secrets/old")],
            answers.calls("DELETE"),
        )

    def test_absent_authorities_are_fine(self):
        port = self.port("barbican")
        self.cluster.etcd_ca_cert_ref = "http://b/v1/containers/c"
        error = RuntimeError("gone")
        error.status_code = 404
        backend = store_module.get_backend().CertManager
        with mock.patch.object(
            backend, "delete_cert", autospec=True, side_effect=error
        ) as delete:
            port.delete_extra_authorities()
            self.assertEqual(1, delete.call_count)
            error.status_code = 503
            self.assertRaises(
                exceptions.CloudUnavailable, port.delete_extra_authorities
            )
