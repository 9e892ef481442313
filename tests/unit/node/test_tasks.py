# SPDX-License-Identifier: Apache-2.0
"""Tasks of running nodes, with stubs for what they call."""

import base64
import datetime
import json
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import join_token
from magnum_k8s_driver.model import permit
from tests import node_samples
from tests import samples
from tests import shell
from tests.unit.node import base
from tests.unit.node import test_lib

PREFIX = "prod-7d1b1b8e6a0c"
KEY = node_samples.secrets().board_key
TOKEN_USER = "system:bootstrap:abcdef"
SINCE = "2026-11-22T18:30:00Z"
SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
PERMIT = "magnum.openstack.org/permit"
REPORT = {
    "op": "create-1",
    "phase": "report",
    "version": "v1.36.4",
    "ready": True,
    "error": None,
    "seconds": {"runtime": 3.2, "join-worker": 12.0},
    "t": 1763800000.1,
}


def quoted(value):
    """Return text as Go's %q writes it, for what tests use."""
    return json.dumps(value, ensure_ascii=False)


def node_line(
    name, report="", ready="True", reason="KubeletReady", since=SINCE
):
    fields = map(quoted, (ready, reason, since, "v1.36.4"))
    text = quoted(report) if report else ""
    return "\t".join((name, *fields, text))


def request(subject, organization="system:nodes"):
    """Return a certificate request as the API shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, subject),
        ]
    )
    made = x509.CertificateSigningRequestBuilder().subject_name(name)
    pem = made.sign(key, hashes.SHA256()).public_bytes(
        serialization.Encoding.PEM
    )
    return base64.b64encode(pem).decode()


class DigestTest(base.NodeTestCase):
    def _digest(self, lines, machine=None):
        machine = machine or self.control_plane()
        machine.write("/nodes", "\n".join(lines) + "\n\n")
        return machine.run(
            "task",
            "digest",
            stubs={
                "kubectl": 'cat "$MAGNUM_ROOT/nodes"',
                "curl": test_lib.KEEP_POSTS,
            },
        )

    def _read(self, result):
        self.assert_ok(result)
        body = test_lib.sent(result)[-1]
        self.assertEqual("digest", body["id"])
        return board.read_board({"digest": {"data": body["data"]}}, KEY).digest

    def test_driver_reads_every_node(self):
        digest = self._read(
            self._digest(
                [
                    node_line(f"{PREFIX}-cp-0"),
                    node_line(f"{PREFIX}-worker-0", json.dumps(REPORT)),
                    node_line(f"{PREFIX}-worker-1", "", "False", "NoNetwork"),
                ]
            )
        )
        self.assertTrue(digest.signed)
        self.assertEqual(3, len(digest.nodes))
        worker = digest.nodes[f"{PREFIX}-worker-0"]
        self.assertTrue(worker.ready)
        self.assertEqual("create-1", worker.operation)
        self.assertEqual(REPORT["seconds"], worker.seconds)
        broken = digest.nodes[f"{PREFIX}-worker-1"]
        self.assertEqual((False, "NoNetwork"), (broken.ready, broken.reason))
        self.assertEqual("v1.36.4", broken.version)
        self.assertEqual(SINCE, board.write_moment(broken.since))
        self.assertIsNone(worker.since)

    def test_a_time_that_is_none_is_left_out(self):
        for since in ("yesterday", "", '2026-11-22T18:30:00Z","ready":true'):
            line = node_line(f"{PREFIX}-cp-0", ready="False", since=since)
            (node,) = self._read(self._digest([line])).nodes.values()
            self.assertEqual((False, None), (node.ready, node.since), since)

    def test_what_a_worker_writes_cannot_break_the_digest(self):
        awkward = (
            '{"op": "x", "t": 1e400}',
            '{"op": ["deep"], "seconds": {"a\\"b": 1, "c": 1.50}}',
            '"text"',
            "no json",
            '{"error": {"message": "quote \\" and \\u2603 and \\n"}}',
            '{"phase": "\x01"}',
        )
        for text in awkward:
            lines = [node_line(f"{PREFIX}-worker-0", text)]
            lines.append(node_line(f"{PREFIX}-worker-1", json.dumps(REPORT)))
            digest = self._read(self._digest(lines))
            self.assertEqual(2, len(digest.nodes))

    def test_a_reason_cannot_invent_a_node(self):
        evil = 'x"\n' + node_line(f"{PREFIX}-worker-9")
        digest = self._read(
            self._digest([node_line(f"{PREFIX}-worker-0", reason=evil)])
        )
        self.assertEqual([f"{PREFIX}-worker-0"], list(digest.nodes))

    def test_is_silent_when_nothing_changed(self):
        machine = self.control_plane()
        lines = [node_line(f"{PREFIX}-cp-0")]
        self._digest(lines, machine)
        result = self._digest(lines, machine)
        self.assertEqual(1, len(test_lib.sent(result)))
        lines.append(node_line(f"{PREFIX}-worker-0"))
        result = self._digest(lines, machine)
        self.assertEqual(2, len(test_lib.sent(result)))


class KeepJoinTokensTest(base.NodeTestCase):
    def test_keeps_what_the_driver_gives_out(self):
        before = time.time()
        machine = self.control_plane()
        result = machine.run(
            "task",
            "keep-join-tokens",
            stubs={"kubectl": '{ cat; echo; } >>"$MAGNUM_ROOT/made"'},
        )
        self.assert_ok(result)
        made = [json.loads(one) for one in result.text("/made").splitlines()]
        found = {
            f"{one['stringData']['token-id']}."
            f"{one['stringData']['token-secret']}"
            for one in made
        }
        accepted = join_token.accepted_tokens(
            node_samples.secrets().join_root, samples.CLUSTER_UUID, before
        )
        self.assertLessEqual(set(accepted), found)
        for one in made:
            self.assertEqual("bootstrap.kubernetes.io/token", one["type"])
            self.assertNotIn("usage-bootstrap-signing", one["stringData"])
        for call in result.calls:
            for token in found:
                self.assertNotIn(token.split(".")[1], " ".join(call))

    def test_does_not_ask_the_api_server_for_its_schema(self):
        result = self.control_plane().run(
            "task", "keep-join-tokens", stubs={"kubectl": "cat >/dev/null"}
        )
        self.assert_ok(result)
        calls = result.calls_of("kubectl")
        self.assertGreaterEqual(len(calls), 2)
        for call in calls:
            self.assertIn("--validate=false", call)


class ApproveNodesTest(base.NodeTestCase):
    def _run(self, lines, nodes=":", known=":"):
        """Look through requests once; the API answers with these commands."""
        text = "\n".join(lines)
        return self.control_plane().run(
            "task",
            "approve-nodes",
            stubs={
                "kubectl": f"""case "$*" in
                *"get certificatesigningrequests"*) echo '{text}' ;;
                *"get nodes"*) {nodes} ;;
                *"get configmap"*) {known} ;;
                esac"""
            },
        )

    def _approved(self, user, node, organization="system:nodes", **more):
        csr = request(node, organization)
        signer = more.get("signer", SIGNER)
        lines = ["\t".join(("csr-1", signer, user, csr))]
        if "permit" in more:
            name = f"magnum-permit-{node.removeprefix('system:node:')}"
            shown = json.dumps(more["permit"])
            lines.append("\t".join((name, PERMIT, user, "x", shown)))
        known = more.get("known", "")
        result = self._run(
            lines,
            f"echo '{more.get('existing', '')}'",
            "exit 1" if known is None else f"echo '{known}'",
        )
        self.assert_ok(result)
        calls = result.calls_of("kubectl")
        if "permit" in more and any("delete" in one for one in calls):
            self.assertIn(name, calls[-1])
        return any("approve" in one for one in calls)

    def test_worker_of_this_cluster(self):
        node = f"system:node:{PREFIX}-worker-0"
        self.assertTrue(self._approved(TOKEN_USER, node))

    def test_only_whom_orders_expect(self):
        node = f"system:node:{PREFIX}-worker-0"
        for known, wanted in (
            ("4|done|true|x y|", False),
            (f"4|done|true|x {PREFIX}-worker-0|", True),
            (f"4|running|true|{PREFIX}-worker-0 x|", True),
            (f"4|done|true||{PREFIX}-worker-0", False),
            ("4|done|||", True),
        ):
            found = self._approved(TOKEN_USER, node, known=known)
            self.assertEqual(wanted, found, known)
        own = f"magnum:control-plane:{PREFIX}-cp-1"
        node = f"system:node:{PREFIX}-cp-1"
        self.assertTrue(self._approved(own, node, known="4|done|true||"))

    def test_who_shows_a_permit_no_older_than_the_orders(self):
        name = f"{PREFIX}-worker-0"
        key = node_samples.secrets().board_key
        good = permit.issue(key, 4, (f"{PREFIX}-worker-9", name))
        for shown, seq, wanted in (
            (good, 3, True),
            (good, 4, True),
            (good, 5, False),
            (permit.issue(key, 4, (f"{PREFIX}-worker-9",)), 4, False),
            (permit.issue(bytes(32), 4, (name,)), 4, False),
            (good.replace(" 4 ", " 5 "), 5, False),
            (good + f" {name}x", 4, False),
            ("", 4, False),
            (f"{'0' * 64} 4 a[$(touch /x)] {name}", 4, False),
        ):
            found = self._approved(
                TOKEN_USER,
                f"system:node:{name}",
                known=f"{seq}|done|true||",
                permit=shown,
            )
            self.assertEqual(wanted, found, (shown, seq))
            python = permit.allows(shown, key, seq, name)
            self.assertEqual(wanted, python, (shown, seq))

    def test_a_permit_is_not_for_control_plane_nodes(self):
        name = f"{PREFIX}-cp-1"
        key = node_samples.secrets().board_key
        shown = permit.issue(key, 4, (name,))
        node = f"system:node:{name}"
        self.assertFalse(self._approved(TOKEN_USER, node, permit=shown))

    def test_a_user_with_a_space_is_nobody_else(self):
        node = f"system:node:{PREFIX}-cp-1"
        user = f"magnum:control-plane:{PREFIX}-cp-1 {request(node)}"
        self.assertFalse(self._approved(user, node))

    def test_a_permit_is_read_in_quotes(self):
        """Else a line break in it would make a request of another user."""
        result = self._run([])
        self.assert_ok(result)
        (call,) = result.calls_of("kubectl")
        self.assertIn('{{printf "%q" (index . "magnum/permit")}}', call[-1])

    def test_nobody_while_the_expected_are_unknown(self):
        node = f"system:node:{PREFIX}-worker-0"
        self.assertFalse(self._approved(TOKEN_USER, node, known=None))

    def test_nobody_elses_name(self):
        for node in (
            "system:node:other-worker-0",
            f"system:node:{PREFIX}-",
            f"{PREFIX}-worker-0",
            f"system:node:{PREFIX}-worker-0,O=system:masters",
        ):
            self.assertFalse(self._approved(TOKEN_USER, node), node)

    def test_no_other_group(self):
        node = f"system:node:{PREFIX}-worker-0"
        self.assertFalse(self._approved(TOKEN_USER, node, "system:masters"))

    def test_no_node_that_exists(self):
        node = f"system:node:{PREFIX}-worker-0"
        self.assertFalse(
            self._approved(
                TOKEN_USER, node, existing=f"node/{PREFIX}-worker-0"
            )
        )

    def test_a_node_may_begin_like_another(self):
        node = f"system:node:{PREFIX}-worker-0"
        existing = f"node/{PREFIX}-worker-00"
        self.assertTrue(self._approved(TOKEN_USER, node, existing=existing))

    def test_nobody_while_the_nodes_are_unknown(self):
        asked = request(f"system:node:{PREFIX}-worker-0")
        line = "\t".join(("csr-1", SIGNER, TOKEN_USER, asked))
        result = self._run([line], nodes="exit 1")
        self.assertNotEqual(0, result.rc)
        calls = result.calls_of("kubectl")
        self.assertFalse([one for one in calls if "approve" in one])

    def test_a_crowd_is_approved_at_once(self):
        lines = [
            "\t".join((f"csr-{n}", SIGNER, TOKEN_USER, request(one)))
            for n, one in enumerate(
                f"system:node:{PREFIX}-worker-{n}" for n in range(9)
            )
        ]
        result = self._run(lines, f"echo 'node/{PREFIX}-worker-4'")
        self.assert_ok(result)
        calls = result.calls_of("kubectl")
        self.assertEqual(4, len(calls), calls)
        names = [f"csr-{n}" for n in range(9) if n != 4]
        self.assertEqual(("approve", *names), calls[-1][-9:])

    def test_no_other_signer(self):
        node = f"system:node:{PREFIX}-worker-0"
        signer = "kubernetes.io/kube-apiserver-client"
        self.assertFalse(self._approved(TOKEN_USER, node, signer=signer))

    def test_control_plane_names_only_for_their_holder(self):
        node = f"system:node:{PREFIX}-cp-1"
        own = f"magnum:control-plane:{PREFIX}-cp-1"
        self.assertTrue(self._approved(own, node))
        self.assertFalse(self._approved(TOKEN_USER, node))
        self.assertFalse(self._approved(own[:-1] + "2", node))
        worker = f"system:node:{PREFIX}-worker-0"
        self.assertFalse(self._approved(own, worker))


class DrainTest(base.NodeTestCase):
    PODS = (
        "default web ReplicaSet- - Running\n"
        "kube-system proxy DaemonSet- - Running\n"
        "kube-system static Node- yes- Running\n"
        "default done Job- - Succeeded\n"
    )

    def _drain(self, evicts, machine=None, **environment):
        machine = machine or self.worker()
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        machine.write("/pods", self.PODS)
        stub = f"""case "$*" in
            *"get pods"*) cat "$MAGNUM_ROOT/pods" ;;
            *eviction*) cat >>"$MAGNUM_ROOT/evictions"; {evicts} ;;
            *"--version"*) ;;
        esac"""
        return machine.run(
            "task", "drain", stubs={"kubectl": stub}, **environment
        )

    def _report(self, result):
        call = [o for o in result.calls_of("kubectl") if "annotate" in o][-1]
        return json.loads(call[-1].split("=", 1)[1])

    def test_evicts_what_must_leave(self):
        result = self._drain('echo >"$MAGNUM_ROOT/pods"')
        self.assert_ok(result)
        cordon = result.calls_of("kubectl")[0]
        self.assertIn("cordon", cordon)
        eviction = json.loads(result.text("/evictions"))
        self.assertEqual("web", eviction["metadata"]["name"])
        self.assertEqual("drained", self._report(result)["phase"])

    def test_waits_as_long_as_the_node_document_says(self):
        machine = self.worker(kubelet={"drain_timeout": 0})
        result = self._drain("exit 1", machine)
        self.assertNotEqual(0, result.rc)
        self.assertEqual(
            1,
            len([one for one in result.calls_of("kubectl") if "pods" in one]),
        )

    def test_names_the_pods_that_stay(self):
        result = self._drain("exit 1", MAGNUM_DRAIN_SECONDS="0")
        self.assertNotEqual(0, result.rc)
        error = self._report(result)["error"]
        self.assertIn("default/web", error["message"])


class PollMetadataTest(base.NodeTestCase):
    def _poll(self, machine, meta):
        metadata = dict(shell.METADATA, meta=meta)
        machine.write("/answer", json.dumps(metadata))
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        curl = (
            "for ((i = 1; i <= $#; i++)); do "
            'if [[ "${!i}" == --output ]]; then j=$((i + 1)); '
            'cp "$MAGNUM_ROOT/answer" "${!j}"; fi; done'
        )
        return machine.run("task", "poll-metadata", stubs={"curl": curl})

    def test_drains_when_told_and_once(self):
        machine = self.worker()
        meta = {"magnum_op": "resize-2", "magnum_drain": "1"}
        result = self._poll(machine, meta)
        self.assert_ok(result)
        self.assertTrue(
            [one for one in result.calls_of("kubectl") if "cordon" in one]
        )
        result = self._poll(machine, meta)
        self.assertEqual([], result.calls_of("kubectl"))

    def test_acknowledges_a_new_operation_once(self):
        machine = self.worker()
        machine.write("/var/lib/magnum/seconds/report", "0.1")
        result = self._poll(machine, {"magnum_op": "resize-2"})
        self.assert_ok(result)
        (call,) = result.calls_of("kubectl")
        report = json.loads(call[-1].split("=", 1)[1])
        self.assertEqual(("resize-2", True), (report["op"], report["ready"]))
        result = self._poll(machine, {"magnum_op": "resize-2"})
        self.assertEqual([], result.calls_of("kubectl"))

    def test_is_silent_before_the_node_is_ready(self):
        result = self._poll(self.worker(), {"magnum_op": "create-1"})
        self.assert_ok(result)
        self.assertEqual([], result.calls_of("kubectl"))


class RenewCertificatesTest(base.NodeTestCase):
    def _renew(self, days):
        machine = self.control_plane()
        machine.write("/etc/kubernetes/pki/apiserver.crt", _ending_in(days))
        machine.write("/etc/kubernetes/manifests/etcd.yaml", "etcd")
        machine.write("/etc/kubernetes/kube-scheduler.held", "scheduler")
        machine.write("/etc/kubernetes/manifests/kube-apiserver.yaml", "api")
        return machine.run("task", "renew-certificates")

    def test_leaves_fresh_certificates_alone(self):
        result = self._renew(60)
        self.assert_ok(result)
        self.assertEqual([], result.calls_of("kubeadm"))

    def test_renews_before_they_end(self):
        result = self._renew(20)
        self.assert_ok(result)
        self.assert_called(result, "kubeadm", "certs", "renew", "all")
        self.assertEqual(
            "scheduler",
            result.text("/etc/kubernetes/manifests/kube-scheduler.yaml"),
        )
        self.assertEqual(
            "etcd", result.text("/etc/kubernetes/manifests/etcd.yaml")
        )
        self.assertEqual(
            "api", result.text("/etc/kubernetes/manifests/kube-apiserver.yaml")
        )


def _ending_in(days):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


class WatchRequestsTest(base.NodeTestCase):
    def _run(self, watched):
        return self.control_plane().run(
            "task",
            "watch-requests",
            stubs={"kubectl": f'case "$*" in *--watch*) {watched} ;; esac'},
            MAGNUM_WATCH_ROUNDS="2",
        )

    def _looks(self, result):
        """Return how often requests were looked through."""
        calls = map(str, result.calls_of("kubectl"))
        return len([one for one in calls if "go-template" in one])

    def test_a_crowd_is_one_look(self):
        result = self._run("printf 'csr/%s\\n' 1 2 3")
        self.assert_ok(result)
        self.assertEqual(2, self._looks(result))

    def test_a_permit_waits_for_who_shows_it(self):
        result = self._run("printf 'csr/%s\\n' magnum-permit-x")
        self.assert_ok(result)
        self.assertEqual(0, self._looks(result))

    def test_a_broken_watch_begins_again(self):
        result = self._run("exit 1")
        self.assert_ok(result)
        self.assertEqual(2, len(result.calls_of("kubectl")))
        self.assertEqual(0, self._looks(result))


class ToolsTest(base.NodeTestCase):
    def test_gives_up_at_once(self):
        result = self.worker().run(
            "task", "tools", stubs={"curl": "exit 6"}, without=("crictl",)
        )
        self.assertNotEqual(0, result.rc)
        self.assertEqual(1, len(result.calls_of("curl")))
        self.assertEqual("", result.text("/run/magnum/failure"))

    def test_has_nothing_to_do_in_most_images(self):
        result = self.worker().run("task", "tools", stubs={"curl": "exit 6"})
        self.assert_ok(result)
        self.assertEqual([], result.calls_of("curl"))


class KeepTest(base.NodeTestCase):
    def test_one_broken_task_does_not_stop_the_others(self):
        result = self.control_plane().run(
            "task",
            "keep",
            stubs={
                "kubectl": 'case "$*" in *apply*) exit 1 ;; esac',
                "curl": test_lib.KEEP_POSTS,
            },
            MAGNUM_KEEP_ROUNDS="2",
        )
        self.assert_ok(result)
        self.assertEqual("digest", test_lib.sent(result)[0]["id"])
