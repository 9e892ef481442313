# SPDX-License-Identifier: Apache-2.0
"""Add-ons as users see them; Helm is pretended by the hollow nodes."""

from tests.functional import base
from tests.functional import changes

NO_CHART = "Error: chart openstack-cinder-csi not found in the repository"
SECONDS = 120


class AddonsTest(changes.ChangedClusterTest):
    """One cluster whose add-ons are switched on and off by upgrades."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.uuid = cls.make_cluster(cls.make_template())
        cls.magnum.await_status(cls.uuid, "CREATE_COMPLETE")

    def addons(self):
        """Return state and kinds of objects of each add-on by name."""
        return {
            one["name"]: (
                one["state"],
                [item["kind"] for item in one["objects"]],
            )
            for one in self.hollow()["addons"]
        }

    def test_required_ones_are_there(self):
        found = self.addons()
        self.assertEqual("done", found["cloud-controller"][0])
        self.assertEqual("done", found["cinder-csi"][0])
        self.assertIn("StorageClass", found["cinder-csi"][1])
        self.assertEqual(["Secret"], found["cloud-config"][1])
        order = [*found]
        self.assertLess(
            order.index("cloud-config"), order.index("cloud-controller")
        )

    def test_credential_is_not_in_metadata(self):
        """Orders can be read by readers of the project."""
        (one,) = [
            item
            for addon in self.hollow()["addons"]
            for item in addon["objects"]
            if item["metadata"]["name"] == "cloud-config"
        ]
        self.assertIn("@cloud-secret@", one["stringData"]["cloud.conf"])

    def test_switched_off_and_on_by_upgrades(self):
        base.needs_time()
        off = self.make_template(labels={"metrics_server_enabled": "false"})
        self.action("upgrade", cluster_template=off, max_batch_size=1)
        before = self.servers()
        state, kinds = self.addons()["metrics-server"]
        self.assertEqual(("done", ["Job"]), (state, kinds))
        on = self.make_template(labels={"metrics_server_enabled": "true"})
        self.action("upgrade", cluster_template=on, max_batch_size=1)
        state, kinds = self.addons()["metrics-server"]
        self.assertEqual(("done", ["Secret", "Job"]), (state, kinds))
        self.assertEqual(before, self.servers())


class FailingAddonTest(base.LabTest):
    """What Helm says last is what a user reads."""

    def test_required_addon_fails_the_create(self):
        base.needs_time()
        rule = {
            "match": ".",
            "fail_phase": "addon-cinder-csi",
            "message": NO_CHART,
            "times": 1,
        }
        base.write_behaviour(**base.FAST, rules=[rule])
        self.addCleanup(base.write_behaviour, **base.FAST)
        uuid = self.magnum.create(self.make_template())
        self.addCleanup(self.remove, uuid)
        found = self.magnum.await_status(uuid, "CREATE_FAILED")
        answer = base.command(
            *("coe", "cluster", "show", uuid, "-f", "value"),
            *("-c", "status_reason"),
        )
        self.assertEqual(found["status_reason"], answer.out)
        self.assertIn(f"Add-on cinder-csi failed: {NO_CHART}.", answer.out)
        self.assert_sentence(answer.out)

    def test_optional_addon_is_told_and_does_not_fail_it(self):
        base.needs_time()
        rule = {
            "match": ".",
            "fail_phase": "addon-metrics-server",
            "message": NO_CHART,
            "times": 1,
        }
        base.write_behaviour(**base.FAST, rules=[rule])
        self.addCleanup(base.write_behaviour, **base.FAST)
        uuid = self.magnum.create(self.make_template())
        self.addCleanup(self.remove, uuid)
        self.magnum.await_status(uuid, "CREATE_COMPLETE")
        # A resize to the same size tries again what failed.
        path = f"/clusters/{uuid}/actions/resize"
        self.magnum.call("POST", path, {"node_count": 1})
        found = self.magnum.await_status(uuid, "UPDATE_COMPLETE")
        self.assertNotIn("failed", found["status_reason"])
