# SPDX-License-Identifier: Apache-2.0
"""Phases of a rotation of CAs, with an API server of a few lines."""

import base64
import dataclasses
import json
import subprocess

from testtools import content

from magnum_k8s_driver.converge import envelope
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import renewal
from magnum_k8s_driver.render import node_document
from tests import node_samples
from tests import shell
from tests.unit.node import base
from tests.unit.node import test_lib

KEY = node_samples.secrets().board_key
KUBECONFIG = "clusters:\n- cluster:\n    certificate-authority-data: b2xk\n"
CONTROLLER = "/etc/kubernetes/manifests/kube-controller-manager.yaml"
SIGNING = """\
    - --client-ca-file=/etc/kubernetes/pki/ca.crt
    - --cluster-signing-cert-file=/etc/kubernetes/pki/{}.crt
    - --cluster-signing-key-file=/etc/kubernetes/pki/ca.key
"""
CONFIGS = ("admin", "controller-manager", "scheduler", "kubelet")
API = """
case "$*" in
    *"get lease"*) cat "$MAGNUM_ROOT/lease" || true ;;
    *"replace --filename"*) cat >"$MAGNUM_ROOT/lease.json" ;;
    *"get namespace kube-system"*) cat "$MAGNUM_ROOT/done" || true ;;
    *"annotate --overwrite namespace"*) echo "${*: -1}" >"$MAGNUM_ROOT/done" ;;
    *daemonsets,deployments*) echo daemonset.apps/kube-proxy ;;
    *"get configmap cluster-info"*) cat "$MAGNUM_ROOT/cluster-info" ;;
    *"create configmap cluster-info"*)
        for word in "$@"; do
            [[ "$word" != --from-file=* ]] || cat "${word##*=}" \
                >"$MAGNUM_ROOT/published"
        done ;;
    *"get certificatesigningrequests"*) base64 -w 0 "$MAGNUM_ROOT/signed" ;;
    *"apply --server-side"*) cat >/dev/null ;;
    *"create --validate=false"*) cat >"$MAGNUM_ROOT/request.json"
        python3 -c 'import base64, json, sys
print(base64.b64decode(json.load(sys.stdin)["spec"]["request"]).decode())' \
            <"$MAGNUM_ROOT/request.json" >"$MAGNUM_ROOT/csr"
        openssl x509 -req -in "$MAGNUM_ROOT/csr" -CA "$MAGNUM_ROOT/ca.crt" \
            -CAkey "$MAGNUM_ROOT/ca.key" -set_serial 7 \
            -out "$MAGNUM_ROOT/signed" 2>/dev/null ;;
    *"create --filename"*) cat >/dev/null
        echo "$HOLDER 2026-01-01T00:00:00Z 300 1" >"$MAGNUM_ROOT/lease" ;;
    *"get node"*) [[ "$KUBELET" == fails ]] || echo True ;;
    *annotate*) printf '%s' "${*: -1}" >"$MAGNUM_ROOT/annotation" ;;
esac
"""

RENEW = """
# As the real one does: but the first CA stays in kubeconfigs.
for name in admin controller-manager scheduler; do
    first="$(openssl x509 -in "$MAGNUM_ROOT/etc/kubernetes/pki/ca.crt" |
        base64 -w 0)"
    sed -i -E "s|(certificate-authority-data: ).*|\\1$first|" \
        "$MAGNUM_ROOT/etc/kubernetes/$name.conf"
done
"""


class RotateCase(base.NodeTestCase):
    def give(self, machine, metadata, own):
        document = own | {"meta": own["meta"] | metadata}
        machine.write("/run/magnum/meta_data.json", json.dumps(document))

    def prepare(self, machine, names):
        machine.write("/var/lib/magnum/seconds/report", "1")
        for name in names:
            machine.write(f"/etc/kubernetes/{name}.conf", KUBECONFIG)
        machine.write("/cluster-info", KUBECONFIG)
        return machine

    def run_task(self, machine, name, **environment):
        return machine.run(
            "task",
            name,
            stubs={
                "kubectl": API,
                "kubeadm": RENEW,
                "curl": test_lib.KEEP_POSTS,
                "sleep": "",
            },
            HOLDER=base.CONTROL_PLANE_METADATA["name"],
            **environment,
        )

    def shown(self, machine, name):
        """Return the CAs that a kubeconfig has."""
        text = (machine.root / name).read_text()
        line = text.split("certificate-authority-data: ")[1]
        return base64.b64decode(line.splitlines()[0]).decode()

    def verified(self, machine, authority):
        """Return what openssl says of the kubelet's certificate."""
        pem = "var/lib/kubelet/pki/kubelet-client-current.pem"
        (machine.root / "one.pem").write_text(authority)
        done = subprocess.run(
            ["openssl", "verify", "-CAfile", "one.pem", pem],
            cwd=machine.root,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout


class ControlPlaneTest(RotateCase):
    def setUp(self):
        super().setUp()
        self.old = node_samples.full_pki()
        self.new = node_samples.other_pki()
        self.machine = self.prepare(self.control_plane(), CONFIGS)
        for name, text in self.old.items():
            self.machine.write(f"/etc/kubernetes/pki/{name}", text)
        for name in ("kube-apiserver", "etcd"):
            self.machine.write(f"/etc/kubernetes/manifests/{name}.yaml", name)
        self.machine.write(CONTROLLER, SIGNING.format("ca"))

    def assert_signs(self, result, certificate):
        """Kubernetes' signer wants a file of one certificate."""
        self.assertEqual(SIGNING.format("signer"), result.text(CONTROLLER))
        self.assertEqual(
            certificate.strip(),
            result.text("/etc/kubernetes/pki/signer.crt").strip(),
        )

    def assert_given_back(self):
        """The next member need not wait until the Lease ends by itself."""
        lease = json.loads((self.machine.root / "lease.json").read_text())
        self.assertEqual(1, lease["spec"]["leaseDurationSeconds"])

    def offer(self, serial, pki):
        """Lay the secrets of a phase into the metadata."""
        secrets = dataclasses.replace(
            node_samples.secrets(pki=pki), serial=serial
        )
        text = node_document.sealed_text(secrets)
        metadata = renewal.encode(envelope.renew(text, KEY, serial), KEY, -1)
        self.give(self.machine, metadata, base.CONTROL_PLANE_METADATA)
        result = self.run_task(self.machine, "orders")
        self.assert_ok(result)
        return result

    def both(self, first, second):
        joined = {k: first[k] + second[k] for k in first if "key" not in k}
        return first | joined

    def reported(self, result):
        data = test_lib.sent(result)[-1]["data"]
        return board.read_board({"report": {"data": data}}, KEY).report

    def test_it_trusts_both(self):
        pki = self.both(self.old, self.new)
        result = self.offer("trust-7", pki)
        # It has them and says so only when it uses them.
        self.assertEqual([], test_lib.sent(result))
        result = self.run_task(self.machine, "rotate")
        self.assert_ok(result)
        report = self.reported(result)
        self.assertEqual("ready", report.state)
        self.assertEqual("trust-7", report.serial)
        for name, text in pki.items():
            self.assertEqual(
                text.strip(),
                result.text(f"/etc/kubernetes/pki/{name}").strip(),
            )
        for name in CONFIGS:
            self.assertEqual(
                pki["ca.crt"].strip(),
                self.shown(
                    self.machine, f"etc/kubernetes/{name}.conf"
                ).strip(),
            )
        self.assertEqual([], result.calls_of("kubeadm"))
        self.assertEqual(
            "etcd", result.text("/etc/kubernetes/manifests/etcd.yaml")
        )
        self.assert_signs(result, self.old["ca.crt"])
        self.assert_given_back()
        self.assertIn(
            "published", [one.name for one in self.machine.root.iterdir()]
        )
        self.assertEqual(
            pki["ca.crt"].strip(),
            self.shown(self.machine, "published").strip(),
        )

    def test_it_is_issued_anew(self):
        self.offer("issue-7", self.both(self.new, self.old))
        result = self.run_task(self.machine, "rotate")
        self.addDetail(
            "log",
            content.text_content(result.text("/var/log/magnum/rotate.log")),
        )
        self.assert_ok(result)
        self.assertEqual("issue-7", self.reported(result).serial)
        self.assert_called(result, "kubeadm", "certs", "renew", "all")
        self.assert_signs(result, self.new["ca.crt"])
        both = self.both(self.new, self.old)["ca.crt"]
        for name in CONFIGS:
            path = f"etc/kubernetes/{name}.conf"
            self.assertEqual(
                both.strip(), self.shown(self.machine, path).strip(), name
            )
        self.assertIn("OK", self.verified(self.machine, self.new["ca.crt"]))
        self.assertNotIn("OK", self.verified(self.machine, self.old["ca.crt"]))
        restarts = [c for c in result.calls_of("kubectl") if "restart" in c]
        self.assertEqual(1, len(restarts))

    def test_a_failure_is_told_and_tried_again_later(self):
        self.offer("issue-7", self.both(self.new, self.old))
        result = self.machine.run(
            "task",
            "rotate",
            stubs={
                "kubectl": API,
                "curl": test_lib.KEEP_POSTS,
                "sleep": "",
                "kubeadm": "echo 'no space left on device'; exit 1",
            },
            HOLDER=base.CONTROL_PLANE_METADATA["name"],
        )
        report = self.reported(result)
        self.assertEqual("failed", report.state)
        self.assertEqual("rotate", report.error.phase)
        self.assert_given_back()
        self.assertNotEqual("issue-7", report.serial)
        (self.machine.root / "var/lib/magnum/rotate-tried").unlink()
        result = self.run_task(self.machine, "rotate")
        self.assertEqual("issue-7", self.reported(result).serial)

    def test_a_credential_needs_none_of_it(self):
        result = self.offer("rotate-8", self.old)
        self.assertEqual("rotate-8", self.reported(result).serial)


class WorkerTest(RotateCase):
    def setUp(self):
        super().setUp()
        self.old = node_samples.full_pki()["ca.crt"]
        self.new = node_samples.other_pki()["ca.crt"]
        self.machine = self.prepare(self.worker(), ("kubelet",))
        self.machine.write("/etc/kubernetes/pki/ca.crt", self.old)
        self.machine.write("/ca.crt", self.new)
        self.machine.write("/ca.key", node_samples.other_pki()["ca.key"])

    def follow(self, serial, text, **environment):
        data = base64.b64encode(text.encode()).decode()
        self.machine.write("/cluster-info", KUBECONFIG.replace("b2xk", data))
        self.give(self.machine, {"magnum_trust": serial}, shell.METADATA)
        result = self.run_task(self.machine, "rotate", **environment)
        self.assert_ok(result)
        self.addDetail(
            "log",
            content.text_content(result.text("/var/log/magnum/rotate.log")),
        )
        told = (self.machine.root / "annotation").read_text()
        return result, json.loads(told.partition("=")[2])

    def test_it_trusts_both(self):
        result, told = self.follow("trust-7", self.old + self.new)
        self.assertEqual("trust-7", told["secrets"])
        self.assertTrue(told["ready"])
        for name in (
            "/etc/kubernetes/pki/ca.crt",
            "/etc/magnum/cluster-ca.pem",
        ):
            self.assertEqual(
                (self.old + self.new).strip(), result.text(name).strip()
            )
        self.assertEqual(
            self.old + self.new,
            self.shown(self.machine, "etc/kubernetes/kubelet.conf"),
        )
        self.assert_called(result, "systemctl", "restart", "kubelet.service")

    def test_it_asks_for_a_certificate(self):
        _result, told = self.follow("issue-7", self.new + self.old)
        self.assertEqual("issue-7", told["secrets"])
        request = json.loads((self.machine.root / "request.json").read_text())[
            "spec"
        ]
        self.assertEqual(
            "kubernetes.io/kube-apiserver-client-kubelet",
            request["signerName"],
        )
        self.assertIn("OK", self.verified(self.machine, self.new))
        pem = self.machine.root / "var/lib/kubelet/pki"
        mode = (pem / "kubelet-client-magnum.pem").stat().st_mode
        self.assertEqual(0o600, mode & 0o777)

    def test_a_kubelet_that_does_not_come_back(self):
        _result, told = self.follow(
            "trust-7", self.old + self.new, KUBELET="fails"
        )
        self.assertFalse(told["ready"])
        self.assertEqual("rotate", told["error"]["phase"])
        self.assertIn("did not become ready", told["error"]["message"])
        self.assertEqual("", told["secrets"])

    def test_an_answer_that_is_none(self):
        _result, told = self.follow("trust-7", "")
        self.assertIn("which CA it has", told["error"]["message"])


class PollTest(RotateCase):
    def poll(self, machine):
        machine.write("/etc/kubernetes/kubelet.conf", KUBECONFIG)
        return machine.run(
            "task",
            "poll-metadata",
            stubs={
                "kubectl": API,
                "curl": 'cp "$MAGNUM_ROOT/run/magnum/given" "${@: -2:1}"',
                "sleep": "",
            },
        )

    def test_only_what_is_new(self):
        machine = self.prepare(self.worker(), ("kubelet",))
        own = shell.METADATA
        for serial, tried in (("", False), ("trust-7", True)):
            meta = own["meta"] | ({"magnum_trust": serial} if serial else {})
            machine.write(
                "/run/magnum/given", json.dumps(own | {"meta": meta})
            )
            result = self.poll(machine)
            self.assertEqual(
                tried, "rotation trust-7" in result.err, result.err
            )
        self.assertNotIn("rotation trust-7", self.poll(machine).err)
