# SPDX-License-Identifier: Apache-2.0
"""The state survives Heat's habit of returning text."""

import json

import hypothesis
from hypothesis import strategies as st
import testtools

from magnum_k8s_driver.model import state as state_module
from tests.unit.model import test_members

OPERATIONS = st.none() | st.builds(
    state_module.Operation,
    id=st.from_regex(r"[a-z]{1,9}-[0-9]{1,4}", fullmatch=True),
    kind=st.sampled_from(("create", "resize", "upgrade")),
    started=st.floats(0, 4e9),
)
STACKS = st.builds(
    state_module.StackState,
    generation=st.integers(0, 1_000_000),
    operation=OPERATIONS,
    members=test_members.lists(),
)
CLUSTERS = st.builds(
    state_module.ClusterState,
    stack=STACKS,
    initialised=st.booleans(),
    secret_ref=st.text(),
    ssh_public_key=st.text(),
)


def as_heat_returns(parameters):
    """Return parameters as text; heat/engine/parameters.py, ``__str__``."""
    found = {}
    for name, value in parameters.items():
        if isinstance(value, dict):
            found[name] = json.dumps(value)
        else:
            found[name] = str(value)
    return found


class TestState(testtools.TestCase):
    @test_members.settings
    @hypothesis.given(STACKS)
    def test_stack(self, state):
        returned = as_heat_returns(state.parameters())
        self.assertEqual(state, state_module.read_stack_state(returned))

    @test_members.settings
    @hypothesis.given(CLUSTERS)
    def test_cluster(self, state):
        returned = as_heat_returns(state.parameters())
        self.assertEqual(state, state_module.read_cluster_state(returned))

    @test_members.settings
    @hypothesis.given(STACKS)
    def test_every_change_is_a_new_generation(self, state):
        later = state.advanced(operation=None)
        self.assertEqual(state.generation + 1, later.generation)
        self.assertIsNone(later.operation)
        self.assertEqual(state.members, later.members)

    def test_heats_ways_to_write_true(self):
        state = state_module.ClusterState(
            stack=state_module.StackState(
                generation=1,
                operation=None,
                members=test_members.Members(),
            )
        )
        plain = as_heat_returns(state.parameters())
        for text, expected in (
            ("True", True),
            ("true", True),
            ("False", False),
            ("", False),
        ):
            found = state_module.read_cluster_state(
                {**plain, "initialised": text}
            )
            self.assertIs(expected, found.initialised)

    @test_members.settings
    @hypothesis.given(
        st.dictionaries(
            st.sampled_from(("generation", "operation", "members")),
            st.text() | st.sampled_from(("{}", "[]", "1", "null", '{"a":1}')),
        )
    )
    def test_other_stacks_are_refused(self, parameters):
        try:
            found = state_module.read_stack_state(parameters)
        except ValueError as exc:
            self.assertIn("not a stack of this driver", str(exc))
        else:
            self.assertGreaterEqual(len(parameters), 3)
            self.assertIsInstance(found.generation, int)
