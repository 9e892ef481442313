# SPDX-License-Identifier: Apache-2.0
"""Upgrades in place, with a mirror and an API server of a few lines."""

import json

from magnum_k8s_driver.model import board
from tests import node_samples
from tests import shell
from tests.unit.node import base
from tests.unit.node import test_lib

KEY = node_samples.secrets().board_key
WANTED = "v1.37.2"
MIRROR = """
output=""
for ((i = 1; i <= $#; i++)); do
    if [[ "${!i}" == --output ]]; then j=$((i + 1)); output="${!j}"; fi
done
case "${*: -1}" in
    */meta_data.json) cp "$MAGNUM_ROOT/answer" "$output"; exit 0 ;;
    *.sha256) [[ "$SUM" != none ]] || exit 22
        printf '%s' "${SUM:-$(sha256sum <"$MAGNUM_ROOT/program")}"; exit 0 ;;
    https://dl.k8s.io/*) cp "$MAGNUM_ROOT/program" "$output"; exit 0 ;;
esac
"""
# What every downloaded program is: kubeadm and kubelet at once.
PROGRAM = f"""#!/bin/bash
case "$1" in
    version) echo {WANTED} ;;
    --version) echo "Kubernetes {WANTED}" ;;
    *) echo "$*" >>"$MAGNUM_ROOT/kubeadm-calls"
        if [[ "$KUBEADM" == fails ]]; then
            echo "etcd is not healthy"
            exit 1
        fi ;;
esac
"""
API = """
case "$*" in
    version*) echo "Client Version: v1.36.4" ;;
    *"get node"*unschedulable*) cat "$MAGNUM_ROOT/cordoned" ;;
    *" cordon "*) echo true >"$MAGNUM_ROOT/cordoned" ;;
    *" uncordon "*) : >"$MAGNUM_ROOT/cordoned" ;;
    *"get node"*kubeletVersion*)
        [[ "$KUBELET" == fails ]] || echo "v1.37.2 True" ;;
    *"get pods"*) cat "$MAGNUM_ROOT/pods" ;;
    *eviction*) [[ "$EVICT" == no ]] || : >"$MAGNUM_ROOT/pods"; cat >&2 ;;
    *"get configmap kubeadm-config"*)
        echo "kubernetesVersion: $CONFIGURED" ;;
    *"get lease"*) cat "$MAGNUM_ROOT/lease" 2>/dev/null || true ;;
    *"create --filename"*) cat >/dev/null
        echo "$HOLDER 2026-01-01T00:00:00Z 300 1" >"$MAGNUM_ROOT/lease" ;;
    *"replace --filename"*) cat >"$MAGNUM_ROOT/lease.json" ;;
esac
"""


class UpgradeCase(base.NodeTestCase):
    def prepared(self, machine):
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        machine.write("/var/lib/magnum/seconds/report", "0.1")
        machine.write("/program", PROGRAM)
        machine.write("/pods", "default web ReplicaSet- - Running\n")
        machine.write("/cordoned", "")
        return machine

    def poll(self, machine, operation="up-2", version=WANTED, **environment):
        own = json.loads(
            (machine.root / "run/magnum/meta_data.json").read_text()
        )
        meta = {"magnum_op": operation, "magnum_version": version}
        meta |= environment.pop("meta", {})
        own["meta"] = own["meta"] | meta
        machine.write("/answer", json.dumps(own))
        values = dict.fromkeys(("SUM", "KUBEADM", "KUBELET", "EVICT"), "")
        values |= {"CONFIGURED": "v1.36.4", "HOLDER": own["name"]}
        return machine.run(
            "task",
            "poll-metadata",
            stubs={"kubectl": API, "curl": MIRROR + test_lib.KEEP_POSTS},
            MAGNUM_READY_ATTEMPTS="2",
            MAGNUM_DRAIN_SECONDS="0" if environment.get("EVICT") else "60",
            **(values | environment),
        )

    def kubeadm(self, result):
        return result.text("/kubeadm-calls").splitlines()

    def reports(self, result):
        return [
            json.loads(one[-1].split("=", 1)[1])
            for one in result.calls_of("kubectl")
            if "annotate" in one
        ]

    def names(self, result, *programs):
        """Return in which order the steps were made."""
        found = []
        for call in result.calls:
            for words in programs:
                if words in " ".join(call):
                    found.append(words)
        return found


class WorkerTest(UpgradeCase):
    def setUp(self):
        super().setUp()
        self.machine = self.prepared(self.worker())

    def test_changes_its_version_in_place(self):
        result = self.poll(self.machine)
        self.assert_ok(result)
        self.assertEqual(["upgrade node"], self.kubeadm(result))
        first, last = self.reports(result)
        self.assertEqual(("upgrade", False), (first["phase"], first["ready"]))
        self.assertEqual(
            ("upgrade", True, WANTED, "up-2", None),
            tuple(
                last[key]
                for key in ("phase", "ready", "version", "op", "error")
            ),
        )
        self.assertIn("upgrade", last["seconds"])
        self.assertEqual("", result.text("/cordoned"))
        self.assertEqual(PROGRAM, result.text("/opt/magnum/bin/kubelet"))
        self.assertIn(
            "/opt/magnum/bin/kubelet",
            result.text("/etc/systemd/system/kubelet.service"),
        )
        steps = ("cordon", "eviction", "restart kubelet", "uncordon")
        self.assertEqual(
            ["cordon", "eviction", "restart kubelet", "cordon", "uncordon"],
            self.names(result, *steps),
        )

    def test_downloads_the_new_versions_files(self):
        result = self.poll(self.machine)
        urls = [call[-1] for call in result.calls_of("curl")]
        base_url = f"https://dl.k8s.io/release/{WANTED}/bin/linux/amd64/"
        for name in ("kubeadm", "kubelet", "kubectl"):
            self.assertIn(base_url + name, urls)
            self.assertIn(f"{base_url}{name}.sha256", urls)

    def test_once(self):
        self.poll(self.machine)
        result = self.poll(self.machine)
        self.assert_ok(result)
        self.assertEqual([], result.calls_of("kubectl"))

    def test_the_new_version_survives_a_boot(self):
        self.poll(self.machine)
        result = self.machine.run("phase", "binaries")
        self.assert_ok(result)
        self.assertEqual([], result.calls_of("curl"))
        self.assertEqual(PROGRAM, result.text("/opt/magnum/bin/kubelet"))

    def test_kubeadms_failure_leaves_the_kubelet_alone(self):
        result = self.poll(self.machine, KUBEADM="fails")
        self.assert_ok(result)
        self.assertEqual("", result.text("/opt/magnum/bin/kubelet"))
        self.assertEqual("", result.text("/cordoned"))
        self.assertNotIn(
            ("systemctl", "restart", "kubelet.service"), result.calls
        )
        last = self.reports(result)[-1]
        self.assertEqual("v1.36.4", last["version"])
        self.assertEqual("upgrade", last["error"]["phase"])
        self.assertIn("etcd is not healthy", last["error"]["message"])

    def test_a_failure_waits_for_the_next_operation(self):
        self.poll(self.machine, KUBEADM="fails")
        calls = len(self.kubeadm(self.poll(self.machine)))
        self.assertEqual(3, calls)
        again = self.poll(self.machine, "up-2", meta={"magnum_drain": ""})
        self.assertEqual(3, len(self.kubeadm(again)))
        result = self.poll(self.machine, "up-3")
        self.assertEqual(4, len(self.kubeadm(result)))
        self.assertIsNone(self.reports(result)[-1]["error"])

    def test_abandoned_it_is_what_it_was(self):
        self.poll(self.machine, KUBEADM="fails")
        result = self.poll(self.machine, "resize-3", "v1.36.4")
        last = self.reports(result)[-1]
        self.assertEqual(
            ("resize-3", True, None),
            (last["op"], last["ready"], last["error"]),
        )
        self.assertEqual(3, len(self.kubeadm(result)))

    def test_goes_on_after_a_crash(self):
        """Everything was done but the kubelet's restart and the rest."""
        self.machine.write("/var/lib/magnum/upgrading", f"{WANTED}\n")
        self.machine.write("/var/lib/magnum/upgrade-cordoned", "")
        self.machine.write("/cordoned", "true")
        self.machine.write("/opt/magnum/bin/kubelet", PROGRAM)
        (self.machine.root / "opt/magnum/bin/kubelet").chmod(0o755)
        result = self.poll(self.machine)
        self.assert_ok(result)
        self.assert_called(result, "systemctl", "restart", "kubelet.service")
        self.assertEqual("", result.text("/cordoned"))
        self.assertTrue(self.reports(result)[-1]["ready"])

    def test_others_cordons_stay(self):
        self.machine.write("/cordoned", "true")
        result = self.poll(self.machine)
        self.assertEqual("true\n", result.text("/cordoned"))

    def test_drained_it_stays_drained(self):
        result = self.poll(self.machine, meta={"magnum_drain": "1"})
        self.assert_ok(result)
        self.assertEqual("true\n", result.text("/cordoned"))
        last = self.reports(result)[-1]
        self.assertEqual(("drained", WANTED), (last["phase"], last["version"]))

    def test_pods_that_stay_are_named(self):
        result = self.poll(self.machine, EVICT="no")
        error = self.reports(result)[-1]["error"]
        self.assertIn("default/web", error["message"])
        self.assertEqual([], self.kubeadm(result))
        self.assertEqual("", result.text("/cordoned"))

    def test_a_wrong_checksum_changes_nothing(self):
        result = self.poll(self.machine, SUM="0" * 64)
        error = self.reports(result)[-1]["error"]
        self.assertIn("checksum of the downloaded kubeadm", error["message"])
        self.assertEqual([], self.names(result, "cordon", "restart"))

    def test_a_kubelet_that_does_not_come_up_is_named(self):
        result = self.poll(self.machine, KUBELET="fails")
        error = self.reports(result)[-1]["error"]
        self.assertIn("kubelet v1.37.2 did not become", error["message"])
        self.assertIn("journalctl", error["hint"])

    def test_says_again_what_failed_after_a_boot(self):
        self.poll(self.machine, KUBEADM="fails")
        result = self.machine.run("boot", stubs={"kubectl": API}, KUBELET="")
        self.assertIn(
            "not healthy", self.reports(result)[-1]["error"]["message"]
        )

    def test_nothing_that_is_no_version(self):
        for text in ("v1.37", "1.37.2/../x", "latest", ""):
            result = self.poll(self.machine, f"op-{text}", text)
            self.assert_ok(result)
            self.assertEqual([], self.kubeadm(result))


class ControlPlaneTest(UpgradeCase):
    def setUp(self):
        super().setUp()
        self.machine = self.prepared(self.control_plane())

    def report(self, result):
        body = test_lib.sent(result)[-1]
        return board.read_board({"report": {"data": body["data"]}}, KEY).report

    def test_first_member_applies(self):
        result = self.poll(self.machine)
        self.assert_ok(result)
        self.assertEqual(
            [f"upgrade apply {WANTED} --yes --skip-phases bootstrap-token"],
            self.kubeadm(result),
        )
        self.assertIn("kubeadm:node-autoapprove-bootstrap", str(result.calls))
        report = self.report(result)
        self.assertEqual(board.NodeState.READY, report.state)
        self.assertEqual((WANTED, "up-2"), (report.version, report.operation))
        self.assertIn("upgrade", report.seconds)

    def test_the_others_follow(self):
        result = self.poll(self.machine, CONFIGURED=WANTED)
        self.assertEqual(["upgrade node"], self.kubeadm(result))

    def test_an_apply_that_broke_off_is_applied_again(self):
        self.machine.write("/var/lib/magnum/upgrade-applying", "")
        result = self.poll(self.machine, CONFIGURED=WANTED)
        self.assertIn("upgrade apply", self.kubeadm(result)[0])

    def test_waits_its_turn(self):
        then = "2999-01-01T00:00:00.000000Z"
        self.machine.write("/lease", f"prod-cp-9 {then} 300 5")
        result = self.poll(self.machine)
        self.assertEqual([], self.kubeadm(result))
        error = self.report(result).error
        self.assertIn("Another control-plane member", error.message)
        self.assertEqual("", result.text("/cordoned"))

    def test_leaves_a_lease_alone_that_it_did_not_take(self):
        name = "prod-7d1b1b8e6a0c-cp-0"
        then = "2999-01-01T00:00:00.000000Z"
        self.machine.write("/lease", f"{name} {then} 300 5")
        result = self.poll(self.machine, SUM="0" * 64)
        self.assertIn("checksum", self.report(result).error.message)
        self.assertEqual("", result.text("/lease.json"))

    def test_gives_the_lease_back(self):
        for outcome in ("", "fails"):
            result = self.poll(self.machine, f"up-{outcome}", KUBEADM=outcome)
            lease = json.loads(result.text("/lease.json"))
            self.assertEqual(1, lease["spec"]["leaseDurationSeconds"])

    def test_failure_is_on_the_board(self):
        result = self.poll(self.machine, KUBEADM="fails")
        report = self.report(result)
        self.assertEqual(board.NodeState.FAILED, report.state)
        self.assertEqual("upgrade", report.error.phase)
        self.assertEqual("v1.36.4", report.version)
        self.assertEqual(
            shell.METADATA["meta"]["magnum_member"], report.member
        )
