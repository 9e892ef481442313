# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.model.sealed."""

import unittest

import hypothesis
from hypothesis import strategies as st

from magnum_k8s_driver.model import sealed

FEW = hypothesis.settings(max_examples=50, deadline=None)
ONE = "1" * 64
TWO = "2" * 64


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


class AnswerTests(unittest.TestCase):
    SERVER = "9c1f5b5e-3c1c-4e57-8f0b-0123456789ab"

    def test_names_tell_whose_they_are(self):
        name = sealed.config_name("prod-1", self.SERVER, sealed.key_of(ONE))
        configs = {
            "a": name,
            "b": name.replace("prod-1", "prod-2"),
            "c": "prod-1-default-worker-create-1",
            "d": f"{name}0",
            "e": f"prod-1-sealed-{self.SERVER}",
        }
        (found,) = sealed.answers("prod-1", configs)
        wanted = sealed.Answer(
            config_id="a", server_id=self.SERVER, key=ONE[:32]
        )
        self.assertEqual(wanted, found)

    def test_heat_has_room_for_a_key(self):
        # software_deployment.server_id of Heat 27.
        self.assertLessEqual(len(sealed.key_of(ONE)), 36)
