# SPDX-License-Identifier: Apache-2.0
"""House rules of the Heat templates."""

import dataclasses
import functools

import testtools
import yaml

from magnum_k8s_driver.model import members as members_module
from magnum_k8s_driver.render import files
from magnum_k8s_driver.render import worker_stack
from tests import stacks

STATE = {
    "cluster.yaml": {
        "generation",
        "operation",
        "healing",
        "initialised",
        "secret_ref",
        "members",
        "ssh_public_key",
    },
    "workers.yaml": {
        "generation",
        "operation",
        "healing",
        "members",
        "cluster_uuid",
    },
}
"""Parameters that no resource uses: what the driver must remember."""

SHAPES = (
    stacks.Shape(),
    stacks.Shape(
        control_planes=3,
        load_balancer=True,
        node_floating_ip=True,
        boot_volume=True,
        container_volume=True,
        etcd_volume=True,
    ),
)


@functools.cache
def requests_of(shape):
    """Return the requests of a shape; nobody changes them."""
    return stacks.requests(shape.spec())


def walk(value):
    """Yield every mapping in a value."""
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from walk(one)
    elif isinstance(value, list):
        for one in value:
            yield from walk(one)


def used_parameters(template):
    """Return the names of parameters that anything refers to."""
    body = {k: v for k, v in template.items() if k != "parameters"}
    found = set()
    for one in walk(body):
        if "get_param" in one:
            given = one["get_param"]
            found.add(given if isinstance(given, str) else given[0])
    return {name for name in found if not name.startswith("OS::")}


class TestRoots(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.texts = {
            path.rsplit("/", 1)[-1]: files.read_text(path)
            for path in files.list_files("heat")
            if path.endswith(".yaml")
        }
        self.roots = {
            name: yaml.safe_load(text) for name, text in self.texts.items()
        }
        self.assertEqual({"cluster.yaml", "workers.yaml"}, set(self.roots))

    def set_parameters(self, name):
        found = set()
        for shape in SHAPES:
            requests = requests_of(shape)
            step = "cluster" if name == "cluster.yaml" else "default-worker"
            found |= set(requests[step]["parameters"])
        return found

    def test_version_is_quoted(self):
        for name, text in self.texts.items():
            first = text.splitlines()[0]
            self.assertRegex(
                first, r'^heat_template_version: "\d{4}-\d\d-\d\d"$', name
            )

    def test_descriptions(self):
        for name, root in self.roots.items():
            self.assertIn(".py", root["description"], name)
            for parameter, body in root["parameters"].items():
                self.assertTrue(body.get("description"), parameter)

    def test_no_defaults(self):
        for name, root in self.roots.items():
            for parameter, body in root["parameters"].items():
                self.assertNotIn("default", body, f"{name} {parameter}")

    def test_every_parameter_is_set_and_no_other(self):
        for name, root in self.roots.items():
            self.assertEqual(
                set(root["parameters"]), self.set_parameters(name), name
            )

    def test_an_update_sets_only_what_is_declared(self):
        state = requests_of(SHAPES[0])["control-plane"]["parameters"]
        self.assertLessEqual(
            set(state), set(self.roots["cluster.yaml"]["parameters"])
        )

    def test_every_parameter_is_used(self):
        for name, root in self.roots.items():
            declared = set(root["parameters"])
            self.assertLessEqual(STATE[name], declared)
            self.assertEqual(
                declared - STATE[name], used_parameters(root), name
            )

    def test_no_parameter_is_named_like_a_resource(self):
        for name, root in self.roots.items():
            both = set(root["parameters"]) & set(root["resources"])
            self.assertEqual(set(), both, name)

    def test_no_yaql(self):
        """Heat 27 shares one parser between threads and loses stacks."""
        for name, root in self.roots.items():
            for one in walk(root):
                self.assertNotIn("yaql", one, name)

    def test_conditions_are_defined_and_used(self):
        for name, root in self.roots.items():
            defined = set(root.get("conditions") or {})
            text = self.texts[name]
            for condition in defined:
                self.assertGreater(text.count(condition), 1, condition)
            for body in root["resources"].values():
                self.assertLessEqual({body.get("condition")} - {None}, defined)

    def test_names_other_programs_rely_on(self):
        workers = self.roots["workers.yaml"]
        self.assertIn("kube_minions", workers["resources"])
        self.assertIn("refs_map", workers["outputs"])


class TestNested(testtools.TestCase):
    def nested(self):
        """Yield every generated file with the resource that includes it."""
        for shape in SHAPES:
            for request in requests_of(shape).values():
                resources = request["template"]["resources"]
                including = {body["type"]: body for body in resources.values()}
                for name, text in request["files"].items():
                    yield name, text, including[name]

    def test_parameters_are_the_properties_and_used(self):
        seen = set()
        used = {}
        for name, text, including in self.nested():
            seen.add(name)
            template = yaml.safe_load(text)
            declared = set(template.get("parameters") or {})
            given = set(including.get("properties") or {})
            self.assertEqual(declared, given, name)
            for body in (template.get("parameters") or {}).values():
                self.assertNotIn("default", body, name)
            used.setdefault(name, set()).update(used_parameters(template))
            self.assertLessEqual(used_parameters(template), declared)
        self.assertEqual(
            {"boards.yaml", "control_plane.yaml", "members.yaml"}, seen
        )
        for name, _text, including in self.nested():
            given = set(including.get("properties") or {})
            self.assertEqual(given, used[name], f"{name}: never used")

    def test_version_and_description(self):
        for name, text, _including in self.nested():
            template = yaml.safe_load(text)
            self.assertIsInstance(template["heat_template_version"], str, name)
            self.assertTrue(template["description"], name)
            for one in walk(template):
                self.assertNotIn("yaql", one)

    def test_no_parameter_is_named_like_a_resource(self):
        for name, text, _including in self.nested():
            template = yaml.safe_load(text)
            both = set(template.get("parameters") or {}) & set(
                template["resources"] or {}
            )
            self.assertEqual(set(), both, name)

    def test_member_names_stay_text(self):
        """YAML would read the name of member 0 as a number."""
        for name, text, _including in self.nested():
            for resource in yaml.safe_load(text)["resources"] or {}:
                self.assertIsInstance(resource, str, name)

    def test_servers_state_their_update_policies(self):
        for _name, text, _including in self.nested():
            for body in (yaml.safe_load(text)["resources"] or {}).values():
                if body["type"] != "OS::Nova::Server":
                    continue
                properties = body["properties"]
                self.assertEqual("RAW", properties["user_data_format"])
                self.assertEqual(
                    "IGNORE", properties["user_data_update_policy"]
                )
                self.assertEqual("REPLACE", properties["image_update_policy"])
                self.assertEqual("REPLACE", properties["flavor_update_policy"])

    def test_draining_is_told_in_metadata_only(self):
        spec = stacks.Shape().spec()
        group = spec.workers[0]
        plain = stacks.members(group)
        drained = plain.marked(
            members_module.MemberState.DRAINING, "resize-2", "1"
        )
        before, after = (
            yaml.safe_load(
                worker_stack._files(spec, group, one)["members.yaml"]
            )["resources"]
            for one in (plain, drained)
        )
        self.assertEqual(before["0"], after["0"])
        changed = after["1"]["properties"].pop("metadata")
        del before["1"]["properties"]["metadata"]
        self.assertEqual(before["1"], after["1"])
        self.assertEqual("1", changed["magnum_drain"])

    def test_adding_a_worker_leaves_the_others_as_they_are(self):
        spec = stacks.Shape().spec()
        group = spec.workers[0]
        more = dataclasses.replace(group, count=3)
        two = worker_stack._files(spec, group, stacks.members(group))
        three = worker_stack._files(spec, more, stacks.members(more))
        before = yaml.safe_load(two["members.yaml"])["resources"]
        after = yaml.safe_load(three["members.yaml"])["resources"]
        del after["2"]
        self.assertEqual(before, after)
