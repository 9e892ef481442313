# SPDX-License-Identifier: Apache-2.0
"""Signed orders to hollow control planes."""

from lab.hollow import kube_objects
from lab.hollow import testing
from lab.tests import test_hollow_nodes
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import orders


class OrdersTest(test_hollow_nodes.NodeTest):
    def order(self, *members, key=testing.BOARD_KEY, **wanted):
        """Give orders to members, which look after two seconds."""
        metadata = orders.encode(orders.Orders(**wanted), key)
        for one in members or ("cp-0",):
            self.lab.world.obey(f"id-{one}", metadata)
        self.lab.run(3)

    def acknowledged(self, member="0"):
        entry = self.lab.heat.handles[f"board-{member}"]["report"]
        return orders.acknowledgement(board.decode(entry["data"]))

    def nodes(self):
        cluster = self.lab.world.clusters[testing.CLUSTER]
        found = kube_objects.node_list(cluster)["items"]
        return {one["metadata"]["name"]: one for one in found}

    def test_label_taint_and_delete(self):
        self.boot_cluster(workers=2)
        self.order(
            seq=4,
            node_labels={"worker-0": {"tier": "gold"}, "gone": {"a": "b"}},
            node_taints={"worker-0": ("k=v:NoSchedule", "x:NoExecute")},
            delete_nodes=("worker-1", "gone"),
        )
        nodes = self.nodes()
        self.assertEqual({"cp-0", "worker-0"}, {*nodes})
        worker = nodes["worker-0"]
        self.assertEqual("gold", worker["metadata"]["labels"]["tier"])
        self.assertEqual(
            [
                {"key": "k", "value": "v", "effect": "NoSchedule"},
                {"key": "x", "effect": "NoExecute"},
            ],
            worker["spec"]["taints"],
        )
        self.assertEqual((4, "done"), self.ended())
        self.order(
            seq=5,
            node_labels={"worker-0": {"tier": None}},
            node_taints={"worker-0": ("k-", "x:NoExecute-", "y-")},
        )
        worker = self.nodes()["worker-0"]
        self.assertNotIn("tier", worker["metadata"]["labels"])
        self.assertNotIn("taints", worker["spec"])

    def ended(self, member="0"):
        found = self.acknowledged(member)
        return found and (found.seq, str(found.state))

    def test_older_and_foreign_orders_are_not_executed(self):
        self.boot_cluster()
        self.order(seq=4)
        self.order(seq=3, delete_nodes=("worker-0",))
        self.order(seq=5, key=bytes(32), delete_nodes=("worker-0",))
        self.assertIn("worker-0", self.nodes())
        self.assertEqual((4, "done"), self.ended())
        console = self.lab.world.console("id-cp-0")
        self.assertIn("orders refused: the signature", console)

    def test_only_expected_workers_join(self):
        self.boot_cluster(workers=0)
        self.order(seq=4, expected=frozenset({"worker-1"}))
        for name in ("worker-1", "worker-2"):
            self.lab.boot(name, testing.node_document())
        self.lab.run(20)
        self.assertEqual({"cp-0", "worker-1"}, {*self.nodes()})
        (found,) = board.read_distress(self.lab.heat.handles["distress"])
        self.assertEqual("worker-2", found.server_name)
        self.assertIn("does not expect", found.error.message)
        self.order(seq=5)
        self.lab.run(30)
        self.assertNotIn("worker-2", self.nodes())
        self.order(seq=6, expected=frozenset({"worker-2"}))
        self.lab.run(30)
        self.assertIn("worker-2", self.nodes())
        self.assertEqual(["worker-2"], self.lab.state()["expected"])

    def three(self):
        for member in range(3):
            content = testing.control_plane(str(member), member == 0)
            self.lab.boot(f"cp-{member}", content)
        self.lab.run(30)

    def test_every_member_acknowledges_one_executes(self):
        self.three()
        self.order("cp-0", "cp-1", "cp-2", seq=4)
        self.assertEqual([(4, "done")] * 3, [self.ended(m) for m in "012"])
        events = [one["event"] for one in self.lab.state()["events"]]
        self.assertEqual(1, events.count("orders-4-done"))

    def test_etcd_member_is_removed_by_another(self):
        self.three()
        self.order("cp-2", seq=4, remove_etcd=("cp-2",))
        self.assertIsNone(self.acknowledged("2"))
        self.order("cp-0", seq=4, remove_etcd=("cp-2",))
        self.lab.run(3)
        self.assertEqual((4, "done"), self.ended("0"))
        self.assertEqual((4, "done"), self.ended("2"))
        self.assertEqual({"cp-0", "cp-1"}, {*self.lab.state()["etcd"]})

    def test_never_below_quorum(self):
        self.three()
        self.lab.world.power_off("id-cp-1")
        self.order(seq=4, remove_etcd=("cp-2",))
        found = self.acknowledged()
        self.assertEqual("failed", found.state)
        self.assertIn("only 1 of the 2", found.message)

    def test_failure_can_be_injected(self):
        self.boot_cluster()
        rule = {"match": "cp-0", "fail_phase": "orders", "message": "no"}
        self.lab.behave(rules=[rule])
        self.order(seq=4, delete_nodes=("worker-0",))
        self.assertEqual((4, "failed"), self.ended())
        self.assertIn("worker-0", self.nodes())

    def test_orders_outlive_a_restart(self):
        self.boot_cluster()
        self.order(
            seq=4, expected=frozenset(), node_labels={"worker-0": {"a": "b"}}
        )
        self.lab.world.reboot("id-worker-0")
        self.lab.run(10)
        labels = self.nodes()["worker-0"]["metadata"]["labels"]
        self.assertEqual("b", labels["a"])
        self.assertEqual([], self.lab.state()["expected"])
        self.assertEqual("done", self.lab.state()["orders"]["state"])
