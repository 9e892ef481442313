# SPDX-License-Identifier: Apache-2.0
"""Resize, node groups and upgrade on a real Magnum, Heat and Nova."""

from keystoneauth1 import exceptions as keystone_exceptions
import openstack

from lab import settings as lab_settings
from tests.functional import base
from tests.functional import changes

PLAIN = "ubuntu-24.04"


class DayTwoTest(changes.ChangedClusterTest):
    """One cluster, changed again and again."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.template = cls.make_template(
            image_id=PLAIN, labels={"kube_tag": "v1.35.8"}
        )
        cls.uuid = cls.make_cluster(cls.template, node_count=1)
        cls.magnum.await_status(cls.uuid, "CREATE_COMPLETE")

    def test_resize_names_and_replaces(self):
        before = self.servers()
        self.action("resize", node_count=3)
        grown = self.servers()
        self.assertEqual(before, {name: grown[name] for name in before})
        victim = sorted(name for name in grown if "worker" in name)[0]
        self.action("resize", node_count=2, nodes_to_remove=[grown[victim]])
        shrunk = self.servers()
        self.assertNotIn(victim, shrunk)
        self.assertEqual(
            {k: v for k, v in grown.items() if k != victim}, shrunk
        )
        # A server that is gone comes back under a new name.
        lost = sorted(name for name in shrunk if "worker" in name)[0]
        self.demo.compute.delete_server(shrunk[lost])
        base.until(lambda: lost not in self.servers(), 60)
        self.action("resize", node_count=2)
        healed = self.servers()
        self.assertNotIn(lost, healed)
        self.assertEqual(3, len(healed))
        self.action("resize", node_count=1)
        self.assertEqual(2, len(self.servers()))

    def test_node_group_comes_and_goes(self):
        path = f"/clusters/{self.uuid}/nodegroups"
        body = {"name": "extra", "node_count": 2, "flavor_id": base.FLAVOR}
        response = self.magnum.call("POST", path, body)
        self.assertEqual(202, response.status_code, response.text)
        self.settled()
        extra = self.magnum.groups(self.uuid)["extra"]
        self.assertEqual("CREATE_COMPLETE", extra["status"])
        self.assertEqual(2, len(extra["node_addresses"]))
        response = self.magnum.call("DELETE", f"{path}/extra")
        self.assertEqual(204, response.status_code, response.text)
        base.until(
            lambda: "extra" not in self.magnum.groups(self.uuid),
            changes.SECONDS,
        )
        self.settled()
        self.assertEqual([], [n for n in self.servers() if "extra" in n])

    def credentials(self):
        """Return the application credentials of the cluster's user."""
        (user,) = self.admin.identity.users(name=self.uuid)
        listed = self.admin.identity.application_credentials(user)
        return {one.id for one in listed}

    def held(self):
        """Return the credential that a hollow control plane decrypted."""
        nodes = self.hollow()["nodes"].values()
        (found,) = [one["secrets"] for one in nodes if one.get("secrets")]
        return found["cloud"]

    def log_in(self, credential):
        """Log in with a credential as programs in the cluster do."""
        cloud = openstack.connect(
            auth_url=base.settings().identity_url,
            auth_type="v3applicationcredential",
            application_credential_id=credential["id"],
            application_credential_secret=credential["secret"],
        )
        return cloud.current_project_id

    def magnum_of(self, cloud, method, path):
        """Call Magnum's API as somebody else."""
        response = cloud.container_infrastructure_management.request(
            path,
            method,
            headers={"OpenStack-API-Version": "container-infra 1.12"},
        )
        self.assertEqual(202, response.status_code, response.text)

    def test_credential_is_rotated(self):
        before, servers = self.held(), self.servers()
        self.assertEqual(self.project_id, self.log_in(before))
        caller = openstack.connect(
            auth_url=base.settings().identity_url,
            username="demo2",
            password=lab_settings.PASSWORD,
            project_name="demo",
            user_domain_name="Default",
            project_domain_name="Default",
            region_name=lab_settings.REGION,
        )
        self.magnum_of(caller, "PATCH", f"/credentials/{self.uuid}")
        cluster = self.settled()
        # The lab writes what nodes hold a moment later.
        base.until(lambda: self.held()["id"] != before["id"], 10)
        after = self.held()
        self.assertEqual(self.project_id, self.log_in(after))
        self.assertRaises(keystone_exceptions.HttpError, self.log_in, before)
        self.assertEqual({after["id"]}, self.credentials())
        self.assertEqual(caller.current_user_id, cluster["user_id"])
        self.assertEqual(servers, self.servers())
        (server,) = self.demo.compute.servers(
            name=f"^{base.prefix(cluster)}-cp-0$"
        )
        left = [key for key in server.metadata if "renewed" in key]
        self.assertEqual([], left)

    def test_upgrade_in_place_and_by_image(self):
        skip = self.make_template(
            image_id=PLAIN, labels={"kube_tag": "v1.37.2"}
        )
        path = f"/clusters/{self.uuid}/actions/upgrade"
        body = {"cluster_template": skip, "max_batch_size": 1}
        refused = self.magnum.call("POST", path, body)
        self.assertEqual(400, refused.status_code, refused.text)
        self.assertIn("one minor at a time", refused.text)
        before = self.servers()
        target = self.make_template(
            image_id=PLAIN, labels={"kube_tag": "v1.36.4"}
        )
        upgraded = self.action(
            "upgrade", cluster_template=target, max_batch_size=1
        )
        self.assertEqual(before, self.servers())
        self.assertEqual("v1.36.4", upgraded["coe_version"])
        self.assertEqual("v1.36.4", upgraded["labels"]["kube_tag"])
        self.assertEqual(target, upgraded["cluster_template_id"])
        baked = self.make_template(labels={"kube_tag": "v1.36.4"})
        upgraded = self.action(
            "upgrade", cluster_template=baked, max_batch_size=1
        )
        after = self.servers()
        same = set(before.values()) & set(after.values())
        self.assertEqual({before["cp-0"]}, same)
        self.assertEqual(baked, upgraded["cluster_template_id"])
