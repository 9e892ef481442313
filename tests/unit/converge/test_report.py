# SPDX-License-Identifier: Apache-2.0
"""What is told of every state there can be."""

import dataclasses

import hypothesis
from hypothesis import strategies as st
import testtools

from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import report
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.ports import heat
from tests.unit.converge import states
from tests.unit.converge import test_plan

Intent = record_module.Intent
Outcome = record_module.Outcome
DEADLINES = report.Deadlines()
TROUBLES = st.sampled_from(
    (
        report.Trouble(sentence=""),
        report.Trouble(
            sentence="The network service said: no answer. Trying again."
        ),
        report.Trouble(sentence="Flavor x is missing.", permanent=True),
        report.Trouble(sentence="", forgotten=True),
    )
)
PASSING = st.sampled_from(
    (
        report.Trouble(sentence=""),
        report.Trouble(
            sentence="The network service said: no answer. Trying again."
        ),
    )
)
settings = test_plan.settings
only = test_plan.only


class TestReport(testtools.TestCase):
    def assert_sentences(self, reason):
        self.assertRegex(reason, r"\A[A-Z].*\.\Z", reason)
        self.assertNotIn("\n", reason)
        self.assertLess(len(reason), 2000)
        for part in (" None", "Intent.", "Stage.", "NodeError(", " object at"):
            self.assertNotIn(part, reason)

    @settings
    @hypothesis.given(states.states(), TROUBLES)
    def test_every_reason_is_sentences(self, observed, trouble):
        hypothesis.assume(
            observed.record.intent is Intent.DELETE or not trouble.forgotten
        )
        written = report.report(observed, DEADLINES, trouble=trouble)
        self.assert_sentences(written.reason)
        for group in written.groups.values():
            self.assertLess(len(group.reason), 2000)
            self.assertLessEqual(len(group.version), 20)
            if group.reason:
                self.assert_sentences(group.reason)
        if written.coe_version is not None:
            self.assertLessEqual(len(written.coe_version), 20)

    @settings
    @hypothesis.given(
        states.states(st.sampled_from((Intent.CREATE, Intent.UPDATE))),
        TROUBLES,
    )
    def test_complete_means_that_every_member_is_ready(
        self, observed, trouble
    ):
        hypothesis.assume(not trouble.forgotten)
        written = report.report(observed, DEADLINES, trouble=trouble)
        if written.outcome is not Outcome.COMPLETE:
            return
        self.assertTrue(observed.cluster.state.initialised)
        self.assertFalse(trouble.permanent)
        for group in observed.record.groups:
            views = readiness.nodes(observed, group)
            if group.intent is Intent.DELETE:
                self.assertNotIn(group.uuid, observed.workers)
                continue
            self.assertEqual(group.node_count, len(views))
            for view in views:
                self.assertIs(readiness.Stage.READY, view.stage)
                self.assertFalse(view.draining)
        for one in written.groups.values():
            self.assertIs(Outcome.COMPLETE, one.outcome)

    @settings
    @hypothesis.given(
        states.states(st.sampled_from((Intent.CREATE, Intent.UPDATE))), PASSING
    )
    def test_waiting_ends(self, observed, trouble):
        later = dataclasses.replace(observed, now=observed.now + 1e7)
        written = report.report(later, DEADLINES, trouble=trouble)
        self.assertIsNot(Outcome.IN_PROGRESS, written.outcome)
        for one in written.groups.values():
            self.assertIsNot(Outcome.IN_PROGRESS, one.outcome)

    @settings
    @hypothesis.given(only(Intent.DELETE), TROUBLES)
    def test_deleting(self, observed, trouble):
        written = report.report(observed, DEADLINES, trouble=trouble)
        self.assertEqual(
            trouble.forgotten, written.outcome is Outcome.COMPLETE
        )
        later = dataclasses.replace(observed, now=observed.now + 1e7)
        written = report.report(later, DEADLINES, trouble=trouble)
        if observed.record.groups:
            self.assertIsNot(Outcome.IN_PROGRESS, written.outcome)
        for one in written.groups.values():
            self.assertIs(written.outcome, one.outcome)

    @settings
    @hypothesis.given(states.states())
    def test_permanent_trouble_fails(self, observed):
        prepared = observed.record.prepared
        hypothesis.assume(prepared)
        hypothesis.assume(observed.record.intent is not Intent.DELETE)
        trouble = report.Trouble(sentence="Nova said no.", permanent=True)
        written = report.report(observed, DEADLINES, trouble=trouble)
        self.assertIs(Outcome.FAILED, written.outcome)
        self.assertEqual("Nova said no.", written.reason)


class TestExamples(testtools.TestCase):
    def test_finished(self):
        written = report.report(states.finished(), DEADLINES)
        self.assertIs(Outcome.COMPLETE, written.outcome)
        self.assertEqual(
            "Control plane 1/1 ready, workers 2/2 ready.", written.reason
        )
        self.assertEqual("https://10.0.0.5:6443", written.api_address)
        self.assertEqual(states.VERSION, written.coe_version)

    def test_stale_digest_is_unknown(self):
        age = observed_module.DIGEST_STALE_SECONDS + 1
        later = dataclasses.replace(states.finished(), now=states.NOW + age)
        written = report.report(later, DEADLINES)
        self.assertIs(Outcome.IN_PROGRESS, written.outcome)
        self.assertIn("0/1 ready", written.reason)

    def test_cluster_stack_gone_behind_the_back(self):
        observed = dataclasses.replace(
            states.finished(intent=Intent.UPDATE), cluster=None
        )
        written = report.report(observed, DEADLINES)
        self.assertIs(Outcome.FAILED, written.outcome)
        self.assertIn(
            f"{states.PREFIX} of the cluster is gone", written.reason
        )

    def test_many_failures_stay_readable(self):
        observed = states.finished()
        stack = dataclasses.replace(
            observed.cluster.stack,
            phase=heat.StackPhase.FAILED,
            reason="x y " * 3000,
        )
        observed = dataclasses.replace(
            observed,
            cluster=dataclasses.replace(observed.cluster, stack=stack),
        )
        reason = report.report(observed, DEADLINES).reason
        self.assertLess(len(reason), 2000)
        self.assertTrue(reason.endswith(", and more."), reason[-30:])

    def test_failed_stack_is_told_while_deleting(self):
        observed = states.finished(intent=Intent.DELETE)
        stack = dataclasses.replace(
            observed.cluster.stack,
            action=heat.StackAction.DELETE,
            phase=heat.StackPhase.FAILED,
            reason="Resource DELETE failed: Conflict: "
            "resources.network: Unable to complete operation on network 1. "
            "(HTTP 409) (Request-ID: req-1)",
        )
        observed = dataclasses.replace(
            observed,
            workers={},
            cluster=dataclasses.replace(observed.cluster, stack=stack),
        )
        self.assertEqual(
            f"Deleting stack {states.PREFIX} (Unable to complete operation "
            "on network 1).",
            report.report(observed, DEADLINES).reason,
        )
