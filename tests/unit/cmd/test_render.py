# SPDX-License-Identifier: Apache-2.0
"""``magnum-k8s-render`` on the samples of the documentation."""

import contextlib
import io
import pathlib
import tempfile

from oslotest import base
import yaml

from magnum_k8s_driver.cmd import render
from tests import golden

SAMPLES = pathlib.Path(__file__).parents[3] / "doc/source/user/samples"
UNSTABLE = ("/template.yaml", "/files.txt", "/user-data", ".service")
"""Parts of documents that lie under ``templates/`` as they are."""


def run(*words: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of the command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = render.main([*words])
    return code, out.getvalue(), err.getvalue()


class RenderTests(base.BaseTestCase):
    def file(self, text: str) -> str:
        """Return the path of a file with this text."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = pathlib.Path(directory.name, "spec.yaml")
        path.write_text(text)
        return str(path)

    def refusal(self, text: str) -> str:
        code, out, err = run(self.file(text))
        self.assertEqual((1, ""), (code, out), err)
        return err

    def assert_golden(self, name: str) -> None:
        found = render.render((SAMPLES / f"{name}.yaml").read_text())
        text = "".join(
            f"##### {path}\n{content.decode()}\n"
            for path, content in found.items()
            if not path.endswith(UNSTABLE)
        )
        golden.assert_matches(f"render/{name}.txt", text)

    def test_small(self):
        self.assert_golden("small")

    def test_balanced(self):
        self.assert_golden("balanced")

    def test_office(self):
        self.assert_golden("office")

    def test_bill_of_materials(self):
        text = (SAMPLES / "small.yaml").read_text()
        mirrored = text.replace(
            "labels:",
            "labels:\n    container_infra_prefix: mirror.example/k8s"
            "\n    chart_mirror: oci://mirror.example/charts",
            1,
        )
        self.assertNotEqual(text, mirrored)
        code, out, err = run(self.file(mirrored), "--bill-of-materials")
        self.assertEqual((0, ""), (code, err))
        found = yaml.safe_load(out)
        self.assertEqual(["images", "charts", "files"], [*found])
        for one in found["images"]:
            self.assertTrue(one["taken_from"].startswith("mirror.example/k8s"))
        for one in found["charts"]:
            self.assertEqual("oci://mirror.example/charts", one["taken_from"])
        self.assertIn(
            "https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubeadm",
            [one["url"] for one in found["files"]],
        )

    def test_nothing_is_random(self):
        text = (SAMPLES / "balanced.yaml").read_text()
        self.assertEqual(render.render(text), render.render(text))

    def test_dummies_only(self):
        _code, out, _err = run(str(SAMPLES / "small.yaml"))
        self.assertIn("dummy-password-of-board-0", out)
        self.assertNotIn("PRIVATE KEY", out)

    def test_shipped_templates_are_sent(self):
        found = render.render((SAMPLES / "small.yaml").read_text())
        (path,) = [
            one
            for one in found
            if one.startswith("heat/1") and one.endswith("template.yaml")
        ]
        self.assertIn(
            "control_plane", yaml.safe_load(found[path])["resources"]
        )
        files = found["nodes/cp-0/files.txt"].decode()
        self.assertIn("/etc/magnum/node.json", files)

    def test_output_directory(self):
        with tempfile.TemporaryDirectory() as directory:
            code, out, _err = run(
                str(SAMPLES / "small.yaml"), "--output", directory
            )
            data = pathlib.Path(directory, "nodes/cp-0/user-data").read_text()
        self.assertEqual(0, code)
        self.assertIn("files below", out)
        self.assertTrue(data.startswith("#cloud-config"))

    def test_an_empty_mapping_is_enough(self):
        self.assertEqual(0, run(self.file("{}"))[0])

    def test_all_problems_are_told(self):
        told = self.refusal(
            "cluster:\n"
            "  name: [prod]\n"
            "  master_cuont: 3\n"
            "  master_count: 2\n"
            "  labels: {boot_volume_size: lots}\n"
            "template: {tls_disabled: true}\n"
            "facts: {images: {ubuntu-24.04: null}, pigs: 3}\n"
        )
        for part in (
            "field name is ['prod'] but must be text.",
            "master_cuont is unknown; did you mean master_count?",
            "choose 1, 3, 5 or 7",
            "Label boot_volume_size is 'lots'",
            "tls_disabled cannot be set",
            "Image ubuntu-24.04 does not exist",
            "Facts have no pigs",
        ):
            self.assertIn(part, told)
        self.assertEqual(7, len(told.splitlines()), told)

    def test_no_mapping_and_no_yaml(self):
        self.assertIn("must have the sections", self.refusal("just text"))
        self.assertIn("not YAML", self.refusal("a: [b"))
        self.assertIn("mapping", self.refusal("cluster: 3"))
        self.assertIn("must be a list", self.refusal("node_groups: x"))
        self.assertIn(
            "mapping or null",
            self.refusal("facts: {flavors: {m1.medium: big}}"),
        )

    def test_warnings_go_to_stderr(self):
        code, _out, err = run(self.file("cluster: {labels: {etcd_tag: x}}"))
        self.assertEqual(0, code)
        self.assertIn("Label etcd_tag is ignored", err)

    def test_unreadable_file(self):
        code, _out, err = run("/does/not/exist")
        self.assertEqual(2, code)
        self.assertIn("/does/not/exist", err)
