# SPDX-License-Identifier: Apache-2.0
"""What is added to Nova's "No valid host was found"."""

import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import placement
from magnum_k8s_driver.model import record
from magnum_k8s_driver.ports import compute
from tests.fakes import calls
from tests.fakes import world
from tests.unit.converge import simulation

DEMAND = {"VCPU": 8, "MEMORY_MB": 16384, "DISK_GB": 40}
SMALL = {"VCPU": 2, "MEMORY_MB": 65536, "DISK_GB": 500}
FLAT = {"VCPU": 32, "MEMORY_MB": 4000, "DISK_GB": 500}
LARGE = {"VCPU": 16, "MEMORY_MB": 65536, "DISK_GB": 500}


class ShortageTest(testtools.TestCase):
    def told(self, *hypervisors, traits=(), **demand):
        port = world.FakePlacement(calls.Calls())
        port.hypervisors = [
            one if isinstance(one, tuple) else (one, frozenset())
            for one in hypervisors
        ]
        wanted = compute.Demand(
            resources=demand or DEMAND, traits=tuple(traits)
        )
        return placement.shortage(wanted, port)

    def test_one_resource(self):
        self.assertEqual(
            "no hypervisor has 8 vCPUs free (the most is 2)", self.told(SMALL)
        )

    def test_several_resources(self):
        tiny = {"VCPU": 1, "MEMORY_MB": 16383, "DISK_GB": 39}
        self.assertEqual(
            "no hypervisor has 8 vCPUs free (the most is 1) nor 16384 MiB of "
            "memory free (the most is 16128) nor 40 GiB of disk free (the "
            "most is 39)",
            self.told(tiny),
        )

    def test_none_at_all(self):
        self.assertEqual(
            "no hypervisor has 1 VGPU free (none has any)",
            self.told(LARGE, VCPU=2, VGPU=1),
        )

    def test_not_together(self):
        self.assertEqual(
            "no single hypervisor has 8 vCPUs, 16384 MiB of memory and 40 "
            "GiB of disk free",
            self.told(SMALL, FLAT),
        )

    def test_traits(self):
        fast = (SMALL, frozenset({"HW_CPU_X86_AVX2"}))
        self.assertEqual(
            "no hypervisor with the trait HW_CPU_X86_AVX2 has room for it",
            self.told(LARGE, fast, traits=["HW_CPU_X86_AVX2"]),
        )
        self.assertEqual(
            "every hypervisor with room for it has the trait CUSTOM_A",
            self.told((LARGE, frozenset({"CUSTOM_A"})), traits=["!CUSTOM_A"]),
        )
        one, other = frozenset({"A"}), frozenset({"B"})
        self.assertEqual(
            "no hypervisor with room for it is as the flavor's traits A, B "
            "ask",
            self.told((LARGE, one), (LARGE, other), traits=["A", "B"]),
        )

    def test_room(self):
        self.assertIn("filter of Nova's scheduler", self.told(LARGE))


class ExplainedTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.sim = simulation.Simulation()
        self.cloud = self.sim.cloud
        self.cloud.compute.demanded = compute.Demand(resources=DEMAND)
        self.cloud.placement.hypervisors = [(SMALL, frozenset())]
        self.cloud.compute.fail_boot("*-worker-0", times=100)

    def asked(self):
        return self.cloud.calls.count("placement")

    def test_a_create_that_fails(self):
        written = self.sim.run()
        self.assertIs(record.Outcome.FAILED, written.outcome)
        self.assertIn(
            "No valid host was found: no hypervisor has 8 vCPUs free (the "
            "most is 2). Choose a smaller flavor",
            written.reason,
        )
        self.assertNotIn("..", written.reason)

    def test_nobody_is_asked_about_other_faults(self):
        self.cloud.compute.no_boot.clear()
        self.cloud.compute.fail_boot("*-worker-0", "disk is too small", 100)
        written = self.sim.run()
        self.assertIs(record.Outcome.FAILED, written.outcome)
        self.assertEqual(0, self.asked())

    def test_without_the_right_to_ask(self):
        refused = exceptions.CloudError(
            "placement", "Access denied.", status=403
        )
        self.cloud.calls.fail_next("placement", "*", refused, times=1000)
        written = self.sim.run()
        self.assertIs(record.Outcome.FAILED, written.outcome)
        self.assertIn(
            "No valid host was found: why is not known, because the "
            "placement service said: Access denied. Choose a smaller",
            written.reason,
        )
