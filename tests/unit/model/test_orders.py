# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.model.orders."""

import unittest

import hypothesis
from hypothesis import strategies as st

from magnum_k8s_driver.model import orders

KEY = bytes(range(32))
FEW = hypothesis.settings(max_examples=30, deadline=None)

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
words = st.from_regex(
    r"[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?", fullmatch=True
)
keys = st.one_of(words, st.tuples(names, words).map("/".join))
effects = st.sampled_from(("NoSchedule", "PreferNoSchedule", "NoExecute"))
taints = st.one_of(
    st.tuples(keys, words, effects).map(lambda t: f"{t[0]}={t[1]}:{t[2]}"),
    st.tuples(keys, effects).map(lambda t: f"{t[0]}:{t[1]}"),
    st.tuples(keys, effects).map(lambda t: f"{t[0]}:{t[1]}-"),
    keys.map("{}-".format),
)
several = st.lists(names, max_size=5).map(tuple)
any_orders = st.builds(
    orders.Orders,
    seq=st.integers(1, 1 << 40),
    operation=words,
    expected=st.none() | st.frozensets(names),
    node_labels=st.dictionaries(
        names,
        st.dictionaries(keys, st.none() | st.just("") | words, max_size=3),
        max_size=4,
    ),
    node_taints=st.dictionaries(
        names, st.lists(taints, max_size=3).map(tuple), max_size=4
    ),
    delete_nodes=several,
    remove_etcd=several,
)


def many(count):
    """Return orders that hardly compress."""
    labels = {
        f"n{number}": {f"l{pow(7, number, 10**9 + 7)}": "x"}
        for number in range(count)
    }
    return orders.Orders(seq=1, node_labels=labels)


class OrdersTests(unittest.TestCase):
    @FEW
    @hypothesis.given(any_orders)
    def test_come_back_whole(self, wanted):
        metadata = orders.encode(wanted, KEY, -1)
        self.assertEqual(wanted, orders.decode(metadata, KEY))
        self.assertTrue(all(0 < len(v) <= 255 for v in metadata.values()))
        self.assertEqual(metadata, orders.encode(wanted, KEY, -1))

    @FEW
    @hypothesis.given(any_orders, st.data())
    def test_no_chunk_may_miss(self, wanted, data):
        metadata = orders.encode(wanted, KEY, -1)
        gone = data.draw(st.sampled_from(sorted(metadata)))
        del metadata[gone]
        if gone == orders.HEADER:
            self.assertIsNone(orders.decode(metadata, KEY))
            return
        with self.assertRaises(ValueError):
            orders.decode(metadata, KEY)

    @FEW
    @hypothesis.given(any_orders, st.data())
    def test_no_character_may_change(self, wanted, data):
        metadata = orders.encode(wanted, KEY, -1)
        name = data.draw(st.sampled_from(sorted(metadata)))
        text = metadata[name]
        place = data.draw(st.integers(0, len(text) - 1))
        other = data.draw(st.characters().filter(lambda c: c != text[place]))
        metadata[name] = text[:place] + other + text[place + 1 :]
        with self.assertRaises(ValueError):
            orders.decode(metadata, KEY)

    def test_chunks_may_not_be_swapped_or_grow(self):
        metadata = orders.encode(many(200), KEY)
        first, second = f"{orders.HEADER}_0", f"{orders.HEADER}_1"
        swapped = metadata | {
            first: metadata[second],
            second: metadata[first],
        }
        longer = metadata | {second: metadata[second] + "A"}
        for one in (swapped, longer):
            with self.assertRaises(ValueError):
                orders.decode(one, KEY)

    def test_need_the_clusters_key(self):
        metadata = orders.encode(orders.Orders(seq=1), KEY)
        with self.assertRaisesRegex(ValueError, "signature"):
            orders.decode(metadata, bytes(32))

    def test_are_absent_without_header(self):
        self.assertIsNone(orders.decode({"magnum_op": "create-1"}, KEY))

    def test_leave_room_for_other_keys(self):
        metadata = orders.encode(many(300), KEY, -1)
        needed = len(metadata) + orders.RESERVED_KEYS
        self.assertEqual(metadata, orders.encode(many(300), KEY, needed))
        with self.assertRaisesRegex(ValueError, f"the {needed - 1} metadata"):
            orders.encode(many(300), KEY, needed - 1)

    def test_of_any_cloud_are_bounded(self):
        with self.assertRaisesRegex(ValueError, "too long"):
            orders.encode(many(9000), KEY, -1)

    def test_hold_what_kubernetes_takes(self):
        for change in (
            {"seq": 0},
            {"seq": True},
            {"operation": "a b"},
            {"expected": frozenset({"-n"})},
            {"expected": frozenset({"a,b"})},
            {"node_labels": {"n": {"k-": "v"}}},
            {"node_labels": {"n": {"k": "v w"}}},
            {"node_labels": {"--all": {"k": "v"}}},
            {"node_taints": {"n": ("k=v",)}},
            {"node_taints": {"n": ("k=v:Never",)}},
            {"delete_nodes": ("--all",)},
            {"delete_nodes": ("n\n",)},
            {"remove_etcd": ("",)},
        ):
            with self.assertRaises(ValueError, msg=change):
                orders.encode(orders.Orders(**({"seq": 1} | change)), KEY)

    def test_signed_nonsense_is_refused(self):
        good = orders._document(orders.Orders(seq=1))
        for change in (
            {"v": 2},
            {"seq": "1"},
            {"labels": []},
            {"labels": {"n": ["k"]}},
            {"taints": {"n": "k-"}},
            {"delete_nodes": [1]},
            {"op": None},
        ):
            with self.assertRaises(ValueError, msg=change):
                orders._parse(good | change)
        with self.assertRaises(ValueError):
            orders._parse([])


class AcknowledgementTests(unittest.TestCase):
    def test_is_read_from_a_report(self):
        found = orders.acknowledgement(
            {"orders": {"seq": 4, "state": "failed", "message": "no\nnode"}}
        )
        self.assertEqual(4, found.seq)
        self.assertEqual(orders.AckState.FAILED, found.state)
        self.assertEqual("no node", found.message)

    def test_may_be_absent_or_nonsense(self):
        for value in (None, {}, [], {"seq": 1}, {"seq": "1", "state": "done"}):
            self.assertIsNone(orders.acknowledgement({"orders": value}))
        self.assertIsNone(orders.acknowledgement({}))
