# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.model.sealed."""

import unittest

import hypothesis
from hypothesis import strategies as st

from magnum_k8s_driver.model import sealed

FEW = hypothesis.settings(max_examples=50, deadline=None)
ONE = "1" * 64
TWO = "2" * 64


def answer(size=3000):
    """Return an answer of so many octets."""
    octets = bytes(number % 251 for number in range(size))
    return sealed.Answer(fingerprint=ONE, envelope=octets)


def marker(value):
    """Return a line as nodes print it."""
    return f'MAGNUM-NODE seal {{"sha256":"{value}"}}'


class ShownTests(unittest.TestCase):
    def test_all_that_were_ever_shown(self):
        lines = ["Booting", marker(ONE), "login: ", marker(TWO), marker(ONE)]
        for end in ("\n", "\r\n"):
            text = end.join([*lines, ""])
            self.assertEqual({ONE, TWO}, sealed.shown(text))

    def test_a_line_with_something_else_in_it_does_not_count(self):
        for line in (
            f"login: {marker(ONE)}",
            f"sshd: Invalid user {marker(ONE)}",
            f"{marker(ONE)} [12.3] kernel message",
            marker(ONE[:60]),
            marker(ONE.replace("1", "G")),
            marker(ONE).replace("seal", "ready"),
            marker(ONE).replace("sha256", "sha1"),
            "MAGNUM-NODE seal {}",
            "MAGNUM-NODE seal {" + '"a":{' * 90000 + "}",
        ):
            self.assertEqual(set(), sealed.shown(f"x\n{line}\n"), line[:90])

    @FEW
    @hypothesis.given(st.text())
    def test_anything_may_be_on_a_console(self, text):
        self.assertEqual(set(), sealed.shown(f"MAGNUM-NODE seal {{{text}}}"))


class MetadataTests(unittest.TestCase):
    @FEW
    @hypothesis.given(st.binary(min_size=1, max_size=3000))
    def test_come_back_whole(self, envelope):
        wanted = sealed.Answer(fingerprint=ONE, envelope=envelope)
        metadata = sealed.encode(wanted, -1)
        self.assertEqual(wanted, sealed.decode(metadata))
        self.assertEqual(metadata, sealed.part_of(metadata | {"a": "b"}))
        self.assertTrue(all(0 < len(v) <= 255 for v in metadata.values()))

    def test_no_answer(self):
        self.assertIsNone(sealed.decode({"magnum_op": "create-1"}))
        self.assertFalse(sealed.is_answer_to({}, ONE))

    def test_whose_it_is(self):
        metadata = sealed.encode(answer())
        self.assertTrue(sealed.is_answer_to(metadata, ONE))
        self.assertFalse(sealed.is_answer_to(metadata, TWO))

    def test_too_many_keys_are_refused(self):
        keys = len(sealed.encode(answer()))
        limit = keys + sealed.RESERVED_KEYS
        self.assertEqual(keys, len(sealed.encode(answer(), limit)))
        with self.assertRaisesRegex(ValueError, f"need {limit} keys"):
            sealed.encode(answer(), limit - 1)

    def test_whoever_writes_metadata_can_write_anything(self):
        good = sealed.encode(answer())
        header = good[sealed.HEADER]
        for broken in (
            good | {sealed.HEADER: "1"},
            good | {sealed.HEADER: header.replace(":", ";")},
            good | {sealed.HEADER: header.replace(ONE, ONE[1:])},
            good | {f"{sealed.HEADER}_0": "A" * 255},
            good | {f"{sealed.HEADER}_0": "\ud800"},
            {key: good[key] for key in [*good][:-1]},
        ):
            with self.assertRaises(ValueError):
                sealed.decode(broken)
            self.assertFalse(sealed.is_answer_to(broken, ONE))
