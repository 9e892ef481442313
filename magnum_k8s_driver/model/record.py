# SPDX-License-Identifier: Apache-2.0
"""Magnum's records of a cluster, as plain values.

``magnum_k8s_driver.records`` makes them from Magnum's objects and writes the
:class:`ClusterReport` back. Names of roles and fields are ours.
"""

from collections.abc import Mapping
import dataclasses
import enum

from magnum_k8s_driver.model import names
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module


class Intent(enum.StrEnum):
    """What Magnum's records ask for."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    NOTHING = "nothing"


class Outcome(enum.StrEnum):
    """How far the intent is."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GroupRecord:
    """A Magnum node group."""

    uuid: str
    name: str
    role: spec_module.Role
    is_default: bool
    intent: Intent
    """What this group's own row asks for: it may be made or deleted while
    the cluster as a whole is updated."""
    node_count: int
    stack_id: str | None
    """None as well while Magnum's copy of the cluster's stack id stands
    there: the conductor writes that over both default groups."""
    changed: float
    """When the row was last saved, seconds since the epoch."""
    settings: state_module.GroupSettings = dataclasses.field(
        default_factory=state_module.GroupSettings
    )
    """What its Nodes shall carry."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClusterRecord:
    """A Magnum cluster with its node groups."""

    uuid: str
    name: str
    project_id: str
    intent: Intent
    stack_id: str | None
    prepared: bool
    """Both default groups and the certificate references are saved."""
    created: float
    """Seconds since the epoch."""
    create_timeout_minutes: int
    groups: tuple[GroupRecord, ...]
    addons_from: str = ""
    """Another text when what decides on add-ons has changed."""

    @property
    def prefix(self) -> str:
        """Return the name of the cluster stack, prefix of all other names."""
        return names.cluster_prefix(self.name, self.uuid)

    @property
    def kept_groups(self) -> tuple[GroupRecord, ...]:
        """Return the groups that shall stay."""
        return tuple(
            one for one in self.groups if one.intent is not Intent.DELETE
        )

    @property
    def control_plane(self) -> GroupRecord:
        """Return the control plane's group.

        :raises LookupError: Magnum has not saved it yet.
        """
        for group in self.groups:
            if group.role is spec_module.Role.CONTROL_PLANE:
                return group
        raise LookupError(f"cluster {self.uuid} has no control plane group")

    @property
    def workers(self) -> tuple[GroupRecord, ...]:
        """Return the worker groups, the default one first."""
        found = [
            group
            for group in self.groups
            if group.role is spec_module.Role.WORKER
        ]
        return tuple(sorted(found, key=lambda one: not one.is_default))

    def node_name(self, group: GroupRecord, member: str) -> str:
        """Return the server name of a member, which is its Node's name."""
        return names.server_name(self.prefix, group.name, group.uuid, member)

    def group_stack_name(self, group: GroupRecord) -> str:
        """Return the name of a worker group's stack."""
        return names.group_stack_name(self.prefix, group.name, group.uuid)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """Nodes that a resize names: by server id or member name."""

    group_uuid: str
    nodes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GroupReport:
    """What to write on a node group."""

    intent: Intent
    outcome: Outcome
    reason: str
    stack_id: str | None
    version: str
    node_addresses: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What tells for little that there is more to see; for comparison."""

    stacks: frozenset[tuple[str, str]] = frozenset()
    """Id and status of each stack."""
    boards: Mapping[tuple[str, str], str] = dataclasses.field(
        default_factory=dict
    )
    """Stack id and name of a handle, and what stands for its content."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClusterReport:
    """What to write on a cluster and its groups."""

    intent: Intent
    outcome: Outcome
    reason: str
    stack_id: str | None = None
    api_address: str | None = None
    coe_version: str | None = None
    groups: Mapping[str, GroupReport] = dataclasses.field(default_factory=dict)
    """By the group's UUID."""
    awaited: bool = False
    """Something may end at any moment and be gone on with."""
    sight: Sight | None = None
    """With what a change can be found; None: only by looking again."""
    operation: str = ""
    """What is being done, as operators count it."""
    started: float = 0.0
    """When its newest step began, seconds since the epoch."""
    seen: float = 0.0
    """When all this was so, seconds since the epoch."""
