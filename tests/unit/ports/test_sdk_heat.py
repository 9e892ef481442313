# SPDX-License-Identifier: Apache-2.0
"""What is asked of Heat, and how its answers are read."""

import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import heat
from magnum_k8s_driver.ports import sdk_heat
from tests.unit.ports import http

ID = "1a1a0f3e-a994-4d82-a5be-7ba4959bd34c"
PATH = f"/stacks/prod/{ID}"
# The host is how Heat sees itself, not how it is reached.
LOCATION = f"http://inside:8004/v1/project{PATH}"


def stack(status="CREATE_COMPLETE", **more):
    return {
        "stack": {
            "id": ID,
            "stack_name": "prod",
            "stack_status": status,
            "stack_status_reason": "because",
            "parameters": {"generation": "1"},
            "creation_time": "2026-11-22T15:11:56Z",
            "updated_time": None,
            **more,
        }
    }


class SdkHeatTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.http = http.Answers()
        self.heat = sdk_heat.SdkHeat(http.Connection(self.http))

    def known(self):
        self.http.add("GET", f"/stacks/{ID}", 302, None, Location=LOCATION)

    def test_show(self):
        self.known()
        self.http.add("GET", PATH, 200, stack("UPDATE_IN_PROGRESS"))
        found = self.heat.show(ID)
        self.assertEqual(heat.StackAction.UPDATE, found.action)
        self.assertEqual(heat.StackPhase.IN_PROGRESS, found.phase)
        self.assertEqual(1795360316.0, found.created)
        self.assertIsNone(found.updated)
        self.assertEqual({}, found.outputs)
        self.heat.show(ID)
        # The name is looked up once.
        query = f"{PATH}?resolve_outputs=false"
        self.assertEqual(
            [("GET", f"/stacks/{ID}"), ("GET", query), ("GET", query)],
            self.http.calls(),
        )

    def test_outputs(self):
        self.known()
        outputs = [
            {"output_key": "a", "output_value": {"0": "x"}},
            {"output_key": "b", "output_error": "no"},
        ]
        self.http.add("GET", PATH, 200, stack(outputs=outputs))
        found = self.heat.show(ID, outputs=True)
        self.assertEqual({"a": {"0": "x"}, "b": None}, found.outputs)
        self.assertIn("resolve_outputs=true", self.http.sent[-1][1])

    def test_unknown_action(self):
        self.known()
        self.http.add("GET", PATH, 200, stack("CHECK_FAILED"))
        self.assertEqual(heat.StackAction.OTHER, self.heat.show(ID).action)

    def test_gone(self):
        self.http.add("GET", f"/stacks/{ID}", 404)
        self.assertIsNone(self.heat.show(ID))
        self.assertEqual((), self.heat.resources(ID))
        self.assertEqual({}, self.heat.metadata(ID, "x"))
        self.heat.delete(ID)
        update = heat.StackUpdate(parameters={}, timeout_minutes=1)
        error = self.assertRaises(
            exceptions.CloudError, self.heat.update, ID, update
        )
        self.assertEqual(404, error.status)

    def test_deleted_stack_is_gone(self):
        self.known()
        self.http.add("GET", "/stacks/prod", 302, None, Location=LOCATION)
        self.http.add("GET", PATH, 200, stack("DELETE_COMPLETE"))
        self.assertIsNone(self.heat.show(ID))
        self.assertIsNone(self.heat.find("prod"))

    def test_create(self):
        self.http.add("POST", "/stacks", 201, {"stack": {"id": ID}})
        request = heat.StackRequest(
            name="prod",
            template={"resources": {}},
            files={"a.yaml": "{}"},
            parameters={"members": {"next": 0}},
            tags=("one", "two"),
            timeout_minutes=60,
        )
        self.assertEqual(ID, self.heat.create(request))
        sent = self.http.body("POST")
        self.assertEqual("one,two", sent["tags"])
        self.assertIs(True, sent["disable_rollback"])
        self.assertEqual(60, sent["timeout_mins"])

    def test_update_sends_only_what_changes(self):
        self.known()
        self.http.add("PATCH", PATH, 202, None)
        self.heat.update(
            ID, heat.StackUpdate(parameters={"a": 1}, timeout_minutes=5)
        )
        sent = self.http.body("PATCH")
        self.assertEqual({"a": 1}, sent["parameters"])
        self.assertNotIn("template", sent)
        self.assertNotIn("files", sent)

    def test_resources_and_metadata_of_nested_stacks(self):
        self.known()
        nested = "http://inside/v1/p/stacks/prod-boards-x/2f92"
        self.http.add(
            "GET",
            f"{PATH}/resources?nested_depth=2",
            200,
            {
                "resources": [
                    {
                        "resource_name": "0",
                        "resource_type": "OS::Heat::WaitConditionHandle",
                        "resource_status": "CREATE_COMPLETE",
                        "resource_status_reason": None,
                        "physical_resource_id": None,
                        "parent_resource": "boards",
                        "links": [
                            {"rel": "self", "href": f"{nested}/resources/0"},
                            {"rel": "stack", "href": nested},
                        ],
                    }
                ]
            },
        )
        (found,) = self.heat.resources(ID)
        self.assertEqual(("2f92", "boards"), (found.stack_id, found.parent))
        self.http.add(
            "GET",
            "/stacks/prod-boards-x/2f92/resources/0/metadata",
            200,
            {"metadata": {"report": {"data": "{}"}}},
        )
        # No look-up: the path came with the list.
        self.assertIn("report", self.heat.metadata("2f92", "0"))

    def test_configs(self):
        page = [{"id": str(n), "name": f"a-{n}"} for n in range(200)]
        url = "/software_configs?limit=200"
        self.http.add("GET", url, 200, {"software_configs": page})
        self.http.add(
            "GET",
            f"{url}&marker=199",
            200,
            {"software_configs": [{"id": "z", "name": "b-1"}]},
        )
        self.assertEqual(200, len(self.heat.configs("a-")))
        self.assertEqual({"z": "b-1"}, self.heat.configs("b-"))
        self.http.add("DELETE", "/software_configs/z", 404)
        self.heat.delete_config("z")
