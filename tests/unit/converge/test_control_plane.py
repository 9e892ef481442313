# SPDX-License-Identifier: Apache-2.0
"""The control plane's size, and what it is ordered to do."""

import dataclasses

import testtools

from magnum_k8s_driver.converge import control_plane
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import state
from magnum_k8s_driver.render import userdata
from tests.unit.converge import simulation
from tests.unit.converge import states

COMPLETE = simulation.Outcome.COMPLETE
FAILED = simulation.Outcome.FAILED


def running(control_planes=3, workers=1):
    """Return a cluster that is complete."""
    sim = simulation.Simulation().with_count(
        workers, control_planes=control_planes
    )
    sim.spec = dataclasses.replace(
        sim.spec,
        endpoint=dataclasses.replace(sim.spec.endpoint, load_balancer=True),
    )
    assert sim.run().outcome is COMPLETE
    return sim


class ControlPlaneTest(testtools.TestCase):
    def resize(self, sim, count, *nodes):
        """Resize the control plane; return the report of the hook."""
        sim.spec = dataclasses.replace(
            sim.spec,
            control_plane=dataclasses.replace(
                sim.spec.control_plane, count=count
            ),
        )
        sim.intent = record.Intent.UPDATE
        sim.changed = sim.cloud.now
        group = sim.spec.control_plane.uuid
        return sim.converge(record.Removal(group_uuid=group, nodes=nodes))

    def control_plane(self, sim):
        return {k: v for k, v in sim.servers().items() if k.startswith("cp-")}

    def voters(self, sim):
        prefix = f"{sim.record().prefix}-"
        (found,) = sim.cloud.nodes.etcd.values()
        return {one.removeprefix(prefix) for one in found}

    def assert_members(self, sim, *names):
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        self.assertEqual(set(names), set(self.control_plane(sim)))
        self.assertEqual(set(names), self.voters(sim))


class TestResize(ControlPlaneTest):
    def test_one_to_three_to_five_and_back(self):
        sim = running(control_planes=1)
        first = sim.servers()
        self.resize(sim, 3)
        self.assert_members(sim, "cp-0", "cp-1", "cp-2")
        self.resize(sim, 5)
        self.assert_members(sim, "cp-0", "cp-1", "cp-2", "cp-3", "cp-4")
        self.resize(sim, 3)
        self.assert_members(sim, "cp-0", "cp-1", "cp-2")
        self.resize(sim, 1)
        self.assert_members(sim, "cp-0")
        self.assertEqual(first, sim.servers())

    def test_members_come_one_at_a_time(self):
        sim = running(control_planes=1)
        self.resize(sim, 5)
        most = 0
        while sim.converge().outcome is not COMPLETE:
            sim.cloud.tick(5)
            nodes = sim.cloud.nodes.by_id.values()
            joining = [
                one for one in nodes if one.control_plane and not one.joined
            ]
            most = max(most, len(joining))
        self.assertEqual(1, most)

    def test_no_second_init(self):
        sim = running(control_planes=1)
        self.resize(sim, 3)
        self.assert_members(sim, "cp-0", "cp-1", "cp-2")
        documents = {
            one.name[-4:]: userdata.parse_node_document(one.user_data)
            for one in sim.cloud.compute.by_id.values()
            if "-cp-" in one.name
        }
        self.assertEqual(
            {"cp-0": True, "cp-1": False, "cp-2": False},
            {name: one["init"] for name, one in documents.items()},
        )

    def test_named_member_is_replaced(self):
        sim = running()
        self.resize(sim, 3, "1")
        self.assert_members(sim, "cp-0", "cp-2", "cp-3")

    def test_lost_member_is_replaced(self):
        sim = running()
        sim.cloud.compute.lose("*-cp-1")
        self.resize(sim, 3)
        self.assert_members(sim, "cp-0", "cp-2", "cp-3")

    def test_growth_that_failed_is_resumed(self):
        sim = running(control_planes=1)
        sim.cloud.compute.fail_boot("*-cp-1", "No valid host was found")
        self.resize(sim, 3)
        written = sim.run()
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("No valid host was found", written.reason)
        self.resize(sim, 3)
        self.assert_members(sim, "cp-0", "cp-2", "cp-3")

    def test_server_leaves_after_its_etcd_member(self):
        sim = running()
        self.resize(sim, 1)
        while sim.converge().outcome is not COMPLETE:
            sim.cloud.tick(5)
            self.assertLessEqual(
                self.voters(sim), set(self.control_plane(sim))
            )


class TestRefusals(ControlPlaneTest):
    def test_growth_needs_a_load_balancer(self):
        sim = simulation.Simulation().with_count(1)
        sim.run()
        before = sim.servers()
        written = self.resize(sim, 3)
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("needs a load balancer", written.reason)
        self.assertEqual(before, sim.servers())

    def test_majority_is_kept(self):
        sim = running()
        written = self.resize(sim, 3, "0", "1")
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("at most 1 can be replaced at a time", written.reason)

    def test_lost_quorum_is_told_and_nothing_done(self):
        sim = running()
        for name in ("*-cp-1", "*-cp-2"):
            sim.cloud.compute.lose(name)
        written = self.resize(sim, 3)
        self.assertEqual(FAILED, written.outcome)
        self.assertIn("only 1 still have a server", written.reason)
        self.assertEqual({"cp-0"}, set(self.control_plane(sim)))


class TestEarly(testtools.TestCase):
    def test_cluster_without_groups_has_no_problem(self):
        """Its create died before Magnum had saved them; it can be deleted."""
        found = states.finished(intent=record.Intent.DELETE, groups=())
        self.assertEqual("", control_plane.problem(found))


class TestSettings(ControlPlaneTest):
    def change(self, sim, labels, taints=()):
        sim.settings = state.GroupSettings(labels=labels, taints=taints)
        sim.intent = record.Intent.UPDATE
        sim.changed = sim.cloud.now
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)
        return [
            (one.labels, one.taints)
            for one in sim.cloud.nodes.by_id.values()
            if not one.control_plane
        ]

    def test_labels_and_taints_reach_running_nodes(self):
        sim = running(control_planes=1, workers=2)
        before = sim.servers()
        found = self.change(sim, {"tier": "a"}, ("gpu=yes:NoSchedule",))
        self.assertEqual([({"tier": "a"}, ("gpu=yes:NoSchedule",))] * 2, found)
        found = self.change(sim, {"zone": "b"})
        self.assertEqual([({"zone": "b"}, ())] * 2, found)
        self.assertEqual(before, sim.servers())

    def test_failed_orders_are_told_and_tried_again(self):
        sim = running(control_planes=1)
        how = sim.cloud.nodes.behave("*-cp-0", orders_error="API is slow")
        sim.settings = state.GroupSettings(labels={"tier": "a"})
        sim.intent = record.Intent.UPDATE
        sim.changed = sim.cloud.now
        for _tick in range(10):
            sim.converge()
            sim.cloud.tick(10)
        self.assertIn("failed at its orders: API is slow", sim.written.reason)
        how.orders_error = ""
        written = sim.run()
        self.assertEqual(COMPLETE, written.outcome, written.reason)


class TestExpected(ControlPlaneTest):
    def test_new_workers_are_announced(self):
        sim = running(control_planes=1)
        sim.resize(3)
        sim.run()
        stack = sim.cloud.heat.find(sim.record().prefix)
        shown = sim.cloud.heat.show(stack)
        found = state.read_cluster_state(shown.parameters).orders
        prefix = sim.record().prefix
        self.assertEqual(
            (f"{prefix}-worker-1", f"{prefix}-worker-2"), found.expected
        )
