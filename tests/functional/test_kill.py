# SPDX-License-Identifier: Apache-2.0
"""The conductor is killed with -9 at twenty moments, and all ends right.

Ten kills fall into creates, ten into deletes. Each waits until the databases
show that one cluster has reached a moment; other clusters are elsewhere then
and are hit all the same.

Two losses are Magnum's own, before it calls the driver:

* CAs that were stored for a cluster whose row does not name them yet. They
  name no cluster either, so nobody can tell whose they are.
* A delete that was taken off the queue and not begun. The cluster stays as
  it was; its user asks again, as this test does.
"""

import time

from lab import control
from tests.functional import base
from tests.functional import inventory
from tests.functional import troubles

CREATE_SECONDS = 600
DELETE_SECONDS = 420
MOMENT_SECONDS = 240
ORPHAN_SECONDS = 240
"""The lab leaves [k8s_driver] orphan_grace at 120 s; then comes a tick."""


class Moments:
    """What the databases tell about one cluster.

    Each moment stays true once reached, so that none is missed.
    """

    def __init__(self, uuid, name):
        self.uuid, self.name = uuid, name
        self.prefix = base.prefix({"name": name, "uuid": uuid})
        self.mark = f"magnum-k8s-driver:{uuid}"

    def row(self, condition="1=1"):
        return base.sql(
            "magnum",
            f"SELECT id FROM cluster WHERE uuid = %s AND {condition}",
            self.uuid,
        )

    def has_certificates(self):
        return self.row("ca_cert_ref IS NOT NULL")

    def has_stack_id(self):
        return self.row("stack_id IS NOT NULL")

    def is_marked(self):
        return not self.row("status <> 'DELETE_IN_PROGRESS'")

    def secret(self):
        return base.sql(
            "magnum",
            "SELECT uuid FROM x509keypair WHERE certificate = %s",
            self.mark,
        )

    def user(self, condition="1=1"):
        return base.sql(
            "keystone",
            "SELECT u.id FROM local_user l JOIN user u ON u.id = l.user_id "
            f"WHERE l.name = %s AND {condition}",
            self.uuid,
        )

    def stacks(self, suffix="", condition="1=1"):
        return base.sql(
            "heat",
            "SELECT id FROM stack WHERE name = %s AND deleted_at IS NULL "
            f"AND {condition}",
            f"{self.prefix}{suffix}",
        )

    def workers(self, condition="1=1"):
        return self.stacks("-worker", condition)

    def configs(self):
        return base.sql(
            "heat",
            "SELECT id FROM software_config WHERE name LIKE %s",
            f"{self.prefix}-%",
        )

    def servers(self, role="worker"):
        return base.sql(
            "nova",
            "SELECT display_name FROM instances WHERE deleted = 0 "
            "AND vm_state = 'active' AND display_name LIKE %s",
            f"{self.prefix}-{role}-%",
        )

    def network_is_made(self):
        return self.stacks(condition="status = 'COMPLETE'") or self.workers()


class KillTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A kill that fails its test must not leave the lab without one.
        cls.addClassCleanup(control.up, base.settings())
        cls.template = cls.make_template()

    def setUp(self):
        super().setUp()
        self.log = []

    def create(self):
        name = base.unique("k")
        uuid = self.magnum.create(self.template, name=name, create_timeout=30)
        self.addCleanup(self.magnum.delete, uuid)
        return Moments(uuid, name)

    def kill_when(self, title, reached):
        """Kill as soon as a moment is reached, then start it again."""
        base.until(reached, MOMENT_SECONDS, lambda: title, 0.02)
        troubles.kill(troubles.CONDUCTOR)
        began = time.monotonic()
        troubles.restart(troubles.CONDUCTOR)
        self.log.append(f"{title}: back after {time.monotonic() - began:.1f}")

    def test_any_moment_of_create_and_delete(self):
        before = inventory.take()
        orphan, *others = self.kill_creates()
        self.check_created(others)
        cluster = self.magnum.await_status(
            orphan.uuid, "CREATE_FAILED", seconds=ORPHAN_SECONDS
        )
        self.assert_sentence(cluster["status_reason"])
        self.assertIn("certificates", cluster["status_reason"])
        self.kill_deletes(orphan, *others)
        self.magnum.await_gone(
            *[one.uuid for one in (orphan, *others)], seconds=DELETE_SECONDS
        )
        self.check_nothing_left(before)

    def kill_creates(self):
        orphan = self.create()
        self.kill_when("before the hook", orphan.row)
        hook = self.create()
        self.kill_when("hook reads the request", hook.has_certificates)
        self.kill_when("status job makes the user", hook.user)
        secret = self.create()
        self.kill_when("hook has stored the secret", secret.secret)
        stack = self.create()
        self.kill_when("hook has made the stack", stack.stacks)
        late = self.create()
        self.kill_when("right after the hook", late.has_stack_id)
        self.kill_when("the network is made", late.network_is_made)
        self.kill_when(
            "user data are stored", lambda: late.configs() or late.workers()
        )
        self.kill_when("workers are ordered", late.workers)
        self.kill_when("servers run", late.servers)
        return orphan, hook, secret, stack, late

    def check_created(self, found):
        for one in found:
            cluster = self.magnum.await_status(
                one.uuid, "CREATE_COMPLETE", seconds=CREATE_SECONDS
            )
            self.assertEqual(one.stacks()[0][0], cluster["stack_id"])
            self.assertEqual(1, len(one.stacks()), self.log)
            self.assertEqual(1, len(one.workers()), self.log)
            self.assertEqual(1, len(one.servers("cp")), self.log)
            self.assertEqual(1, len(one.servers()), self.log)
            self.assertEqual(1, len(one.secret()), self.log)
            self.assertEqual([], [*one.configs()], self.log)
            ((user_id,),) = one.user()
            self.check_grants(user_id)
            self.assertEqual(0, self.hollow(one)["double_init"])
        (service,) = base.sql(
            "keystone",
            "SELECT user_id FROM local_user WHERE name = 'magnum'",
        )
        self.check_grants(service[0])

    def check_grants(self, user_id):
        """Two roles, each once, and nowhere else."""
        roles = [
            one.role["id"]
            for one in self.admin.identity.role_assignments(
                user_id=user_id, scope_project_id=self.project_id
            )
        ]
        self.assertEqual(2, len(roles), self.log)
        self.assertEqual(2, len(set(roles)), self.log)

    def hollow(self, one):
        path = base.ROOT / f"state/hollow/clusters/{one.uuid}.json"
        return base.json.loads(path.read_text())

    def kill_deletes(self, orphan, hook, secret, stack, late):
        self.magnum.delete(hook.uuid)
        self.kill_when("delete is asked for", lambda: True)
        self.delete_again_if_lost(hook)
        self.magnum.delete(secret.uuid)
        self.kill_when("hook has marked the cluster", secret.is_marked)
        self.magnum.delete(stack.uuid)
        self.kill_when(
            "hook has disabled the user",
            lambda: not stack.user("u.enabled = 1"),
        )
        self.delete_again_if_lost(stack)
        self.kill_when(
            "workers are being deleted",
            lambda: not stack.workers("action <> 'DELETE'"),
        )
        self.magnum.delete(late.uuid)
        self.kill_when("workers are gone", lambda: not late.workers())
        self.kill_when(
            "cluster stack is being deleted",
            lambda: not late.stacks(condition="action <> 'DELETE'"),
        )
        self.kill_when("cluster stack is gone", lambda: not late.stacks())
        self.kill_when("user is gone", lambda: not late.user())
        self.magnum.delete(orphan.uuid)
        self.kill_when("secret is gone", lambda: not late.secret())
        self.delete_again_if_lost(orphan)
        self.kill_when("cluster is gone", lambda: not late.row())

    def delete_again_if_lost(self, one):
        if not one.is_marked():
            self.magnum.delete(one.uuid)
            # The next kill must not lose it as well.
            base.until(one.is_marked, MOMENT_SECONDS)

    def check_nothing_left(self, before):
        def left():
            lines = inventory.difference(before, inventory.take())
            return [x for x in lines if not x.startswith("+ x509keypair")]

        base.until(lambda: not left(), 60, lambda: "\n".join(left()), 3.0)
        # Those of the one cluster that was killed before its hook.
        lines = inventory.difference(before, inventory.take())
        self.assertLessEqual(len(lines), 4, lines)


class LastStepTest(base.LabTest):
    """Magnum dies after the driver is done, between its own last steps."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(control.up, base.settings())
        cls.template = cls.make_template()

    def test_cluster_without_node_groups_goes(self):
        before = inventory.take()
        uuid = self.magnum.create(
            self.template, labels={"etcd_volume_size": "typo"}
        )
        self.addCleanup(self.magnum.delete, uuid)
        self.magnum.await_status(uuid, "CREATE_FAILED")
        troubles.kill(troubles.CONDUCTOR)
        base.sql("magnum", "DELETE FROM nodegroup WHERE cluster_id = %s", uuid)
        base.sql(
            "magnum",
            "UPDATE cluster SET status = 'DELETE_IN_PROGRESS' WHERE uuid = %s",
            uuid,
        )
        troubles.restart(troubles.CONDUCTOR)
        self.magnum.await_gone(uuid)
        inventory.assert_same(before)
