# SPDX-License-Identifier: Apache-2.0
"""What belongs to a cluster and what does not."""

from keystoneauth1 import exceptions as ksa_exceptions
import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import leftovers
from magnum_k8s_driver.ports import sdk_leftovers
from tests.unit.ports import http

UUID = "5d12f6fd-a196-4bf0-ae4c-1f639a523a52"
PREFIX = "prod-5d12f6fda196"


def thing(name="x", description="", **more):
    more.setdefault("id", name)
    return {"name": name, "description": description, **more}


class SdkLeftoversTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.http = http.Answers()
        self.left = sdk_leftovers.SdkLeftovers(http.Connection(self.http), "p")
        for path, name in (
            ("/stacks", "stacks"),
            ("/lbaas/loadbalancers", "loadbalancers"),
            ("/floatingips", "floatingips"),
            ("/ports", "ports"),
            ("/security-groups", "security_groups"),
            ("/servers/detail", "servers"),
            ("/volumes/detail", "volumes"),
        ):
            self.answer(path, name)

    def answer(self, path, name, *found):
        self.http.answers.pop(("GET", path), None)
        self.http.add("GET", path, 200, {name: list(found)})

    def names(self):
        return [one.id for one in self.left.others(UUID, PREFIX)]

    def test_load_balancers(self):
        made = "Kubernetes external service a/b from cluster "
        self.answer(
            "/lbaas/loadbalancers",
            "loadbalancers",
            thing("a", made + UUID, provisioning_status="ACTIVE"),
            thing("b", made + "other", provisioning_status="ACTIVE"),
            thing("c", made + UUID, provisioning_status="DELETED"),
        )
        (found,) = self.left.load_balancers(UUID)
        self.assertEqual("load balancer a (ACTIVE)", str(found))
        self.assertIn("project_id=p", self.http.sent[-1][1])

    def test_others(self):
        floating = thing(
            "f",
            f"Floating IP for Kubernetes external service a/b from cluster "
            f"{UUID}",
            floating_ip_address="203.0.113.9",
        )
        self.answer("/floatingips", "floatingips", floating)
        self.answer(
            "/ports",
            "ports",
            thing("p1", f"magnum-k8s-driver {UUID}"),
            thing(f"{PREFIX}-cp-0"),
            thing(f"{PREFIX}0-cp-0"),
            thing("p4", f"about magnum-k8s-driver {UUID}"),
        )
        self.answer(
            "/security-groups",
            "security_groups",
            thing(
                "lb-sg-1",
                f"Security Group for a/b Service LoadBalancer in cluster "
                f"{UUID}",
            ),
        )
        self.answer(
            "/servers/detail",
            "servers",
            thing("s", metadata={"magnum_cluster": UUID}),
            thing("t", metadata={}),
        )
        self.answer(
            "/volumes/detail",
            "volumes",
            thing(f"{PREFIX}-cp-0-etcd"),
            thing("pvc", metadata={"cinder.csi.openstack.org/cluster": UUID}),
        )
        self.assertEqual(
            ["f", "s", "p1", f"{PREFIX}-cp-0", "lb-sg-1"]
            + [f"{PREFIX}-cp-0-etcd"],
            self.names(),
        )
        (data,) = self.left.volumes(UUID)
        self.assertEqual("pvc", data.id)

    def test_orphaned_stack(self):
        """Its parent was deleted while Heat made it."""

        def stack(name, identifier, parent):
            return {
                "stack_name": name,
                "id": identifier,
                "parent": parent,
                "stack_status": "CREATE_FAILED",
            }

        self.answer(
            "/stacks",
            "stacks",
            stack(f"{PREFIX}-worker", "root", None),
            stack(f"{PREFIX}-worker-nested", "kept", "root"),
            stack(f"{PREFIX}-worker-nested", "orphan", "gone"),
            stack("somebody-else", "other", "gone"),
        )
        (found,) = self.left.others(UUID, PREFIX)
        self.assertEqual(
            f"stack {PREFIX}-worker-nested (CREATE_FAILED)", str(found)
        )
        self.assertIn(("GET", "/stacks?show_nested=true"), self.http.calls())
        path = f"/stacks/{PREFIX}-worker-nested/orphan"
        self.http.add("DELETE", path, 204)
        self.left.remove(found)
        self.assertEqual([("DELETE", path)], self.http.calls("DELETE"))

    def test_missing_services(self):
        missing = ksa_exceptions.EndpointNotFound()
        for path in ("/lbaas/loadbalancers", "/volumes/detail"):
            self.http.answers.pop(("GET", path))
            self.http.add("GET", path, 0, missing)
        self.assertEqual((), self.left.load_balancers(UUID))
        self.assertEqual([], self.names())

    def test_as_admin(self):
        left = sdk_leftovers.SdkLeftovers(
            http.Connection(self.http), "p", as_admin=True
        )
        left.others(UUID, PREFIX)
        (servers,) = (p for _m, p, _b in self.http.sent if "/servers" in p)
        self.assertIn("all_tenants=1", servers)
        self.assertIn("project_id=p", servers)

    def test_remove_load_balancer_with_its_floating_ip(self):
        balancer = {"vip_port_id": "v", "provisioning_status": "ACTIVE"}
        path = "/lbaas/loadbalancers/a"
        self.http.add("GET", path, 200, {"loadbalancer": balancer})
        self.answer(
            "/floatingips",
            "floatingips",
            thing("mine", f"Floating IP for Kubernetes x from cluster {UUID}"),
            thing("theirs", "brought along"),
        )
        self.http.add("DELETE", "/floatingips/mine", 204)
        self.http.add("DELETE", path, 204)
        self.left.remove(
            leftovers.Leftover(kind="load balancer", id="a", name="")
        )
        self.assertEqual(
            [
                ("DELETE", "/floatingips/mine"),
                ("DELETE", f"{path}?cascade=true"),
            ],
            self.http.calls("DELETE"),
        )

    def reserve(self):
        """Let Cinder keep a volume for a server."""
        reserved = {"volume": {"status": "reserved"}}
        held = {"attachments": [{"id": "a", "instance": "s"}]}
        self.http.add("DELETE", "/volumes/v", 400)
        self.http.add("GET", "/volumes/v", 200, reserved)
        self.http.add("GET", "/attachments", 200, held)
        return leftovers.Leftover(kind="volume", id="v", name="")

    def test_remove_volume_that_is_reserved_for_nobody(self):
        volume = self.reserve()
        self.http.add("GET", "/servers/s", 404)
        self.http.add("DELETE", "/attachments/a", 200)
        self.http.add("DELETE", "/volumes/v", 202)
        self.left.remove(volume)
        self.assertEqual(
            ["/volumes/v", "/attachments/a", "/volumes/v"],
            [path for _method, path in self.http.calls("DELETE")],
        )

    def test_remove_volume_that_is_reserved_for_a_server(self):
        volume = self.reserve()
        self.http.add("GET", "/servers/s", 200, {"server": {}})
        self.assertRaises(exceptions.CloudError, self.left.remove, volume)
        self.assertEqual(1, len(self.http.calls("DELETE")))

    def test_remove_volume_that_is_going(self):
        volume = leftovers.Leftover(kind="volume", id="v", name="")
        self.http.add("DELETE", "/volumes/v", 400)
        self.http.add(
            "GET", "/volumes/v", 200, {"volume": {"status": "deleting"}}
        )
        self.http.add(
            "GET", "/volumes/v", 200, {"volume": {"status": "in-use"}}
        )
        self.left.remove(volume)
        self.assertRaises(exceptions.CloudError, self.left.remove, volume)

    def test_remove_what_is_gone(self):
        for kind, path in (
            ("port", "/ports/i"),
            ("floating IP", "/floatingips/i"),
            ("security group", "/security-groups/i"),
            ("server", "/servers/i"),
        ):
            self.http.add("DELETE", path, 404)
            self.left.remove(leftovers.Leftover(kind=kind, id="i", name=""))
