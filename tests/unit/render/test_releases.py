# SPDX-License-Identifier: Apache-2.0
"""The release table."""

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
