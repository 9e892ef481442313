# SPDX-License-Identifier: Apache-2.0
"""cluster-autoscaler's requests get the answers that program needs."""

import openstack

from lab import settings as lab_settings
from tests.functional import autoscaler
from tests.functional import base
from tests.functional import changes

QUOTA = "Quota exceeded for instances: Requested 1, but already used 2 of 2."


class AutoscalerTest(changes.ChangedClusterTest):
    """One autoscaler's life, from its first look to a machine that fails."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        base.needs_time()
        template = cls.make_template()
        cls.uuid = cls.make_cluster(template, node_count=1)

    def test_scales(self):
        self.client = autoscaler.Autoscaler(self.demo, self.uuid)
        self.see_it_come()
        # From here on with what the add-on logs in with.
        self.client = autoscaler.Autoscaler(self.clusters_user(), self.uuid)
        self.find_groups()
        self.grow()
        self.remove_a_server()
        self.remove_one_that_failed()

    def clusters_user(self):
        """Log in as the cluster's own user, by its password."""
        nodes = self.hollow()["nodes"].values()
        (found,) = [one["secrets"] for one in nodes if one.get("secrets")]
        return openstack.connect(
            auth_url=base.settings().identity_url,
            auth_type="v3password",
            user_id=found["cloud"]["user"],
            password=found["cloud"]["password"],
            project_id=self.project_id,
            region_name=lab_settings.REGION,
        )

    def see_it_come(self):
        """While the cluster is made, a machine is creating, then running."""
        seen = []

        def look():
            cluster = self.magnum.cluster(self.uuid)
            if not cluster or not self.worker_group().get("stack_id"):
                return None
            try:
                found = self.client.nodes(self.worker_group()["uuid"])
            except autoscaler.AutoscalerError as exc:
                # Heat makes the inner stack a moment after the outer one;
                # the autoscaler tries again ten seconds later.
                if "404" not in str(exc) or seen:
                    raise
                return None
            if found and found != seen[-1:]:
                seen.extend(found)
            return cluster["status"] == "CREATE_COMPLETE" and found

        (worker,) = base.until(look, base.CREATE_SECONDS, lambda: str(seen))
        self.assertEqual(autoscaler.State.RUNNING, worker.state)
        self.assertEqual(self.servers()["worker-0"], worker.reference)
        self.assertIn(autoscaler.State.CREATING, {one.state for one in seen})

    def find_groups(self):
        """Only groups with a maximum are scaled."""
        self.assertEqual({}, self.client.discover("worker"))
        self.group = self.worker_group()["uuid"]
        response = self.magnum.call(
            "PATCH",
            f"/clusters/{self.uuid}/nodegroups/{self.group}",
            [
                {"op": "replace", "path": "/min_node_count", "value": 1},
                {"op": "replace", "path": "/max_node_count", "value": 4},
            ],
        )
        self.assertEqual(202, response.status_code, response.text)
        self.settled()
        found = self.client.discover("worker")
        self.assertEqual([self.group], list(found))
        limits = found[self.group]
        self.assertEqual(1, limits["min_node_count"])
        self.assertEqual(4, limits["max_node_count"])
        self.assertEqual({}, self.client.discover("other"))

    def grow(self):
        """The machine that is there stays what it is while others come."""
        (old,) = self.client.nodes(self.group)
        self.client.resize(self.group, 3)
        states = set()

        def look():
            found = self.client.nodes(self.group)
            mine = [one for one in found if one.id == old.id]
            self.assertEqual(
                [autoscaler.State.RUNNING], [o.state for o in mine]
            )
            states.update(one.state for one in found if one not in mine)
            return self._as_asked(self.magnum.cluster(self.uuid))

        base.until(look, changes.SECONDS, lambda: str(states), interval=0.2)
        self.assertIn(autoscaler.State.CREATING, states)
        self.assertEqual(3, self.client.size(self.group))
        self.nodes = self.client.nodes(self.group)
        servers = {
            server
            for name, server in self.servers().items()
            if name.startswith("worker-")
        }
        self.assertEqual(servers, {one.reference for one in self.nodes})
        for one in servers:
            self.assertEqual(self.group, self.client.group_of(one))

    def remove_a_server(self):
        """The one that is named goes, and only that one."""
        victim = self.nodes[1]
        kept = {one.id for one in self.nodes} - {victim.id}
        self.client.resize(self.group, 2, victim)
        self.await_size(2)
        found = self.client.nodes(self.group)
        self.assertEqual(kept, {one.id for one in found})

    def remove_one_that_failed(self):
        """A quota that Nova finds is seen as one; it is removed by index."""
        kept = {one.id for one in self.client.nodes(self.group)}
        base.write_behaviour(
            **base.FAST,
            rules=[{"match": "-worker-[0-9]+$", "spawn_error": QUOTA}],
        )
        self.addCleanup(base.write_behaviour, **base.FAST)
        self.client.resize(self.group, 3)
        cluster = self.magnum.await_status(self.uuid, "UPDATE_FAILED")
        self.assertIn("Quota exceeded", cluster["status_reason"])
        found = self.client.nodes(self.group)
        (failed,) = [one for one in found if one.id not in kept]
        self.assertTrue(failed.is_quota, failed)
        self.assertFalse(autoscaler.is_server(failed.reference), failed)
        base.write_behaviour(**base.FAST)
        self.client.resize(self.group, 2, failed)
        self.await_size(2)
        found = self.client.nodes(self.group)
        self.assertEqual(kept, {one.id for one in found})

    def worker_group(self):
        return self.magnum.groups(self.uuid)["default-worker"]

    def await_size(self, count):
        """Wait until a change has begun and ended, whatever was before."""

        def look():
            cluster = self.magnum.cluster(self.uuid)
            size = self.client.size(self.group)
            return size == count and self._as_asked(cluster)

        base.until(look, changes.SECONDS, lambda: str(self.servers()))
