# SPDX-License-Identifier: Apache-2.0
"""Upgrading clusters on the simulated cloud."""

import testtools

from tests.unit.converge import simulation
from tests.unit.converge import test_resize

COMPLETE = simulation.Outcome.COMPLETE
FAILED = simulation.Outcome.FAILED
NEW = "v1.37.2"


class TestInPlace(testtools.TestCase):
    def test_every_node_keeps_its_server(self):
        sim = test_resize.running()
        before = sim.servers()
        sim.upgrade(NEW)
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual(before, sim.servers())
        self.assertEqual({NEW}, set(sim.versions().values()))
        self.assertEqual(["new-template"], sim.committed)
        self.assertEqual(NEW, written.coe_version)

    def test_control_plane_first_then_batches(self):
        sim = test_resize.running().with_count(2)
        sim.resize(4)
        sim.run()
        sim.upgrade(NEW, batch=2)
        seen = []
        for _tick in range(60):
            if sim.converge().outcome is COMPLETE:
                break
            sim.cloud.tick(5)
            new = {k for k, v in sim.versions().items() if v == NEW}
            if not seen or seen[-1] != new:
                seen.append(new)
        self.assertEqual({"cp-0"}, next(one for one in seen if one))
        self.assertEqual(5, len(seen[-1]))
        sizes = [len(one) for one in seen]
        self.assertEqual(sorted(sizes), sizes)

    def test_reasons_read_like_progress(self):
        sim = test_resize.running()
        sim.upgrade(NEW)
        sim.run()
        self.assertIn(
            f"Upgrading to {NEW}: control plane 1/1 at {NEW}, workers 1/2 "
            f"at {NEW}, waiting for 1.",
            sim.history,
        )

    def test_failing_member_stops_the_roll_and_resize_resumes(self):
        sim = test_resize.running()
        how = sim.cloud.nodes.behave(
            "*-worker-0", upgrade_error="no space left on device"
        )
        sim.upgrade(NEW)
        written = sim.run()
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("worker-0 failed in phase upgrade", written.reason)
        self.assertIn("no space left on device", written.reason)
        self.assertNotEqual(NEW, sim.versions()["worker-1"])
        self.assertEqual([], sim.committed)
        how.upgrade_error = ""
        before = sim.servers()
        sim.resize(2)
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual(before, sim.servers())
        self.assertEqual({NEW}, set(sim.versions().values()))

    def test_naming_the_failed_member_abandons_it(self):
        sim = test_resize.running()
        sim.cloud.nodes.behave("*-worker-0", upgrade_error="disk is broken")
        sim.upgrade(NEW)
        sim.run()
        sim.resize(2, "0")
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual({"cp-0", "worker-1", "worker-2"}, set(sim.servers()))
        self.assertEqual({NEW}, set(sim.versions().values()))

    def test_three_control_planes_one_at_a_time(self):
        sim = simulation.Simulation().with_count(1, control_planes=3)
        sim.run()
        sim.upgrade(NEW)
        most = 0
        for _tick in range(80):
            if sim.converge().outcome is COMPLETE:
                break
            sim.cloud.tick(5)
            ordered = [
                node
                for node in sim.cloud.nodes.by_id.values()
                if node.control_plane
                and node.metadata["magnum_version"] == NEW
                and node.version != NEW
            ]
            most = max(most, len(ordered))
        self.assertEqual(1, most)
        self.assertEqual({NEW}, set(sim.versions().values()))


class TestReplaced(testtools.TestCase):
    def test_workers_with_a_new_image_are_replaced(self):
        sim = test_resize.running()
        control_plane = sim.servers()["cp-0"]
        sim.upgrade(NEW, image="new-image")
        fewest = 2
        for _tick in range(120):
            written = sim.converge()
            if written.outcome is not simulation.Outcome.IN_PROGRESS:
                break
            sim.cloud.tick(5)
            joined = [
                node
                for node in sim.cloud.nodes.by_id.values()
                if node.joined and not node.control_plane
            ]
            fewest = min(fewest, len(joined))
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual({"cp-0", "worker-2", "worker-3"}, set(sim.servers()))
        self.assertEqual(control_plane, sim.servers()["cp-0"])
        self.assertEqual({NEW}, set(sim.versions().values()))
        self.assertEqual(2, fewest)


class TestLost(testtools.TestCase):
    """Heat would make a lost server anew with the orders of its first boot."""

    def upgrade(self, image, pattern):
        sim = test_resize.running().with_count(3)
        sim.resize(3)
        sim.run()
        sim.upgrade(NEW, image=image)
        while not any(
            version == NEW and "worker" in name
            for name, version in sim.versions().items()
        ):
            sim.converge()
            sim.cloud.tick(5)
        sim.cloud.compute.break_(pattern)
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual({NEW}, set(sim.versions().values()))
        booted = [name for name, _id in sim.cloud.compute.booted]
        self.assertEqual(sorted(set(booted)), sorted(booted))
        return sorted(x for x in sim.servers() if "worker" in x)

    def test_one_that_waits_for_its_turn(self):
        left = self.upgrade(None, "*-worker-2")
        self.assertEqual(["worker-0", "worker-1", "worker-3"], left)

    def test_one_that_was_done(self):
        left = self.upgrade(None, "*-worker-0")
        self.assertEqual(["worker-1", "worker-2", "worker-3"], left)

    def test_one_that_came_with_a_new_image(self):
        left = self.upgrade("another-image", "*-worker-3")
        self.assertEqual(3, len(left))
        self.assertNotIn("worker-3", left)


class TestHundredWorkers(testtools.TestCase):
    """No more updates than batches need, and reasons that tell progress."""

    def setUp(self):
        super().setUp()
        self.sim = test_resize.running()
        self.sim.cloud.compute.build_seconds = 5.0
        self.sim.resize(100)
        self.assertEqual(COMPLETE, self.sim.run().outcome)
        self.before = self.sim.cloud.calls.count("heat", "update")

    def upgrade(self, image=None):
        self.sim.upgrade(NEW, batch=10, image=image)
        self.sim.history.clear()
        self.assertEqual(COMPLETE, self.sim.run().outcome)
        self.assertEqual({NEW}, set(self.sim.versions().values()))
        for one in self.sim.history[:-1]:
            self.assertRegex(
                one,
                rf"^Upgrading to {NEW}: control plane [01]/1 at {NEW}"
                rf"(, waiting for 1)?, workers \d+/100 at {NEW}"
                r"(, draining \d+)?(, waiting for \d+)?\.$"
                # Heat is about to forget the target.
                r"|^Control plane 1/1 ready, workers 100/100 ready\.$"
                # Add-ons follow when the nodes are there.
                r"|^Control plane 1/1 ready, workers 100/100 ready, waiting ",
            )
        return self.sim.cloud.calls.count("heat", "update") - self.before

    def assert_told(self, *phrases):
        told = " ".join(self.sim.history)
        for one in phrases:
            self.assertIn(one, told)

    def test_in_place(self):
        # Target in, one control plane, ten batches, target out, add-ons.
        self.assertEqual(14, self.upgrade())
        self.assert_told(
            *(
                f"workers {done}/100 at {NEW}, waiting for 10."
                for done in range(0, 100, 10)
            )
        )

    def test_by_image(self):
        # Beside that: each batch joins, is announced, and lets the old drain;
        # those go when the next ones come, the last by themselves.
        # The first to come get a further stack, which is no update.
        self.assertEqual(2 + 1 + 10 * 3 - 1 + 2, self.upgrade("new-image"))
        self.assert_told(
            *(
                f"workers {done}/100 at {NEW}, draining 10."
                for done in range(10, 101, 10)
            )
        )
