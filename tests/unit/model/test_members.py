# SPDX-License-Identifier: Apache-2.0
"""The list of members survives Heat, and no name is used twice."""

import json

import hypothesis
from hypothesis import strategies as st
import testtools

from magnum_k8s_driver.model import members as members_module

Members = members_module.Members
State = members_module.MemberState

settings = hypothesis.settings(
    max_examples=60, deadline=None, derandomize=True, database=None
)


def member(name, state=State.ACTIVE):
    return members_module.Member(
        name=name,
        image_id="image",
        flavor_id="2",
        kubernetes_version="v1.36.4",
        user_data="config",
        operation="create-1",
        state=state,
    )


@st.composite
def lists(draw):
    """Lists after some additions, removals and changes of state."""
    found = Members()
    for _change in range(draw(st.integers(0, 6))):
        names = found.next_names(draw(st.integers(0, 4)))
        found = found.with_new(*(member(name) for name in names))
        if found.names:
            some = draw(st.sets(st.sampled_from(found.names)))
            found = found.without(*some)
        if found.names:
            some = draw(st.sets(st.sampled_from(found.names)))
            state = draw(st.sampled_from(list(State)))
            found = found.marked(state, "resize-2", *some)
    return found


class TestMembers(testtools.TestCase):
    @settings
    @hypothesis.given(lists())
    def test_round_trip(self, members):
        value = members.to_parameter()
        self.assertEqual(members, Members.from_parameter(value))
        text = json.dumps(value)
        self.assertEqual(members, Members.from_parameter(text))

    @settings
    @hypothesis.given(lists(), st.integers(1, 5))
    def test_names_are_never_used_again(self, members, count):
        used = {str(index) for index in range(members.next_index)}
        self.assertLessEqual(set(members.names), used)
        new = members.next_names(count)
        self.assertEqual(set(), used & set(new))
        grown = members.with_new(*(member(name) for name in new))
        emptied = grown.without(*grown.names)
        self.assertEqual((), emptied.all)
        self.assertEqual(grown.next_index, emptied.next_index)

    def test_names_out_of_turn_are_refused(self):
        members = Members(next_index=2)
        for wrong in (["0"], ["3"], ["3", "2"], ["2", "2"]):
            self.assertRaises(
                ValueError,
                members.with_new,
                *(member(name) for name in wrong),
            )

    def test_only_the_named_are_marked(self):
        members = Members().with_new(member("0"), member("1"))
        marked = members.marked(State.DRAINING, "resize-2", "1", "9")
        self.assertEqual(members.all[0], marked.all[0])
        self.assertIs(State.DRAINING, marked.all[1].state)
        self.assertEqual("resize-2", marked.all[1].operation)

    def test_nothing(self):
        for value in (None, "", "{}", {}):
            self.assertEqual(Members(), Members.from_parameter(value))

    def test_size(self):
        """Heat keeps a parameter in 64 KiB of text."""
        names = Members().next_names(200)
        members = Members().with_new(*(member(name) for name in names))
        self.assertLess(len(json.dumps(members.to_parameter())), 65_536)


class TestSharedOut(testtools.TestCase):
    """Which stack holds whom."""

    @hypothesis.given(
        st.lists(st.integers(0, 4), min_size=1, max_size=5),
        st.integers(0, 9),
        st.integers(0, 4),
        st.data(),
    )
    @settings
    def test_everybody_has_one_place(self, sizes, more, limit, data):
        whole = Members()
        before = []
        for size in sizes:
            new = [member(name) for name in whole.next_names(size)]
            whole = whole.with_new(*new)
            before.append(Members(next_index=whole.next_index, all=tuple(new)))
        gone = {name for name in whole.names if data.draw(st.booleans())}
        whole = whole.without(*gone)
        new = [member(name) for name in whole.next_names(more)]
        whole = whole.with_new(*new)
        shares = members_module.shared_out(whole, before, limit)
        self.assertEqual(whole, members_module.joined(shares))
        for old, share in zip(before, shares, strict=False):
            kept = [one for one in old.names if one not in gone]
            self.assertEqual(kept, [*share.names[: len(kept)]])
            if limit:
                self.assertLessEqual(len(share.all), max(limit, len(kept)))
        for share in shares[len(before) :]:
            self.assertTrue(0 < len(share.all) <= (limit or more))
        # As few as possible are concerned.
        room = [max((limit or more) - len(s.all), 0) for s in before]
        if any(room[index] >= more for index in range(len(before))):
            self.assertEqual(len(before), len(shares))
