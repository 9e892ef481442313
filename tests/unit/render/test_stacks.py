# SPDX-License-Identifier: Apache-2.0
"""What Heat is sent, compared with checked-in files."""

import testtools
import yaml

from tests import golden
from tests import stacks

CASES = {
    "single": stacks.Shape(),
    "balanced-amphora": stacks.Shape(
        control_planes=3,
        load_balancer=True,
        allowed_cidrs=("192.0.2.0/24",),
        etcd_volume=True,
        volume_type="ssd",
    ),
    "balanced-ovn-existing-network": stacks.Shape(
        control_planes=3,
        workers=1,
        load_balancer=True,
        provider="ovn",
        api_floating_ip=False,
        existing_network=True,
        server_group_policy="anti-affinity",
    ),
    "volumes-addresses-zone": stacks.Shape(
        node_floating_ip=True,
        boot_volume=True,
        container_volume=True,
        volume_type="ssd",
        availability_zone="az2",
    ),
}


class StackGoldenTest(testtools.TestCase):
    """Root templates are files of the repository and left out here."""

    def test_what_heat_is_sent(self):
        self.assertEqual(4, len(CASES))
        failures = []
        for case, shape in CASES.items():
            for step, request in stacks.requests(shape.spec()).items():
                # Both steps of the cluster stack have the same parameters
                # but for the state, and the first has no member.
                found = {
                    f"{step}/parameters.yaml": yaml.safe_dump(
                        request["parameters"], width=200
                    )
                }
                if step != "cluster":
                    for name, text in request["files"].items():
                        found[f"{step}/{name}"] = text
                failures += self._compare(case, found)
        self.assertEqual([], failures)

    def _compare(self, case, found):
        failures = []
        for name, text in found.items():
            try:
                golden.assert_matches(f"stacks/{case}/{name}", text)
            except AssertionError as exc:
                failures.append(str(exc))
        return failures
