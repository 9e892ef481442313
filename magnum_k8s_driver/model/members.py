# SPDX-License-Identifier: Apache-2.0
"""Members: the single machines of a node group.

The list is kept in the stack parameter ``members``, so that it outlives any
conductor. A member's name is never used again: Heat would replace a failed
server of that name with its old orders.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import enum
import json
from typing import Any


class MemberState(enum.StrEnum):
    """What the driver wants of a member."""

    ACTIVE = "active"
    SURGING = "surging"
    """Extra machine of a rolling replacement."""
    DRAINING = "draining"
    """To be removed as soon as its pods have left."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One machine as the driver ordered it."""

    name: str
    image_id: str
    flavor_id: str
    kubernetes_version: str
    user_data: str
    """Id of the Heat software config it booted from; may be deleted by now."""
    operation: str
    """Id of the operation that last named it."""
    state: MemberState = MemberState.ACTIVE
    sealed_for: str = ""
    """Id of the server that has got its sealed secrets, if any has."""
    trust: str = ""
    """Serial of the rotation of CAs that it was last told to follow."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Members:
    """The members of one stack, in the order they were made."""

    next_index: int = 0
    all: tuple[Member, ...] = ()

    def next_names(self, count: int) -> tuple[str, ...]:
        """Return the names the next members will get."""
        first = self.next_index
        return tuple(str(index) for index in range(first, first + count))

    def with_new(self, *new: Member) -> "Members":
        """Return the list with members added under fresh names.

        :raises ValueError: a name is not one of :meth:`next_names`.
        """
        expected = self.next_names(len(new))
        if tuple(one.name for one in new) != expected:
            raise ValueError("member names are given in order, once")
        return Members(
            next_index=self.next_index + len(new), all=(*self.all, *new)
        )

    def without(self, *names: str) -> "Members":
        """Return the list without some members; their names stay used."""
        kept = tuple(one for one in self.all if one.name not in names)
        return Members(next_index=self.next_index, all=kept)

    def marked(
        self, state: MemberState, operation: str, *names: str
    ) -> "Members":
        """Return the list with the state of some members changed."""
        return self._changed(names, state=state, operation=operation)

    def at_version(
        self, version: str, operation: str, *names: str
    ) -> "Members":
        """Return the list with some members ordered to another version."""
        return self._changed(
            names, kubernetes_version=version, operation=operation
        )

    def trusting(self, serial: str, operation: str) -> "Members":
        """Return the list with all told to follow a rotation of CAs."""
        return self._changed(self.names, trust=serial, operation=operation)

    def with_secrets(self, server_ids: Mapping[str, str]) -> "Members":
        """Return the list with who has got sealed secrets, for ever.

        :param server_ids: name of the member to the id of its server.
        """
        return dataclasses.replace(
            self,
            all=tuple(
                dataclasses.replace(one, sealed_for=server_ids[one.name])
                if one.name in server_ids
                else one
                for one in self.all
            ),
        )

    def _changed(self, names: tuple[str, ...], **changes: Any) -> "Members":
        """Return the list with fields of the named members changed."""
        return Members(
            next_index=self.next_index,
            all=tuple(
                dataclasses.replace(one, **changes)
                if one.name in names
                else one
                for one in self.all
            ),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all members."""
        return tuple(one.name for one in self.all)

    def to_parameter(self) -> dict[str, Any]:
        """Return the value of the stack parameter."""
        return {
            "next": self.next_index,
            "members": [dataclasses.asdict(one) for one in self.all],
        }

    @classmethod
    def from_parameter(
        cls, value: str | Mapping[str, Any] | None
    ) -> "Members":
        """Read the stack parameter; Heat returns JSON parameters as text."""
        if not value:
            return cls()
        data = json.loads(value) if isinstance(value, str) else value
        if not data:
            return cls()
        return cls(
            next_index=int(data["next"]),
            all=tuple(
                Member(**{**one, "state": MemberState(one["state"])})
                for one in data["members"]
            ),
        )


def joined(shares: Sequence[Members]) -> Members:
    """Return the members of several stacks of a group as one list."""
    return Members(
        next_index=max(one.next_index for one in shares),
        all=tuple(
            sorted(
                (member for one in shares for member in one.all),
                key=lambda member: int(member.name),
            )
        ),
    )


def shared_out(
    whole: Members, before: Sequence[Members], limit: int
) -> tuple[Members, ...]:
    """Return which stack of a group holds which of its members.

    Members stay where they are. New ones fill as few stacks as they can:
    first those that lose members in the same change, then those with the
    fewest, since Heat looks at every member of a stack that it changes, and
    then further ones.

    :param before: the stacks that exist, in their order.
    :param limit: members of a stack, 0 for any number.
    """
    known = {name for one in before for name in one.names}
    kept = set(whole.names) & known
    shares = [
        [member for member in whole.all if member.name in one.names]
        for one in before
    ]
    new = [member for member in whole.all if member.name not in kept]
    most = limit or len(whole.all)
    order = sorted(
        range(len(before)),
        key=lambda index: (
            len(shares[index]) == len(before[index].all),
            len(shares[index]),
        ),
    )
    for index in order:
        room = max(most - len(shares[index]), 0)
        shares[index] += new[:room]
        del new[:room]
    while new:
        shares.append(new[:most])
        del new[:most]
    return tuple(
        Members(next_index=whole.next_index, all=tuple(one)) for one in shares
    )
