# SPDX-License-Identifier: Apache-2.0
"""A control-plane node that stops is replaced, and the only one is not."""

from tests.functional import base
from tests.functional import changes

DELAY = 30
"""Seconds; the least that the label takes."""


class HealingTest(changes.ChangedClusterTest):
    @classmethod
    def setUpClass(cls):
        base.needs_time()
        super().setUpClass()
        name = base.unique("alone")
        rule = {"match": f"^{name}-.*cp-0$", "not_ready_after": 60}
        base.write_behaviour(
            **base.FAST, digest_idle_seconds=10.0, rules=[rule]
        )
        template = cls.make_template(
            master_lb_enabled=True,
            labels={
                "auto_healing_enabled": "true",
                "auto_healing_delay": str(DELAY),
            },
        )
        cls.uuid = cls.make_cluster(template, master_count=3)
        cls.alone = cls.make_cluster(template, name=name, node_count=0)
        for one in (cls.uuid, cls.alone):
            cls.magnum.await_status(one, "CREATE_COMPLETE")

    def reasons(self, uuid=None):
        found = self.magnum.cluster(uuid or self.uuid)
        return found["health_status_reason"] or {}

    def test_stopped_node_is_replaced(self):
        before = self.servers()
        name = f"{base.prefix(self.magnum.cluster(self.uuid))}-cp-1"
        self.demo.compute.stop_server(before["cp-1"])
        base.until(
            lambda: self.reasons().get(f"{name}.Ready") == "False",
            base.HEALTH_SECONDS,
            lambda: str(self.reasons()),
        )
        self.assertIn("NodeStatusUnknown", self.reasons()[name])
        base.until(
            lambda: "cp-1" not in self.servers(),
            changes.SECONDS,
            lambda: str(self.reasons()),
        )
        found = self.settled()
        told = found["status_reason"]
        self.assert_sentence(told)
        self.assertIn("eplacing cp-1 not ready for", told)
        self.assertIn("(its server is SHUTOFF)", told)
        del before["cp-1"]
        after = self.servers()
        self.assertEqual({*before, "cp-3"}, {*after})
        self.assertEqual(before, {one: after[one] for one in before})
        self.assertEqual({"cp-0", "cp-2", "cp-3"}, self.voters())
        self.assertEqual(0, self.hollow()["double_init"])
        healthy = {"health_status": "HEALTHY"}
        base.until(
            lambda: healthy.items() <= self.magnum.cluster(self.uuid).items(),
            base.HEALTH_SECONDS,
            lambda: str(self.reasons()),
        )

    def test_only_node_is_left_alone(self):
        base.until(
            lambda: "is not possible" in self.healing(self.alone),
            base.HEALTH_SECONDS + 60 + DELAY,
            lambda: str(self.reasons(self.alone)),
        )
        self.assert_sentence(self.healing(self.alone))
        found = self.magnum.cluster(self.alone)
        self.assertEqual("CREATE_COMPLETE", found["status"])

    def healing(self, uuid):
        return self.reasons(uuid).get("healing", "")
