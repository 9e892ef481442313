# SPDX-License-Identifier: Apache-2.0
"""What nodes get, compared with checked-in files."""

import dataclasses
import json

import testtools
import yaml

from magnum_k8s_driver.render import node_document
from magnum_k8s_driver.render import userdata
from tests import golden
from tests import node_samples
from tests import samples

CASES = {
    "ubuntu-1.35-calico": ("ubuntu", "v1.35.8", "calico"),
    "debian-1.36-cilium": ("debian", "v1.36.4", "cilium"),
    "rocky-1.36-calico": ("rocky", "v1.36.4", "calico"),
    "flatcar-1.37-flannel": ("flatcar", "v1.37.2", "flannel"),
    "fcos-1.37-calico": ("fcos", "v1.37.2", "calico"),
}


def spec_of(distro, version, cni):
    spec = samples.spec()
    change = {"kubernetes_version": version, "distro": distro}
    return dataclasses.replace(
        spec,
        kubernetes_version=version,
        network=dataclasses.replace(spec.network, cni=cni),
        control_plane=dataclasses.replace(spec.control_plane, **change),
        workers=tuple(
            dataclasses.replace(one, **change) for one in spec.workers
        ),
    )


def frame(text):
    """Return user data with the content of files left out."""
    if text.startswith("#"):
        content = yaml.safe_load(text)
        for one in content["write_files"]:
            one.pop("content")
        return "#cloud-config\n" + yaml.safe_dump(content, sort_keys=False)
    content = json.loads(text)
    for one in content["storage"]["files"]:
        one["contents"].pop("source")
    for one in content["systemd"]["units"]:
        one.pop("contents")
    return json.dumps(content, indent=1) + "\n"


class GoldenTest(testtools.TestCase):
    def test_what_nodes_get(self):
        self.assertEqual(5, len(CASES))
        failures = []
        for name, values in CASES.items():
            spec = spec_of(*values)
            for role, text in (
                ("control-plane", self._control_plane(spec)),
                ("worker", self._worker(spec)),
            ):
                failures += self._compare(f"{name}/{role}", text)
        self.assertEqual([], failures)

    def _control_plane(self, spec):
        values = node_samples.control_plane_values()
        document = node_document.control_plane_document(spec, values)
        return userdata.user_data(spec, spec.control_plane, document)

    def _worker(self, spec):
        document = node_document.worker_document(
            spec, spec.workers[0], node_samples.worker_values()
        )
        return userdata.user_data(spec, spec.workers[0], document)

    def _compare(self, directory, text):
        found = {"user-data": frame(text)}
        for path, content in userdata.parse_files(text).items():
            if path.startswith("/opt/") or path.endswith(".service"):
                continue
            found[path.removeprefix("/etc/").replace("/", "_")] = (
                self._readable(path, content)
            )
        failures = []
        for name, content in found.items():
            try:
                golden.assert_matches(f"{directory}/{name}", content)
            except AssertionError as exc:
                failures.append(str(exc))
        return failures

    def _readable(self, path, content):
        if path.endswith("node.json"):
            document = json.loads(content)
            return json.dumps(document, indent=1, sort_keys=True) + "\n"
        return content.decode()
