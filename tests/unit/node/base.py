# SPDX-License-Identifier: Apache-2.0
"""Machines that the node program is tried on."""

import json
import tempfile

import testtools

from magnum_k8s_driver.render import node_document
from tests import node_samples
from tests import samples
from tests import shell

CONTROL_PLANE_METADATA = {
    "uuid": "d0000000-0000-4000-8000-00000000000d",
    "name": "prod-7d1b1b8e6a0c-cp-0",
    "meta": {"magnum_member": "0", "magnum_op": "create-1"},
}


class NodeTestCase(testtools.TestCase):
    """Base of tests of phases and tasks."""

    def worker(self, metadata=shell.METADATA, spec=None, **changes):
        """Return a machine with a worker's orders."""
        spec = spec or samples.spec()
        document = node_document.worker_document(
            spec, spec.workers[0], node_samples.worker_values()
        )
        return self._machine(document | changes, metadata)

    def control_plane(
        self, metadata=CONTROL_PLANE_METADATA, spec=None, **changes
    ):
        """Return a machine with a control-plane member's orders."""
        pki = node_samples.full_pki()
        values = node_samples.control_plane_values(
            secrets=node_samples.secrets(pki=pki),
            ca_certificates=(pki["ca.crt"],),
        )
        document = node_document.control_plane_document(
            spec or samples.spec(), values
        )
        return self._machine(document | changes, metadata)

    def _machine(self, document, metadata):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        document = json.loads(json.dumps(document))
        return shell.Machine(directory.name, document, metadata)

    def assert_ok(self, result):
        """Fail with the program's own words."""
        self.assertEqual(0, result.rc, result.err)

    def assert_fails(self, result, words):
        """Check that a phase failed and said why in a sentence."""
        self.assertNotEqual(0, result.rc)
        self.assertIn(words, result.text("/run/magnum/failure"))

    def assert_called(self, result, *call):
        """Check that a stub was called with exactly these arguments."""
        self.assertIn(call, result.calls)
