# SPDX-License-Identifier: Apache-2.0
"""An API of a cluster that may answer anything."""

import contextlib
import datetime
import http.server
import ipaddress
import json
import pathlib
import socket
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
import fixtures
import testtools

from magnum_k8s_driver.ports import kubernetes

SINCE = "2026-11-22T18:30:00Z"


def pem(*parts):
    return b"".join(
        one.public_bytes(serialization.Encoding.PEM)
        if isinstance(one, x509.Certificate)
        else one.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        for one in parts
    )


def certificate(name, days, issuer=None):
    """Return key and certificate; one that is its own issuer is a CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer_key, issuer_name = key, subject
    if issuer:
        issuer_key, issuer_name = issuer[0], issuer[1].subject
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(
            x509.BasicConstraints(ca=issuer is None, path_length=None),
            critical=True,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return key, made


def node(name, status="True", **condition):
    ready = {"type": "Ready", "status": status, "reason": "KubeletReady"}
    return {
        "metadata": {"name": name},
        "status": {"conditions": [{"type": "Other"}, {**ready, **condition}]},
    }


class ApiTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.ca = certificate("ca", 1000)
        self.answers = {
            "/readyz": (200, b"ok"),
            "/api/v1/nodes": (200, b'{"items": []}'),
        }
        self.asked = []

    def serve(self, days=90.5):
        """Serve ``answers``; a function among them gets the handler."""
        test = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                test.asked.append(self.path)
                answer = test.answers[self.path]
                if callable(answer):
                    with contextlib.suppress(OSError):
                        answer(self)
                    return
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(answer[1])))
                if answer[0] == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(answer[1])

            def log_message(self, *_arguments):
                pass

        key, made = certificate("api", days, self.ca)
        file = self.write("server.pem", pem(key, made, self.ca[1]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_arguments: None
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"https://127.0.0.1:{server.server_port}"

    def write(self, name, content):
        path = self.directory / name
        path.write_bytes(content)
        return str(path)

    def ask(self, address, timeout=5.0):
        key, made = certificate("client", 400, self.ca)
        return kubernetes.ApiServer(
            address,
            ca_file=self.write("ca.crt", pem(self.ca[1])),
            certificate_file=self.write("client.crt", pem(made)),
            key_file=self.write("client.key", pem(key)),
            timeout=timeout,
        ).health()

    def list_nodes(self, *nodes):
        body = json.dumps({"items": nodes}).encode()
        self.answers["/api/v1/nodes"] = (200, body)

    def test_nodes_and_certificate(self):
        self.list_nodes(
            node("a"),
            node(
                "b",
                "Unknown",
                reason="NodeStatusUnknown",
                message="Kubelet stopped\nposting node status.",
                lastTransitionTime=SINCE,
            ),
            {"metadata": {"name": "c"}, "status": {}},
        )
        found = self.ask(self.serve())
        self.assertEqual("ok", found.api)
        self.assertEqual(
            {
                "a": kubernetes.NodeHealth(ready=True),
                "b": kubernetes.NodeHealth(
                    ready=False,
                    reason="NodeStatusUnknown: Kubelet stopped posting "
                    "node status",
                    since=datetime.datetime.fromisoformat(SINCE).timestamp(),
                ),
                "c": kubernetes.NodeHealth(ready=False),
            },
            found.nodes,
        )
        days = (found.certificate_expires - time.time()) / 86400
        self.assertAlmostEqual(90.5, days, delta=0.01)

    def test_what_is_no_list_of_nodes(self):
        address = self.serve()
        for body in (b"", b"[]", b"{", b'{"items": [{}]}', b"[" * 100_000):
            self.answers["/api/v1/nodes"] = (200, body)
            found = self.ask(address)
            self.assertEqual("it does not list its nodes", found.api)
            self.assertEqual({}, found.nodes)

    def test_refusals(self):
        self.answers["/api/v1/nodes"] = (403, b"forbidden")
        found = self.ask(self.serve())
        self.assertEqual("HTTP 403 when asked for its nodes", found.api)
        self.answers["/readyz"] = (500, b"etcd failed")
        self.assertEqual("HTTP 500", self.ask(self.serve()).api)

    def test_redirects_lead_nowhere(self):
        """The conductor must not call what a tenant's API names."""
        self.answers["/readyz"] = (302, b"")
        self.answers["/api/v1/nodes"] = (302, b"")
        self.assertEqual("HTTP 302", self.ask(self.serve()).api)
        self.assertEqual(["/readyz", "/api/v1/nodes"], self.asked)

    def test_expired_certificate_is_told(self):
        found = self.ask(self.serve(days=-1))
        self.assertEqual("its certificate has expired", found.api)
        self.assertEqual({}, found.nodes)

    def test_somebody_else_at_that_address(self):
        """A private address may mean another machine to the conductor."""
        for days in (90, -1):
            address = self.serve(days)
            ca, self.ca = self.ca, certificate("ca", 1000)
            refusal = self.assertRaises(
                kubernetes.ClusterUnreachable, self.ask, address
            )
            self.assertIn("who answers is not it", str(refusal))
            self.ca = ca

    def test_answers_without_end(self):
        def dribble(handler):
            handler.send_response(200)
            handler.end_headers()
            while True:
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.05)

        self.answers["/readyz"] = dribble
        address, began = self.serve(), time.monotonic()
        self.assertRaises(
            kubernetes.ClusterUnreachable, self.ask, address, 0.2
        )
        self.assertLess(time.monotonic() - began, 5)

    def test_silence(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"https://127.0.0.1:{server.getsockname()[1]}"
            began = time.monotonic()
            self.assertRaises(
                kubernetes.ClusterUnreachable, self.ask, address, 0.3
            )
            self.assertLess(time.monotonic() - began, 5)
        self.assertRaises(
            kubernetes.ClusterUnreachable, self.ask, address, 0.3
        )

    def test_end_of_a_certificate(self):
        _key, made = certificate("client", 10.5, self.ca)
        end = kubernetes.certificate_expires(pem(made).decode())
        self.assertAlmostEqual(10.5, (end - time.time()) / 86400, delta=0.01)
        self.assertRaises(ValueError, kubernetes.certificate_expires, "none")
