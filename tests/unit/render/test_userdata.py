# SPDX-License-Identifier: Apache-2.0
"""User data: what Nova hands to a new server."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import tempfile
import sys
import tomllib

import fixtures
import testtools
import yaml

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import files
from magnum_k8s_driver.render import node_document
from magnum_k8s_driver.render import node_files
from magnum_k8s_driver.render import userdata
from tests import node_samples
from tests import samples

UNIT = "/etc/systemd/system/magnum-node.service"


def control_plane(spec=None, **changes):
    spec = spec or samples.spec()
    values = node_samples.control_plane_values(**changes)
    document = node_document.control_plane_document(spec, values)
    return userdata.user_data(spec, spec.control_plane, document)


def worker(spec=None, **changes):
    spec = spec or samples.spec()
    group = spec.workers[0]
    values = node_samples.worker_values(**changes)
    document = node_document.worker_document(spec, group, values)
    return userdata.user_data(spec, group, document)


def with_distro(distro):
    spec = samples.spec()
    return dataclasses.replace(
        spec,
        control_plane=dataclasses.replace(spec.control_plane, distro=distro),
        workers=tuple(
            dataclasses.replace(one, distro=distro) for one in spec.workers
        ),
    )


class CloudConfigTest(testtools.TestCase):
    def test_has_only_keys_cloud_init_knows(self):
        text = worker()
        self.assertTrue(text.startswith("#cloud-config\n"))
        content = yaml.safe_load(text)
        self.assertEqual(
            {"bootcmd", "write_files", "ssh_authorized_keys"}, set(content)
        )
        for one in content["write_files"]:
            self.assertLessEqual(
                set(one), {"path", "permissions", "encoding", "content"}
            )
            self.assertRegex(one["permissions"], "^0[0-7]{3}$")
            self.assertIn(one.get("encoding", "b64"), ("b64", "gz+b64"))

    def test_starts_the_program_without_waiting_for_cloud_init(self):
        (script,) = yaml.safe_load(worker())["bootcmd"]
        with tempfile.TemporaryDirectory() as root:
            file = pathlib.Path(root + UNIT)
            file.parent.mkdir(parents=True)
            systemctl = pathlib.Path(root, "systemctl")
            systemctl.write_text('#!/bin/sh\necho "$@" >>"$0.calls"\n')
            systemctl.chmod(0o755)
            subprocess.run(
                ["sh", "-euc", script.replace("/etc/", f"{root}/etc/")],
                check=True,
                env=os.environ | {"PATH": f"{root}:{os.environ['PATH']}"},
            )
            written = file.read_text()
            calls = pathlib.Path(root, "systemctl.calls").read_text()
        self.assertEqual(node_files.unit(), written)
        # The files it needs are written by the stage before the network is
        # online; see systemd.special(7) and cloud-init's boot stages.
        self.assertIn("\nAfter=network-online.target\n", written)
        self.assertEqual(
            "enable --now --no-block magnum-node.service\n",
            calls,
        )

    def test_writes_no_path_twice(self):
        content = yaml.safe_load(control_plane())
        paths = [one["path"] for one in content["write_files"]]
        self.assertEqual(sorted(set(paths)), sorted(paths))

    def test_keeps_the_document_from_other_users(self):
        content = yaml.safe_load(control_plane())
        modes = {
            one["path"]: one["permissions"] for one in content["write_files"]
        }
        self.assertEqual("0600", modes["/etc/magnum/node.json"])
        self.assertEqual("0600", modes["/opt/magnum/node.tar.xz"])

    def test_installs_the_users_key(self):
        content = yaml.safe_load(worker())
        self.assertEqual([samples.PUBLIC_KEY], content["ssh_authorized_keys"])

    def test_has_no_key_when_there_is_none(self):
        spec = dataclasses.replace(samples.spec(), ssh_public_key="")
        self.assertNotIn("ssh_authorized_keys", yaml.safe_load(worker(spec)))


class FilesTest(testtools.TestCase):
    def test_control_plane_has_everything_kubeadm_is_told_of(self):
        files = userdata.parse_files(control_plane())
        for path in (
            "/etc/magnum/node.json",
            "/etc/magnum/kubeadm/init.yaml",
            "/etc/magnum/kubeadm/join.yaml",
            "/etc/magnum/kubeadm/discovery.yaml",
            "/etc/magnum/apiserver/admission.yaml",
            "/etc/magnum/apiserver/audit-policy.yaml",
            "/etc/magnum/apiserver/authentication.yaml",
            "/etc/containerd/config.toml",
            "/etc/kubernetes/kubelet.conf.d/10-group.conf",
            "/opt/magnum/magnum-node",
            "/opt/magnum/phases/init.sh",
        ):
            self.assertIn(path, files)

    def test_worker_has_nothing_of_the_control_plane(self):
        files = userdata.parse_files(worker())
        self.assertNotIn("/etc/magnum/kubeadm/init.yaml", files)
        self.assertFalse([p for p in files if "/apiserver/" in p])

    def test_program_arrives_but_for_its_comments(self):
        files = userdata.parse_files(worker())
        root = pathlib.Path(__file__).parents[3] / "templates" / "node"
        seen = 0
        libraries = {*(root / "lib").glob("*.sh")}
        unit = root / "units" / node_files.UNIT
        for path in {*root.rglob("*")} - libraries - {unit}:
            if path.is_file():
                below = path.relative_to(root)
                found = files[f"/opt/magnum/{below}"]
                first, *lines = path.read_bytes().splitlines(True)
                kept = [o for o in lines if not o.lstrip().startswith(b"#")]
                if first.rstrip().endswith(b"bash"):
                    kept = [line.lstrip(b" ") for line in kept]
                self.assertEqual(b"".join((first, *kept)), found)
                seen += 1
        self.assertGreater(seen, 20)

    def test_libraries_arrive_as_one(self):
        """It defines what the single ones do."""
        files = userdata.parse_files(worker())
        root = pathlib.Path(__file__).parents[3] / "templates" / "node"
        self.assertEqual(
            ["/opt/magnum/lib/all.sh"],
            [one for one in files if re.search("/lib/.*sh$", one)],
        )
        with tempfile.TemporaryDirectory() as directory:
            bundle = pathlib.Path(directory, "lib", "all.sh")
            bundle.parent.mkdir()
            bundle.write_bytes(files["/opt/magnum/lib/all.sh"])
            defined = [
                subprocess.run(
                    ["bash", "-euc", f"ROOT=; MAGNUM_HOME={home}; {LOAD}"],
                    capture_output=True,
                    check=True,
                    text=True,
                ).stdout
                for home in (root, directory)
            ]
        self.assertGreater(defined[0].count("::"), 80)
        self.assertEqual(*defined)

    def test_containerd_configuration_is_toml(self):
        files = userdata.parse_files(worker())
        config = tomllib.loads(files["/etc/containerd/config.toml"].decode())
        self.assertEqual(3, config["version"])
        plugins = config["plugins"]
        self.assertEqual(
            "registry.k8s.io/pause:3.10.2",
            plugins["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"],
        )
        runtime = plugins["io.containerd.cri.v1.runtime"]["containerd"]
        options = runtime["runtimes"]["runc"]["options"]
        self.assertIs(True, options["SystemdCgroup"])

    def test_insecure_registry_speaks_http(self):
        spec = dataclasses.replace(
            samples.spec(), insecure_registry="192.0.2.9:5000"
        )
        files = userdata.parse_files(worker(spec))
        path = "/etc/containerd/certs.d/192.0.2.9:5000/hosts.toml"
        hosts = tomllib.loads(files[path].decode())
        self.assertEqual(["http://192.0.2.9:5000"], list(hosts["host"]))

    def test_proxy_reaches_runtime_and_downloads(self):
        proxy = spec_module.ProxySpec(
            http="http://proxy:3128", no_proxy=(".example.org",)
        )
        spec = dataclasses.replace(samples.spec(), proxy=proxy)
        text = userdata.parse_files(worker(spec))["/etc/magnum/proxy.env"]
        lines = text.decode().splitlines()
        self.assertIn("http_proxy=http://proxy:3128", lines)
        self.assertTrue(
            any("169.254.169.254" in one for one in lines if "NO" in one)
        )


class ParseTest(testtools.TestCase):
    def test_finds_the_document_in_both_formats(self):
        for distro in ("ubuntu", "flatcar"):
            spec = with_distro(distro)
            values = node_samples.worker_values()
            document = node_document.worker_document(
                spec, spec.workers[0], values
            )
            text = userdata.user_data(spec, spec.workers[0], document)
            self.assertEqual(document, userdata.parse_node_document(text))

    def test_says_what_is_no_user_data(self):
        for text in ("", "#!/bin/sh\n", "#cloud-config\n{}", "[]", "{}"):
            with self.subTest(text):
                self.assertRaises(
                    ValueError, userdata.parse_node_document, text
                )


class IgnitionTest(testtools.TestCase):
    def test_is_a_document_of_spec_3_4(self):
        content = json.loads(worker(with_distro("flatcar")))
        self.assertEqual({"version": "3.4.0"}, content["ignition"])
        self.assertEqual(
            ["magnum-node.service"],
            [one["name"] for one in content["systemd"]["units"]],
        )
        for one in content["storage"]["files"]:
            self.assertIsInstance(one["mode"], int)
            self.assertTrue(
                one["contents"]["source"].startswith("data:;base64,")
            )

    def test_has_the_same_files_as_cloud_config(self):
        ignition = userdata.parse_files(worker(with_distro("flatcar")))
        cloud = userdata.parse_files(worker())
        self.assertEqual(set(cloud), set(ignition))


class PurityTest(testtools.TestCase):
    def test_same_input_gives_same_bytes(self):
        self.assertEqual(control_plane(), control_plane())
        self.assertEqual(worker(), worker())
        flatcar = with_distro("flatcar")
        self.assertEqual(worker(flatcar), worker(flatcar))

    def test_workers_do_not_differ(self):
        document = userdata.parse_node_document(worker())
        self.assertNotIn("member", document)
        self.assertNotIn("secrets", document)
        self.assertNotIn("board", document["signals"])


LOAD = "source $MAGNUM_HOME/lib/all.sh; declare -f; compgen -v | sort"


class SizeTest(testtools.TestCase):
    def test_full_pki_fits(self):
        for distro in ("ubuntu", "flatcar"):
            secrets = node_samples.secrets(pki=node_samples.full_pki())
            text = control_plane(with_distro(distro), secrets=secrets)
            self.assertLess(len(text), userdata.MAX_BYTES - 3072)

    def test_sealed_secrets_leave_room(self):
        for distro in ("ubuntu", "flatcar"):
            text = control_plane(with_distro(distro), secrets=None)
            self.assertLess(len(text), userdata.MAX_BYTES - 12 * 1024)

    def test_too_much_is_refused_with_a_sentence(self):
        pki = {
            str(n): node_samples.authority(str(n), 2048)[1] for n in range(9)
        }
        secrets = node_samples.secrets(pki=node_samples.full_pki() | pki)
        error = self.assertRaises(
            exceptions.InvalidClusterSpec, control_plane, secrets=secrets
        )
        self.assertIn("Nova takes 49149", str(error))


class EveryCombinationTest(testtools.TestCase):
    def test_every_minor_cni_and_distro_renders(self):
        seen = 0
        for version in ("v1.35.8", "v1.36.4", "v1.37.2", "v1.36.1"):
            for cni in ("calico", "cilium", "flannel"):
                for distro in ("ubuntu", "debian", "rocky", "flatcar"):
                    self._renders(version, cni, distro)
                    seen += 1
        self.assertEqual(48, seen)

    def _renders(self, version, cni, distro):
        spec = with_distro(distro)
        network = dataclasses.replace(spec.network, cni=cni)
        change = {"kubernetes_version": version}
        spec = dataclasses.replace(
            spec,
            network=network,
            control_plane=dataclasses.replace(spec.control_plane, **change),
            workers=tuple(
                dataclasses.replace(one, **change) for one in spec.workers
            ),
            **change,
        )
        for text in (control_plane(spec), worker(spec)):
            document = userdata.parse_node_document(text)
            self.assertEqual(version, document["kubernetes_version"])
            urls = document["binaries"]["artifacts"]["kubelet"]["url"]
            self.assertIn(f"/{version}/", urls)


class ArchiveTest(testtools.TestCase):
    def plain(self, script):
        """Return how bash itself would write a script."""
        done = subprocess.run(
            ["bash"],
            input=b"all() {\n" + script + b"\n}\ndeclare -f all\n",
            capture_output=True,
            check=True,
        )
        self.assertEqual(b"", done.stderr)
        self.assertGreater(len(done.stdout), 20)
        return done.stdout

    def test_scripts_mean_what_they_meant(self):
        for one in node_files.program_files():
            name = one.path.removeprefix(f"{node_files.PROGRAM_DIRECTORY}/")
            source = files.read_text(f"node/{name}").encode()
            # For the libraries see test_libraries_arrive_as_one.
            if name == "lib/all.sh":
                continue
            if source.startswith(b"#!/usr/bin/env bash"):
                self.assertEqual(
                    self.plain(source), self.plain(one.content), name
                )

    def test_tar_unpacks_it_with_modes(self):
        files = node_files.program_files()
        packed = node_files.archive(files)
        for command in (
            ["tar", "-xJf", "node.tar.xz", "-C", "root"],
            [sys.executable, "-m", "tarfile", "-e", "node.tar.xz", "root"],
        ):
            directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
            (directory / "root").mkdir()
            (directory / "node.tar.xz").write_bytes(packed)
            subprocess.run(command, cwd=directory, check=True)
            for one in files:
                path = directory / "root" / one.path.lstrip("/")
                self.assertEqual(one.content, path.read_bytes())
                self.assertEqual(one.mode, path.stat().st_mode & 0o777)
