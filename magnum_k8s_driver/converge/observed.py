# SPDX-License-Identifier: Apache-2.0
"""Everything a plan or a report is made from: one look at the world."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import orders as orders_module
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import rotation as rotation_module
from magnum_k8s_driver.model import sealed
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import compute
from magnum_k8s_driver.ports import heat
from magnum_k8s_driver.ports import leftovers as leftovers_port

DIGEST_STALE_SECONDS = 960.0
"""Three missed heartbeats; an older digest means unknown, never NotReady."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WorkerStack:
    """One stack of a worker group."""

    stack: heat.Stack
    state: state_module.StackState
    """Of the members it holds."""
    index: int = 0
    """0 for the anchor, see ``model.names.group_stack_name``."""
    failures: tuple[heat.StackResource, ...] = ()
    """Failed resources, deepest first; only looked up for failed stacks."""
    pending: tuple[heat.StackResource, ...] = ()
    """What Heat works on; only looked up when it has taken long."""


@dataclasses.dataclass(frozen=True)
class WorkerGroup:
    """All stacks of a worker group, most often one.

    Together they look like one stack that holds all members.
    """

    parts: tuple[WorkerStack, ...]
    """At least one; the anchor first, unless it is gone."""

    @functools.cached_property
    def stack(self) -> heat.Stack:
        """The first stack, as far along as all of them."""
        stacks = [one.stack for one in self.parts]
        if len(stacks) == 1:
            return stacks[0]
        phase, reason = heat.StackPhase.COMPLETE, stacks[0].reason
        # While Heat works on one, another one's failure has to wait: who is
        # lost and who is to come is known when all have ended.
        for worst in (heat.StackPhase.FAILED, heat.StackPhase.IN_PROGRESS):
            for one in stacks:
                if one.phase is worst:
                    phase, reason = worst, one.reason
        return dataclasses.replace(
            stacks[0],
            phase=phase,
            reason=reason,
            updated=max(one.updated or one.created for one in stacks),
        )

    @functools.cached_property
    def state(self) -> state_module.StackState:
        """What the stacks remember, as one."""
        return state_module.merged([one.state for one in self.parts])

    def changed(
        self, changes: Callable[[WorkerStack], Mapping[str, Any]]
    ) -> "WorkerGroup":
        """Return the group with fields of each stack changed."""
        return WorkerGroup(
            tuple(
                dataclasses.replace(one, **changes(one)) for one in self.parts
            )
        )

    @property
    def failures(self) -> tuple[heat.StackResource, ...]:
        """Failed resources of all stacks."""
        return tuple(one for part in self.parts for one in part.failures)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClusterStack:
    """The cluster stack with what its boards say."""

    stack: heat.Stack
    state: state_module.ClusterState
    boards: Mapping[str, board.Board] = dataclasses.field(default_factory=dict)
    distress: tuple[board.Distress, ...] = ()
    failures: tuple[heat.StackResource, ...] = ()
    pending: tuple[heat.StackResource, ...] = ()
    orders: orders_module.Orders | None = None
    """The last orders of the control plane."""

    @property
    def acknowledged(self) -> orders_module.Acknowledgement | None:
        """Return what the control plane says of those orders."""
        for one in self.boards.values():
            found = one.report.orders if one.report else None
            if found is not None and found.seq == self.state.orders.seq:
                return found
        return None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Console:
    """What the console of a server shows of its certificate."""

    fingerprints: frozenset[str] = frozenset()
    """All that were ever shown; SHA-256 in hex."""
    problem: str = ""
    """Why there is no log, as a sentence without its end."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """One look at Magnum's records, Heat, Nova and the boards."""

    now: float
    """Seconds since the epoch."""
    record: record_module.ClusterRecord
    cluster: ClusterStack | None
    workers: Mapping[str, WorkerGroup]
    """By the group's UUID; groups without a stack are missing."""
    servers: Mapping[str, compute.Server]
    """By name, which is the Node's name."""
    sight: record_module.Sight = record_module.Sight()
    """What was seen of all this, to find a change for little."""
    user_data: Mapping[str, str]
    """Software configs of this cluster that still exist, id to name."""
    answers: tuple[sealed.Answer, ...] = ()
    """Those of them that are sealed secrets."""
    consoles: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """By name of the server, '' when it cannot be read; only of a few nodes
    that have not reported for long."""
    shown: Mapping[str, Console] = dataclasses.field(default_factory=dict)
    """By the server's name; only read of members that ask for secrets."""
    removal: record_module.Removal | None = None
    """What a resize call names; only known while its hook runs. It is also
    the sign that the user asked to go on after a failure."""
    asked: bool = False
    """Whether a user asked at this moment; the status job never does."""
    load_balancers: tuple[leftovers_port.Leftover, ...] = ()
    """Made by Kubernetes; looked up when deleting."""
    leftovers: tuple[leftovers_port.Leftover, ...] = ()
    """Looked up when deleting and no stack is left."""

    def members_of(self, group: record_module.GroupRecord) -> members.Members:
        """Return the ordered members of a group, none without a stack."""
        state = self.state_of(group)
        return state.members if state else members.Members()

    def state_of(
        self, group: record_module.GroupRecord
    ) -> state_module.StackState | None:
        """Return what the stack of a group remembers, None without one."""
        if group.uuid in self.workers:
            return self.workers[group.uuid].state
        is_control_plane = group == self.record.control_plane
        if is_control_plane and self.cluster is not None:
            return self.cluster.state.stack
        return None

    @property
    def stacks(self) -> tuple["ClusterStack | WorkerStack", ...]:
        """Return the stacks that exist, the cluster's first."""
        first = () if self.cluster is None else (self.cluster,)
        workers = self.workers.values()
        return (*first, *(part for one in workers for part in one.parts))

    @property
    def held(self) -> tuple["ClusterStack | WorkerGroup", ...]:
        """Return what holds the members of each group that has any."""
        first = () if self.cluster is None else (self.cluster,)
        return (*first, *self.workers.values())

    @property
    def states(self) -> tuple[state_module.StackState, ...]:
        """Return what is remembered of each group."""
        return tuple(state_of(one) for one in self.held)

    @property
    def upgrade(self) -> state_module.UpgradeTarget | None:
        """Return the target of the upgrade that is under way."""
        if self.cluster is None:
            return None
        operation = self.cluster.state.stack.operation
        return operation.target if operation else None

    @property
    def rotation(self) -> rotation_module.Rotation | None:
        """Return the rotation that is under way."""
        return self.cluster.state.rotation if self.cluster else None

    @property
    def digest(self) -> board.Digest | None:
        """Return the newest signed digest that is not stale."""
        boards = self.cluster.boards.values() if self.cluster else ()
        digests = [one.digest for one in boards if one.digest is not None]
        newest = max(digests, key=lambda one: one.time, default=None)
        if newest and self.now - newest.time > DIGEST_STALE_SECONDS:
            return None
        return newest


def state_of(stack: ClusterStack | WorkerGroup) -> state_module.StackState:
    """Return what is remembered of a group."""
    if isinstance(stack, ClusterStack):
        return stack.state.stack
    return stack.state
