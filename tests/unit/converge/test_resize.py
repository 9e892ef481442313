# SPDX-License-Identifier: Apache-2.0
"""Resizing worker groups on the simulated cloud."""

import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import record
from tests.unit.converge import simulation

COMPLETE = simulation.Outcome.COMPLETE
FAILED = simulation.Outcome.FAILED


def running(**changes):
    sim = simulation.Simulation(**changes)
    sim.run()
    sim.intent = record.Intent.NOTHING
    return sim


def sim_loses(sim, name):
    del sim.cloud.compute.by_id[sim.servers()[name]]


def sim_breaks(sim, name):
    sim.cloud.compute.break_(f"*-{name}")


class TestResize(testtools.TestCase):
    def assert_done(self, sim, *names):
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual({"cp-0", *names}, set(sim.servers()))

    def test_up(self):
        sim = running()
        before = sim.servers()
        sim.resize(4)
        self.assert_done(sim, "worker-0", "worker-1", "worker-2", "worker-3")
        after = sim.servers()
        self.assertEqual(before, {name: after[name] for name in before})
        self.assertEqual([], sim.cloud.inventory("config *"))

    def test_down_takes_the_newest_and_drains_it(self):
        sim = running()
        sim.resize(1)
        sim.cloud.tick(10)
        self.assertIn("worker-1", sim.servers())
        metadata = sim.cloud.nodes.named("*-worker-1").metadata
        self.assertEqual("1", metadata["magnum_drain"])
        self.assert_done(sim, "worker-0")

    def test_down_prefers_the_one_that_does_not_work(self):
        sim = running()
        sim.cloud.nodes.behave("*-worker-0", unready="KubeletStopped")
        sim.cloud.tick(30)
        sim.resize(1)
        self.assert_done(sim, "worker-1")

    def test_named_nodes_go(self):
        for pick in (
            lambda sim: sim.servers()["worker-0"],
            lambda sim: "0",
            lambda sim: f"{sim.record().prefix}-worker-0",
        ):
            sim = running()
            sim.resize(1, pick(sim))
            self.assert_done(sim, "worker-1")

    def test_same_count_replaces_the_named(self):
        sim = running()
        sim.resize(2, "0")
        self.assert_done(sim, "worker-1", "worker-2")

    def test_longer_list_than_difference(self):
        sim = running()
        sim.resize(1, "0", "1")
        self.assert_done(sim, "worker-2")

    def test_shorter_list_than_difference(self):
        sim = running()
        sim.resize(0, "0")
        self.assert_done(sim)

    def test_unknown_nodes_are_told_and_ignored(self):
        sim = running()
        written = sim.resize(1, "nobody", "1")
        self.assertIn("unknown nodes nobody", written.reason)
        self.assert_done(sim, "worker-0")

    def test_to_zero_and_back(self):
        sim = running()
        sim.resize(0)
        self.assert_done(sim)
        sim.resize(2)
        self.assert_done(sim, "worker-2", "worker-3")

    def test_same_size_replaces_what_is_gone(self):
        sim = running()
        lost = sim.servers()["worker-0"]
        del sim.cloud.compute.by_id[lost]
        sim.resize(2)
        self.assert_done(sim, "worker-1", "worker-2")

    def test_resize_while_a_resize_runs(self):
        sim = running()
        sim.resize(4)
        sim.cloud.tick(3)
        sim.resize(3, "1")
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual(4, len(sim.servers()))
        self.assertNotIn("worker-1", sim.servers())

    def test_lost_while_heat_works_is_not_made_anew(self):
        """Heat would boot it from user data that are gone."""
        for lose in (sim_loses, sim_breaks):
            sim = running()
            sim.resize(1)
            self.assertEqual([], sim.cloud.inventory("config *"))
            lose(sim, "worker-0")
            sim.resize(2)
            written = sim.run()
            self.assertEqual(COMPLETE, written.outcome, written.reason)
            self.assertNotIn("worker-0", sim.servers())
            self.assertEqual(3, len(sim.servers()))

    def test_new_member_is_not_taken_for_lost(self):
        """Heat has not come to it when the user asks again."""
        sim = running()
        sim.resize(3)
        self.assertNotIn("worker-2", sim.servers())
        sim.resize(4)
        self.assert_done(sim, "worker-0", "worker-1", "worker-2", "worker-3")

    def test_undrainable_node_goes_at_the_deadline(self):
        sim = running()
        sim.cloud.nodes.behave("*-worker-1", drain_error="a budget forbids")
        sim.resize(1)
        sim.cloud.tick(60)
        written = sim.converge()
        self.assertIn("a budget forbids", written.reason)
        self.assert_done(sim, "worker-0")

    def test_failure_and_resume(self):
        sim = running()
        sim.cloud.compute.fail_boot("*-worker-2", "No valid host was found")
        sim.resize(3)
        written = sim.run()
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("No valid host was found", written.reason)
        sim.resize(3)
        self.assert_done(sim, "worker-0", "worker-1", "worker-3")

    def test_same_size_tells_heat_again_what_it_failed_at(self):
        sim = running()
        sim.cloud.heat.fail("*/kube_minions/2", "the queue was away")
        sim.resize(3)
        self.assertEqual(FAILED, sim.run().outcome)
        # The server is there; Heat is not content with it.
        stack = sim.cloud.heat.named("*-worker")
        members = stack.root.resources["kube_minions"].nested.resources
        self.assertEqual("FAILED", members["2"].phase)
        sim.resize(3)
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)

    def test_engine_that_died_in_an_update(self):
        """No other engine sets the stack FAILED, and it is not for ever."""
        for pattern in ("*-worker", "prod-7d1b1b8e6a0c"):
            sim = simulation.Simulation().with_count(2, control_planes=3)
            sim.run()
            sim.with_count(2, control_planes=1)
            sim.resize(1)
            stack = sim.cloud.heat.named(pattern)
            while stack.phase != "IN_PROGRESS":
                sim.cloud.tick(1)
                sim.converge()
            stack.abandoned = True
            written = sim.run()
            self.assertEqual(FAILED, written.outcome)
            self.assertIn("no end after 60 minutes", written.reason)
            sim.resize(1)
            written = sim.run()
            self.assertEqual(COMPLETE, written.outcome, written.reason)
            self.assertEqual(2, len(sim.servers()))

    def test_cluster_without_control_plane_is_not_changed(self):
        sim = simulation.Simulation()
        error = exceptions.CloudError("orchestration", "quota", status=403)
        sim.cloud.fail_next("heat", "update", error)
        self.assertEqual(FAILED, sim.run().outcome)
        sim.resize(3)
        self.assertEqual(FAILED, sim.written.outcome)
        self.assertIn("was never made", sim.written.reason)

    def test_user_data_of_a_refused_update_go_with_the_next(self):
        sim = running()
        error = exceptions.CloudConflict("orchestration", "busy", status=409)
        sim.cloud.fail_next("heat", "update", error)
        self.assertEqual(FAILED, sim.resize(3).outcome)
        self.assertEqual(1, len(sim.cloud.inventory("config *")))
        sim.resize(1)
        self.assert_done(sim, "worker-0")
        self.assertEqual([], sim.cloud.inventory("config *"))

    def test_new_workers_get_the_version_that_runs(self):
        sim = running()
        sim.spec = simulation.with_version(sim.spec, "v1.37.0")
        sim.resize(3)
        self.assert_done(sim, "worker-0", "worker-1", "worker-2")
        node = sim.cloud.nodes.named("*-worker-2")
        self.assertEqual("v1.36.4", node.version)

    def test_lost_answer_does_not_lose_the_names(self):
        sim = running()
        sim.cloud.fail_next("heat", "update")
        written = sim.resize(1, "0")
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("Resize it again.", written.reason)


class TestNodeGroups(testtools.TestCase):
    def test_create_and_delete(self):
        sim = running()
        extra = simulation.extra_group(sim)
        sim.intent = record.Intent.UPDATE
        sim.group_intents = {
            one.uuid: record.Intent.NOTHING for one in sim.spec.groups
        }
        sim.group_intents[extra] = record.Intent.CREATE
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual(record.Intent.CREATE, written.groups[extra].intent)
        self.assertEqual(COMPLETE, written.groups[extra].outcome)
        self.assertEqual(5, len(sim.servers()))
        self.assertEqual(3, len(sim.cloud.inventory("stack *")))
        sim.group_intents[extra] = record.Intent.DELETE
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual(COMPLETE, written.groups[extra].outcome)
        self.assertEqual(3, len(sim.servers()))
