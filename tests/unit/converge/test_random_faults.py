# SPDX-License-Identifier: Apache-2.0
"""Random faults while a cluster is made, changed and deleted: what is left?

One fault strikes each operation of a short life: create, resize, upgrade,
delete. A delete ends with nothing left, or as DELETE_FAILED with every
left-over in its reason; when the fault is over, a second one leaves nothing.

Few faults always, the same ones in every run. By hand, for example::

    FAULTS=2000 FAULTS_SEED=1 python -m stestr run test_random_faults

A failure tells the seed of its life; ``FAULTS_LIFE`` runs that one again.
"""

import collections
import os
import random
import traceback

import testtools

from magnum_k8s_driver import exceptions
from tests import conductors
from tests.unit.converge import invariants
from tests.unit.converge import test_create

FAULTS = int(os.environ.get("FAULTS", "24"))
SEED = os.environ.get("FAULTS_SEED", "0")
LIFE = os.environ.get("FAULTS_LIFE", "")

CALLS = {"create": 150, "resize": 60, "upgrade": 120, "delete": 60}
"""About as many calls an undisturbed operation takes."""
SERVICES = (
    "certificates",
    "compute",
    "facts",
    "heat",
    "identity",
    "leftovers",
    "lock",
)
RESOURCES = ("*", "*/kube_minions/*", "*/control_plane/*", "*/network*")
PATIENCE = (10.0,) * 90 + (60.0,) * 120
"""Seconds between ticks; together beyond every deadline."""
AGAIN = "Trying again."
USER = "the cluster's user and certificates"


def away(code):
    """Return the error of a service that is down."""
    return exceptions.CloudUnavailable("cloud", f"HTTP {code}", status=code)


class Life:
    """One cluster from create to gone, with a fault in each operation."""

    def __init__(self, world, seed):
        self.world = world
        self.chance = random.Random(seed)
        self.struck = collections.Counter()
        self.told = []
        world.fresh()

    def run(self):
        """Live it; tell how the delete under a fault ended."""
        control_planes = self.chance.choice((1, 1, 3))
        self._under_fault(
            "create",
            lambda: self.world.create(
                control_planes, self.chance.randint(0, 3)
            ),
        )
        if self._is("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_FAILED"):
            self._under_fault("resize", self._resize)
        if self._is("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            self._under_fault("upgrade", self._upgrade)
        if self.world.row() is None:
            return "nothing"
        self.world.died_in_hook, died = False, self.world.died_in_hook
        self._under_fault("delete", self._delete)
        if self.world.died_in_hook and not self._is("DELETE_FAILED"):
            # Nobody has heard of it, and its user got no answer.
            self._delete()
            self._rest()
        self.world.died_in_hook |= died
        row = self.world.row()
        ended = "gone"
        if row is None:
            self._check_nothing()
        else:
            ended = row.status
            self._check_named(row)
            self._calm()
            self._delete()
            self._rest()
            row = self.world.row()
            self._require(row is None, f"not deleted: {_told(row)}")
            self._check_nothing()
        return ended

    def _is(self, *statuses):
        row = self.world.row()
        return row is not None and row.status in statuses

    def _resize(self):
        group = self.world.groups_by_name()["default-worker"]
        self.world.resize(group, self.chance.randint(0, 4))

    def _upgrade(self):
        image = self.chance.choice(("ubuntu-24.04", "ubuntu-next"))
        self.world.upgrade("v1.36.4", image, self.chance.randint(1, 2))

    def _delete(self):
        if self.world.row() is not None:
            self.world.delete()

    def _under_fault(self, operation, begin):
        calls = self.world.cloud.calls
        ahead = self.chance.randrange(CALLS[operation])
        number = len(calls.log) + ahead
        kind = self.chance.choice(self._kinds(operation))
        self.told.append(f"{operation}: {kind} at {ahead}")
        counts = getattr(self, f"_do_{kind}")(number)
        begin()
        self._rest()
        if self.world.row() is not None and self._is_in_progress():
            # Nobody could look as long as that lasted.
            row = self.world.row()
            self._require(AGAIN in row.status_reason, f"stuck: {_told(row)}")
            self._calm()
            self._rest()
            row = self.world.row()
            self._require(
                row is None or not self._is_in_progress(),
                f"stuck: {_told(row)}",
            )
        if counts or not calls.is_due():
            self.struck[kind] += 1
        if operation != "delete":
            self._calm()

    def _kinds(self, operation):
        found = [
            "error", "unavailable", "lost_answer", "refused", "conflict",
            "late", "twice", "kill", "kill_after", "away", "away",
        ]  # fmt: skip
        if operation == "delete":
            # What shall last until the delete has given up.
            return [*found, "stuck_stack", "left_over", "hang"]
        return [*found, "boot", "resource", "hang"]

    def _fail(self, number, error, after=False):
        # Magnum's own errors about its database are its own business; locks
        # raise nothing but that their service does not answer.
        spare = ["database"]
        if after or not isinstance(error, exceptions.CloudUnavailable):
            spare.append("lock")
        self.world.cloud.calls.fail_call(
            number, error, after=after, spare=spare
        )

    def _do_error(self, number):
        self._fail(number, away(500))

    def _do_unavailable(self, number):
        self._fail(number, away(503))

    def _do_lost_answer(self, number):
        self._fail(number, away(504), after=True)

    def _do_refused(self, number):
        error = exceptions.CloudError("cloud", "not allowed", status=403)
        self._fail(number, error)

    def _do_conflict(self, number):
        error = exceptions.CloudConflict("cloud", "busy", status=409)
        self._fail(number, error)

    def _do_late(self, number):
        cloud = self.world.cloud
        seconds = self.chance.choice((40, 400, 4000))
        cloud.calls.meanwhile(number, lambda: cloud.tick(seconds, step=5.0))

    def _do_twice(self, number):
        self.world.cloud.calls.repeat(number)

    def _do_kill(self, number):
        self.world.cloud.fail_call(number, conductors.Killed())

    def _do_kill_after(self, number):
        self.world.cloud.fail_call(number, conductors.Killed(), after=True)

    def _do_away(self, number):
        cloud = self.world.cloud
        service = self.chance.choice(SERVICES)
        times = self.chance.choice((1, 5, 40, 100_000))
        self.told[-1] += f", {service} {times} times"
        cloud.calls.meanwhile(
            number,
            lambda: cloud.fail_next(service, "*", away(503), times=times),
        )

    def _do_boot(self, _number):
        self.world.cloud.compute.fail_boot("*", times=1)
        return True

    def _do_resource(self, _number):
        pattern = self.chance.choice(RESOURCES)
        self.world.cloud.heat.fail(pattern, "it did not work")
        return True

    def _do_hang(self, _number):
        self.world.cloud.heat.hanging.add(self.chance.choice(RESOURCES))
        return True

    def _do_stuck_stack(self, _number):
        pattern = self.chance.choice(RESOURCES)
        self.world.cloud.heat.fail(pattern, "it is in use", times=100_000)
        return True

    def _do_left_over(self, _number):
        cloud = self.world.cloud
        kind = self.chance.choice(("load balancer", "port", "volume"))
        one = cloud.leftovers.add(self.world.row().uuid, kind, "stray")
        cloud.leftovers.stubborn.add(one.id)
        return True

    def _rest(self):
        for seconds in PATIENCE:
            if self.world.row() is None or not self._is_in_progress():
                return
            self.world.tick(seconds)
            self.world.poll()

    def _is_in_progress(self):
        row = self.world.row()
        return row.status.endswith("_IN_PROGRESS") or (
            # A resize whose conductor died before it called the driver.
            row.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
            and any(
                one.status.endswith("_IN_PROGRESS")
                for one in self.world.groups_by_name().values()
            )
        )

    def _calm(self):
        cloud = self.world.cloud
        cloud.calls.stop_failing()
        cloud.heat.failing.clear()
        cloud.heat.hanging.clear()
        cloud.compute.no_boot.clear()
        cloud.leftovers.stubborn.clear()
        cloud.nodes.heal()

    def _check_nothing(self):
        left = self.world.cloud.inventory()
        if self.world.died_in_hook:
            # Magnum makes CAs before it calls the driver.
            left = [one for one in left if not one.startswith("certificate ")]
        self._require(not left, f"left: {left}")

    def _check_named(self, row):
        """Every left-over is in the reason, by its name or its stack's."""
        self._require(row.status == "DELETE_FAILED", _told(row))
        reason = row.status_reason
        stacks = [
            one.removeprefix("stack ")
            for one in self.world.cloud.inventory("stack *")
        ]
        for line in self.world.cloud.inventory():
            kind, _space, name = line.partition(" ")
            if kind in ("stack", "load", "port", "volume"):
                named = name in reason
            elif kind == "server":
                named = name in reason or any(
                    name.startswith(one) and one in reason for one in stacks
                )
            elif kind == "config":
                named = name in reason
            else:
                named = USER in reason
            self._require(named, f"{line} is not named: {_told(row)}")

    def _require(self, condition, sentence):
        if not condition:
            raise invariants.Broken(f"{sentence} ({'; '.join(self.told)})")


def _told(row):
    return "gone" if row is None else f"{row.status}: {row.status_reason}"


class TestRandomFaults(testtools.TestCase):
    def test_what_is_left(self):
        world = self.useFixture(conductors.Conductors())
        self.useFixture(test_create.Quick())
        struck, ended = collections.Counter(), collections.Counter()
        broken = []
        lives = 0
        while struck.total() < FAULTS and not (LIFE and lives):
            seed = LIFE or f"{SEED}:{lives}"
            life = Life(world, seed)
            lives += 1
            try:
                ended[life.run()] += 1
            except Exception:
                broken.append(f"{seed}: {traceback.format_exc()}")
            struck.update(life.struck)
        summary = (
            f"{struck.total()} faults in {lives} lives: {dict(struck)}; "
            f"deletes: {dict(ended)}"
        )
        self.addDetail("faults", testtools.content.text_content(summary))
        if "FAULTS" in os.environ:
            print(summary)
        self.assertEqual([], broken, "\n\n".join([*broken[:20], summary]))
