# SPDX-License-Identifier: Apache-2.0
"""Broken control-plane nodes are replaced while etcd keeps its majority."""

import functools

from magnum_k8s_driver.converge import converge
from magnum_k8s_driver.converge import diagnosis
from magnum_k8s_driver.converge import healing
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import record
from tests.unit.converge import test_control_plane

DELAY = 600.0
POLICY = diagnosis.Policy(
    delay=DELAY, share=0.25, attempts=3, backoff=DELAY / 2
)
COMPLETE = test_control_plane.COMPLETE
FAILED = test_control_plane.FAILED


class ControlPlaneHealingTest(test_control_plane.ControlPlaneTest):
    def make(self, control_planes=3, workers=1):
        self.sim = test_control_plane.running(control_planes, workers)
        self.rest()
        return self.sim

    def rest(self):
        self.sim.intent = record.Intent.NOTHING
        self.sim.group_intents = {}

    def heal(self, failed=False, seen=None, ready=()):
        """Do what a health poll does; Magnum's row follows."""
        choose = functools.partial(
            healing.choose,
            policies={one.uuid: POLICY for one in self.sim.spec.groups},
            seen=seen or {},
            ready=ready,
            after_failure=failed,
        )
        verdict = converge.heal(self.sim.around(), choose)
        if verdict.changes or verdict.unfinished:
            self.sim.intent = record.Intent.UPDATE
            self.sim.group_intents = {
                one.uuid: record.Intent.NOTHING for one in self.sim.spec.groups
            }
        return verdict

    def finish(self, *names):
        written = self.sim.run()
        self.rest()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual(set(names), set(self.control_plane(self.sim)))
        self.assertEqual(set(names), self.voters(self.sim))
        return written

    def silence(self, *names):
        for name in names:
            self.sim.cloud.nodes.behave(f"*-{name}", silent=True)

    def wait(self, seconds=DELAY + 120):
        self.sim.cloud.tick(seconds)

    def assert_nothing(self, verdict, pattern):
        self.assertEqual(((), False), (verdict.changes, verdict.unfinished))
        (told,) = verdict.waiting
        self.assertRegex(
            told, f"^Healing of node group default-master {pattern}"
        )


class TestHealing(ControlPlaneHealingTest):
    def test_a_silent_node_leaves_etcd_before_its_server_goes(self):
        self.make()
        kept = self.sim.servers()
        self.silence("cp-1")
        self.wait()
        verdict = self.heal()
        (reason,) = verdict.reasons
        self.assertRegex(reason, r"^replacing cp-1 not ready for \d\d minutes")
        while self.sim.converge().outcome is not COMPLETE:
            self.sim.cloud.tick(5)
            self.assertLessEqual(
                self.voters(self.sim), set(self.control_plane(self.sim))
            )
        written = self.finish("cp-0", "cp-2", "cp-3")
        self.assertIn("eplacing cp-1 not ready", written.reason)
        del kept["cp-1"]
        self.assertEqual(kept, {n: self.sim.servers()[n] for n in kept})
        self.assertEqual(healing.Verdict(), self.heal())

    def test_one_that_holds_the_digest_of_its_own(self):
        self.make()
        self.silence("cp-0")
        self.wait()
        self.assertTrue(self.heal().changes)
        self.finish("cp-1", "cp-2", "cp-3")
        self.assertEqual(1, len(self.sim.cloud.nodes.initialised))

    def test_a_node_that_listens_is_drained(self):
        self.make()
        self.sim.cloud.nodes.behave("*-cp-1", unready="NoNetwork")
        self.wait()
        (change,) = self.heal().changes
        self.assertEqual((("1",), None), (change.drain, change.dispatch))
        self.finish("cp-0", "cp-2", "cp-3")

    def test_one_that_cannot_drain_goes_when_its_time_is_over(self):
        self.make()
        self.sim.cloud.nodes.behave(
            "*-cp-1", unready="NoNetwork", drain_error="a budget forbids"
        )
        self.wait()
        self.assertTrue(self.heal().changes)
        self.finish("cp-0", "cp-2", "cp-3")

    def test_a_server_that_is_stopped_or_gone(self):
        for stop in (True, False):
            self.make()
            server = self.sim.cloud.compute.named("*-cp-1")
            if stop:
                server.status = "SHUTOFF"
            else:
                self.sim.cloud.compute.lose("*-cp-1")
            self.wait()
            seen = {server.name: self.sim.cloud.now - DELAY - 120}
            (change,) = self.heal(seen=seen).changes
            self.assertEqual((("1",), ()), (change.remove, change.drain))
            self.finish("cp-0", "cp-2", "cp-3")

    def test_two_of_five_one_after_the_other(self):
        self.make(control_planes=5)
        self.silence("cp-1", "cp-3")
        self.wait()
        (change,) = self.heal().changes
        self.assertEqual(1, len(change.drain))
        self.finish_with_a_broken_one()
        self.sim.cloud.tick(60)
        (change,) = self.heal().changes
        self.assertEqual(1, change.healing.attempt)
        self.finish("cp-0", "cp-2", "cp-4", "cp-5", "cp-6")

    def finish_with_a_broken_one(self):
        written = self.sim.run()
        self.rest()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertIn("Control plane 4/5 ready", written.reason)

    def test_two_of_five_that_are_lost_together(self):
        """Heat would make both anew under their names."""
        self.make(control_planes=5)
        for name in ("cp-1", "cp-3"):
            server = self.sim.cloud.compute.named(f"*-{name}")
            server.status = "ERROR"
        self.wait()
        (change,) = self.heal().changes
        self.assertEqual(("1", "3"), change.remove)
        self.finish("cp-0", "cp-2", "cp-4", "cp-5", "cp-6")

    def test_before_workers(self):
        self.make(workers=2)
        self.silence("cp-1", "worker-1")
        self.wait()
        self.assertEqual(1, len(self.heal().changes))
        self.finish("cp-0", "cp-2", "cp-3")
        self.sim.cloud.tick(60)
        (change,) = self.heal().changes
        self.assertEqual(("1",), change.remove)

    def test_conductor_dies_at_the_beginning(self):
        self.make()
        self.silence("cp-1")
        self.wait()
        self.assertTrue(self.heal().changes)
        self.rest()
        self.sim.cloud.tick(30)
        verdict = self.heal()
        self.assertEqual(((), True), (verdict.changes, verdict.unfinished))
        self.finish("cp-0", "cp-2", "cp-3")


class TestBounds(ControlPlaneHealingTest):
    def test_not_before_its_time(self):
        self.make()
        self.silence("cp-1")
        self.wait(DELAY - 60)
        self.assertEqual(healing.Verdict(), self.heal())

    def test_the_api_may_know_better(self):
        self.make()
        self.silence("cp-1")
        self.wait()
        name = self.sim.cloud.compute.named("*-cp-1").name
        self.assertEqual(healing.Verdict(), self.heal(ready={name}))

    def test_never_while_an_operation_runs(self):
        self.make()
        self.silence("cp-1")
        self.wait()
        self.sim.intent = record.Intent.UPDATE
        self.assertEqual(healing.Verdict(), self.heal())

    def test_never_without_a_majority(self):
        self.make()
        before = self.sim.servers()
        for name in ("cp-1", "cp-2"):
            self.sim.cloud.nodes.behave(f"*-{name}", unready="NoNetwork")
        self.wait()
        self.assert_nothing(self.heal(), "waits, because only 1 of 3 ")
        self.assertEqual(before, self.sim.servers())

    def test_never_the_only_one(self):
        self.make(control_planes=1)
        self.sim.cloud.nodes.behave("*-cp-0", unready="NoNetwork")
        self.wait()
        self.assert_nothing(self.heal(), "is not possible: of 1 control-plane")

    def test_never_by_silence_of_all(self):
        for count, told in ((1, "is not possible"), (3, "waits, because no ")):
            self.make(control_planes=count)
            self.silence("cp-?")
            self.wait(7200)
            self.assert_nothing(self.heal(), told)

    def test_a_node_that_nova_lost_but_that_works(self):
        self.make()
        self.silence("cp-1")
        self.wait()
        self.sim.cloud.compute.break_("*-cp-2")
        self.assert_nothing(self.heal(), "waits, because .*cp-2 is ready")

    def test_attempts_end(self):
        """What is new breaks at once, again and again."""
        self.make()
        attempts, waits = [], []
        self.silence("cp-1")
        for _poll in range(60):
            self.sim.cloud.tick(240, step=5)
            verdict = self.heal()
            for change in verdict.changes:
                attempts.append(change.healing.attempt)
                self.assertEqual(COMPLETE, self.sim.run().outcome)
                self.rest()
                self.silence(f"cp-{2 + len(attempts)}")
            waits += verdict.waiting
        self.assertEqual([1, 2, 3], attempts)
        self.assertIn("stopped after 3 attempts in vain (replacing", waits[-1])

    def test_a_new_node_that_never_joins(self):
        self.make()
        self.silence("cp-1", "cp-3")
        self.wait()
        self.assertTrue(self.heal().changes)
        written = self.sim.run()
        self.rest()
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("eplacing cp-1", written.reason)
        name = self.sim.cloud.compute.named("*-cp-3").name
        seen = {name: self.sim.cloud.now - 3600}
        (change,) = self.heal(failed=True, seen=seen).changes
        self.assertEqual(2, change.healing.attempt)
        self.finish("cp-0", "cp-2", "cp-4")

    def test_heat_breaks_off_between_two_members(self):
        """Nobody is ill then, but one is missing."""
        self.make()
        self.silence("cp-1")
        self.wait()
        self.assertTrue(self.heal().changes)
        while "cp-1" in self.sim.servers():
            self.sim.converge()
            self.sim.cloud.tick(5)
        self.sim.cloud.heat.fail("*/board*", "no more of these")
        written = self.sim.run()
        self.rest()
        self.assertEqual(FAILED, written.outcome)
        self.assertEqual({"cp-0", "cp-2"}, set(self.control_plane(self.sim)))
        self.sim.cloud.heat.failing.clear()
        self.assert_nothing(self.heal(failed=True), "waits . minutes until")
        self.sim.cloud.tick(DELAY)
        (change,) = self.heal(failed=True).changes
        self.assertEqual(("3", 2), (change.prepare, change.healing.attempt))
        written = self.finish("cp-0", "cp-2", "cp-3")
        self.assertRegex(written.reason, r"cp-1 not .*\), attempt 2\.$")

    def test_others_failures_are_left_to_them(self):
        self.make()
        self.silence("cp-1")
        self.wait()
        self.assertEqual(healing.Verdict(), self.heal(failed=True))

    def test_failing_node_is_healed_too(self):
        self.make()
        node = self.sim.cloud.nodes.named("*-cp-1")
        node.error = board.NodeError(phase="x", message="no disk")
        self.sim.cloud.nodes.behave("*-cp-1", unready="NoDisk")
        self.wait()
        self.assertTrue(self.heal().changes)
        self.finish("cp-0", "cp-2", "cp-3")
