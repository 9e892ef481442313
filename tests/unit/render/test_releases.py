# SPDX-License-Identifier: Apache-2.0
"""The release table."""

import pathlib
import shutil
import subprocess
import sys

import fixtures
import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.render import files
from magnum_k8s_driver.render import releases

ARTIFACTS = {
    "kubeadm",
    "kubelet",
    "kubectl",
    "crictl",
    "containerd",
    "runc",
    "cni-plugins",
}


class ReleasesTest(testtools.TestCase):
    def test_offers_the_supported_minors(self):
        found = releases.read_releases()
        self.assertEqual(["1.35", "1.36", "1.37"], list(found))
        for minor, release in found.items():
            self.assertTrue(
                release.kubernetes_version.startswith(f"v{minor}.")
            )

    def test_every_release_is_complete(self):
        for release in releases.read_releases().values():
            self.assertEqual(
                ARTIFACTS, {one.name for one in release.artifacts}
            )
            for one in release.artifacts:
                self.assertTrue(one.url.startswith("https://"))
                self.assertNotIn("{version}", one.url)
                self.assertIn("{arch}", one.url)
                self.assertIn(one.version, one.url)
                for arch, digest in one.sha256.items():
                    self.assertIn(arch, ("amd64", "arm64"))
                    self.assertRegex(digest, "^[0-9a-f]{64}$")

    def test_another_patch_has_no_known_checksums(self):
        release = releases.release_for("v1.36.1")
        kubelet = next(o for o in release.artifacts if o.name == "kubelet")
        self.assertIn("/v1.36.1/", kubelet.url)
        self.assertEqual({}, kubelet.sha256)
        runc = next(o for o in release.artifacts if o.name == "runc")
        self.assertTrue(runc.sha256)

    def test_refuses_other_minors(self):
        error = self.assertRaises(
            exceptions.InvalidClusterSpec, releases.release_for, "v1.34.1"
        )
        self.assertIn("choose a version of 1.35, 1.36, 1.37", str(error))


class FilesTest(testtools.TestCase):
    def test_lists_the_node_program(self):
        found = files.list_files("node")
        self.assertIn("node/magnum-node", found)
        self.assertIn("node/phases/init.sh", found)
        self.assertEqual(sorted(found), list(found))
        for path in found:
            self.assertTrue(files.read_text(path))

    def test_a_new_package_does_not_reach_a_running_process(self):
        place = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        package = pathlib.Path(files.__file__).parents[1]
        shutil.copytree(package, place / package.name)
        shutil.copytree(package.with_name("templates"), place / "templates")
        done = subprocess.run(
            [sys.executable, "-c", _OUTLIVES, place],
            cwd=place,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual("", done.stderr)
        self.assertEqual("as before", done.stdout.strip())


_OUTLIVES = """
import pathlib, shutil, sys

sys.path.insert(0, sys.argv[1])
from magnum_k8s_driver.render import cluster_stack, files, releases

assert files.__file__.startswith(sys.argv[1]), files.__file__
shutil.rmtree(pathlib.Path(sys.argv[1], "templates"))
assert files.list_files("node") and cluster_stack.template()
assert releases.release_for("v1.36.4").artifacts
print("as before")
"""
