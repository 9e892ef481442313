# SPDX-License-Identifier: Apache-2.0
"""A create and a delete from the hook to the end, on the simulated cloud."""

import copy
import functools
import json
import random

from cryptography.hazmat.primitives.asymmetric import rsa
import fixtures
import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import problems
from magnum_k8s_driver.render import cluster_stack
from magnum_k8s_driver.render import worker_stack
from tests.unit.converge import simulation

COMPLETE = simulation.Outcome.COMPLETE
FAILED = simulation.Outcome.FAILED
IN_PROGRESS = simulation.Outcome.IN_PROGRESS


class Killed(BaseException):
    """The conductor was killed; nothing may catch it."""


class TestCreate(testtools.TestCase):
    def test_one_control_plane_and_two_workers(self):
        sim = simulation.Simulation()
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual(
            "Control plane 1/1 ready, workers 2/2 ready.", written.reason
        )
        self.assertEqual(3, len(sim.cloud.inventory("server *")))
        self.assertEqual(2, len(sim.cloud.inventory("stack *")))

    def test_heat_is_told_no_more_than_it_must(self):
        sim = simulation.Simulation()
        sim.run()
        # The stacks; who is in the control plane; who has its secrets.
        self.assertEqual(2, sim.cloud.calls.count("heat", "create"))
        self.assertEqual(2, sim.cloud.calls.count("heat", "update"))

    def test_network_and_orders_are_looked_at_again_soon(self):
        sim = simulation.Simulation()
        waits = []
        for _tick in range(8):
            awaited = sim.converge().awaited
            cluster = sim.cloud.heat.named("prod-7d1b1b8e6a0c")
            waits.append((awaited, str(cluster.phase)))
            sim.cloud.tick(simulation.TICK)
        self.assertEqual((True, "IN_PROGRESS"), waits[0])
        self.assertEqual(COMPLETE, sim.written.outcome)
        self.assertFalse(sim.converge().awaited)

    def test_three_control_planes(self):
        sim = simulation.Simulation().with_count(1, control_planes=3)
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual(4, len(sim.cloud.inventory("server *")))

    def test_no_workers(self):
        sim = simulation.Simulation().with_count(0)
        self.assertEqual(COMPLETE, sim.run().outcome)
        self.assertEqual([], sim.cloud.inventory("config *"))

    def test_user_data_is_gone_when_servers_run(self):
        sim = simulation.Simulation()
        sim.run()
        self.assertEqual([], sim.cloud.inventory("config *"))

    def test_every_reason_on_the_way_is_a_sentence(self):
        sim = simulation.Simulation()
        sim.run()
        for reason in sim.history:
            self.assertRegex(reason, r"^[A-Z].*\.$")

    def test_refusal_makes_nothing(self):
        sim = simulation.Simulation()
        sim.refusal = exceptions.InvalidClusterSpec(
            [problems.Problem(subject="x", sentence="Flavor x is missing.")]
        )
        before = sim.cloud.inventory()
        written = sim.converge()
        self.assertEqual(FAILED, written.outcome)
        self.assertEqual("Flavor x is missing.", written.reason)
        self.assertEqual(before, sim.cloud.inventory())

    def test_failing_control_plane_is_named_with_its_words(self):
        sim = simulation.Simulation()
        sim.cloud.nodes.behave(
            "*-cp-0",
            fail_phase="runtime",
            message="containerd did not start",
            hint="Look at the journal of containerd",
        )
        written = sim.run()
        self.assertEqual(FAILED, written.outcome)
        self.assertEqual(
            f"Node {sim.record().prefix}-cp-0 failed in phase runtime: "
            "containerd did not start. Look at the journal of containerd.",
            written.reason,
        )

    def test_silent_worker_ends_at_the_deadline(self):
        sim = simulation.Simulation()
        sim.cloud.nodes.behave("*-worker-1", silent=True)
        written = sim.run()
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("Not ready after 60 minutes", written.reason)
        self.assertIn("worker-1", written.reason)

    def test_distress_is_told_while_it_lasts_and_may_heal(self):
        sim = simulation.Simulation()
        how = sim.cloud.nodes.behave(
            "*-worker-1", fail_phase="join", message="token refused"
        )
        sim.converge()
        for _tick in range(12):
            sim.cloud.tick(10)
            sim.converge()
        self.assertEqual(IN_PROGRESS, sim.written.outcome)
        self.assertIn("token refused", sim.written.reason)
        how.fail_phase = ""
        self.assertEqual(COMPLETE, sim.run().outcome)

    def test_no_certificates_is_an_orphan(self):
        sim = simulation.Simulation()
        sim.prepared = False
        self.assertEqual(IN_PROGRESS, sim.converge().outcome)
        sim.cloud.tick(130)
        self.assertEqual(FAILED, sim.converge().outcome)

    def test_service_trouble_is_told_and_passes(self):
        sim = simulation.Simulation()
        sim.cloud.fail_next("heat", "create")
        written = sim.converge()
        self.assertEqual(IN_PROGRESS, written.outcome)
        self.assertIn("Trying again.", written.reason)
        self.assertEqual(COMPLETE, sim.run().outcome)

    def test_service_refusal_ends_it(self):
        sim = simulation.Simulation()
        error = exceptions.CloudError("orchestration", "quota exceeded")
        sim.cloud.fail_next("heat", "create", error)
        written = sim.converge()
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("quota exceeded", written.reason)


_RSA_KEY = functools.cache(rsa.generate_private_key)
_CLUSTER_TEMPLATE = functools.cache(cluster_stack.template)
_WORKER_TEMPLATE = functools.cache(worker_stack.template)


class Quick(fixtures.Fixture):
    """Remember what is slow to compute and the same every time.

    These tests run hundreds of clusters and look at what is made how often;
    what is written in user data is tested elsewhere.
    """

    def _setUp(self):
        for name, function in (
            ("render.userdata.user_data", self._user_data),
            ("render.cluster_stack.template", _CLUSTER_TEMPLATE),
            ("render.worker_stack.template", _WORKER_TEMPLATE),
            ("converge.secret.rsa.generate_private_key", _RSA_KEY),
        ):
            self.useFixture(
                fixtures.MonkeyPatch(f"magnum_k8s_driver.{name}", function)
            )

    @staticmethod
    def _user_data(spec, group, document):
        return json.dumps(document)


class Timeline:
    """An undisturbed run, to be entered again at any of its calls."""

    def __init__(self, sim):
        self.first = len(sim.cloud.calls.log)
        self._moments = []
        while not self._moments or sim.written.outcome is IN_PROGRESS:
            number = len(sim.cloud.calls.log)
            self._moments.append((number, copy.deepcopy(sim)))
            sim.converge()
            sim.cloud.tick(simulation.TICK)
        self.end = sim
        self.calls = range(self.first, len(sim.cloud.calls.log))

    def enter(self, number):
        """Return the simulation as it was just before converge made a call."""
        moments = [one for first, one in self._moments if first <= number]
        return copy.deepcopy(moments[-1])


class TestKilled(testtools.TestCase):
    """A conductor killed at any call: the next one ends it right."""

    def setUp(self):
        super().setUp()
        self.useFixture(Quick())

    simulation = simulation.Simulation

    def assert_one_of_each(self, sim):
        inventory = sim.cloud.inventory()
        self.assertEqual(sorted(set(inventory)), sorted(inventory))
        self.assertEqual(2, len(sim.cloud.inventory("stack *")))
        self.assertEqual(3, len(sim.cloud.inventory("server *")))
        self.assertEqual(1, len(sim.cloud.inventory("user *")))
        self.assertEqual(1, len(sim.cloud.inventory("secret *")))
        self.assertEqual(1, len(sim.cloud.inventory("credential *")))
        self.assertEqual(0, len(sim.cloud.inventory("config *")))

    def run_with_kills(self, sim, kills, seed):
        """Go on to the end, killed at random calls on the way."""
        choice = random.Random(seed)
        while kills:
            number = len(sim.cloud.calls.log) + choice.randrange(25)
            sim.cloud.fail_call(number, Killed(), after=choice.random() < 0.5)
            try:
                for _tick in range(choice.randrange(1, 6)):
                    sim.converge()
                    sim.cloud.tick(10)
            except Killed:
                kills -= 1
                sim.cloud.lock.held.clear()
            else:
                if sim.written.outcome is not IN_PROGRESS:
                    break
            sim.cloud.calls.stop_failing()
        sim.cloud.calls.stop_failing()
        return sim.run()

    def run_killed_at(self, sim, number, after):
        """Run to the end, killed once on the way."""
        sim.cloud.fail_call(number, Killed(), after=after)
        self.assertRaises(Killed, sim.run)
        sim.cloud.lock.held.clear()
        return sim.run()

    def test_create_at_every_call(self):
        timeline = Timeline(self.simulation())
        self.assertGreater(len(timeline.calls), 30)
        for number in timeline.calls:
            sim = timeline.enter(number)
            written = self.run_killed_at(sim, number, number % 2 == 0)
            self.assertEqual(COMPLETE, written.outcome, written.reason)
            self.assert_one_of_each(sim)

    def test_delete_at_every_call(self):
        sim = self.simulation()
        sim.run()
        sim.delete()
        timeline = Timeline(sim)
        self.assertEqual([], timeline.end.cloud.inventory())
        self.assertGreater(len(timeline.calls), 30)
        for number in timeline.calls:
            sim = timeline.enter(number)
            written = self.run_killed_at(sim, number, number % 2 == 0)
            self.assertEqual(COMPLETE, written.outcome, written.reason)
            self.assertEqual([], sim.cloud.inventory())

    def test_many_kills(self):
        for seed in range(20):
            sim = self.simulation()
            written = self.run_with_kills(sim, kills=5, seed=seed)
            self.assertEqual(COMPLETE, written.outcome, written.reason)
            self.assert_one_of_each(sim)
            sim.delete()
            written = self.run_with_kills(sim, kills=3, seed=seed)
            self.assertEqual(COMPLETE, written.outcome, written.reason)
            self.assertEqual([], sim.cloud.inventory())

    def test_delete_overtakes_create_at_every_call(self):
        timeline = Timeline(self.simulation())
        for number in timeline.calls:
            sim = timeline.enter(number)
            sim.cloud.fail_call(number, Killed(), after=number % 2 == 0)
            self.assertRaises(Killed, sim.run)
            sim.cloud.lock.held.clear()
            sim.delete()
            written = sim.run()
            self.assertEqual(COMPLETE, written.outcome, written.reason)
            self.assertEqual([], sim.cloud.inventory())


class TestDelete(testtools.TestCase):
    def test_leftovers_go_and_load_balancers_go_first(self):
        sim = simulation.Simulation()
        sim.run()
        uuid = sim.spec.uuid
        sim.cloud.leftovers.add(uuid, "load balancer", "kube_service_x")
        sim.cloud.leftovers.add(uuid, "port", "dangling")
        sim.delete()
        self.assertEqual(COMPLETE, sim.run().outcome)
        self.assertEqual([], sim.cloud.inventory())
        methods = [
            call.method
            for call in sim.cloud.calls.log
            if call.method in ("disable_cluster_user", "remove", "delete")
        ]
        self.assertEqual("disable_cluster_user", methods[0])
        self.assertEqual("remove", methods[1])

    def test_stubborn_leftover_is_named_at_the_deadline(self):
        sim = simulation.Simulation()
        sim.run()
        left = sim.cloud.leftovers.add(
            sim.spec.uuid, "load balancer", "kube_service_x"
        )
        sim.cloud.leftovers.stubborn.add(left.id)
        sim.delete()
        written = sim.run()
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("load balancer kube_service_x", written.reason)
        sim.cloud.leftovers.stubborn.clear()
        sim.delete()
        self.assertEqual(COMPLETE, sim.run().outcome)
