# SPDX-License-Identifier: Apache-2.0
"""Random clouds against preflight: is it right, either way?

For each cloud a cluster is asked for. Where preflight says no, the same
cluster is made without it, by the lab's conductor (``lab/plugins/
magnum_conductor.py``): the cloud has to refuse it as well. Where preflight
says yes, the cluster has to become complete, because nothing is wrong with
these clouds but what preflight looks at.

``LAB_CLOUDS`` says how many (5), ``LAB_CLOUDS_SEED`` which ones, and
``LAB_CLOUD`` the number of the only one. Workers with less memory than the
driver wants, and ranges of pods that overlap the nodes' network, are not
drawn: only machines notice, and a hollow node is none.
"""

import os
import random
import time

from lab import control
from lab.plugins import magnum_conductor
from tests.functional import base
from tests.functional import clouds
from tests.functional import inventory

CLOUDS = int(os.environ.get("LAB_CLOUDS", "5"))
SEED = os.environ.get("LAB_CLOUDS_SEED", "0")
ONLY = os.environ.get("LAB_CLOUD", "")
FORCED = "forced"
SECONDS = 600


class RandomCloudsTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        base.needs_time()
        super().setUpClass()
        cls.addClassCleanup(
            control.restart, base.settings(), [*CONDUCTOR, *ENGINE]
        )
        cls.heat = None
        cls.limit_heat({})
        cls.wrong = []

    @classmethod
    def limit_heat(cls, heat):
        """Give Heat limits, and tell the driver; no API does."""
        if heat == cls.heat:
            return
        driver = {magnum_conductor.VARIABLE: f"^{FORCED}-"}
        engine = {}
        if "stacks" in heat:
            driver["OS_K8S_DRIVER__HEAT_STACKS_PER_PROJECT"] = heat["stacks"]
            engine["OS_DEFAULT__MAX_STACKS_PER_TENANT"] = heat["stacks"]
        if "resources" in heat:
            most = heat["resources"]
            driver["OS_K8S_DRIVER__HEAT_RESOURCES_PER_STACK"] = most
            engine["OS_DEFAULT__MAX_RESOURCES_PER_STACK"] = most
        _restart(ENGINE, engine)
        _restart(CONDUCTOR, driver)
        cls.heat = dict(heat)

    def test_preflight_is_right(self):
        numbers = [int(ONLY)] if ONLY else range(CLOUDS)
        for number in numbers:
            self.try_one(number)
        self.assertEqual([], self.wrong)

    def try_one(self, number):
        began = time.monotonic()
        before = inventory.take()
        chance = random.Random(f"{SEED} {number}")
        told = Trial(self, chance).told()
        self.doCleanups()
        inventory.assert_same(before)
        seconds = time.monotonic() - began
        print(f"cloud {SEED}/{number} ({seconds:.0f} s): {told}", flush=True)
        if told.startswith("WRONG"):
            self.wrong.append(f"cloud {SEED}/{number}: {told}")


class Trial:
    """One cloud, and what became of a cluster there."""

    def __init__(self, test, chance):
        self.test = test
        self.cloud = clouds.draw(chance)
        builder = clouds.Builder(test, self.cloud)
        self.limits = clouds.Limits(test, builder.types)
        self.template = self._template(builder.build())
        builder.deactivate()
        self._limit(chance)

    def _template(self, fields):
        made = self.test.magnum.template(**fields)["uuid"]
        path = f"/clustertemplates/{made}"
        self.test.addCleanup(self.test.magnum.call, "DELETE", path)
        return made

    def _limit(self, chance):
        """Make the quotas tight, or too low."""
        first = self._preflight({})
        keys = [one["quota"] for one in first["quotas"]]
        heat = {"stacks": clouds.PLENTY, "resources": clouds.PLENTY}
        self.test.addCleanup(self.limits.set, {})
        self.limits.set(self.limits.plenty(keys))
        rows = self._preflight(heat)["quotas"]
        drawn = self.limits.drawn(chance, rows)
        self.limits.set(drawn)
        self.heat = {}
        if self.cloud.limits_heat:
            self.heat = drawn.get(clouds.HEAT, {})
        self.drawn = {**drawn, clouds.HEAT: self.heat}
        self.test.limit_heat(self.heat)
        self.said = self._preflight(self.heat)

    def _preflight(self, heat):
        return clouds.preflight(self.template, self.cloud, heat)

    def told(self):
        """Return one line; it begins with WRONG where preflight is."""
        found = self._create(base.unique("c"))
        refused = found["stack_id"] in (None, "")
        if refused == self.said["fits"]:
            return (
                f"WRONG: the command said {self.said['problems']}, the driver "
                f"{found['status']}: {found['status_reason']}; {self}"
            )
        if not refused and found["status"] != "CREATE_COMPLETE":
            return f"WRONG yes: {found['status_reason']} {self}"
        if not refused:
            other = found["counted otherwise"]
            return f"WRONG count: {other} {self}" if other else "yes, complete"
        reason = found["status_reason"]
        forced = self._create(base.unique(FORCED))
        if forced["status"] != "CREATE_FAILED":
            return f"WRONG no: {reason} {self}"
        return f"no: {reason} -- forced: {forced['status_reason']}"

    def _create(self, name):
        """Return a cluster at its end, which is gone by then."""
        magnum = self.test.magnum
        uuid = magnum.create(
            self.template,
            name=name,
            master_count=self.cloud.masters,
            node_count=self.cloud.workers,
            create_timeout=5,
        )
        self.test.addCleanup(self.test.remove, uuid)
        ends = ("CREATE_COMPLETE", "CREATE_FAILED")
        found = magnum.await_status(uuid, *ends, seconds=SECONDS)
        if found["status"] == "CREATE_COMPLETE":
            found["counted otherwise"] = self._counted_otherwise()
        self.test.remove(uuid)
        return found

    def _counted_otherwise(self):
        """Return quotas of which a cluster took more or less than needed."""
        before = {one["quota"]: one for one in self.said["quotas"]}
        wrong = []
        for after in self._preflight(self.heat)["quotas"]:
            name = after["quota"]
            taken = before[name]["left"] - after["left"]
            single = name.rpartition(".")[2] in clouds.SINGLE
            if not single and taken != after["needed"]:
                wrong.append(f"{name}: took {taken} of {after['needed']}")
        return wrong

    def __str__(self):
        return f"{self.cloud} {self.drawn}"


CONDUCTOR = ["magnum-conductor"]
ENGINE = ["heat-engine"]


def _restart(names, environment):
    texts = {name: str(value) for name, value in environment.items()}
    control.restart(base.settings(), names, environment=texts)
