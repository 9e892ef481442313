# SPDX-License-Identifier: Apache-2.0
"""Permits that workers show."""

import unittest

import hypothesis
from hypothesis import strategies as st

from magnum_k8s_driver.model import permit

KEY = bytes(range(32))


class PermitTests(unittest.TestCase):
    def test_names_are_let_in_until_later_orders_are_known(self):
        text = permit.issue(KEY, 7, ("a-worker-1", "a-worker-2"))
        for name in ("a-worker-1", "a-worker-2"):
            self.assertTrue(permit.allows(text, KEY, 6, name))
            self.assertTrue(permit.allows(text, KEY, 7, name))
            self.assertFalse(permit.allows(text, KEY, 8, name))

    def test_nobody_else_is(self):
        text = permit.issue(KEY, 7, ("a-worker-1",))
        for name in ("a-worker-2", "a-worker", "7", "", "a-worker-1 "):
            self.assertFalse(permit.allows(text, KEY, 7, name), name)

    def test_only_with_the_clusters_key(self):
        text = permit.issue(bytes(32), 7, ("a-worker-1",))
        self.assertFalse(permit.allows(text, KEY, 7, "a-worker-1"))

    @hypothesis.given(st.text(alphabet="0123456789abcf .-x\n", max_size=90))
    def test_what_is_changed_is_no_permit(self, other):
        text = permit.issue(KEY, 7, ("a-worker-1",))
        hypothesis.assume(other != text)
        self.assertFalse(permit.allows(other, KEY, 0, "a-worker-1"))
        changed = text[: -len(other)] + other if other else text[:-1]
        if changed != text:
            self.assertFalse(permit.allows(changed, KEY, 0, "a-worker-1"))

    def test_needs_names(self):
        for names in ((), ("",), ("A",), ("a b\n",), ("-a",)):
            with self.assertRaises(ValueError):
                permit.issue(KEY, 1, names)


if __name__ == "__main__":
    unittest.main()
