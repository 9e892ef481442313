# SPDX-License-Identifier: Apache-2.0
"""Broken workers are replaced unasked, within bounds."""

import dataclasses
import functools

import testtools

from magnum_k8s_driver.converge import converge
from magnum_k8s_driver.converge import diagnosis
from magnum_k8s_driver.converge import healing
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import record as record_module
from tests.unit.converge import simulation

DELAY = 600.0
POLICY = diagnosis.Policy(
    delay=DELAY, share=0.25, attempts=3, backoff=DELAY / 2
)
Outcome = record_module.Outcome


class HealingTest(testtools.TestCase):
    def make(self, workers=2, policy=POLICY):
        self.sim = simulation.Simulation().with_count(workers)
        self.policy = policy
        self.seen = {}
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        self.sim.intent = record_module.Intent.NOTHING
        return self.sim

    def heal(self, ready=(), failed=False, seen=None):
        """Do what a health poll does; Magnum's row follows."""
        group = self.sim.spec.workers[0].uuid
        choose = functools.partial(
            healing.choose,
            policies={group: self.policy},
            seen=seen or {},
            ready=ready,
            after_failure=failed,
        )
        verdict = converge.heal(self.sim.around(), choose)
        if verdict.changes or verdict.unfinished:
            self.sim.intent = record_module.Intent.UPDATE
            # The groups' own rows are not touched.
            self.sim.group_intents = {
                one.uuid: record_module.Intent.NOTHING
                for one in self.sim.spec.groups
            }
        return verdict

    def finish(self):
        written = self.sim.run()
        self.sim.intent = record_module.Intent.NOTHING
        return written

    def silence(self, pattern):
        """Let the kubelets of such nodes stop to report."""
        self.sim.cloud.nodes.behave(pattern, silent=True)

    def wait(self, seconds=DELAY + 120):
        self.sim.cloud.tick(seconds)

    def short(self):
        return sorted(x for x in self.sim.servers() if "worker" in x)

    def test_a_silent_node_is_replaced_under_a_new_name(self):
        self.make()
        kept = self.sim.servers()
        self.silence("*worker-1")
        self.wait()
        (change,) = self.heal().changes
        self.assertEqual((("1",), (), 1), (change.remove, change.drain, 1))
        reason = change.healing.reason
        self.assertRegex(
            reason,
            r"^replacing worker-1 not ready for \d\d minutes "
            r"\(NodeStatusUnknown: Kubelet stopped posting status\)$",
        )
        written = self.finish()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertIn("eplacing worker-1 not ready", written.reason)
        self.assertEqual(["worker-0", "worker-2"], self.short())
        del kept["worker-1"]
        self.assertEqual(kept, {n: self.sim.servers()[n] for n in kept})
        self.assertFalse(self.heal().changes, "all is well")

    def test_not_before_its_time(self):
        self.make()
        self.silence("*worker-1")
        self.wait(DELAY - 60)
        self.assertEqual(healing.Verdict(), self.heal())

    def test_a_node_that_came_back_is_left_alone(self):
        self.make()
        self.silence("*worker-1")
        self.wait(DELAY - 60)
        self.sim.cloud.nodes.behave("*worker-1")
        self.wait(100)
        self.silence("*worker-1")
        self.wait(DELAY - 60)
        self.assertEqual(healing.Verdict(), self.heal())

    def test_never_by_a_stale_digest(self):
        self.make()
        self.silence("*worker-1")
        self.wait(DELAY - 60)
        self.sim.cloud.nodes.mute = True
        # What it says still counts as fresh, but ends too early.
        self.wait(200)
        self.assertEqual(healing.Verdict(), self.heal())
        self.wait(7200)
        self.assertEqual(healing.Verdict(), self.heal())

    def test_never_by_an_unsigned_digest(self):
        self.make()
        self.silence("*worker-1")
        self.sim.cloud.nodes.board_key = b"another key"
        # With that key they could not read orders either.
        self.patch(self.sim.cloud.nodes, "_execute", lambda node: None)
        self.wait()
        self.assertEqual(healing.Verdict(), self.heal())

    def test_the_api_may_know_better(self):
        self.make()
        self.silence("*worker-1")
        self.wait()
        name = self.sim.cloud.compute.named("*worker-1").name
        self.assertEqual(healing.Verdict(), self.heal(ready={name}))

    def test_never_while_an_operation_runs(self):
        self.make()
        self.silence("*worker-1")
        self.wait()
        self.sim.intent = record_module.Intent.UPDATE
        self.assertEqual(healing.Verdict(), self.heal())
        self.sim.delete()
        self.assertEqual(healing.Verdict(), self.heal())

    def test_a_node_that_listens_is_drained(self):
        self.make()
        self.sim.cloud.nodes.behave("*worker-1", unready="NoNetwork")
        self.wait()
        (change,) = self.heal().changes
        self.assertEqual((("1",), ()), (change.drain, change.remove))
        written = self.finish()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertEqual(["worker-0", "worker-2"], self.short())

    def test_a_share_at_once_and_the_rest_later(self):
        self.make(workers=8)
        for name in "2345":
            self.silence(f"*worker-{name}")
        self.wait()
        (change,) = self.heal().changes
        self.assertEqual(2, len(change.remove))
        written = self.finish()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        # Replacing others is no further attempt and waits for nothing.
        self.sim.cloud.tick(60)
        (change,) = self.heal().changes
        self.assertEqual(1, change.healing.attempt)
        self.finish()
        self.assertEqual(
            [f"worker-{n}" for n in (0, 1, 10, 11, 6, 7, 8, 9)], self.short()
        )

    def test_a_server_that_is_gone(self):
        self.make()
        name = self.sim.cloud.compute.named("*worker-1").name
        self.sim.cloud.compute.lose("*worker-1")
        self.wait()
        # The digest knows it no more; only a poll has seen it go.
        self.assertEqual(healing.Verdict(), self.heal())
        seen = {name: self.sim.cloud.now - DELAY - 120}
        (change,) = self.heal(seen=seen).changes
        self.assertIn("(its server is gone)", change.healing.reason)
        self.assertEqual(Outcome.COMPLETE, self.finish().outcome)
        self.assertEqual(["worker-0", "worker-2"], self.short())

    def test_lost_servers_go_with_the_first_whatever_the_share(self):
        """Heat would make them anew under their names."""
        self.make(workers=4)
        self.silence("*worker-1")
        self.wait()
        self.sim.cloud.compute.break_("*worker-2")
        (waiting,) = self.heal().waiting
        self.assertIn("worker-2 is ready although Nova has no", waiting)
        self.wait(60)
        (change,) = self.heal().changes
        self.assertEqual((("1", "2"), 2), (change.remove, change.add))
        self.assertEqual(Outcome.COMPLETE, self.finish().outcome)
        self.assertEqual([f"worker-{n}" for n in (0, 3, 4, 5)], self.short())

    def test_attempts_end(self):
        """What is new breaks at once, again and again."""
        self.make(policy=dataclasses.replace(POLICY, backoff=1800.0))
        attempts, waits = [], []
        self.silence("*worker-1")
        for _poll in range(60):
            self.sim.cloud.tick(240, step=5)
            verdict = self.heal()
            for change in verdict.changes:
                attempts.append(change.healing.attempt)
                self.finish()
                self.silence(f"*worker-{1 + len(attempts)}")
            waits += verdict.waiting
        self.assertEqual([1, 2, 3], attempts)
        self.assertIn("until its next attempt", waits[0])
        self.assertRegex(
            waits[-1],
            "^Healing of node group default-worker stopped after 3 attempts "
            r"in vain \(replacing worker-3 .*\); remove the cause and resize "
            r"the node group to its size\.$",
        )
        # A day later, or after a resize by a user, it begins anew.
        self.sim.cloud.nodes.behave("*worker-?")
        self.sim.group_intents = {}
        self.sim.resize(2, "4")
        self.assertEqual(Outcome.COMPLETE, self.finish().outcome)
        self.silence("*worker-5")
        self.wait()
        verdict = self.heal()
        self.assertEqual((), verdict.waiting)
        self.assertEqual(1, verdict.changes[0].healing.attempt)

    def test_a_failed_attempt_is_followed_by_another(self):
        """The new node never joins."""
        self.make()
        self.silence("*worker-[12]")
        self.wait()
        self.assertTrue(self.heal().changes)
        written = self.finish()
        self.assertEqual(Outcome.FAILED, written.outcome)
        self.assertIn("eplacing worker-1", written.reason)
        name = self.sim.cloud.compute.named("*worker-2").name
        seen = {name: self.sim.cloud.now - 3600}
        (change,) = self.heal(failed=True, seen=seen).changes
        self.assertEqual(2, change.healing.attempt)
        self.assertEqual(Outcome.COMPLETE, self.finish().outcome)
        self.assertEqual(["worker-0", "worker-3"], self.short())

    def test_failures_of_others_are_left_to_them(self):
        self.make()
        self.silence("*worker-1")
        self.wait()
        self.assertEqual(healing.Verdict(), self.heal(failed=True))

    def test_others_that_are_broken_do_not_make_it_fail(self):
        self.make(workers=4)
        self.silence("*worker-[12]")
        self.wait()
        self.assertEqual(1, len(self.heal().changes[0].remove))
        written = self.finish()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertIn("workers 3/4 ready", written.reason)

    def test_a_conductor_that_died_in_between(self):
        """The stack was changed, Magnum's row was not."""
        self.make()
        self.sim.cloud.nodes.behave("*worker-1", unready="NoNetwork")
        self.wait()
        self.assertTrue(self.heal().changes)
        self.sim.intent = record_module.Intent.NOTHING
        self.sim.cloud.tick(30)
        verdict = self.heal()
        self.assertEqual(((), True), (verdict.changes, verdict.unfinished))
        self.assertEqual(Outcome.COMPLETE, self.finish().outcome)
        self.assertEqual(["worker-0", "worker-2"], self.short())
        self.assertEqual(healing.Verdict(), self.heal())

    def test_heat_refuses_or_breaks_off(self):
        self.make()
        self.silence("*worker-1")
        self.wait()
        self.sim.cloud.fail_next("heat", "update")
        verdict = self.heal()
        self.assertEqual((), verdict.changes)
        self.assertEqual(1, len(verdict.waiting))
        self.assertTrue(self.heal().changes)

    def test_a_user_takes_over(self):
        """A resize while healing goes on ends as a resize."""
        self.make()
        self.sim.cloud.nodes.behave("*worker-1", unready="NoNetwork")
        self.wait()
        self.heal()
        self.sim.cloud.tick(5)
        self.sim.group_intents = {}
        self.sim.resize(3)
        written = self.finish()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertNotIn("eplacing", written.reason)
        self.assertEqual(3, len(self.short()))
        self.assertNotIn("worker-1", self.short())

    def test_control_plane_that_failed_holds_it_up(self):
        self.make()
        self.silence("*worker-1")
        self.wait()
        node = self.sim.cloud.nodes.named("*cp-0")
        node.error = board.NodeError(phase="x", message="no disk")
        self.sim.cloud.tick(60)
        (waiting,) = self.heal().waiting
        self.assertRegex(waiting, "waits for control-plane node .*cp-0")
