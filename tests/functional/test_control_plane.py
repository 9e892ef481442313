# SPDX-License-Identifier: Apache-2.0
"""Size of a running control plane, and what it is ordered to do."""

from tests.functional import base
from tests.functional import changes


class ControlPlaneTest(changes.ChangedClusterTest):
    """One cluster behind a load balancer."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        template = cls.make_template(master_lb_enabled=True)
        cls.uuid = cls.make_cluster(template, node_count=1)
        cls.magnum.await_status(cls.uuid, "CREATE_COMPLETE")

    def resize(self, count, *nodes, group="default-master"):
        return self.action(
            "resize",
            node_count=count,
            nodegroup=group,
            nodes_to_remove=list(nodes),
        )

    def assert_control_plane(self, *names):
        found = {one for one in self.servers() if one.startswith("cp-")}
        self.assertEqual({*names}, found)
        self.assertEqual({*names}, self.voters())
        self.assertEqual(0, self.hollow()["double_init"])

    def test_control_plane_grows_loses_a_member_and_shrinks(self):
        before = self.servers()
        self.resize(3)
        self.assert_control_plane("cp-0", "cp-1", "cp-2")
        grown = self.servers()
        self.assertEqual(before, {name: grown[name] for name in before})
        self.demo.compute.delete_server(grown["cp-1"])
        base.until(lambda: "cp-1" not in self.servers(), 60)
        self.resize(3)
        self.assert_control_plane("cp-0", "cp-2", "cp-3")
        self.resize(1)
        (last,) = (one for one in self.servers() if one.startswith("cp-"))
        self.assert_control_plane(last)
        found = self.magnum.cluster(self.uuid)
        self.assertEqual(1, found["master_count"])

    def test_labels_and_taints_reach_running_nodes(self):
        path = f"/clusters/{self.uuid}/nodegroups/default-worker"
        # Magnum takes a dictionary as text here, as its client sends it.
        values = {
            "node_labels": {"tier": "gold"},
            "node_taints": [
                {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
            ],
        }
        patch = [
            {"op": "replace", "path": f"/{name}", "value": str(value)}
            for name, value in values.items()
        ]
        response = self.magnum.call("PATCH", path, patch)
        self.assertEqual(202, response.status_code, response.text)
        wanted = {"labels": values["node_labels"]} | {
            "taints": ["gpu=yes:NoSchedule"]
        }
        base.until(
            lambda: wanted in self.hollow()["settings"].values(),
            changes.SECONDS,
            lambda: str(self.hollow()["settings"]),
        )
        self.settled()

    def test_new_worker_is_expected(self):
        before = self.servers()
        self.resize(2, group="default-worker")
        (new,) = {*self.servers()} - {*before}
        prefix = base.prefix(self.magnum.cluster(self.uuid))
        self.assertEqual([f"{prefix}-{new}"], self.hollow()["expected"])
