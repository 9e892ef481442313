# SPDX-License-Identifier: Apache-2.0
"""A KUBE_DIST is filled from servers that speak as the official ones do."""

import hashlib
import http.server
import json
import pathlib
import tarfile
import tempfile
import threading

import testtools

from lab import __main__ as command_line
from lab import failure
from lab import kube_dist
from lab import oci
from lab.containers import distribution

VERSION = "v1.36.4"
PAUSE = "registry.k8s.io/pause:3.10.2"
COREDNS = "registry.k8s.io/coredns/coredns:v1.14.2"
KUBEADM = f"""#!/bin/sh
test "$*" = "config images list --kubernetes-version {VERSION}" || exit 9
echo {PAUSE}
echo {COREDNS}
"""


def digest(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Upstream:
    """What download sites hold, by path, and who asked."""

    def __init__(self):
        self.files = {}
        self.asked = []
        for name in distribution.PROGRAMS:
            content = KUBEADM if name == "kubeadm" else f"I am {name}"
            path = f"/release/{VERSION}/bin/linux/amd64/{name}"
            self.put(path, content.encode())
            sum_ = hashlib.sha256(content.encode()).hexdigest()
            self.put(f"{path}.sha256", sum_.encode())
        self.layer = b"a layer of "
        for image in (PAUSE, COREDNS):
            self.push(kube_dist.Image.parse(image))

    def put(self, path, content, kind="application/octet-stream"):
        self.files[path] = (kind, content)

    def push(self, image):
        base = f"/v2/{image.repository}"
        layer = self.layer + image.repository.encode()
        descriptors = []
        for kind, content in ((oci.CONFIG, b"{}"), (oci.LAYER, layer)):
            self.put(f"{base}/blobs/{digest(content)}", content)
            descriptors.append(
                {
                    "mediaType": kind,
                    "digest": digest(content),
                    "size": len(content),
                }
            )
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": oci.MANIFEST,
                "config": descriptors[0],
                "layers": descriptors[1:],
            }
        ).encode()
        self.put(
            f"{base}/manifests/{digest(manifest)}", manifest, oci.MANIFEST
        )
        index = {
            "schemaVersion": 2,
            "mediaType": kube_dist.INDEXES[0],
            "manifests": [
                {
                    "digest": "sha256:of-another-machine",
                    "platform": {"os": "linux", "architecture": "s390x"},
                },
                {
                    "digest": digest(manifest),
                    "platform": {"os": "linux", "architecture": "amd64"},
                },
            ],
        }
        self.put(
            f"{base}/manifests/{image.tag}",
            json.dumps(index).encode(),
            kube_dist.INDEXES[0],
        )


def serve(test, upstream):
    """Start a server of these files and return its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            upstream.asked.append(self.path)
            kind, content = upstream.files.get(self.path, ("", None))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    test.addCleanup(server.server_close)
    test.addCleanup(thread.join)
    test.addCleanup(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}"


class KubeDistTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.directory = pathlib.Path(home.name, "dist")
        self.upstream = Upstream()
        self.url = serve(self, self.upstream)
        self.source = kube_dist.Source(
            binaries=f"{self.url}/release", registry=self.url
        )

    def fill(self, version=VERSION):
        return kube_dist.fill(self.directory, version, self.source)

    def refusal(self, *arguments):
        error = self.assertRaises(failure.LabError, self.fill, *arguments)
        return str(error)

    def test_holds_programs_and_images(self):
        found = self.fill()
        self.assertEqual(VERSION, found.version)
        self.assertEqual({*distribution.PROGRAMS}, {*found.programs})
        self.assertEqual(
            b"I am kubelet", found.programs["kubelet"].read_bytes()
        )
        self.assertEqual(0o755, found.programs["kubelet"].stat().st_mode & 511)
        names = {}
        for path in found.archives:
            with tarfile.open(path) as archive:
                index = json.load(archive.extractfile("index.json"))
                (one,) = index["manifests"]
                names[one["annotations"][oci.NAME]] = archive.getnames()
                blob = archive.extractfile(
                    f"blobs/{one['digest'].replace(':', '/')}"
                ).read()
                self.assertEqual(one["digest"], digest(blob))
        self.assertEqual({PAUSE, COREDNS}, {*names})
        for content in names.values():
            self.assertEqual(5, len(content), content)

    def test_again_downloads_nothing_but_checksums(self):
        self.fill()
        self.upstream.asked.clear()
        self.fill()
        self.assertEqual(
            {f"{name}.sha256" for name in distribution.PROGRAMS},
            {path.rpartition("/")[2] for path in self.upstream.asked},
        )

    def test_changed_program_is_fetched_again(self):
        found = self.fill()
        found.programs["kubectl"].write_text("broken")
        again = self.fill()
        self.assertEqual(
            b"I am kubectl", again.programs["kubectl"].read_bytes()
        )

    def test_wrong_checksum_is_refused(self):
        path = f"/release/{VERSION}/bin/linux/amd64/kubelet"
        self.upstream.put(path, b"something else")
        self.assertIn("checksum", self.refusal())
        self.assertFalse((self.directory / "bin/kubelet").exists())
        self.assertFalse((self.directory / "version").exists())

    def test_wrong_layer_is_refused(self):
        name = f"/v2/pause/blobs/{digest(b'a layer of pause')}"
        self.upstream.put(name, b"something else")
        self.assertIn("digest", self.refusal())
        self.assertEqual([], [*(self.directory / "images").iterdir()])

    def test_missing_image_is_told(self):
        del self.upstream.files["/v2/coredns/coredns/manifests/v1.14.2"]
        told = self.refusal()
        self.assertIn("/v2/coredns/coredns/manifests/v1.14.2", told)
        self.assertIn("404", told)

    def test_other_architecture_is_told(self):
        path = "/v2/pause/manifests/3.10.2"
        kind, content = self.upstream.files[path]
        self.upstream.put(path, content.replace(b"amd64", b"riscv"), kind)
        self.assertIn(f"{PAUSE} is not there for amd64", self.refusal())

    def test_other_version_in_the_directory_is_refused(self):
        self.fill()
        self.assertIn("another directory", self.refusal("v1.35.8"))

    def test_version_is_checked_first(self):
        self.assertIn("not a version", self.refusal("1.36"))
        self.assertEqual([], self.upstream.asked)

    def test_command(self):
        options = command_line.parse(
            ["kube-dist", str(self.directory), VERSION]
            + ["--binaries", f"{self.url}/release/", "--registry", self.url]
        )
        self.assertEqual(0, command_line.run(options))
        self.assertEqual(VERSION, distribution.read(self.directory).version)


class DistributionTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.directory = pathlib.Path(home.name)

    def put(self, **content):
        for name, text in content.items():
            path = self.directory / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def refusal(self):
        error = self.assertRaises(
            failure.LabError, distribution.read, self.directory
        )
        return str(error)

    def test_needs_a_version(self):
        self.assertIn("version", self.refusal())
        self.put(version="latest\n")
        self.assertIn("'latest'", self.refusal())

    def test_needs_programs_and_images(self):
        self.put(version="v1.36.4\n", bin__kubeadm="", bin__kubelet="")
        self.assertIn("kubectl", self.refusal())
        self.put(bin__kubectl="")
        self.assertIn("images/", self.refusal())
        self.put(images__pause_tar="")
        self.assertEqual("v1.36.4", distribution.read(self.directory).version)

    def test_other_content_has_another_digest(self):
        self.put(one="1", two="1")
        files = [self.directory / "one", self.directory / "two"]
        before = distribution.digest(files)
        self.assertEqual(before, distribution.digest(files))
        self.put(two="12")
        self.assertNotEqual(before, distribution.digest(files))
