# SPDX-License-Identifier: Apache-2.0
"""Two conductors on one database and message bus, and a node that breaks.

Both run every periodic job for every cluster, and either gets each hook.
What is done twice shows in Heat's events or in the counter of the driver's
changes, which a stack keeps as its parameter ``generation``.
"""

import os
import signal
import subprocess

from tests.functional import base
from tests.functional import inventory

SECOND = "second"
DELAY = 30
"""Seconds; the least that the label takes."""
SECONDS = 240


class SecondConductor:
    """Another magnum-conductor with a host name of its own."""

    def __init__(self):
        settings = base.settings()
        home = settings.config / "magnum"
        extra = base.ROOT / "state/second-conductor.conf"
        extra.write_text(f"[DEFAULT]\nhost = {SECOND}\n")
        self._extra = extra
        self._log = (base.ROOT / "log/magnum-conductor-2.log").open("ab")
        self._process = subprocess.Popen(
            [
                settings.program("magnum-conductor"),
                "--config-file",
                str(home / "magnum.conf"),
                "--config-file",
                str(extra),
            ],
            env={**os.environ, "HOME": str(base.ROOT / "home")},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def is_up(self):
        """Tell whether it has reported to the database lately."""
        if self._process.poll() is not None:
            raise AssertionError(f"it ended; see {self._log.name}")
        return base.sql(
            "magnum",
            "SELECT id FROM magnum_service WHERE host = %s AND last_seen_up "
            "> utc_timestamp() - INTERVAL 90 SECOND",
            SECOND,
        )

    def stop(self):
        """End it and its workers; nothing else is in its session."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()
        self._extra.unlink()
        base.sql(
            "magnum", "DELETE FROM magnum_service WHERE host = %s", SECOND
        )


class TwoConductorsTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        base.needs_time()
        super().setUpClass()
        base.write_behaviour(**base.FAST, digest_idle_seconds=10.0)
        second = SecondConductor()
        cls.addClassCleanup(second.stop)
        base.until(second.is_up, 120)
        cls.second = second
        cls.template = cls.make_template(
            labels={
                "auto_healing_enabled": "true",
                "auto_healing_delay": str(DELAY),
            }
        )

    def cluster(self):
        return self.magnum.cluster(self.uuid)

    def workers(self):
        prefix = base.prefix(self.named)
        return {
            one.name.removeprefix(f"{prefix}-"): one
            for one in self.demo.compute.servers(name=f"^{prefix}-worker-")
        }

    def settled(self, workers):
        """Return the cluster when it is complete and has these workers."""

        def look():
            found = self.cluster()
            assert not found["status"].endswith("FAILED"), found
            done = found["status"] == "UPDATE_COMPLETE"
            names = {x.removeprefix("worker-") for x in self.workers()}
            return found if done and names == set(workers) else None

        return base.until(
            look,
            SECONDS,
            lambda: (
                f"{self.cluster()['status_reason']} "
                f"{self.cluster()['health_status_reason']}"
            ),
        )

    def assert_changed(self, stack_id, times):
        """A stack was changed so often by the driver and by Heat."""
        found = base.stack(self.demo, stack_id)
        generation = int(found["parameters"]["generation"])
        rows = base.sql(
            "heat",
            "SELECT id FROM event WHERE stack_id = %s AND "
            "physical_resource_id = %s AND resource_action = 'UPDATE' AND "
            "resource_status = 'IN_PROGRESS'",
            stack_id,
            stack_id,
        )
        self.assertEqual((times + 1, times), (generation, len(rows)))

    def test_nothing_is_done_twice(self):
        before = inventory.take()
        self.uuid = self.make_cluster(self.template, node_count=2)
        self.named = self.magnum.await_status(self.uuid, "CREATE_COMPLETE")
        stack_id = self.magnum.groups(self.uuid)["default-worker"]["stack_id"]
        self.assertEqual({"worker-0", "worker-1"}, set(self.workers()))
        self.assert_changed(stack_id, 0)
        # The control plane is added, and its start recorded: two changes.
        self.assert_changed(self.named["stack_id"], 2)
        self.check_healing()
        self.assert_changed(stack_id, 1)
        path = f"/clusters/{self.uuid}/actions/resize"
        response = self.magnum.call("POST", path, {"node_count": 3})
        self.assertEqual(202, response.status_code, response.text)
        self.settled("023")
        self.assert_changed(stack_id, 2)
        # Both new workers were announced to the control plane.
        self.assert_changed(self.named["stack_id"], 4)
        path = base.ROOT / f"state/hollow/clusters/{self.uuid}.json"
        self.assertEqual(0, base.json.loads(path.read_text())["double_init"])
        self.assertTrue(self.second.is_up())
        self.magnum.delete(self.uuid)
        self.magnum.await_gone(self.uuid)
        inventory.assert_same(before)

    def check_healing(self):
        """A worker whose power is off is replaced, once."""
        base.until(self.is_healthy, base.HEALTH_SECONDS, self.told)
        found = self.reasons()
        self.assertGreater(int(found["magnum_certificate.days_left"]), 300)
        # The API of another lab may be at that address.
        if found["api"] == "ok":
            self.assertGreater(int(found["api_certificate.days_left"]), 300)
        victim = self.workers()["worker-1"]
        self.demo.compute.stop_server(victim)
        base.until(
            lambda: self.reasons().get(f"{victim.name}.Ready") == "False",
            base.HEALTH_SECONDS,
            self.told,
        )
        self.assertIn("NodeStatusUnknown", self.reasons()[victim.name])
        self.assertIn(f"{victim.name}.NotReadySince", self.reasons())
        found = self.settled("02")
        self.assert_sentence(found["status_reason"])
        self.assertIn("eplacing worker-1 not ready", found["status_reason"])
        base.until(self.is_healthy, base.HEALTH_SECONDS, self.told)

    def told(self):
        return str(self.reasons())

    def is_healthy(self):
        return self.cluster()["health_status"] == "HEALTHY"

    def reasons(self):
        return self.cluster()["health_status_reason"] or {}
