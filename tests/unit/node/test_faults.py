# SPDX-License-Identifier: Apache-2.0
"""Faults on the way: each is told with its phase and cause, or heals."""

import json

from magnum_k8s_driver.model import board
from tests import node_samples
from tests.unit.node import base
from tests.unit.node import test_lib
from tests.unit.node import test_phases

KEY = node_samples.secrets().board_key
OLD_IMAGE = {"kubeadm": "echo v1.36.0"}
WORKER_PHASES = (
    "prepare-host runtime binaries kubelet firewall join-worker report"
).split()
CONTROL_PLANE_PHASES = (
    "seal prepare-host runtime binaries kubelet firewall secrets init report"
).split()


class FaultCase(base.NodeTestCase):
    def booted(self, machine=None, curl="", attempts=1, **stubs):
        """Boot a worker whose signals are kept."""
        self.machine = machine or self.worker()
        return self.machine.run(
            "boot",
            stubs={"curl": f"{curl}\n{test_lib.KEEP_POSTS}"} | stubs,
            MAGNUM_PHASE_ATTEMPTS=str(attempts),
            MAGNUM_ENDPOINT_ATTEMPTS="2",
        )

    def assert_distress(self, result, phase, message, hint=""):
        """Check what handle and console say about a failure."""
        self.assertNotEqual(0, result.rc)
        body = test_lib.sent(result)[-1]
        (found,) = board.read_distress({body["id"]: {"data": body["data"]}})
        (line,) = [
            one
            for one in result.text("/console").splitlines()
            if one.startswith("MAGNUM-NODE failed ")
        ]
        marker = json.loads(line.split(" ", 2)[2])
        for error in (marker, vars_of(found.error)):
            self.assertEqual(phase, error["phase"])
            self.assertIn(message, error["message"])
            self.assertIn(hint, error["hint"])

    def heals(self, **stubs):
        """Boot again without the fault."""
        self.machine.write("/etc/kubernetes/kubelet.conf", "x")
        result = self.booted(self.machine, **stubs)
        self.assert_ok(result)
        self.assertIn("MAGNUM-NODE ready", result.text("/console"))
        return result


def vars_of(error):
    return {
        "phase": error.phase,
        "message": error.message,
        "hint": error.hint,
    }


def answer(pattern, commands):
    """Return what curl does for addresses of a pattern."""
    return f'case "${{*: -1}}" in {pattern}) {commands} ;; esac'


def download(content):
    return (
        "for ((i = 1; i <= $#; i++)); do "
        'if [[ "${!i}" == --output ]]; then j=$((i + 1)); '
        f"printf '%s' '{content}' >\"${{!j}}\"; fi; done; exit 0"
    )


class WorkerFaultTest(FaultCase):
    def test_unreachable_mirror(self):
        result = self.booted(
            curl=answer("https://dl.k8s.io/*", "exit 7"), **OLD_IMAGE
        )
        self.assert_distress(result, "binaries", "kubeadm", "artifact mirror")
        self.heals()

    def test_wrong_checksum(self):
        curl = answer("*.sha256", f"printf {'0' * 64}; exit 0") + "\n"
        curl += answer("https://dl.k8s.io/*", download("junk"))
        result = self.booted(curl=curl, **OLD_IMAGE)
        self.assert_distress(
            result, "binaries", "checksum of the downloaded kubeadm"
        )
        self.heals()

    def test_full_disk(self):
        full = "echo 'curl: (23) No space left on device' >&2; exit 23"
        result = self.booted(
            curl=answer("*.sha256", f"printf {'0' * 64}; exit 0")
            + "\n"
            + answer("https://dl.k8s.io/*", full),
            **OLD_IMAGE,
        )
        self.assert_distress(
            result, "binaries", "kubeadm could not", "The disk is full"
        )
        self.heals()

    def test_wrong_clock(self):
        ca = test_phases.valid_from_tomorrow()
        machine = self.worker(join={"ca_certificates": [ca]})
        result = self.booted(machine, timedatectl=":")
        self.assert_distress(
            result, "prepare-host", "this node's clock", "synchronisation"
        )

    def test_clock_is_set_meanwhile(self):
        ca = test_phases.valid_from_tomorrow()
        document = self.worker(join={"ca_certificates": [ca]})
        # Half a minute later it is tomorrow.
        verify = 'if [[ -e "$MAGNUM_ROOT/set" ]]; then exit 0; fi\n'
        verify += "echo 'certificate is not yet valid'; exit 2"
        result = self.booted(
            document,
            openssl=verify,
            timedatectl='touch "$MAGNUM_ROOT/set"',
        )
        self.assertIn('"phase":"prepare-host"', result.text("/console"))

    def test_bad_ca(self):
        result = self.booted(curl=answer("*/readyz", "exit 60"))
        self.assert_distress(
            result, "join-worker", "another cluster's CA", "rotated"
        )
        self.heals()

    def test_dead_endpoint(self):
        result = self.booted(curl=answer("*/readyz", "exit 28"))
        self.assert_distress(
            result,
            "join-worker",
            "https://10.0.0.9:6443 does not answer",
            "load balancer",
        )
        self.heals()

    def test_wrong_token(self):
        refused = (
            'case "$1" in version) echo v1.36.4 ;; join) '
            f"echo 'error: {node_samples.TOKEN} Unauthorized' >&2; exit 1 ;; "
            "esac"
        )
        result = self.booted(kubeadm=refused)
        self.assert_distress(
            result, "join-worker", "Unauthorized", "no longer valid"
        )
        self.assertNotIn(node_samples.TOKEN, result.text("/console"))
        self.assertNotIn(node_samples.TOKEN, result.text("/posted"))
        self.heals()

    def test_broken_containerd(self):
        result = self.booted(ctr="exit 1")
        self.assert_distress(
            result, "runtime", "containerd does not answer", "journalctl"
        )
        self.heals()

    def test_kubelet_crash_loop(self):
        unwell = (
            'case "$1" in version) echo v1.36.4 ;; join) '
            "echo 'error: The kubelet is not healthy after 4m0s' >&2; exit 1 "
            ";; esac"
        )
        result = self.booted(kubeadm=unwell)
        self.assert_distress(
            result, "join-worker", "not healthy", "journalctl -u kubelet"
        )
        self.heals()

    def test_kubelet_that_never_registers(self):
        machine = self.worker()
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        result = self.booted(
            machine,
            kubectl='case "$*" in version*) echo v1.36.4 ;; '
            '*"get node"*) exit 1 ;; esac',
            journalctl="echo 'failed to run Kubelet: bad flag'",
        )
        self.assertNotEqual(0, result.rc)
        text = result.text("/console")
        self.assertIn('"phase":"report"', text)
        self.assertIn("did not appear", text)
        self.assertIn("bad flag", text)
        self.heals()

    def test_lost_metadata_service(self):
        machine = self.worker()
        (machine.root / "run/magnum/meta_data.json").unlink()
        result = self.booted(
            machine, curl=answer("*/meta_data.json", "exit 28")
        )
        self.assert_distress(
            result, "metadata", "did not answer", "config drive"
        )

    def test_slow_metadata_service(self):
        machine = self.worker()
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        place = machine.root / "run/magnum/meta_data.json"
        machine.write("/answer", place.read_text())
        place.unlink()
        slow = (
            'echo >>"$MAGNUM_ROOT/tries"; '
            '(($(stat -c %s "$MAGNUM_ROOT/tries") > 3)) || exit 28; '
            "for ((i = 1; i <= $#; i++)); do "
            'if [[ "${!i}" == --output ]]; then j=$((i + 1)); '
            'cp "$MAGNUM_ROOT/answer" "${!j}"; fi; done'
        )
        result = self.booted(machine, curl=answer("*/meta_data.json", slow))
        self.assert_ok(result)
        self.assertEqual(4, len(result.text("/tries").splitlines()))

    def test_distress_that_cannot_be_sent_is_on_the_console(self):
        result = self.booted(
            curl=answer("*/auth/tokens", "exit 7"), ctr="exit 1"
        )
        self.assertEqual("", result.text("/posted"))
        self.assertIn("containerd does not", result.text("/console"))

    def test_reboot_in_each_phase(self):
        for number in range(len(WORKER_PHASES)):
            machine = self.worker()
            machine.write("/etc/kubernetes/kubelet.conf", "x")
            for phase in WORKER_PHASES[:number]:
                self.assert_ok(machine.run("phase", phase))
            self.machine = machine
            self.heals()

    def test_killed_in_a_phase(self):
        kill = (
            '[[ -e "$MAGNUM_ROOT/killed" ]] || '
            '{ : >"$MAGNUM_ROOT/killed"; kill -9 "$PPID"; }'
        )
        for program in ("modprobe", "ctr", "nft"):
            result = self.booted(**{program: kill})
            self.assertNotEqual(0, result.rc)
            self.heals()


class ControlPlaneFaultTest(FaultCase):
    def test_board_not_writable(self):
        machine = self.control_plane()
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        livez = answer("*/livez", "exit 7")
        result = self.booted(
            machine, curl=f"{livez}\n{answer('*/signal', 'exit 22')}"
        )
        # Everything is done; only telling is tried again.
        self.assertNotEqual(0, result.rc)
        self.assertIn("MAGNUM-NODE ready", result.text("/console"))
        result = self.heals()
        report = self.report(result)
        self.assertEqual(board.NodeState.READY, report.state)
        self.assertTrue(report.signed)

    def test_failure_is_on_the_board(self):
        machine = self.control_plane()
        result = self.booted(
            machine,
            curl=answer("*/livez", "exit 7"),
            kubeadm='case "$1" in version) echo v1.36.4 ;; init) '
            "echo 'failed to pull image registry.k8s.io/x' >&2; exit 1 ;; "
            "esac",
        )
        self.assertNotEqual(0, result.rc)
        error = self.report(result).error
        self.assertEqual("init", error.phase)
        self.assertIn("registry.k8s.io/x", error.message)
        self.assertIn("container_infra_prefix", error.hint)

    def test_reboot_in_each_phase(self):
        for number in range(len(CONTROL_PLANE_PHASES)):
            machine = self.control_plane()
            machine.write("/etc/kubernetes/kubelet.conf", "x")
            dead = {"curl": "exit 7"}
            for phase in CONTROL_PLANE_PHASES[:number]:
                self.assert_ok(machine.run("phase", phase, stubs=dead))
            self.machine = machine
            initialised = (
                machine.root / "var/lib/magnum/initialised"
            ).exists()
            result = self.heals(curl=answer("*/livez", "exit 7"))
            inits = [c for c in result.calls_of("kubeadm") if c[0] == "init"]
            self.assertEqual(0 if initialised else 1, len(inits))

    def test_secrets_that_do_not_come(self):
        for said in ("exit 22", "echo '{\"metadata\": []}'; exit 0"):
            self.machine = self.control_plane(secrets={})
            result = self.machine.run(
                "boot",
                stubs={
                    "curl": f"{answer('*/software_deployments/*', said)}\n"
                    f"{test_lib.KEEP_POSTS}"
                },
                MAGNUM_PHASE_ATTEMPTS="1",
                MAGNUM_SEAL_ROUNDS="2",
            )
            self.assertNotEqual(0, result.rc)
            error = self.report(result).error
            self.assertEqual("secrets", error.phase)
            self.assertIn(
                "secrets of the control plane did not come", str(error)
            )
            self.assertIn("Nova's console log", error.hint)

    def test_etcd_volume_of_another_cluster(self):
        machine = self.control_plane()
        machine.write("/var/lib/etcd/data/member/snap", "x")
        result = self.booted(machine, curl=answer("*/livez", "exit 7"))
        self.assertNotEqual(0, result.rc)
        error = self.report(result).error
        self.assertEqual("init", error.phase)
        self.assertIn("data of an earlier control plane", error.message)
        self.assertEqual(
            [], [c for c in result.calls_of("kubeadm") if c[0] == "init"]
        )

    def test_another_clusters_endpoint(self):
        machine = self.control_plane(init=False)
        result = self.booted(machine, curl=answer("*/readyz", "exit 60"))
        self.assertNotEqual(0, result.rc)
        error = self.report(result).error
        self.assertEqual("join-control-plane", error.phase)
        self.assertIn("another cluster's CA", error.message)

    def test_no_ca_key(self):
        machine = self.control_plane()
        document = machine.root / "etc/magnum/node.json"
        content = json.loads(document.read_text())
        del content["secrets"]["pki"]["ca.key"]
        document.write_text(json.dumps(content))
        result = self.booted(machine)
        self.assertNotEqual(0, result.rc)
        error = self.report(result).error
        self.assertEqual("secrets", error.phase)
        self.assertIn("The secret ca.key is missing", error.message)
        self.assertIn("certificate backend", error.hint)

    def report(self, result):
        body = test_lib.sent(result)[-1]
        return board.read_board({"report": {"data": body["data"]}}, KEY).report
