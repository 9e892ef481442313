# SPDX-License-Identifier: Apache-2.0
"""Secrets that come sealed: the node's side, against the driver's."""

import dataclasses
import json

from lab.hollow import seal as seal_module
from magnum_k8s_driver.converge import envelope
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import renewal
from magnum_k8s_driver.model import sealed
from magnum_k8s_driver.render import node_document
from tests import node_samples
from tests import shell
from tests.unit.node import base
from tests.unit.node import test_lib

SECRETS = "/var/lib/magnum/secrets.json"
SERVE = """for word in "$@"; do
    if [[ "$word" == http*/software_deployments/metadata/* ]]; then
        [[ "$word" != *"/$(<"$MAGNUM_ROOT/key")" ]] ||
            cat "$MAGNUM_ROOT/served.json"
        exit
    fi
done
"""
"""curl that answers for Heat from a file."""


class SealTest(base.NodeTestCase):
    def setUp(self):
        super().setUp()
        pki = node_samples.full_pki()
        self.secrets = node_samples.secrets(pki=pki)
        self.machine = self.control_plane(secrets={})
        self.assert_ok(self.machine.run("phase", "seal"))

    def certificate(self):
        """Return the certificate the machine made."""
        return (self.machine.root / "var/lib/magnum/seal.der").read_bytes()

    def answer(self, certificate=b""):
        """Return the driver's answer to a certificate, as Heat keeps it."""
        text = node_document.sealed_text(self.secrets)
        return envelope.seal(text, certificate or self.certificate())

    def put(self, answer, certificate=b""):
        """Let Heat say this to who asks for an answer to a certificate."""
        wanted = sealed.fingerprint(certificate or self.certificate())
        self.machine.write("/key", sealed.key_of(wanted))
        document = {"metadata": [{"id": "1", "name": "x", "config": answer}]}
        self.machine.write("/served.json", json.dumps(document))

    def run_secrets(self, *without, rounds=2):
        """Run the phase that waits for the secrets."""
        return self.machine.run(
            "phase",
            "secrets",
            stubs={"curl": SERVE + test_lib.KEEP_POSTS},
            without=without,
            MAGNUM_SEAL_ROUNDS=str(rounds),
        )

    def assert_nothing_came(self, result):
        """Check that the phase failed and nothing was written."""
        self.assert_fails(result, "did not come")
        self.assertEqual("", result.text(SECRETS))
        self.assertEqual("", result.text("/etc/kubernetes/pki/ca.key"))


class AskTest(SealTest):
    def _report(self):
        result = self.machine.run(
            program="config::load; metadata::load; "
            "board::report booting runtime",
            stubs={"curl": test_lib.KEEP_POSTS},
        )
        self.assert_ok(result)
        body = test_lib.sent(result)[-1]
        entry = {"report": {"data": body["data"]}}
        key = node_samples.secrets().board_key
        return board.read_board(entry, key).report

    def test_console_and_board_agree(self):
        report = self._report()
        self.assertFalse(report.signed)
        self.assertEqual(self.certificate(), report.certificate)
        shown = sealed.shown((self.machine.root / "console").read_text())
        self.assertEqual({sealed.fingerprint(report.certificate)}, shown)

    def test_the_marker_begins_a_line(self):
        self.machine.write("/console", "prod-cp-0 login: ")
        self._report()
        shown = sealed.shown((self.machine.root / "console").read_text())
        self.assertEqual(1, len(shown))

    def test_a_reboot_shows_the_same_certificate(self):
        first = self.certificate()
        self.assert_ok(self.machine.run("phase", "seal"))
        self.assertEqual(first, self.certificate())

    def test_the_key_is_roots_alone(self):
        directory = self.machine.root / "var/lib/magnum"
        mode = (directory / "seal.key").stat().st_mode
        self.assertEqual(0o600, mode & 0o777)
        self.assertEqual(0o700, directory.stat().st_mode & 0o777)

    def test_whoever_has_its_secrets_asks_for_none(self):
        machine = self.control_plane()
        self.assert_ok(machine.run("phase", "seal"))
        self.assertFalse((machine.root / "var/lib/magnum/seal.der").exists())

    def test_asks_until_it_is_answered(self):
        result = self.run_secrets(rounds=33)
        self.assert_nothing_came(result)
        self.assertEqual(4 + 1, result.text("/console").count("seal {"))
        # Written again, in case somebody else wrote on the board.
        (body,) = test_lib.sent(result)
        self.assertIn('"phase":"secrets"', body["data"])


class OpenTest(SealTest):
    def test_opens_the_answer(self):
        self.put(self.answer())
        result = self.run_secrets()
        self.assert_ok(result)
        for name, text in self.secrets.pki.items():
            self.assertEqual(text, result.text(f"/etc/kubernetes/pki/{name}"))
        encryption = "/etc/magnum/apiserver/encryption.yaml"
        kind = json.loads(result.text(encryption))["kind"]
        self.assertEqual("EncryptionConfiguration", kind)
        for path in (SECRETS, encryption):
            mode = (result.root / path.lstrip("/")).stat().st_mode
            self.assertEqual(0o600, mode & 0o777)
        self.assertEqual("", result.text("/var/lib/magnum/seal.key"))
        for text in (result.out, result.err, result.text("/console")):
            self.assertNotIn("PRIVATE", text)

    def test_opens_it_without_python(self):
        self.put(self.answer())
        self.assert_ok(self.run_secrets("python3"))

    def test_signs_from_then_on(self):
        self.put(self.answer())
        self.run_secrets()
        result = self.machine.run(
            program="config::load; metadata::load; board::report booting init",
            stubs={"curl": test_lib.KEEP_POSTS},
        )
        data = test_lib.sent(result)[-1]["data"]
        found = board.read_board(
            {"report": {"data": data}}, self.secrets.board_key
        )
        self.assertTrue(found.report.signed)
        self.assertNotIn("seal", json.loads(data))
        self.assertNotIn("seal", result.text("/console"))

    def test_needs_no_second_answer(self):
        self.put(self.answer())
        self.run_secrets()
        self.put("")
        self.assert_ok(self.machine.run("phase", "secrets"))
        self.assert_ok(self.machine.run("phase", "seal"))

    def test_a_whole_boot(self):
        self.put(self.answer())
        self.machine.write("/etc/kubernetes/kubelet.conf", "x")
        not_yet = '[[ "${*: -1}" != */livez ]] || exit 7\n'
        result = self.machine.run(
            "boot",
            stubs={"curl": SERVE + not_yet + test_lib.KEEP_POSTS},
            MAGNUM_PHASE_ATTEMPTS="1",
        )
        self.assert_ok(result)
        reports = [
            board.read_board(
                {"report": {"data": body["data"]}}, self.secrets.board_key
            ).report
            for body in test_lib.sent(result)
            if body["id"] == "report"
        ]
        signed = [one.phase for one in reports if one.signed]
        asked = [one.phase for one in reports if one.certificate]
        self.assertEqual(["init", "report"], signed)
        self.assertEqual(
            "prepare-host runtime binaries kubelet firewall secrets".split(),
            asked,
        )


class AttackTest(SealTest):
    def test_an_answer_to_somebody_else_is_not_found(self):
        other = seal_module.Seal()
        self.put(self.answer(other.certificate), other.certificate)
        self.assert_nothing_came(self.run_secrets())

    def test_an_answer_that_only_claims_to_be_for_it(self):
        other = seal_module.Seal()
        self.put(self.answer(other.certificate))
        self.assert_nothing_came(self.run_secrets())

    def test_a_replayed_answer_of_another_machine(self):
        before = self.answer()
        self.machine = self.control_plane(secrets={})
        self.assert_ok(self.machine.run("phase", "seal"))
        self.put(before)
        self.assert_nothing_came(self.run_secrets())

    def test_an_answer_that_is_not_whole(self):
        whole = self.answer()
        for broken in (
            whole[:-8],
            whole[:200] + "AAAA" + whole[204:],
            f"x{whole}",
            "$(touch /tmp/x)",
            "",
        ):
            self.put(broken)
            self.assert_nothing_came(self.run_secrets())

    def test_whoever_has_its_secrets_takes_no_others(self):
        machine = self.control_plane()
        machine.write("/var/lib/magnum/seal.der", "x")
        ours = node_samples.full_pki()["ca.crt"]
        result = machine.run("phase", "secrets", stubs={"curl": "exit 22"})
        self.assert_ok(result)
        self.assertEqual("", result.text(SECRETS))
        self.assertEqual(ours, result.text("/etc/kubernetes/pki/ca.crt"))


class NoOpensslTest(base.NodeTestCase):
    def test_is_told(self):
        result = self.control_plane(secrets={}).run(
            "boot",
            without=("openssl",),
            stubs={"curl": test_lib.KEEP_POSTS},
            MAGNUM_PHASE_ATTEMPTS="1",
        )
        self.assertNotEqual(0, result.rc)
        self.assertIn('"phase":"seal"', result.text("/console"))
        self.assertIsInstance(result, shell.Result)


class RenewTest(base.NodeTestCase):
    """A node with its secrets gets others in their place."""

    def setUp(self):
        super().setUp()
        self.old = node_samples.secrets()
        self.new = dataclasses.replace(
            self.old, serial="rotate-7", cloud={"id": "new", "secret": "one"}
        )
        self.machine = self.control_plane()
        for name, text in self.new.pki.items():
            self.machine.write(f"/etc/kubernetes/pki/{name}", text)

    def put(self, key=None, serial="rotate-7", **changes):
        """Lay new secrets into the metadata."""
        key = key or self.old.board_key
        text = node_document.sealed_text(self.new)
        metadata = renewal.encode(envelope.renew(text, key, serial), key)
        meta = base.CONTROL_PLANE_METADATA["meta"] | metadata | changes
        document = base.CONTROL_PLANE_METADATA | {"meta": meta}
        self.machine.write("/run/magnum/meta_data.json", json.dumps(document))

    def take(self, posts=test_lib.KEEP_POSTS, **environment):
        return self.machine.run(
            "task",
            "orders",
            stubs={"curl": posts, "kubectl": ""},
            **environment,
        )

    def test_it_has_them_and_says_so(self):
        self.put()
        result = self.take()
        self.assert_ok(result)
        found = json.loads(result.text(SECRETS))["secrets"]
        self.assertEqual({"id": "new", "secret": "one"}, found["cloud"])
        mode = (self.machine.root / SECRETS[1:]).stat().st_mode
        self.assertEqual(0o600, mode & 0o777)
        (body,) = test_lib.sent(result)
        entry = {"report": {"data": body["data"]}}
        report = board.read_board(entry, self.old.board_key).report
        self.assertTrue(report.signed)
        self.assertEqual("rotate-7", report.serial)
        # What was told once is not told again.
        self.assertEqual(1, len(test_lib.sent(self.take())))

    def test_told_again_when_the_signal_was_lost(self):
        self.put()
        self.assertNotEqual(0, self.take(posts="exit 22").rc)
        first = (self.machine.root / SECRETS[1:]).read_text()
        result = self.take()
        self.assert_ok(result)
        self.assertEqual(1, len(test_lib.sent(result)))
        self.assertEqual(first, result.text(SECRETS))

    def test_what_is_not_for_it_changes_nothing(self):
        good = renewal.HEADER
        for how in (
            {"key": b"x" * 32},
            {f"{good}_0": "AAAA"},
            {f"{good}_1": ""},
            {good: "rotate-7:1:4:" + "0" * 64},
            {good: "nonsense"},
        ):
            self.put(**how)
            self.assert_fails(self.take(), "new secrets")
            self.assertFalse((self.machine.root / SECRETS[1:]).exists(), how)
