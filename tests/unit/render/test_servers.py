# SPDX-License-Identifier: Apache-2.0
"""Servers and their volumes as Heat takes them."""

import testtools

from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import servers
from tests import samples

VOLUME = spec_module.VolumeSpec(size_gib=5, volume_type="fast")


class VolumesTest(testtools.TestCase):
    def devices(self, **volumes):
        group = samples.node_group(**volumes)
        member = members.Member(
            name="0",
            image_id="image",
            flavor_id="flavor",
            kubernetes_version="v1.36.4",
            user_data="config",
            operation="create-1",
        )
        placement = servers.Placement(networks=[], server_group=None)
        found = servers.resources(samples.spec(), group, member, placement)
        return found["0"]["properties"].get("block_device_mapping_v2", [])

    def test_heat_sees_one_bootable_device(self):
        # Heat counts each volume without boot_index, and the image.
        data = {"container_volume": VOLUME, "etcd_volume": VOLUME}
        found = self.devices(boot_volume=VOLUME, **data)
        self.assertEqual([0, -1, -1], [one["boot_index"] for one in found])
        found = self.devices(boot_volume=None, **data)
        self.assertEqual([-1, -1], [one["boot_index"] for one in found])
