# SPDX-License-Identifier: Apache-2.0
"""Worker groups that are shared out among several stacks."""

import testtools

from magnum_k8s_driver.model import record
from tests.unit.converge import simulation
from tests.unit.converge import test_create

COMPLETE = simulation.Outcome.COMPLETE
FAILED = simulation.Outcome.FAILED
STACKS = ("", "-part1", "-part2")


def new(workers=5, limit=2):
    return simulation.Simulation().with_count(workers).with_stacks_of(limit)


def running(*args):
    sim = new(*args)
    sim.run()
    sim.intent = record.Intent.NOTHING
    return sim


class TestParts(testtools.TestCase):
    def assert_complete(self, sim):
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)

    def stacks(self, sim):
        """Return the members of each worker stack."""
        prefix = f"{sim.record().prefix}-worker"
        return {
            one.name.removeprefix(prefix): {
                name
                for name in one.root.resources["kube_minions"].nested.resources
                if name.isdigit()
            }
            for one in sim.cloud.heat.live()
            if one.name.startswith(prefix)
        }

    def touched(self, sim):
        """Return worker stacks that the changes since concern."""
        found = {
            sim.cloud.heat.stacks[stack_id].name
            for stack_id, _parameters in sim.cloud.heat.accepted
        }
        sim.cloud.heat.accepted.clear()
        prefix = f"{sim.record().prefix}-worker"
        return {
            name.removeprefix(prefix)
            for name in found
            if name.startswith(prefix)
        }

    def test_create(self):
        sim = new()
        self.assert_complete(sim)
        self.assertEqual(
            dict(zip(STACKS, ({"0", "1"}, {"2", "3"}, {"4"}), strict=True)),
            self.stacks(sim),
        )
        groups = {
            one.parameters["shared_server_group"]
            for one in sim.cloud.heat.live()
            if "-part" in one.name
        }
        anchor = sim.cloud.heat.named("*-worker")
        made = anchor.root.resources["server_group"].physical_id
        self.assertEqual({made}, groups)
        self.assertEqual([], sim.cloud.inventory("config *"))

    def test_magnum_is_told_of_the_anchor(self):
        sim = new()
        self.assert_complete(sim)
        [group] = [one.uuid for one in sim.spec.workers]
        anchor = sim.cloud.heat.named("*-worker").id
        self.assertEqual(anchor, sim.written.groups[group].stack_id)
        self.assertEqual(5, len(sim.written.groups[group].node_addresses))

    def test_one_more_concerns_the_smallest_only(self):
        sim = running()
        before = sim.servers()
        sim.cloud.heat.accepted.clear()
        sim.resize(6)
        self.assert_complete(sim)
        self.assertEqual({"-part2"}, self.touched(sim))
        sim.resize(7)
        self.assert_complete(sim)
        self.assertEqual({"-part3"}, self.touched(sim))
        after = sim.servers()
        self.assertEqual(before, {name: after[name] for name in before})

    def test_replacing_one_concerns_its_stack_only(self):
        sim = running()
        sim.cloud.heat.accepted.clear()
        sim.resize(5, "0")
        self.assert_complete(sim)
        self.assertEqual({"", "-part2"}, self.touched(sim))
        self.assertEqual(
            {"worker-1", "worker-2", "worker-3", "worker-4", "worker-5"},
            set(sim.servers()) - {"cp-0"},
        )

    def test_no_name_is_used_again(self):
        sim = running()
        for count in (1, 0, 3):
            sim.resize(count)
            self.assert_complete(sim)
        workers = {name for name in sim.servers() if "worker" in name}
        self.assertEqual({"worker-5", "worker-6", "worker-7"}, workers)

    def test_a_larger_limit_counts_for_new_members(self):
        sim = running().with_stacks_of(0)
        sim.resize(9)
        self.assert_complete(sim)
        self.assertEqual(
            [2, 2, 5], sorted(map(len, self.stacks(sim).values()))
        )

    def test_one_that_fails(self):
        sim = running()
        sim.cloud.heat.fail("*-part2/kube_minions/5", "no valid host")
        sim.resize(6)
        written = sim.run()
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("no valid host", written.reason)
        sim.cloud.heat.accepted.clear()
        sim.resize(6)
        self.assert_complete(sim)
        self.assertEqual({"-part2"}, self.touched(sim))

    def test_without_its_anchor(self):
        sim = running()
        sim.cloud.heat.delete(sim.cloud.heat.named("*-worker").id)
        sim.cloud.tick(60)
        sim.resize(7)
        self.assert_complete(sim)
        self.assertEqual(8, len(sim.servers()))
        sim.delete()
        self.assert_complete(sim)
        self.assertEqual([], sim.cloud.inventory())


class TestKilled(test_create.TestKilled):
    """A conductor killed at any call: the next one ends it right."""

    # Random operations have groups of several stacks, too.
    test_many_kills = None
    test_delete_overtakes_create_at_every_call = None

    def assert_one_of_each(self, sim):
        inventory = sim.cloud.inventory()
        self.assertEqual(sorted(set(inventory)), sorted(inventory))
        self.assertEqual(4, len(sim.cloud.inventory("stack *")))
        self.assertEqual(6, len(sim.cloud.inventory("server *")))
        self.assertEqual([], sim.cloud.inventory("config *"))

    @staticmethod
    def simulation():
        return new()
