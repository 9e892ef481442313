# SPDX-License-Identifier: Apache-2.0
"""Tokens that driver and nodes compute alike, and that die."""

import hypothesis
from hypothesis import strategies as st
import testtools

from magnum_k8s_driver.model import join_token
from tests.unit.model import test_members

ROOT = bytes(range(32))
UUID = "7d1b1b8e-6a0c-4e5f-9a3b-0c1d2e3f4a5b"
TIMES = st.floats(1_700_000_000, 2_000_000_000)


class TestJoinToken(testtools.TestCase):
    def test_known_value(self):
        """templates/node computes the same with openssl."""
        self.assertEqual(
            "8e701e.a0b1246469f0fea2",
            join_token.join_token(ROOT, UUID, 1_800_000_000),
        )

    @test_members.settings
    @hypothesis.given(st.binary(min_size=16), st.text(), TIMES)
    def test_form(self, root, uuid, now):
        self.assertRegex(
            join_token.join_token(root, uuid, now),
            r"\A[a-z0-9]{6}\.[a-z0-9]{16}\Z",
        )

    @test_members.settings
    @hypothesis.given(TIMES, st.floats(0, join_token.HOUR))
    def test_a_new_token_lives_at_least_an_hour(self, made, later):
        token = join_token.join_token(ROOT, UUID, made)
        self.assertIn(
            token, join_token.accepted_tokens(ROOT, UUID, made + later)
        )

    @test_members.settings
    @hypothesis.given(TIMES, st.floats(-300, 300))
    def test_a_wrong_clock_is_forgiven(self, made, skew):
        token = join_token.join_token(ROOT, UUID, made)
        self.assertIn(
            token, join_token.accepted_tokens(ROOT, UUID, made + skew)
        )

    @test_members.settings
    @hypothesis.given(TIMES, st.floats(2 * join_token.HOUR + 600, 1e6))
    def test_it_dies(self, made, later):
        token = join_token.join_token(ROOT, UUID, made)
        self.assertNotIn(
            token, join_token.accepted_tokens(ROOT, UUID, made + later)
        )

    @test_members.settings
    @hypothesis.given(TIMES)
    def test_accepted_ones_are_few_and_different(self, now):
        tokens = join_token.accepted_tokens(ROOT, UUID, now)
        self.assertEqual(len(set(tokens)), len(tokens))
        self.assertIn(len(tokens), (2, 3))
        newest = join_token.join_token(ROOT, UUID, now + 300)
        self.assertEqual(newest, tokens[0])

    def test_clusters_do_not_share_tokens(self):
        now = 1_800_000_000
        tokens = {
            join_token.join_token(root, uuid, now)
            for root in (ROOT, ROOT[::-1])
            for uuid in (UUID, UUID.replace("7", "8"))
        }
        self.assertEqual(4, len(tokens))
