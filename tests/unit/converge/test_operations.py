# SPDX-License-Identifier: Apache-2.0
"""Random operations on random troubles, see ``operations``.

A few sequences always, the same ones in every run. By hand, for example::

    OPERATIONS_SEQUENCES=2000 OPERATIONS_SEED=1 python -m stestr run \
        test_operations
"""

import os
import time
import zlib

import hypothesis
from hypothesis import stateful
import testtools

from tests import conductors
from tests.unit.converge import operations
from tests.unit.converge import test_create

SEQUENCES = int(os.environ.get("OPERATIONS_SEQUENCES", "30"))
SEED = os.environ.get("OPERATIONS_SEED", "")
STEPS = int(os.environ.get("OPERATIONS_STEPS", "8"))


class TestOperations(testtools.TestCase):
    def test_every_sequence_comes_to_rest(self):
        world = self.useFixture(conductors.Conductors())
        self.useFixture(test_create.Quick())
        machine = type("Machine", (operations.Operations,), {"world": world})
        if SEED:
            machine = hypothesis.seed(zlib.crc32(SEED.encode()))(machine)
        began = time.process_time()
        stateful.run_state_machine_as_test(
            machine,
            settings=hypothesis.settings(
                max_examples=SEQUENCES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=not SEED,
                database=None,
                print_blob=True,
                suppress_health_check=list(hypothesis.HealthCheck),
            ),
        )
        self.addDetail(
            "seconds",
            testtools.content.text_content(
                f"{SEQUENCES} sequences, {time.process_time() - began:.0f} s"
            ),
        )


class TestFound(testtools.TestCase):
    """What random operations have found."""

    def test_group_that_failed_in_the_hook_only(self):
        """Another conductor's status job was at it at the same time."""
        world = self.useFixture(conductors.Conductors())
        self.useFixture(test_create.Quick())
        one = type("Machine", (operations.Operations,), {"world": world})()
        one.create(1, 0, False, [("away", "heat", 2, True)], 14)
        one.settle()
        one.settle()
        one.update(3, [], 18)
        one.update(2, [("kill", 51, False)], 21)
        one.update(2, [("another", 59), ("late", 54, 40)], 14)
        one.update(1, [("refuse", "update")], 1)
        one.teardown()

    def test_resize_that_died_before_the_driver_began(self):
        """Of the group's row only; its cluster looked as if at rest."""
        world = self.useFixture(conductors.Conductors())
        self.useFixture(test_create.Quick())
        one = type("Machine", (operations.Operations,), {"world": world})()
        one.create(1, 0, False, [], 0)
        one.settle()
        one.resize_control_plane(1, [], [("kill", 6, False)], 0)
        one.settle()
        one.resize(0, 2, [], False, [("kill", 6, False)], 0)
        one.settle()
        self.assertEqual(3, len(world.cloud.compute.by_id))
        one.teardown()

    def test_engine_that_died_before_a_refusal(self):
        """The user is back before anybody can know that it died."""
        world = self.useFixture(conductors.Conductors())
        self.useFixture(test_create.Quick())
        one = type("Machine", (operations.Operations,), {"world": world})()
        one.create(1, 0, False, [], 0)
        one.settle()
        one.resize(0, 3, [], False, [], 0)
        one.resize_control_plane(1, [0], [("engine", 0)], 0)
        one.settle()
        self.assertEqual(4, len(world.cloud.compute.by_id))
        one.teardown()

    def test_worker_lost_while_heat_was_busy(self):
        """Heat was to make it anew from user data that were gone."""
        world = self.useFixture(conductors.Conductors())
        self.useFixture(test_create.Quick())
        one = type("Machine", (operations.Operations,), {"world": world})()
        one.create(1, 0, True, [("kill", 55, False)], 23)
        one.resize(0, 4, [], False, [], 6)
        one.resize(0, 0, [0, 0], True, [], 0)
        one.resize(7, 4, [1, 2], True, [("break", 7)], 21)
        one.resize(4, 4, [3, 5], True, [], 9)
        one.resize(0, 0, [], False, [("conflict", 2), ("break", 0)], 6)
        one.resize(2, 1, [6, 2], False, [], 1)
        one.teardown()

    def test_store_that_is_away_when_a_rotation_is_refused(self):
        """Magnum had put new CAs into it, which nobody knows afterwards."""
        world = self.useFixture(conductors.Conductors())
        self.useFixture(test_create.Quick())
        machine = type("Machine", (operations.Operations,), {"world": world})
        for times, told, stored in (
            (2, "service said", 4),
            (9, "are left in the certificate store", 8),
        ):
            one = machine()
            one.create(1, 0, False, [], 0)
            one.settle()
            one.rotate_ca([("away", "certificates", times, False)], 0)
            self.assertIn(told, world.refusals[-1])
            found = world.cloud.inventory("certificate *")
            self.assertEqual(stored, len(found), found)
            one.teardown()
