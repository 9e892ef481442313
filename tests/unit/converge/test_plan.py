# SPDX-License-Identifier: Apache-2.0
"""Plans of every state there can be."""

import dataclasses

import hypothesis
from hypothesis import strategies as st
import testtools

from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge import dispatch
from magnum_k8s_driver.converge import plan
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.ports import heat
from tests.unit.converge import states

Intent = record_module.Intent
MAKING = (
    actions.PrepareIdentity,
    actions.CreateClusterStack,
    actions.CreateControlPlane,
    actions.CreateWorkerStack,
    actions.ChangeMembers,
    actions.RecordInitialised,
)
HOUSEKEEPING = (actions.DropUserData, actions.RecordInitialised)
CLUSTER_WRITES = (actions.CreateControlPlane, actions.RecordInitialised)

LIMITS = plan.Limits()
settings = hypothesis.settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def only(intent):
    return states.states(st.just(intent))


class TestPlan(testtools.TestCase):
    @settings
    @hypothesis.given(states.states())
    def test_any_state_has_a_plan(self, observed):
        todo = plan.plan(observed, LIMITS)
        # Orders have mappings in them: they cannot be put into a set.
        self.assertEqual(len({*map(repr, todo)}), len(todo))
        self.assertEqual(todo, plan.plan(observed, LIMITS))
        if observed.record.intent is Intent.NOTHING:
            self.assertEqual((), todo)

    @settings
    @hypothesis.given(states.states())
    def test_no_write_to_a_stack_that_heat_works_on(self, observed):
        """But to delete it, or while a resize names nodes.

        Nobody would remember their names.
        """
        busy = heat.StackPhase.IN_PROGRESS
        for action in plan.plan(observed, LIMITS):
            if isinstance(action, CLUSTER_WRITES):
                self.assertIsNot(busy, observed.cluster.stack.phase)
                self.assertEqual(
                    observed.cluster.state.stack.generation, action.generation
                )
            if isinstance(action, actions.ChangeMembers):
                stack = observed.workers[action.group_uuid]
                asked = observed.removal is not None
                self.assertTrue(asked or stack.stack.phase is not busy)
                self.assertEqual(stack.state.generation, action.generation)
                self.assertLessEqual(
                    {*action.drain, *action.remove},
                    set(stack.state.members.names),
                )
                self.assertEqual(set(), set(action.drain) & set(action.remove))
            if isinstance(action, actions.CreateWorkerStack):
                self.assertNotIn(action.group_uuid, observed.workers)
                self.assertIsNot(busy, observed.cluster.stack.phase)

    @settings
    @hypothesis.given(only(Intent.DELETE))
    def test_deleting_makes_nothing(self, observed):
        todo = plan.plan(observed, LIMITS)
        for action in todo:
            self.assertNotIsInstance(action, MAKING)
        stacks = bool(observed.cluster or observed.workers)
        if stacks:
            self.assertEqual(actions.DisableIdentity(), todo[0])
        if actions.ForgetCluster() in todo:
            self.assertFalse(stacks)
            self.assertEqual((), observed.load_balancers)
            self.assertEqual((), observed.leftovers)
            self.assertEqual({}, observed.user_data)
        deleted = {
            one.stack_id
            for one in todo
            if isinstance(one, actions.DeleteStack)
        }
        if observed.workers and observed.cluster:
            self.assertNotIn(observed.cluster.stack.id, deleted)
        if observed.load_balancers:
            self.assertEqual(set(), deleted)

    @settings
    @hypothesis.given(only(Intent.UPDATE))
    def test_updating_touches_the_groups_of_the_record_only(self, observed):
        for action in plan.plan(observed, LIMITS):
            self.assertNotIsInstance(
                action,
                (
                    actions.PrepareIdentity,
                    actions.CreateClusterStack,
                    actions.DisableIdentity,
                    actions.ForgetCluster,
                ),
            )
            if isinstance(action, actions.DeleteStack):
                (group,) = (
                    one
                    for one in observed.record.workers
                    if one.uuid in observed.workers
                    and observed.workers[one.uuid].stack.id == action.stack_id
                )
                self.assertIs(Intent.DELETE, group.intent)

    @settings
    @hypothesis.given(only(Intent.CREATE))
    def test_creating_deletes_no_stack(self, observed):
        todo = plan.plan(observed, LIMITS)
        kinds = (actions.DeleteStack, actions.RemoveLeftovers)
        for action in todo:
            self.assertNotIsInstance(action, kinds)
        if not observed.record.prepared:
            self.assertEqual((), todo)


class TestFinished(testtools.TestCase):
    def test_nothing_is_left_to_do(self):
        for intent in Intent:
            if intent is Intent.DELETE:
                continue
            observed = states.finished(intent=intent)
            self.assertEqual((), plan.plan(observed, LIMITS), intent)

    def test_housekeeping_only(self):
        observed = states.finished()
        cluster = dataclasses.replace(
            observed.cluster,
            state=dataclasses.replace(
                observed.cluster.state, initialised=False
            ),
        )
        observed = dataclasses.replace(
            observed,
            cluster=cluster,
            user_data={
                "config-0": "a",
                "config-8": f"{states.PREFIX}-default-worker-resize-1",
                "config-9": f"{states.PREFIX}-default-worker-resize-2",
            },
        )
        todo = plan.plan(observed, LIMITS)
        self.assertEqual(
            (
                actions.RecordInitialised(
                    generation=3, dispatch=dispatch.due(observed, 600.0)
                ),
                actions.DropUserData(config_ids=("config-0", "config-8")),
            ),
            todo,
        )

    def test_first_steps(self):
        observed = dataclasses.replace(
            states.finished(), cluster=None, workers={}, servers={}
        )
        self.assertEqual(
            (actions.PrepareIdentity(), actions.CreateClusterStack()),
            plan.plan(observed, LIMITS),
        )
