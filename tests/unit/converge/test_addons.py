# SPDX-License-Identifier: Apache-2.0
"""Add-ons from the first orders to their end, on the simulated cloud."""

import dataclasses

import testtools

from tests.unit.converge import simulation

COMPLETE = simulation.Outcome.COMPLETE
FAILED = simulation.Outcome.FAILED
NO_CHART = "Error: chart not found"
NEW = "v1.37.2"


class TestAddons(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.sim = simulation.Simulation()
        self.nodes = self.sim.cloud.nodes

    def ordered(self):
        """Return add-ons by name as the control plane was told of them."""
        found = self.nodes.ordered[self.sim.spec.uuid]
        return {one.name: one for one in found}

    def says(self, name, state, message=""):
        self.nodes.addons[name] = {"state": state, "message": message}

    def with_labels(self, **labels):
        changed = dataclasses.replace(self.sim.spec.labels, **labels)
        self.sim.spec = dataclasses.replace(self.sim.spec, labels=changed)

    def test_create_brings_the_default_ones(self):
        self.assertEqual(COMPLETE, self.sim.run().outcome)
        self.assertEqual(
            ["access", "cloud-config", "calico", "cloud-controller"]
            + ["cinder-csi", "metrics-server"]
            + ["snapshot-controller", "snapshot-class"],
            [*self.ordered()],
        )

    def test_required_one_is_waited_for(self):
        self.says("calico", "installing", "pulling its image")
        self.assertEqual(FAILED, self.sim.run().outcome)
        self.assertIn(
            "waiting for add-ons calico (pulling its image)",
            self.sim.written.reason,
        )

    def test_required_one_that_fails_ends_a_create(self):
        self.says("calico", "failed", NO_CHART)
        written = self.sim.run()
        self.assertEqual(FAILED, written.outcome)
        self.assertEqual(f"Add-on calico failed: {NO_CHART}.", written.reason)

    def test_optional_one_that_fails_is_told(self):
        self.says("metrics-server", "failed", NO_CHART)
        written = self.sim.run()
        self.assertEqual(COMPLETE, written.outcome)
        self.assertIn(
            f"Add-on metrics-server failed: {NO_CHART}.", written.reason
        )

    def test_resize_tries_again_what_failed_and_nothing_else(self):
        self.says("metrics-server", "failed", NO_CHART)
        self.sim.run()
        before = self.ordered()
        self.nodes.addons.clear()
        self.sim.resize(2)
        written = self.sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertNotIn("failed", written.reason)
        changed = [
            name
            for name, one in self.ordered().items()
            if one.id != before[name].id
        ]
        self.assertEqual(["metrics-server"], changed)

    def test_resize_sends_nothing_when_all_is_well(self):
        self.sim.run()
        before = self.sim.cloud.calls.count("heat", "update")
        self.sim.resize(2)
        self.assertEqual(COMPLETE, self.sim.run().outcome)
        self.assertEqual(before, self.sim.cloud.calls.count("heat", "update"))

    def test_upgrade_removes_what_is_switched_off(self):
        self.sim.run()
        self.with_labels(metrics_server_enabled=False)
        self.sim.upgrade(NEW)
        written = self.sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        found = self.ordered()
        self.assertEqual("metrics-server", next(iter(found)))
        (job,) = found["metrics-server"].objects
        command = job["spec"]["template"]["spec"]["containers"][0]["command"]
        self.assertEqual(["helm", "uninstall"], command[:2])
