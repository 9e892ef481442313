# SPDX-License-Identifier: Apache-2.0
"""The simulated cloud behaves like the real one where tests rely on it."""

import json

import testtools
import yaml

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import board
from magnum_k8s_driver.ports import heat
from tests import fakes

KEY = b"k" * 32
CLUSTER = "5d12f6fd-a196-4bf0-ae4c-1f639a523a52"


def server(name, role="worker", config="", **metadata):
    return {
        "type": "OS::Nova::Server",
        "properties": {
            "name": name,
            "image": "image",
            "flavor": "flavor",
            "user_data": config,
            "user_data_update_policy": "IGNORE",
            "metadata": {
                "magnum_cluster": CLUSTER,
                "magnum_role": role,
                "magnum_member": name.rsplit("-", 1)[-1],
                "magnum_version": "v1.36.0",
                **metadata,
            },
        },
    }


def nested(resources, **outputs):
    return yaml.safe_dump(
        {
            "heat_template_version": "2021-04-16",
            "parameters": {"network": {"type": "string"}},
            "resources": resources,
            "outputs": {k: {"value": v} for k, v in outputs.items()},
        }
    )


ROOT = {
    "heat_template_version": "2021-04-16",
    "parameters": {
        "generation": {"type": "number"},
        "members": {"type": "json", "default": {}},
        "password": {"type": "string", "hidden": True, "default": "x"},
    },
    "conditions": {"never": {"equals": [{"get_param": "generation"}, -1]}},
    "resources": {
        "net": {"type": "OS::Neutron::Net"},
        "not_made": {"type": "OS::Neutron::Net", "condition": "never"},
        "boards": {"type": "boards.yaml", "properties": {"network": ""}},
        "distress": {"type": "OS::Heat::WaitConditionHandle"},
        "kube_minions": {
            "type": "members.yaml",
            "properties": {"network": {"get_resource": "net"}},
        },
    },
    "outputs": {
        "refs_map": {"value": {"get_attr": ["kube_minions", "refs_map"]}},
        "signals": {"value": {"get_attr": ["boards", "signals"]}},
    },
}
HANDLE = {
    "type": "OS::Heat::WaitConditionHandle",
    "properties": {"signal_transport": "HEAT_SIGNAL"},
}


def files(members):
    return {
        "boards.yaml": nested(
            {"0": HANDLE}, signals={"0": {"get_attr": ["0", "signal"]}}
        ),
        "members.yaml": nested(
            members, refs_map={one: {"get_resource": one} for one in members}
        ),
    }


class FakeCloudTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = fakes.FakeCloud()
        self.cloud.nodes.board_key = KEY
        self.config = self.cloud.heat.create_config("c-1", "text")
        self.members = {
            "0": server("k-cp-0", "control-plane", self.config),
            "1": server("k-w-1", "worker", self.config),
        }

    def create(self):
        return self.cloud.heat.create(
            heat.StackRequest(
                name="k",
                template=ROOT,
                files=files(self.members),
                parameters={"generation": 1, "members": {"a": [1]}},
                tags=(f"magnum-cluster-{CLUSTER}",),
                timeout_minutes=60,
            )
        )

    def update(self, stack_id, **parameters):
        self.cloud.heat.update(
            stack_id,
            heat.StackUpdate(
                template=ROOT,
                files=files(self.members),
                parameters=parameters,
                timeout_minutes=60,
            ),
        )

    def finish(self, stack_id):
        for _ in range(30):
            self.cloud.tick(1)
            stack = self.cloud.heat.show(stack_id, outputs=True)
            if stack is None or stack.phase != "IN_PROGRESS":
                return stack
        self.fail("the stack never ended")

    def refs(self, stack_id):
        return self.finish(stack_id).outputs["refs_map"]

    def board(self, stack_id):
        (handle,) = (
            one
            for one in self.cloud.heat.resources(stack_id, depth=1)
            if one.parent == "boards"
        )
        metadata = self.cloud.heat.metadata(handle.stack_id, handle.name)
        return board.read_board(metadata, KEY)

    def test_create_progresses_only_with_the_clock(self):
        stack_id = self.create()
        self.assertEqual(
            "IN_PROGRESS", self.cloud.heat.show(stack_id).phase.value
        )
        stack = self.finish(stack_id)
        self.assertEqual("COMPLETE", stack.phase.value, stack.reason)
        self.assertEqual({"0", "1"}, set(stack.outputs["refs_map"]))
        self.assertIn("alarm_url", stack.outputs["signals"]["0"])
        self.assertEqual("******", stack.parameters["password"])
        self.assertEqual({"a": [1]}, json.loads(stack.parameters["members"]))
        names = {one.name for one in self.cloud.heat.resources(stack_id)}
        self.assertNotIn("not_made", names)
        self.assertRaises(exceptions.CloudConflict, self.create)

    def test_nodes_write_boards(self):
        stack_id = self.create()
        self.cloud.tick(10)
        self.assertEqual("booting", self.board(stack_id).report.state.value)
        self.cloud.tick(60)
        seen = self.board(stack_id)
        self.assertEqual("ready", seen.report.state.value)
        self.assertEqual({"k-cp-0", "k-w-1"}, set(seen.digest.nodes))

    def test_failing_worker_cries(self):
        self.cloud.nodes.behave("k-w-*", fail_phase="runtime", message="no")
        stack_id = self.create()
        self.cloud.tick(60)
        found = board.read_distress(
            self.cloud.heat.metadata(stack_id, "distress")
        )
        self.assertEqual(["k-w-1"], [one.server_name for one in found])
        self.assertEqual({"k-cp-0"}, set(self.board(stack_id).digest.nodes))

    def test_update_touches_only_what_changed(self):
        stack_id = self.create()
        before = self.refs(stack_id)
        self.members["2"] = server("k-w-2", "worker", self.config)
        self.members["1"] = server(
            "k-w-1", "worker", self.config, magnum_drain="1"
        )
        self.update(stack_id, generation=2)
        after = self.refs(stack_id)
        self.assertEqual(before, {k: after[k] for k in before})
        self.cloud.tick(60)
        drained = self.board(stack_id).digest.nodes["k-w-1"]
        self.assertEqual("drained", drained.phase)
        del self.members["1"]
        self.update(stack_id)
        self.assertEqual({"0", "2"}, set(self.refs(stack_id)))
        self.assertEqual(2, len(self.cloud.compute.by_id))
        self.assertEqual(
            "2", self.cloud.heat.show(stack_id).parameters["generation"]
        )

    def test_heat_replaces_broken_servers_with_old_orders(self):
        stack_id = self.create()
        before = self.refs(stack_id)
        self.cloud.compute.break_("k-w-1")
        self.update(stack_id)
        after = self.refs(stack_id)
        self.assertNotEqual(before["1"], after["1"])
        self.cloud.compute.lose("k-w-1")
        self.cloud.heat.delete_config(self.config)
        self.update(stack_id)
        stack = self.finish(stack_id)
        self.assertEqual("FAILED", stack.phase.value)
        self.assertIn("Software config", stack.reason)

    def test_server_that_does_not_boot_fails_the_stack(self):
        self.cloud.compute.fail_boot("k-w-1")
        stack = self.finish(self.create())
        self.assertEqual(("CREATE", "FAILED"), (stack.action, stack.phase))
        self.assertIn("No valid host", stack.reason)
        (failed,) = (
            one
            for one in self.cloud.heat.resources(stack.id)
            if one.status.endswith("FAILED") and one.parent == "kube_minions"
        )
        self.assertEqual("1", failed.name)
        self.update(stack.id)
        stack = self.finish(stack.id)
        self.assertEqual("COMPLETE", stack.phase.value, stack.reason)

    def test_first_failure_ends_the_update(self):
        """Although Nova still builds another server of the nested stack."""
        stack_id = self.create()
        self.finish(stack_id)
        self.cloud.compute.build_seconds = 30.0
        self.cloud.heat.fail("k/kube_minions/2", "the queue was away")
        self.members["2"] = server("k-w-2", "worker", self.config)
        self.members["3"] = server("k-w-3", "worker", self.config)
        self.update(stack_id)
        stack = self.finish(stack_id)
        self.assertEqual("FAILED", stack.phase.value)
        self.assertIn("the queue was away", stack.reason)
        self.update(stack_id)
        for _ in range(2):
            self.cloud.tick(30)
        stack = self.finish(stack_id)
        self.assertEqual("COMPLETE", stack.phase.value, stack.reason)

    def test_hanging_resource_times_out(self):
        self.cloud.heat.hanging.add("k/net")
        stack_id = self.create()
        self.cloud.tick(3601, step=10)
        self.assertEqual("Timed out", self.cloud.heat.show(stack_id).reason)

    def test_conflict_while_in_progress(self):
        stack_id = self.create()
        self.cloud.heat.conflict = True
        self.assertRaises(exceptions.CloudConflict, self.update, stack_id)
        self.cloud.heat.conflict = False
        self.update(stack_id)
        self.assertEqual("UPDATE", self.cloud.heat.show(stack_id).action.value)

    def test_lost_answer(self):
        self.cloud.fail_next("heat", "create", after=True)
        self.assertRaises(exceptions.CloudUnavailable, self.create)
        self.assertIsNotNone(self.cloud.heat.find("k"))
        self.assertEqual(1, self.cloud.calls.count("heat", "create"))

    def test_delete_leaves_nothing(self):
        stack_id = self.create()
        self.finish(stack_id)
        self.cloud.heat.delete(stack_id)
        self.assertIsNone(self.finish(stack_id))
        self.assertEqual((), self.cloud.heat.resources(stack_id))
        self.cloud.heat.delete_config(self.config)
        self.cloud.certificates.delete_extra_authorities()
        self.assertEqual([], self.cloud.inventory())

    def test_upgrade_in_place(self):
        stack_id = self.create()
        self.cloud.tick(60)
        self.members["1"] = server(
            "k-w-1", "worker", self.config, magnum_version="v1.36.4"
        )
        self.update(stack_id)
        self.cloud.tick(60)
        node = self.board(stack_id).digest.nodes["k-w-1"]
        self.assertEqual("v1.36.4", node.version)
