# SPDX-License-Identifier: Apache-2.0
"""CAs are exchanged while a client asks the API all the time."""

import pathlib
import tempfile
import threading
import time

import requests

from tests.functional import base
from tests.functional import changes

PATIENCE = 1200


class Poller(threading.Thread):
    """Asks for the version every second, trusting some CAs."""

    def __init__(self, url, bundle):
        super().__init__(daemon=True)
        self._url, self._bundle = url, bundle
        self._end = threading.Event()
        self.asked, self.failed = 0, []

    def run(self):
        while not self._end.wait(0.5):
            self.asked += 1
            try:
                requests.get(
                    f"{self._url}/version", verify=self._bundle, timeout=5
                ).raise_for_status()
            except requests.RequestException as exc:
                self.failed.append(str(exc))

    def finish(self):
        """Stop asking."""
        self._end.set()
        self.join()


class RotationTest(changes.ChangedClusterTest):
    """A cluster of three control planes whose CAs are rotated."""

    @classmethod
    def setUpClass(cls):
        base.needs_time()
        super().setUpClass()
        cls.template = cls.make_template(
            master_lb_enabled=True,
            # On loopback, where a hollow API answers.
            labels={"master_lb_floating_ip_enabled": "true"},
        )
        cls.uuid = cls.make_cluster(cls.template, node_count=2, master_count=3)
        cls.magnum.await_status(cls.uuid, "CREATE_COMPLETE")

    def authority(self):
        """Return the CA that Magnum hands out."""
        return self.magnum.get(f"/certificates/{self.uuid}")["pem"]

    def config(self):
        """Return what `openstack coe cluster config` writes."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        done = base.command(
            *("coe", "cluster", "config", self.uuid, "--output-certs"),
            *("--dir", directory.name),
        )
        self.assertEqual(0, done.code, done.err)
        return pathlib.Path(directory.name)

    def test_the_ca_is_rotated(self):
        old, servers = self.authority(), self.servers()
        url = self.magnum.cluster(self.uuid)["api_address"]
        before = self.config()
        bundle = before / "bundle.pem"
        bundle.write_text(old)
        response = self.magnum.call("PATCH", f"/certificates/{self.uuid}")
        self.assertEqual(202, response.status_code, response.text)
        self.assertEqual(old, self.authority())
        poller, told, end = None, set(), time.monotonic() + PATIENCE
        self.addCleanup(lambda: poller and poller.finish())
        while True:
            cluster = self.magnum.cluster(self.uuid)
            told.add(cluster["status_reason"])
            if poller is None and self.trusted():
                # Both, as nodes have them from now on.
                bundle.write_text("".join(self.trusted()))
                poller = Poller(url, str(bundle))
                poller.start()
            if cluster["status"] != "UPDATE_IN_PROGRESS":
                break
            self.assertLess(time.monotonic(), end, told)
            time.sleep(2)
        self.assertEqual("UPDATE_COMPLETE", cluster["status"], told)
        self.assertEqual([], poller.failed)
        self.assertGreater(poller.asked, 100)
        self.assertNotEqual(old, self.authority())
        self.assertEqual(servers, self.servers())
        words = " ".join(filter(None, told))
        self.assertIn("rusting the new CA beside the old one", words)
        self.assertIn("e-issuing certificates: control plane", words)
        after = self.config()
        self.assertEqual(200, self.ask(url, after, after))
        # Whoever has the old CA is neither believed nor heard.
        for trusting, showing in ((before, after), (after, before)):
            self.assertRaises(
                requests.RequestException, self.ask, url, trusting, showing
            )
        events = [one["event"] for one in self.hollow()["events"]]
        self.assertEqual([], [one for one in events if "lost" in one])
        for phase in ("trust", "issue", "retire"):
            followed = [o for o in events if o.startswith(f"followed-{phase}")]
            self.assertEqual(2, len(followed), events)

    def trusted(self):
        """Return the CAs of a worker once there are two."""
        nodes = self.hollow()["nodes"].values()
        found = [one.get("trusted") or [] for one in nodes]
        return next((one for one in found if len(one) == 2), [])

    def ask(self, url, trusting, showing):
        """Ask for the nodes; return the status code."""
        return requests.get(
            f"{url}/api/v1/nodes",
            verify=str(trusting / "ca.pem"),
            cert=(str(showing / "cert.pem"), str(showing / "key.pem")),
            timeout=10,
        ).status_code
