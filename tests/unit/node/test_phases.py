# SPDX-License-Identifier: Apache-2.0
"""Phases of the node program, with stubs for what they call."""

import base64
import datetime
import hashlib
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
import yaml

from magnum_k8s_driver.render import kubeadm
from tests import node_samples
from tests import samples
from tests.unit.node import base
from tests.unit.node import test_lib

MOUNTABLE = {
    "meta": {"magnum_volume_etcd": "9a8b7c6d-0000-4000-8000-000000000001"}
}
DISK = "/dev/disk/by-id/virtio-9a8b7c6d-0000-4000-8"
NONE_IN_IMAGE = {
    "kubeadm": 'case $1 in version) echo "v1.36.0" ;; esac',
}


def volumes(metadata=None):
    return base.CONTROL_PLANE_METADATA | (metadata or MOUNTABLE)


class SecretsTest(base.NodeTestCase):
    def test_puts_the_pki_in_place(self):
        machine = self.control_plane()
        result = machine.run("phase", "secrets")
        self.assert_ok(result)
        pki = node_samples.full_pki()
        for name, text in pki.items():
            file = machine.root / "etc/kubernetes/pki" / name
            self.assertEqual(text, file.read_text())
            mode = 0o600 if name.endswith(".key") else 0o644
            self.assertEqual(mode, file.stat().st_mode & 0o777)
        for text in (result.out, result.err):
            self.assertNotIn("PRIVATE", text)

    def test_says_when_none_come(self):
        machine = self.control_plane(secrets={})
        machine.run("phase", "seal")
        result = machine.run("phase", "secrets", MAGNUM_SEAL_ROUNDS="1")
        self.assert_fails(result, "did not come")


class PrepareHostTest(base.NodeTestCase):
    def test_sets_the_servers_name(self):
        result = self.worker().run(
            "phase", "prepare-host", stubs={"uname": "echo localhost"}
        )
        self.assert_ok(result)
        name = "prod-7d1b1b8e6a0c-worker-0"
        self.assert_called(result, "hostnamectl", "set-hostname", name)
        self.assertEqual(f"{name}\n", result.text("/etc/hostname"))

    def test_twice_changes_nothing(self):
        machine = self.worker()
        machine.write("/etc/fstab", "/swapfile none swap sw 0 0\n")
        machine.run("phase", "prepare-host")
        first = self._files(machine)
        self.assert_ok(machine.run("phase", "prepare-host"))
        self.assertEqual(first, self._files(machine))
        self.assertEqual(
            "#/swapfile none swap sw 0 0\n", first["etc/fstab"].decode()
        )

    def _files(self, machine):
        return {
            str(path.relative_to(machine.root)): path.read_bytes()
            for path in machine.root.rglob("*")
            if path.is_file()
        }

    def test_names_a_wrong_clock(self):
        ca = valid_from_tomorrow()
        result = self.worker(join={"ca_certificates": [ca]}).run(
            "phase", "prepare-host", stubs={"timedatectl": ":"}
        )
        self.assert_fails(result, "the CA of the cluster is not valid")
        self.assert_called(result, "timedatectl", "set-ntp", "true")

    def test_waits_for_the_clock(self):
        machine = self.worker(join={"ca_certificates": ["none"]})
        self.assert_ok(machine.run("phase", "prepare-host"))

    def test_formats_a_blank_volume(self):
        machine = self._with_etcd_volume()
        result = machine.run("phase", "prepare-host")
        self.assert_ok(result)
        disk = f"{machine.root}{DISK}"
        self.assert_called(
            result, "mkfs.ext4", "-q", "-L", "magnum-etcd", disk
        )
        target = f"{machine.root}/var/lib/etcd"
        self.assert_called(result, "mount", "-L", "magnum-etcd", target)
        self.assertIn(
            "LABEL=magnum-etcd /var/lib/etcd ext4", result.text("/etc/fstab")
        )

    def test_never_formats_ours_again(self):
        result = self._with_etcd_volume().run(
            "phase", "prepare-host", stubs={"blkid": "echo magnum-etcd"}
        )
        self.assert_ok(result)
        self.assertEqual([], result.calls_of("mkfs.ext4"))
        self.assertEqual(1, len(result.calls_of("mount")))

    def test_never_touches_a_strangers_volume(self):
        for stub in ("echo photos", "exit 0", "exit 4"):
            result = self._with_etcd_volume().run(
                "phase", "prepare-host", stubs={"blkid": stub}
            )
            self.assert_fails(result, "not ours")
            self.assertEqual([], result.calls_of("mkfs.ext4"))
            self.assertEqual([], result.calls_of("mount"))

    def test_says_when_the_volume_is_missing(self):
        machine = self._with_etcd_volume()
        (machine.root / DISK.lstrip("/")).unlink()
        result = machine.run("phase", "prepare-host")
        self.assert_fails(result, "etcd volume is not attached")

    def _with_etcd_volume(self):
        machine = self.control_plane(
            volumes(), volumes={"etcd": True, "containers": False}
        )
        machine.write(DISK, "")
        return machine


def valid_from_tomorrow():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=9))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


class RuntimeTest(base.NodeTestCase):
    def test_uses_what_the_image_has(self):
        result = self.worker().run("phase", "runtime")
        self.assert_ok(result)
        self.assertEqual([], result.calls_of("curl"))
        self.assert_called(
            result, "systemctl", "restart", "containerd.service"
        )

    def test_does_not_restart_for_nothing(self):
        machine = self.worker()
        machine.run("phase", "runtime")
        result = machine.run("phase", "runtime")
        self.assert_ok(result)
        self.assert_called(result, "systemctl", "start", "containerd.service")
        self.assertNotIn(
            ("systemctl", "restart", "containerd.service"), result.calls
        )

    def test_refuses_containerd_1(self):
        result = self.worker().run(
            "phase", "runtime", stubs={"containerd": "echo containerd 1.7.20"}
        )
        self.assert_fails(result, "containerd 1.7.20; version 2")

    def test_broken_containerd_is_named(self):
        result = self.worker().run("phase", "runtime", stubs={"ctr": "exit 1"})
        self.assert_fails(result, "containerd does not answer")


DOWNLOAD = """
output=""
for ((i = 1; i <= $#; i++)); do
    if [[ "${!i}" == --output ]]; then j=$((i + 1)); output="${!j}"; fi
done
case "${*: -1}" in
    *.sha256) printf '%s' "$SUM" ;;
    *) printf '%s' '#!/bin/bash
case "$1" in version) echo v1.36.4 ;; --version) echo v1.36.4 ;; esac
' >"$output" ;;
esac
"""
CONTENT = (
    "#!/bin/bash\n"
    'case "$1" in version) echo v1.36.4 ;; --version) echo v1.36.4 ;; esac\n'
)


class BinariesTest(base.NodeTestCase):
    def test_uses_what_the_image_has(self):
        result = self.worker().run("phase", "binaries")
        self.assert_ok(result)
        self.assertEqual([], result.calls_of("curl"))
        self.assertEqual(
            "", result.text("/etc/systemd/system/kubelet.service")
        )

    def test_downloads_what_does_not_fit(self):
        result = self._download(hashlib.sha256(CONTENT.encode()).hexdigest())
        self.assert_ok(result)
        self.assertEqual(CONTENT, result.text("/opt/magnum/bin/kubeadm"))
        (download,) = [
            call for call in result.calls_of("curl") if "--output" in call
        ]
        self.assertIn("--continue-at", download)
        self.assertEqual(
            "https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubeadm",
            download[-1],
        )

    def test_refuses_a_wrong_checksum(self):
        result = self._download("0" * 64)
        self.assert_fails(result, "checksum of the downloaded kubeadm")
        self.assertEqual("", result.text("/opt/magnum/bin/kubeadm"))

    def test_names_an_unreachable_mirror(self):
        result = self.worker().run(
            "phase", "binaries", stubs=NONE_IN_IMAGE | {"curl": "exit 7"}
        )
        self.assert_fails(result, "kubeadm could not be downloaded from")

    def test_no_phase_asks_for_crictl(self):
        result = self.worker().run(
            "phase",
            "binaries",
            stubs={"curl": "exit 6"},
            without=("crictl",),
        )
        self.assert_ok(result)
        self.assertEqual([], result.calls_of("curl"))

    def test_our_kubelet_gets_our_unit(self):
        machine = self.worker()
        machine.write("/opt/magnum/bin/kubelet", CONTENT)
        (machine.root / "opt/magnum/bin/kubelet").chmod(0o755)
        result = machine.run("phase", "binaries")
        self.assert_ok(result)
        self.assertIn(
            "/opt/magnum/bin/kubelet",
            result.text("/etc/systemd/system/kubelet.service"),
        )

    def _download(self, checksum):
        machine = self.worker()
        document = json.loads(
            (machine.root / "etc/magnum/node.json").read_text()
        )
        document["binaries"]["artifacts"]["kubeadm"]["sha256"] = {}
        machine.write("/etc/magnum/node.json", json.dumps(document))
        return machine.run(
            "phase",
            "binaries",
            stubs=NONE_IN_IMAGE | {"curl": DOWNLOAD},
            SUM=checksum,
        )


class KubeletTest(base.NodeTestCase):
    def test_kubelet_finds_its_manifests_directory(self):
        machine = self.worker()
        self.assert_ok(machine.run("phase", "kubelet"))
        self.assertTrue((machine.root / "etc/kubernetes/manifests").is_dir())

    def test_knows_its_server_and_size(self):
        result = self.worker().run("phase", "kubelet")
        self.assert_ok(result)
        path = "/etc/kubernetes/kubelet.conf.d/50-machine.conf"
        content = json.loads(result.text(path))
        self.assertEqual(
            "openstack:///c0000000-0000-4000-8000-00000000000c",
            content["providerID"],
        )
        self.assertEqual(
            {"cpu": "70m", "memory": "1843Mi"}, content["kubeReserved"]
        )
        self.assertEqual(
            'KUBELET_EXTRA_ARGS="--node-ip=10.0.0.7"\n',
            result.text("/etc/magnum/kubelet.env"),
        )

    def test_address_is_the_one_in_the_clusters_subnet(self):
        for lines, wanted in (
            (
                "3: eth1 inet 10.0.0.9/24 scope global secondary eth1\n"
                "3: eth1 inet 10.0.0.7/24 scope global eth1",
                "10.0.0.7",
            ),
            ("3: eth1 inet6 2001:db8::7/64 scope global", "2001:db8::7"),
        ):
            result = self.worker().run(
                "phase", "kubelet", stubs={"ip": f"echo '{lines}'"}
            )
            self.assertIn(
                f'--node-ip={wanted}"', result.text("/etc/magnum/kubelet.env")
            )
            (call,) = result.calls_of("ip")
            self.assertEqual(("to", "10.0.0.0/24"), call[-2:])

    def test_without_an_address_there_the_kubelet_chooses(self):
        result = self.worker().run("phase", "kubelet", stubs={"ip": ":"})
        self.assertEqual(
            'KUBELET_EXTRA_ARGS=""\n', result.text("/etc/magnum/kubelet.env")
        )

    def test_keeps_the_images_arguments(self):
        machine = self.worker()
        machine.write("/etc/default/kubelet", 'KUBELET_EXTRA_ARGS="--v=3"\n')
        result = machine.run("phase", "kubelet")
        self.assertIn(
            '"--v=3 --node-ip', result.text("/etc/magnum/kubelet.env")
        )

    def test_reserves_by_size(self):
        for mebibytes, wanted in (
            (512, 255),
            (2048, 512),
            (4096, 1024),
            (8192, 1843),
            (16384, 2662),
            (131072, 9543),
            (262144, 12164),
        ):
            machine = self.worker()
            machine.write("/proc/meminfo", f"MemTotal: {mebibytes << 10} kB\n")
            result = machine.run("phase", "kubelet")
            path = "/etc/kubernetes/kubelet.conf.d/50-machine.conf"
            content = json.loads(result.text(path))
            self.assertEqual(f"{wanted}Mi", content["kubeReserved"]["memory"])


class FirewallTest(base.NodeTestCase):
    def test_loads_the_table(self):
        result = self.worker().run("phase", "firewall")
        self.assert_ok(result)
        self.assertEqual(1, len(result.calls_of("nft")))
        self.assertEqual([], result.calls_of("iptables"))

    def test_falls_back_to_iptables_once(self):
        for exists, calls in (("1", 2), ("0", 1)):
            result = self.worker().run(
                "phase",
                "firewall",
                stubs={
                    "nft": "exit 1",
                    "iptables": f'if [[ "$3" == -C ]]; then exit {exists}; fi',
                },
            )
            self.assert_ok(result)
            self.assertEqual(calls, len(result.calls_of("iptables")))

    def test_fails_rather_than_stay_open(self):
        result = self.worker().run(
            "phase", "firewall", stubs={"nft": "exit 1", "iptables": "exit 1"}
        )
        self.assert_fails(result, "kept from the metadata service")


NO_ENDPOINT = {"curl": "exit 7"}
_NOT_YET = 'case "${*: -1}" in */livez) exit 7 ;; esac'


class InitTest(base.NodeTestCase):
    def _calls(self, result):
        return [
            one for one in result.calls_of("kubeadm") if one[0] != "version"
        ]

    def test_first_member_initialises(self):
        machine = self.control_plane()
        result = machine.run("phase", "init", stubs=NO_ENDPOINT)
        self.assert_ok(result)
        config = f"{machine.root}/etc/magnum/kubeadm/init.yaml"
        self.assertEqual(
            [("init", "--config", config, "--skip-token-print")],
            self._calls(result),
        )
        deleted = [
            one for one in result.calls_of("kubectl") if "delete" in one
        ]
        self.assertIn("kubeadm:node-autoapprove-bootstrap", deleted[0])

    def test_advertises_its_address_in_the_subnet(self):
        spec = samples.spec()
        for phase, document in (
            ("init", kubeadm.init_configuration(spec)),
            (
                "join-control-plane",
                kubeadm.join_configuration(spec, spec.control_plane),
            ),
        ):
            machine = self.control_plane(init=phase == "init")
            machine.run("phase", "secrets")
            name = phase.split("-")[0]
            path = f"/etc/magnum/kubeadm/{name}.yaml"
            machine.write(path, yaml.safe_dump(document))
            stubs = NO_ENDPOINT if name == "init" else {}
            self.assert_ok(machine.run("phase", phase, stubs=stubs))
            (machine.root / "var/lib/magnum/initialised").unlink(True)
            (machine.root / "var/lib/magnum/joined").unlink(True)
            result = machine.run("phase", phase, stubs=stubs)
            found = yaml.safe_load(result.text(path))
            place = document.get("controlPlane", document)["localAPIEndpoint"]
            place["advertiseAddress"] = "10.0.0.7"
            self.assertEqual(document, found)

    def test_only_once(self):
        machine = self.control_plane()
        machine.run("phase", "init", stubs=NO_ENDPOINT)
        result = machine.run("phase", "init")
        self.assert_ok(result)
        self.assertEqual([], self._calls(result))

    def test_goes_on_after_an_attempt_that_broke_off(self):
        machine = self.control_plane()
        first = machine.run(
            "phase", "init", stubs=NO_ENDPOINT | {"kubeadm": "exit 1"}
        )
        self.assertNotEqual(0, first.rc)
        machine.write("/var/lib/etcd/data/member/snap", "")
        # Now the endpoint answers: it is this member's own API server.
        result = machine.run("phase", "init")
        self.assert_ok(result)
        (call,) = self._calls(result)
        self.assertIn("DirAvailable--var-lib-etcd-data", call[-2])

    def test_joins_when_the_cluster_is_there(self):
        machine = self.control_plane()
        machine.run("phase", "secrets")
        result = machine.run("phase", "init")
        self.assert_ok(result)
        (call,) = self._calls(result)
        self.assertEqual("join", call[0])

    def test_refuses_an_old_etcd_volume(self):
        machine = self.control_plane()
        machine.write("/var/lib/etcd/data/member/snap", "")
        result = machine.run("phase", "init", stubs=NO_ENDPOINT)
        self.assert_fails(result, "earlier control plane")
        self.assertEqual([], self._calls(result))


class JoinTest(base.NodeTestCase):
    def test_worker_joins_once_the_endpoint_is_up(self):
        machine = self.worker()
        machine.write("/etc/magnum/kubeadm/discovery.yaml", "token")
        result = machine.run("phase", "join-worker")
        self.assert_ok(result)
        config = f"{machine.root}/etc/magnum/kubeadm/join.yaml"
        self.assert_called(result, "kubeadm", "join", "--config", config)
        self.assertEqual("", result.text("/etc/magnum/kubeadm/discovery.yaml"))
        for call in result.calls:
            self.assertNotIn(node_samples.TOKEN, " ".join(call))

    def test_worker_shows_its_permit_first(self):
        machine = self.worker()
        result = machine.run(
            "phase",
            "join-worker",
            stubs={"kubectl": 'cat >"$MAGNUM_ROOT/shown"'},
        )
        self.assert_ok(result)
        shown = json.loads(result.text("/shown"))
        self.assertEqual("CertificateSigningRequest", shown["kind"])
        name = "magnum-permit-prod-7d1b1b8e6a0c-worker-0"
        self.assertEqual(name, shown["metadata"]["name"])
        self.assertEqual(
            {"magnum/permit": node_samples.PERMIT},
            shown["metadata"]["annotations"],
        )
        pem = base64.b64decode(shown["spec"]["request"])
        asked = x509.load_pem_x509_csr(pem)
        self.assertEqual(f"CN={name}", asked.subject.rfc4514_string())
        tools = [call[0] for call in result.calls]
        self.assertLess(tools.index("kubectl"), tools.index("kubeadm"))

    def test_worker_joins_though_its_permit_cannot_be_shown(self):
        result = self.worker().run(
            "phase", "join-worker", stubs={"kubectl": "exit 1"}
        )
        self.assert_ok(result)
        self.assertEqual(1, len(result.calls_of("kubeadm")))

    def test_joins_once(self):
        machine = self.worker()
        machine.run("phase", "join-worker")
        result = machine.run("phase", "join-worker")
        self.assert_ok(result)
        self.assertEqual([], result.calls_of("kubeadm"))

    def test_dead_endpoint_is_named(self):
        result = self.worker().run(
            "phase",
            "join-worker",
            stubs=NO_ENDPOINT,
            MAGNUM_ENDPOINT_ATTEMPTS="3",
        )
        self.assert_fails(result, "https://10.0.0.9:6443 does not answer")
        self.assertEqual(3, len(result.calls_of("curl")))

    def test_control_plane_makes_its_own_certificate(self):
        machine = self.control_plane(init=False)
        machine.run("phase", "secrets")
        result = machine.run(
            "phase",
            "join-control-plane",
            stubs={
                "kubeadm": "openssl x509 -noout -subject -in "
                '"$MAGNUM_ROOT/etc/magnum/join.crt" >"$MAGNUM_ROOT/subject"; '
                'openssl verify -CAfile "$MAGNUM_ROOT/etc/kubernetes/pki/'
                'ca.crt" "$MAGNUM_ROOT/etc/magnum/join.crt" >&2'
            },
        )
        self.assert_ok(result)
        self.assertIn(
            "magnum:control-plane:prod-7d1b1b8e6a0c-cp-0",
            result.text("/subject"),
        )
        self.assertEqual("", result.text("/etc/magnum/join.key"))


class BootTest(base.NodeTestCase):
    def _boot(self, machine, **stubs):
        return machine.run("boot", stubs=stubs, MAGNUM_PHASE_ATTEMPTS="2")

    def test_worker_runs_every_phase(self):
        machine = self.worker()
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        result = self._boot(machine)
        self.assert_ok(result)
        lines = [
            json.loads(line.split(" ", 2)[2])
            for line in result.text("/console").splitlines()
        ]
        self.assertEqual(
            "prepare-host runtime binaries kubelet firewall join-worker "
            "report".split(),
            [one["phase"] for one in lines if "phase" in one],
        )
        self.assertIn("join-worker", lines[-1]["seconds"])
        self.assert_called(
            result,
            "systemctl",
            "enable",
            "--quiet",
            "--now",
            "magnum-metadata.timer",
        )

    def test_control_plane_starts_its_keeper(self):
        machine = self.control_plane()
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        result = self._boot(machine, curl=_NOT_YET + test_lib.KEEP_POSTS)
        self.assert_ok(result)
        self.assert_called(
            result,
            "systemctl",
            "enable",
            "--quiet",
            "--now",
            "magnum-board.service",
            "magnum-approve.service",
        )

    def test_boots_without_python(self):
        machine = self.worker()
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        result = machine.run("boot", without=("python3",))
        self.assert_ok(result)
        self.assertIn("MAGNUM-NODE ready", result.text("/console"))

    def test_failure_is_told_and_retried(self):
        result = self._boot(self.worker(), ctr="exit 1")
        self.assertNotEqual(0, result.rc)
        (line,) = [
            one
            for one in result.text("/console").splitlines()
            if " failed " in one
        ]
        error = json.loads(line.split(" ", 2)[2])
        self.assertEqual("runtime", error["phase"])
        self.assertIn("containerd does not answer", error["message"])
        restarts = [one for one in result.calls if "restart" in one]
        self.assertEqual(1, len(restarts))

    def test_unforeseen_errors_tell_the_last_lines(self):
        result = self._boot(
            self.worker(),
            systemctl="echo 'write: No space left on device' >&2; exit 1",
        )
        text = result.text("/console")
        self.assertIn("No space left on device", text)
        self.assertIn("The disk is full", text)

    def test_a_second_boot_heals(self):
        machine = self.worker()
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        self.assertNotEqual(0, self._boot(machine, ctr="exit 1").rc)
        result = self._boot(machine)
        self.assert_ok(result)
        self.assertIn("MAGNUM-NODE ready", result.text("/console"))

    def test_lost_metadata_service_is_named(self):
        machine = self.worker()
        (machine.root / "run/magnum/meta_data.json").unlink()
        result = self._boot(machine, curl="exit 7")
        self.assertNotEqual(0, result.rc)
        self.assertIn("metadata service", result.text("/console"))

    def test_secrets_stay_out_of_logs(self):
        machine = self.control_plane()
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        result = self._boot(machine, curl="exit 7")
        logs = [
            path.read_text()
            for path in (machine.root / "var/log/magnum").iterdir()
        ]
        self.assertGreater(len(logs), 5)
        secrets = node_samples.secrets()
        for text in (*logs, result.err, result.out, result.text("/console")):
            for secret in (
                secrets.join_root.hex(),
                secrets.board_key.hex(),
                node_samples.signal("board-0")["password"],
                "PRIVATE KEY",
            ):
                self.assertNotIn(secret, text)
