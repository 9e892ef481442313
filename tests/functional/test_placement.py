# SPDX-License-Identifier: Apache-2.0
"""Why Nova has no hypervisor for a node, from the real Placement."""

from tests.functional import base

MUCH = 4096
"""Of anything: no hypervisor of the lab has as much."""
MIB, GIB = 4096, 20


class PlacementTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        base.needs_time()
        super().setUpClass()
        cls.template = cls.make_template()

    def make_flavor(self, vcpus, **specs):
        made = self.admin.compute.create_flavor(
            name=base.unique("odd"), vcpus=vcpus, ram=MIB, disk=GIB
        )
        self.addCleanup(self.admin.compute.delete_flavor, made)
        if specs:
            self.admin.compute.create_flavor_extra_specs(made, specs)
        return made.id

    def failed(self, **changes):
        uuid = self.magnum.create(self.template, node_count=1, **changes)
        self.addCleanup(self.remove, uuid)
        cluster = self.magnum.await_status(uuid, "CREATE_FAILED")
        reason = cluster["status_reason"]
        self.assert_sentence(reason)
        self.assertIn("No valid host was found", reason)
        self.assertIn("Choose a smaller flavor", reason)
        for one in self.admin.compute.hypervisors():
            self.assertNotIn(one.name, reason.split())
        return reason

    def test_too_large_and_with_a_trait_nobody_has(self):
        reason = self.failed(flavor_id=self.make_flavor(MUCH))
        self.assertRegex(
            reason,
            rf": no hypervisor has {MUCH} vCPUs free \(the most is \d+\)\. ",
        )
        trait = "HW_CPU_X86_AVX512VNNI"
        flavor = self.make_flavor(2, **{f"trait:{trait}": "required"})
        self.assertIn(
            f": no hypervisor with the trait {trait} has room for it. ",
            self.failed(flavor_id=flavor),
        )
