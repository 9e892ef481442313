# SPDX-License-Identifier: Apache-2.0
"""Unusual waits are looked into and explained."""

import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import evidence
from magnum_k8s_driver.model import record
from tests.unit.converge import simulation


class EvidenceTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.sim = simulation.Simulation()
        self.calls = self.sim.cloud.calls

    def silence(self, pattern, console):
        self.sim.cloud.nodes.behave(pattern, silent=True)
        self.sim.converge()
        for _tick in range(20):
            self.sim.cloud.tick(10)
            self.sim.converge()
        server = self.sim.cloud.compute.named(pattern)
        self.sim.cloud.compute.by_id[server.id].console = console

    def run_for(self, seconds):
        for _tick in range(seconds // 10):
            self.sim.converge()
            self.sim.cloud.tick(10)
        return self.sim.converge()

    def consoles(self):
        """Return what was looked for; the whole log is read for a seal."""
        return [
            one
            for one in self.calls.log
            if one.method == "console" and evidence.CONSOLE_LINES in one.args
        ]

    def test_silent_worker(self):
        self.silence("*-worker-0", "Kernel panic - not syncing: no init\n")
        self.assertEqual([], self.consoles(), "not before it is unusual")
        written = self.run_for(300)
        self.assertIs(record.Outcome.IN_PROGRESS, written.outcome)
        self.assertIn("worker-0: its kernel panicked: no init", written.reason)
        self.assertGreater(len(self.consoles()), 0)
        written = self.sim.run()
        self.assertIs(record.Outcome.FAILED, written.outcome)
        self.assertRegex(
            written.reason,
            r"Not ready after 60 minutes: .* Node \S+-worker-0 failed: its "
            r"kernel panicked: no init\. Try the image",
        )

    def test_silent_control_plane_without_console(self):
        self.silence("*-cp-0", "")
        self.calls.fail_next(
            "compute",
            "console",
            exceptions.CloudError("compute", "no", status=500),
            times=1000,
        )
        written = self.sim.run()
        self.assertIs(record.Outcome.FAILED, written.outcome)
        self.assertIn("has not reported for 6", written.reason)
        self.assertIn("console is empty or cannot be read", written.reason)

    def test_finished_clusters_are_left_alone(self):
        self.sim.run()
        self.assertEqual([], self.consoles())

    def test_what_heat_waits_for(self):
        prefix = self.sim.record().prefix
        self.sim.cloud.heat.hanging.add(f"{prefix}/router")
        written = self.run_for(200)
        self.assertNotIn("Heat waits for", written.reason)
        written = self.run_for(200)
        self.assertIn("Heat waits for OS::Neutron::Router", written.reason)
        written = self.sim.run()
        self.assertIs(record.Outcome.FAILED, written.outcome)
