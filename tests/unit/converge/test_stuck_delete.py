# SPDX-License-Identifier: Apache-2.0
"""A port that Heat does not know keeps it from deleting the network."""

import testtools

from magnum_k8s_driver.model import record
from tests.unit.converge import simulation


class StuckDeleteTest(testtools.TestCase):
    def test_what_is_in_the_way_goes_before_the_next_try(self):
        sim = simulation.Simulation()
        sim.run()
        sim.cloud.leftovers.add(sim.spec.uuid, "port", "stray")
        prefix = sim.record().prefix
        sim.cloud.heat.fail(f"{prefix}/subnet", "a port is in use")
        sim.delete()
        self.assertEqual(record.Outcome.COMPLETE, sim.run().outcome)
        self.assertEqual([], sim.cloud.inventory())
        methods = [
            call.method
            for call in sim.cloud.calls.log
            if call.method in ("remove", "delete")
        ]
        # The workers, the cluster stack in vain, the port, the stack again.
        self.assertEqual(["delete", "delete", "remove", "delete"], methods)

    def test_who_asks_again_wakes_a_delete_that_died_with_its_engine(self):
        sim = simulation.Simulation()
        sim.run()
        sim.delete()
        sim.converge(asked=True)
        for stack in sim.cloud.heat.live():
            stack.abandoned = True
        self.assertEqual(record.Outcome.FAILED, sim.run().outcome)
        self.assertIn("Delete the cluster again", sim.written.reason)
        self.assertNotEqual([], sim.cloud.heat.live())
        sim.delete()
        sim.converge(asked=True)
        self.assertEqual(record.Outcome.COMPLETE, sim.run().outcome)
        self.assertEqual([], sim.cloud.inventory())
