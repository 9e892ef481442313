# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.ports.facts against a pretended SDK."""

import types
import unittest
from unittest import mock

from keystoneauth1 import exceptions as keystone_exceptions
from openstack import exceptions as sdk_exceptions
from openstack.compute.v2 import availability_zone
from openstack.compute.v2 import flavor
from openstack.compute.v2 import keypair
from openstack.image.v2 import image
from openstack.network.v2 import network
from openstack.network.v2 import port
from openstack.network.v2 import router
from openstack.network.v2 import subnet

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import spec
from magnum_k8s_driver.ports import facts

ENDPOINTS = {
    "block-storage": "https://cinder",
    "load-balancer": "https://octavia",
    "identity": "https://keystone/v3",
}


def answered(status):
    response = mock.Mock(status_code=status, headers={"x-request-id": "r"})
    return sdk_exceptions.HttpException("no\n way", response=response)


def connection(endpoints=None):
    endpoints = ENDPOINTS if endpoints is None else endpoints
    made = mock.Mock()
    made.endpoint_for.side_effect = lambda name, **_: endpoints.get(name)
    made.config.region_name = "RegionOne"
    return made


def read(made, user=None, cloud=None, **references):
    for name in ("images", "flavors", "networks", "subnets"):
        references[name] = frozenset(references.get(name, ()))
    return facts.SdkFacts(made, user, cloud).read(
        facts_module.References(**references)
    )


class FindTests(unittest.TestCase):
    def test_image(self):
        made = connection()
        made.image.find_image.return_value = image.Image(
            id="i",
            name="ubuntu",
            os_distro="Ubuntu",
            kube_version="v1.36.4",
            min_disk=2,
            virtual_size=(10 << 30) + 1,
            status="active",
        )
        found = read(made, images={"ubuntu"}).images["ubuntu"]
        self.assertEqual(
            facts_module.ImageFacts(
                id="i",
                name="ubuntu",
                distro="ubuntu",
                kubernetes_version="v1.36.4",
                min_disk_gib=11,
            ),
            found,
        )

    def test_flavor_found_by_name_is_read_again(self):
        made = connection()
        made.compute.find_flavor.return_value = flavor.Flavor(id="2", name="f")
        made.compute.get_flavor.return_value = flavor.Flavor(
            id="2", name="f", vcpus=4, ram=8192, disk=0
        )
        found = read(made, flavors={"f"}).flavors["f"]
        self.assertEqual(
            (4, 8192, 0), (found.vcpus, found.ram_mib, found.disk_gib)
        )
        made.compute.get_flavor.assert_called_once_with("2")

    def around(self, project="ours", **router):
        """Return what is known of a subnet in use."""
        made = connection()
        made.current_project_id = "ours"
        pools = [{"start": "10.0.0.10", "end": "10.0.0.12"}]
        made.network.find_subnet.return_value = subnet.Subnet(
            id="s",
            name="s",
            network_id="n",
            cidr="10.0.0.0/24",
            ip_version=4,
            project_id=project,
            allocation_pools=pools,
        )
        made.network.ports.return_value = [
            port.Port(
                device_owner=owner,
                device_id="r",
                fixed_ips=[{"subnet_id": "s", "ip_address": address}],
            )
            for owner, address in (
                ("network:router_interface", "10.0.0.1"),
                ("compute:nova", "10.0.0.11"),
            )
        ]
        made.network.get_router.configure_mock(**router)
        found = read(made, subnets={"s"}, surroundings=True).subnets["s"]
        self.assertEqual((3, 1), (found.addresses, found.taken))
        return found.outside

    def test_who_is_in_a_subnet(self):
        gateway = {"network_id": "public"}
        self.assertEqual(
            {"public"},
            self.around(
                return_value=router.Router(external_gateway_info=gateway)
            ),
        )
        self.assertEqual(set(), self.around(return_value=router.Router()))
        self.assertIsNone(
            self.around(side_effect=sdk_exceptions.NotFoundException("no"))
        )
        self.assertIsNone(self.around("theirs"))

    def test_networks(self):
        made = connection()
        one = subnet.Subnet(
            id="s", name="", network_id="n", cidr="10.0.0.0/24", ip_version=4
        )
        made.network.find_network.return_value = network.Network(
            id="n", name="net", is_router_external=True
        )
        made.network.subnets.return_value = iter([one])
        made.network.find_subnet.return_value = one
        found = read(made, networks={"net"}, subnets={"s"})
        self.assertTrue(found.networks["net"].external)
        self.assertEqual((found.subnets["s"],), found.networks["net"].subnets)

    def test_absence_is_an_answer(self):
        made = connection()
        made.image.find_image.side_effect = sdk_exceptions.NotFoundException()
        made.compute.find_flavor.side_effect = (
            sdk_exceptions.DuplicateResource()
        )
        found = read(made, images={"i"}, flavors={"f"})
        self.assertEqual(facts_module.Missing(), found.images["i"])
        self.assertIs(facts_module.AMBIGUOUS, found.flavors["f"])

    def test_errors_are_the_drivers(self):
        for error, kind, status in (
            (answered(500), exceptions.CloudUnavailable, 500),
            (answered(429), exceptions.CloudUnavailable, 429),
            (answered(403), exceptions.CloudError, 403),
            (
                keystone_exceptions.ConnectFailure("refused"),
                exceptions.CloudUnavailable,
                0,
            ),
            (
                keystone_exceptions.EndpointNotFound(),
                exceptions.CloudError,
                0,
            ),
            (sdk_exceptions.SDKException("odd"), exceptions.CloudError, 0),
        ):
            made = connection()
            made.image.find_image.side_effect = error
            with self.assertRaises(exceptions.CloudError) as caught:
                read(made, images={"i"})
            self.assertIs(kind, type(caught.exception))
            self.assertEqual("image", caught.exception.service)
            self.assertEqual(status, caught.exception.status)
            self.assertNotIn("\n", str(caught.exception))


class KeyTests(unittest.TestCase):
    def test_only_the_user_is_asked(self):
        made, user = connection(), connection()
        user.compute.find_keypair.return_value = keypair.Keypair(
            name="k", public_key="ssh-rsa A"
        )
        self.assertEqual("ssh-rsa A", read(made, user, keypair="k").public_key)
        self.assertFalse(made.compute.find_keypair.called)

    def test_nobody_to_ask(self):
        self.assertIsNone(read(connection(), None, keypair="k").public_key)

    def test_missing(self):
        user = connection()
        user.compute.find_keypair.side_effect = (
            sdk_exceptions.NotFoundException()
        )
        found = read(connection(), user, keypair="k").public_key
        self.assertIsInstance(found, facts_module.Missing)


class CloudTests(unittest.TestCase):
    def test_catalog(self):
        found = read(connection())
        self.assertTrue(found.block_storage and found.load_balancing)
        self.assertEqual("https://keystone/v3", found.cloud.auth_url)
        self.assertEqual("RegionOne", found.cloud.region)

    def test_configured_values_win(self):
        cloud = spec.CloudSpec(auth_url="https://me", ca_certificate="PEM")
        found = read(connection(), cloud=cloud).cloud
        self.assertEqual("https://me", found.auth_url)
        self.assertEqual("PEM", found.ca_certificate)

    def test_absent_services_are_not_asked(self):
        made = connection({})
        found = read(made, volume_types=True, load_balancer=True)
        self.assertFalse(found.block_storage or found.load_balancing)
        self.assertIsNone(found.volume_types)
        self.assertFalse(made.block_storage.types.called)
        self.assertFalse(made.load_balancer.providers.called)

    def test_lists(self):
        made = connection()
        made.compute.availability_zones.return_value = [
            availability_zone.AvailabilityZone(
                name=name, state={"available": available}
            )
            for name, available in (("nova", True), ("off", False))
        ]
        made.block_storage.types.return_value = [
            types.SimpleNamespace(id="1", name="ssd")
        ]
        made.load_balancer.providers.return_value = [
            types.SimpleNamespace(name="ovn")
        ]
        found = read(
            made,
            availability_zones=True,
            volume_types=True,
            load_balancer=True,
        )
        self.assertEqual({"nova"}, found.availability_zones)
        self.assertEqual({"1", "ssd"}, found.volume_types)
        self.assertEqual({"ovn"}, found.load_balancer_providers)

    def test_providers_may_be_hidden(self):
        made = connection()
        made.load_balancer.providers.side_effect = answered(403)
        found = read(made, load_balancer=True)
        self.assertIsNone(found.load_balancer_providers)
