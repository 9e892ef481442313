# SPDX-License-Identifier: Apache-2.0
"""A create from the hook to its end, on the simulated cloud."""

import testtools

from tests.unit.converge import simulation

COMPLETE = simulation.Outcome.COMPLETE
FAILED = simulation.Outcome.FAILED


class TestCreate(testtools.TestCase):
    def test_one_control_plane_and_two_workers(self):
        sim = simulation.Simulation()
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertIn("control plane 1/1 ready", written.reason.lower())
        print(sim.history, sim.cloud.inventory())
