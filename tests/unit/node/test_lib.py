# SPDX-License-Identifier: Apache-2.0
"""Libraries of the node program against the driver's own code."""

import hashlib
import hmac
import json

from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import join_token
from tests import node_samples
from tests import samples
from tests.unit.node import base

AWKWARD = {
    "text": 'quote " backslash \\ tab \t newline \n snow \u2603 end',
    "list": ["a", "b c", ""],
    "nested": {"with.dots/and slash": {"deep": True}},
    "null": None,
    "false": False,
    "number": 12,
    "empty": {},
}


class JsonTest(base.NodeTestCase):
    def test_jq_reads_what_python_reads(self):
        machine = self.worker()
        machine.write("/awkward.json", json.dumps(AWKWARD))
        program = 'json::flatten <"$ROOT/awkward.json" | sort'
        first = machine.run(program=program)
        second = machine.run(program=program, without=("python3",))
        self.assert_ok(first)
        self.assert_ok(second)
        self.assertEqual(first.out, second.out)
        self.assertEqual(8, len(first.out.splitlines()))

    def test_values_come_back_whole(self):
        machine = self.worker()
        machine.write("/awkward.json", json.dumps(AWKWARD))
        done = machine.run(
            program='declare -A A=(); json::load A <"$ROOT/awkward.json";'
            "printf '%s' \"${A[text]}\""
        )
        self.assertEqual(AWKWARD["text"], done.out)

    def test_config_lists_and_keys(self):
        done = self.worker().run(
            program="config::load; config::list host modules; "
            "config::keys signals; config::get host sysctls "
            "net.ipv4.ip_forward"
        )
        self.assert_ok(done)
        self.assertEqual(
            ["overlay", "br_netfilter", "nf_conntrack", "sctp"]
            + ["distress", "1"],
            done.out.split(),
        )

    def test_objects_are_canonical(self):
        done = self.worker().run(
            program="json::object b '[1]' a "
            """"$(json::string 'x"\\y')" c 2.0"""
        )
        parsed = json.loads(done.out)
        self.assertEqual({"a": 'x"\\y', "b": [1], "c": 2.0}, parsed)
        again = json.dumps(parsed, sort_keys=True, separators=(",", ":"))
        self.assertEqual(done.out, again)

    def test_control_characters_become_blanks(self):
        done = self.worker().run(
            program="json::string $'a\\nb\\x01\\xc3\\xa9'"
        )
        self.assertEqual("a b", json.loads(done.out).rstrip())


class HmacTest(base.NodeTestCase):
    def test_equals_pythons(self):
        for length in (1, 32, 64, 65, 200):
            key = bytes(range(256))[:length]
            done = self.worker().run(
                program=f"printf 'text' | hmac::sha256 {key.hex()}"
            )
            wanted = hmac.new(key, b"text", hashlib.sha256).hexdigest()
            self.assertEqual(wanted, done.out)

    def test_join_token_equals_the_drivers(self):
        now = 1763800000
        done = self.control_plane().run(
            program=f"config::load; join_token {now}"
        )
        wanted = join_token.join_token(
            node_samples.secrets().join_root, samples.CLUSTER_UUID, now
        )
        self.assertEqual(wanted, done.out)


class RetryTest(base.NodeTestCase):
    def test_gives_up_with_the_commands_status(self):
        done = self.worker().run(
            program="f() { echo try; return 7; }; retry 3 f || echo $?"
        )
        self.assertEqual(["try"] * 3 + ["7"], done.out.split())

    def test_stops_when_it_works(self):
        done = self.worker().run(
            program='n=0; f() { n=$((n+1)); ((n > 1)); }; retry 5 f; echo "$n"'
        )
        self.assertEqual("2", done.out.strip())


class RedactTest(base.NodeTestCase):
    def test_hides_tokens_and_keys(self):
        done = self.worker().run(
            program=f"redact <<<'--token {node_samples.TOKEN} "
            "password=hunter2 "
            f"{'QUJD' * 20}'"
        )
        self.assertNotIn(node_samples.TOKEN, done.out)
        self.assertNotIn("hunter2", done.out)
        self.assertNotIn("QUJDQUJD", done.out)


def sent(result, handle="board-0"):
    """Return the bodies posted to a handle, from a curl that keeps them."""
    text = result.text("/posted")
    return [json.loads(line) for line in text.splitlines() if line]


KEEP_POSTS = """
body=""
for word in "$@"; do
    if [[ "$word" == @- ]]; then body="$(cat)"; fi
done
case "${*: -1}" in
    */auth/tokens)
        printf '%s\\n' "$body" >>"$MAGNUM_ROOT/logins"
        printf 'HTTP/1.1 201\\r\\nX-Subject-Token: gAAAA-secret\\r\\n\\r\\n' ;;
    */signal)
        for ((i = 1; i <= $#; i++)); do
            if [[ "${!i}" == --config ]]; then
                j=$((i + 1)); cat "${!j}" >>"$MAGNUM_ROOT/headers"
            fi
        done
        printf '%s\\n' "$body" >>"$MAGNUM_ROOT/posted" ;;
esac
"""


class BoardTest(base.NodeTestCase):
    def _report(self, arguments, machine=None):
        machine = machine or self.control_plane()
        machine.write("/var/lib/magnum/seconds/runtime", "3.2")
        return machine.run(
            program=f"config::load; metadata::load; board::report {arguments}",
            stubs={"curl": KEEP_POSTS},
        )

    def test_driver_reads_a_signed_report(self):
        result = self._report("ready report")
        self.assert_ok(result)
        (body,) = sent(result)
        self.assertEqual(("report", "SUCCESS"), (body["id"], body["status"]))
        key = node_samples.secrets().board_key
        found = board.read_board({"report": {"data": body["data"]}}, key)
        self.assertTrue(found.report.signed)
        self.assertEqual(board.NodeState.READY, found.report.state)
        self.assertEqual({"runtime": 3.2}, found.report.seconds)
        self.assertEqual("v1.36.4", found.report.version)
        self.assertEqual("create-1", found.report.operation)

    def test_failure_says_why(self):
        result = self._report('failed runtime "It \\"broke\\"." "Mend it."')
        (body,) = sent(result)
        self.assertEqual("FAILURE", body["status"])
        key = node_samples.secrets().board_key
        found = board.read_board({"report": {"data": body["data"]}}, key)
        self.assertEqual('It "broke".', found.report.error.message)
        self.assertEqual("Mend it.", found.report.error.hint)
        self.assertIn("MAGNUM-NODE failed {", result.text("/console"))

    def test_without_secrets_it_is_unsigned(self):
        machine = self.control_plane(secrets={})
        (body,) = sent(self._report("booting secrets", machine))
        found = board.read_board({"report": {"data": body["data"]}}, b"key")
        self.assertFalse(found.report.signed)

    def test_sequence_grows(self):
        machine = self.control_plane()
        first = sent(self._report("booting runtime", machine))
        both = sent(self._report("booting binaries", machine))
        numbers = [json.loads(one["data"])["seq"] for one in (*first, both[1])]
        self.assertEqual([1, 2], numbers)

    def test_one_login_serves_many_signals(self):
        machine = self.control_plane()
        self._report("booting runtime", machine)
        result = self._report("booting binaries", machine)
        self.assertEqual(2, len(sent(result)))
        self.assertEqual(1, len(result.text("/logins").splitlines()))
        file = machine.root / "run/magnum/token-board"
        self.assertEqual(0o600, file.stat().st_mode & 0o777)

    def test_logs_in_again_after_a_refusal(self):
        machine = self.control_plane()
        machine.write("/run/magnum/token-board", "revoked")
        refuse = """if [[ "${*: -1}" == */signal ]] &&
            grep -q revoked "$MAGNUM_ROOT/run/magnum/token-board"; then
            exit 22
        fi"""
        result = machine.run(
            program="config::load; metadata::load; "
            "board::report booting runtime",
            stubs={"curl": f"{refuse}\n{KEEP_POSTS}"},
        )
        self.assert_ok(result)
        self.assertEqual(1, len(sent(result)))

    def test_no_secret_is_an_argument(self):
        result = self._report("ready report")
        password = node_samples.signal("board-0")["password"]
        self.assertIn(password, result.text("/logins"))
        self.assertIn("gAAAA-secret", result.text("/headers"))
        for call in result.calls:
            self.assertNotIn(password, " ".join(call))
            self.assertNotIn("gAAAA-secret", " ".join(call))

    def test_long_documents_are_compressed(self):
        result = self.control_plane().run(
            program="config::load; signal::text "
            '"{\\"a\\":\\"$(printf \'x%.0s\' {1..5000})\\"}"'
        )
        text = json.loads(result.out)
        self.assertTrue(text.startswith("zlib:"))
        self.assertEqual({"a": "x" * 5000}, board.decode(text))

    def test_worker_that_cannot_join_is_in_distress(self):
        result = self._report('failed join-worker "No." ""', self.worker())
        (body,) = sent(result)
        (found,) = board.read_distress({body["id"]: {"data": body["data"]}})
        self.assertEqual("prod-7d1b1b8e6a0c-worker-0", found.server_name)
        self.assertEqual("join-worker", found.error.phase)

    def test_distress_becomes_rare(self):
        machine = self.worker()
        for _ in range(3):
            result = self._report('failed runtime "No." ""', machine)
        self.assertEqual(1, len(sent(result)))
        result = self._report('failed runtime "Other." ""', machine)
        self.assertEqual(2, len(sent(result)))
        machine.write("/run/magnum/distress", "1 480\nruntime Other.\n")
        result = self._report('failed runtime "Other." ""', machine)
        self.assertEqual(3, len(sent(result)))
        self.assertEqual("600", result.text("/run/magnum/distress").split()[1])

    def test_worker_that_joined_writes_its_node(self):
        machine = self.worker()
        machine.write("/etc/kubernetes/kubelet.conf", "x")
        result = self._report("ready report", machine)
        self.assertEqual([], sent(result))
        call = next(
            one for one in result.calls_of("kubectl") if "annotate" in one
        )
        value = call[-1].removeprefix("magnum.openstack.org/report=")
        self.assertIs(True, json.loads(value)["ready"])
