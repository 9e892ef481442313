# SPDX-License-Identifier: Apache-2.0
"""What a cluster takes over from the template of an upgrade."""

import testtools

from magnum_k8s_driver.model import upgrade_request
from tests import samples


class LabelsTest(testtools.TestCase):
    def test_addons_and_version_are_taken(self):
        current = samples.inputs(
            labels={"kube_tag": "v1.36.4", "flannel_backend": "udp"}
        )
        wanted = {
            "kube_tag": "v1.37.2",
            "metrics_server_enabled": "false",
            "flannel_backend": "vxlan",
        }
        found = upgrade_request.upgraded_inputs(current, current, "", wanted)
        self.assertEqual(
            {**wanted, "flannel_backend": "udp"}, dict(found.labels)
        )
        for group in found.node_groups:
            self.assertNotIn("metrics_server_enabled", group.labels)

    def test_what_a_template_does_not_say_stays(self):
        labels = {"cinder_csi_enabled": "false"}
        found = upgrade_request.with_addon_labels(labels, {"kube_tag": "v1"})
        self.assertEqual(labels, found)
