# SPDX-License-Identifier: Apache-2.0
"""What nodes write: round trips, tampering, and whatever else comes."""

import base64
import dataclasses
import datetime
import json
import zlib

import hypothesis
from hypothesis import strategies as st
import testtools

from magnum_k8s_driver.model import board
from tests.unit.model import test_members

KEY = bytes(range(32))
settings = test_members.settings
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda one: (
        st.lists(one, max_size=3)
        | st.dictionaries(st.text(max_size=8), one, max_size=3)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    (
        "t",
        "member",
        "server",
        "op",
        "state",
        "phase",
        "seconds",
        "version",
        "error",
        "addons",
        "nodes",
        "hmac",
        "report",
        "message",
    )
)
DOCUMENTS = st.dictionaries(FIELDS, JSON, max_size=8)


def document(**changes):
    """Return a report as a node writes it."""
    return {
        "v": 1,
        "seq": 3,
        "t": 1_800_000_000.5,
        "member": "0",
        "server": "server-id",
        "op": "create-1",
        "state": "ready",
        "phase": "ready",
        "seconds": {"init": 31.5},
        "version": "v1.36.4",
        "error": None,
        **changes,
    }


def digest(**changes):
    """Return a digest as a node writes it."""
    nodes = {
        "prod-worker-0": {
            "ready": True,
            "version": "v1.36.4",
            "reason": "",
            "report": {"op": "create-1", "phase": "ready"},
        }
    }
    return {"v": 1, "seq": 3, "t": 1_800_000_000.5, "nodes": nodes, **changes}


def metadata(**documents):
    """Return a board's metadata as Heat does, of texts or documents."""
    return {
        name: {
            "data": one if isinstance(one, str) else board.encode(one, KEY),
            "reason": "",
            "status": "SUCCESS",
        }
        for name, one in documents.items()
    }


class TestRoundTrip(testtools.TestCase):
    def test_report(self):
        found = board.read_board(metadata(report=document()), KEY).report
        self.assertEqual(
            board.Report(
                time=1_800_000_000.5,
                member="0",
                server_id="server-id",
                operation="create-1",
                state=board.NodeState.READY,
                phase="ready",
                seconds={"init": 31.5},
                version="v1.36.4",
                error=None,
                signed=True,
            ),
            found,
        )

    def test_digest(self):
        found = board.read_board(metadata(digest=digest()), KEY).digest
        self.assertTrue(found.signed)
        node = found.nodes["prod-worker-0"]
        self.assertTrue(node.ready)
        self.assertEqual("create-1", node.operation)

    def test_addons(self):
        said = {"id": "0123", "state": "failed", "message": "no\nchart"}
        entry = digest(addons={"cni": said, "ccm": "?"})
        found = board.read_board(metadata(digest=entry), KEY).digest
        expected = board.AddonState(
            id="0123", state="failed", message="no chart"
        )
        self.assertEqual({"cni": expected}, found.addons)

    @settings
    @hypothesis.given(DOCUMENTS, st.none() | st.binary(min_size=1))
    def test_any_document(self, one, key):
        text = board.encode(one, key)
        found = board.decode(text)
        signature = found.pop("hmac")
        one.pop("hmac", None)
        self.assertEqual(one, found)
        if key:
            self.assertEqual(board.sign(one, key), signature)
        else:
            self.assertEqual("", signature)

    def test_large_ones_are_compressed(self):
        nodes = {
            f"prod-7d1b1b8e6a0c-worker-{index}": {
                "ready": True,
                "version": "v1.36.4",
                "reason": "",
                "report": {"op": "create-1", "phase": "ready", "t": index},
            }
            for index in range(1000)
        }
        text = board.encode(digest(nodes=nodes), KEY)
        self.assertTrue(text.startswith("zlib:"))
        self.assertLess(len(text), 64_000)
        found = board.read_board(metadata(digest=text), KEY).digest
        self.assertEqual(1000, len(found.nodes))

    def test_small_ones_are_not(self):
        self.assertTrue(board.encode(document(), KEY).startswith("{"))


class TestTampering(testtools.TestCase):
    @settings
    @hypothesis.given(st.data())
    def test_every_changed_field_breaks_the_signature(self, data):
        signed = json.loads(board.encode(document(), KEY))
        name = data.draw(st.sampled_from(sorted(set(signed) - {"hmac"})))
        value = data.draw(JSON.filter(lambda one: one != signed[name]))
        # For Python 1 is 1.0 and True; the signed text is another.
        hypothesis.assume(json.dumps(value) != json.dumps(signed[name]))
        text = json.dumps({**signed, name: value})
        found = board.read_board(metadata(report=text), KEY).report
        if found is not None:
            self.assertFalse(found.signed)
            self.assertIn(
                found.state, (board.NodeState.BOOTING, board.NodeState.FAILED)
            )

    def test_unsigned_claims(self):
        for state in board.NodeState:
            text = board.encode(document(state=state.value))
            found = board.read_board(metadata(report=text), KEY).report
            allowed = state in (
                board.NodeState.BOOTING,
                board.NodeState.FAILED,
            )
            self.assertEqual(allowed, found is not None, state)

    def test_unsigned_digest_is_none(self):
        for text in (
            board.encode(digest()),
            board.encode(digest(), b"another key"),
            json.dumps(digest(hmac="")),
            json.dumps(digest(hmac=None)),
            json.dumps(digest(hmac="é")),
            json.dumps(digest(hmac="\ud800")),
        ):
            found = board.read_board(metadata(digest=text), KEY)
            self.assertIsNone(found.digest)

    def test_without_a_key_nothing_is_signed(self):
        for key in (None, b""):
            text = board.encode(digest(), b"")
            found = board.read_board(metadata(digest=text), key)
            self.assertIsNone(found.digest)

    def test_a_report_is_no_digest(self):
        """A signature says who wrote, the entry's name what it is for."""
        both = metadata(report=digest(), digest=document())
        self.assertEqual(board.Board(), board.read_board(both, KEY))


class TestHostile(testtools.TestCase):
    @settings
    @hypothesis.given(st.text())
    def test_decode_any_text(self, text):
        for one in (text, f"zlib:{text}"):
            try:
                found = board.decode(one)
            except ValueError:
                continue
            self.assertIsInstance(found, dict)

    @settings
    @hypothesis.given(st.binary())
    def test_decode_any_bytes(self, content):
        packed = base64.b64encode(zlib.compress(content)).decode()
        for one in (packed, packed[: len(packed) // 2]):
            try:
                found = board.decode(f"zlib:{one}")
            except ValueError:
                continue
            self.assertIsInstance(found, dict)

    def test_deep_nesting(self):
        for text in ("[" * 100_000, '{"a":' * 100_000):
            self.assertRaises(ValueError, board.decode, text)
            self.assertEqual(
                board.Board(), board.read_board(metadata(report=text), KEY)
            )

    def test_nesting_that_can_be_read_but_not_signed(self):
        for depth in range(850, 1000, 3):
            text = '{"hmac":"x","nodes":' + "[" * depth + "]" * depth + "}"
            found = board.read_board(metadata(digest=text), KEY)
            self.assertIsNone(found.digest)

    def test_huge_number(self):
        text = json.dumps(document()).replace("1800000000.5", "9" * 5000)
        found = board.read_board(metadata(report=text), KEY)
        self.assertIsNone(found.report)

    def test_numbers_without_a_float(self):
        for value in (10**400, float("inf"), float("nan")):
            for one in (document(t=value), digest(t=value)):
                found = board.read_board(metadata(report=one, digest=one), KEY)
                for part in (found.report, found.digest):
                    if part is not None:
                        self.assertEqual(0.0, part.time)

    def test_bomb(self):
        packed = zlib.compress(b" " * (64 << 20), 9)
        text = "zlib:" + base64.b64encode(packed).decode()
        self.assertRaises(ValueError, board.decode, text)

    @settings
    @hypothesis.given(
        st.dictionaries(
            st.sampled_from(("report", "digest")) | st.text(max_size=5),
            JSON | st.builds(lambda one: {"data": one}, JSON),
        )
    )
    def test_any_metadata(self, found):
        board.read_board(found, KEY)
        board.read_distress(found)

    @settings
    @hypothesis.given(DOCUMENTS)
    def test_any_signed_document(self, one):
        found = board.read_board(metadata(report=one, digest=one), KEY)
        self._assert_tame(found)
        for distress in board.read_distress(metadata(node=one)):
            self.assertLessEqual(len(distress.error.message), 500)

    def _assert_tame(self, found):
        """Everything that users may see is short and printable."""

        def texts(value):
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                for one in value.values():
                    yield from texts(one)

        for part in (found.report, found.digest):
            if part is not None:
                for text in texts(dataclasses.asdict(part)):
                    self.assertLessEqual(len(text), 500)
                    self.assertTrue(text.isprintable() or not text)

    def test_distress_is_sorted_and_needs_a_message(self):
        entries = metadata(
            b={"t": 2, "phase": "join", "message": "no", "hint": "try"},
            a={"t": 1, "phase": "join", "message": "refused"},
            c={"t": 1, "phase": "join"},
            d="nonsense",
        )
        found = board.read_distress(entries)
        self.assertEqual(["a", "b"], [one.server_name for one in found])
        self.assertEqual("try", found[1].error.hint)


class MomentTest(testtools.TestCase):
    @hypothesis.given(st.integers(0, 253_402_300_799))
    def test_as_datetime_has_it(self, seconds):
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        text = moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
        self.assertEqual(text, board.write_moment(seconds))
        self.assertEqual(seconds, board.read_moment(text))

    def test_what_is_none(self):
        for text in (None, 3, "", "2026-13-01T00:00:00Z", "2026-11-22"):
            self.assertIsNone(board.read_moment(text), text)
