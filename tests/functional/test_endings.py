# SPDX-License-Identifier: Apache-2.0
"""A delete ends, or names what is left, whatever happened before it.

The clusters are made at once and shared, because making them is dear.
"""

import json

import openstack

from tests.functional import base
from tests.functional import inventory

PLAIN = "ubuntu-24.04"
FAULTS = base.ROOT / "state/octavia/faults.json"
"""Read by the lab's Octavia provider, which finishes what is PENDING."""


class EndingsTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        base.needs_time()
        super().setUpClass()
        cls.before = inventory.take()
        cls.administrator = base.Magnum("admin")
        cls.old = cls.template(kube_tag="v1.35.8")
        cls.new = cls.template(kube_tag="v1.36.4")
        cls.guest, cls.guest_cloud = cls.make_guest()
        cls.made = {
            name: cls.magnum.create(cls.old, node_count=0)
            for name in ("stackless", "stuck", "hidden")
        }
        for one in cls.made.values():
            cls.addClassCleanup(cls.administrator.delete, one)
        guest = base.Magnum.__new__(base.Magnum)
        guest.cloud = cls.guest_cloud
        cls.orphan = guest.create(cls.old, node_count=0, keypair="guest")
        cls.addClassCleanup(cls.administrator.delete, cls.orphan)
        for one in (*cls.made.values(), cls.orphan):
            cls.administrator.await_status(one, "CREATE_COMPLETE")

    @classmethod
    def template(cls, **labels):
        """Create a public template, which only administrators may."""
        made = cls.administrator.template(
            image_id=PLAIN, labels=labels, public=True
        )["uuid"]
        path = f"/clustertemplates/{made}"
        cls.addClassCleanup(cls.administrator.call, "DELETE", path)
        return made

    @classmethod
    def make_guest(cls):
        """Make a user with a project of their own."""
        identity, name = cls.admin.identity, base.unique("guest")
        project = identity.create_project(name=name, domain_id="default")
        user = identity.create_user(
            name=name,
            password=name,
            default_project_id=project.id,
            domain_id="default",
        )
        for kind, one in (("project", project), ("user", user)):
            remove = getattr(identity, f"delete_{kind}")
            cls.addClassCleanup(remove, one.id, ignore_missing=True)
        for role in ("member", "load-balancer_member"):
            identity.assign_project_role_to_user(
                project, user, identity.find_role(role)
            )
        auth = dict(cls.demo.config.config["auth"])
        auth.update(username=name, password=name, project_name=name)
        cloud = openstack.connection.Connection(
            auth=auth, region_name=cls.demo.config.region_name
        )
        cls.addClassCleanup(cloud.close)
        cloud.compute.create_keypair(name="guest")
        return (project, user), cloud

    def gone(self, uuid):
        """Nothing anywhere names the cluster any more."""
        self.administrator.await_gone(uuid)
        found = inventory.difference(self.before, inventory.take())
        named = [one for one in found if uuid in one or uuid[:12] in one]
        self.assertEqual([], named)

    def test_stack_is_gone(self):
        uuid = self.made["stackless"]
        stack_id = self.magnum.cluster(uuid)["stack_id"]
        worker = self.magnum.groups(uuid)["default-worker"]["stack_id"]
        for one in (worker, stack_id):
            self.demo.orchestration.delete_stack(one)
            base.until(lambda one=one: self.is_deleted(one), 120)
        self.assertEqual(204, self.magnum.delete(uuid))
        self.gone(uuid)

    def is_deleted(self, stack_id):
        return base.sql(
            "heat",
            "SELECT id FROM stack WHERE id = %s AND deleted_at IS NOT NULL",
            stack_id,
        )

    def test_project_and_user_are_gone(self):
        project, user = self.guest
        self.admin.identity.delete_user(user)
        self.admin.identity.delete_project(project)
        self.assertEqual(204, self.administrator.delete(self.orphan))
        self.gone(self.orphan)

    def test_hidden_template_while_upgrading(self):
        uuid = self.made["hidden"]
        path = f"/clusters/{uuid}/actions/upgrade"
        body = {"cluster_template": self.new, "max_batch_size": 1}
        response = self.magnum.call("POST", path, body)
        self.assertEqual(202, response.status_code, response.text)
        self.magnum.await_status(uuid, "UPDATE_IN_PROGRESS", seconds=60)
        for one in (self.old, self.new):
            self.hide(one, True)
            self.addCleanup(self.hide, one, False)
        self.assertEqual(204, self.administrator.delete(uuid))
        self.gone(uuid)

    def hide(self, template, hidden):
        body = [{"op": "replace", "path": "/hidden", "value": hidden}]
        path = f"/clustertemplates/{template}"
        response = self.administrator.call("PATCH", path, body)
        self.assertEqual(200, response.status_code, response.text)

    def test_load_balancer_that_nobody_can_delete(self):
        """Told at the deadline; repeating it later is enough."""
        uuid = self.made["stuck"]
        cluster = self.magnum.cluster(uuid)
        subnet = self.demo.network.find_subnet(base.prefix(cluster))
        balancer = self.demo.load_balancer.create_load_balancer(
            name=f"kube_service_{uuid}_default_x",
            description=f"Kubernetes external service x from cluster {uuid}",
            vip_subnet_id=subnet.id,
        )
        self.demo.load_balancer.wait_for_load_balancer(balancer.id, interval=1)
        self.addCleanup(self.let_work_on)
        self.get_stuck(balancer)
        self.assertEqual(204, self.magnum.delete(uuid))
        told = f"load balancer {balancer.name} (PENDING_UPDATE)"

        def tells():
            # Magnum empties the reason before it calls the driver.
            found = self.magnum.cluster(uuid) or {}
            return told in (found.get("status_reason") or "")

        base.until(tells, 120, lambda: str(self.magnum.cluster(uuid)))
        # Two hours later.
        base.sql(
            "magnum",
            "UPDATE nodegroup SET updated_at = updated_at - INTERVAL 2 HOUR "
            "WHERE cluster_id = %s",
            uuid,
        )
        cluster = self.magnum.await_status(uuid, "DELETE_FAILED", seconds=120)
        self.assertIn(told, cluster["status_reason"])
        self.assertIn("Delete the cluster again", cluster["status_reason"])
        self.assert_sentence(cluster["status_reason"])
        self.let_work_on()
        self.assertEqual(204, self.magnum.delete(uuid))
        self.gone(uuid)

    def get_stuck(self, balancer):
        """Let Octavia work for ever on a load balancer."""
        FAULTS.write_text(json.dumps({"stuck": [balancer.name]}))
        base.sql(
            "octavia",
            "UPDATE load_balancer SET provisioning_status = 'PENDING_UPDATE' "
            "WHERE id = %s",
            balancer.id,
        )

    def let_work_on(self):
        FAULTS.unlink(missing_ok=True)
