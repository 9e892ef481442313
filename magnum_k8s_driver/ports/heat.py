# SPDX-License-Identifier: Apache-2.0
"""What the driver needs from Heat."""

from collections.abc import Mapping
import dataclasses
import enum
from typing import Any, Protocol


class StackAction(enum.StrEnum):
    """Heat's last action on a stack."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    OTHER = "OTHER"
    """Anything an operator may do by hand: check, suspend, adopt."""


class StackPhase(enum.StrEnum):
    """How far that action is."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """A stack as Heat reports it."""

    id: str
    name: str
    action: StackAction
    phase: StackPhase
    reason: str
    parameters: Mapping[str, str]
    """As stored; hidden ones are masked by Heat and never to be written."""
    outputs: Mapping[str, Any]
    """Empty when they were not asked for."""
    created: float
    """Seconds since the epoch."""
    updated: float | None
    """When its last update or deletion began."""
    timeout_minutes: int = 0
    """After which Heat ends that itself; 0: not known."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A stack as it stands in a list of many."""

    id: str
    status: str
    """Heat's action and status in one word: ``CREATE_COMPLETE``."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StackResource:
    """A resource somewhere in a stack's tree."""

    name: str
    type: str
    physical_id: str
    status: str
    """Heat's action and status in one word: ``CREATE_COMPLETE``."""
    reason: str
    stack_id: str
    """Stack that holds it: the root or a nested one."""
    parent: str
    """Resource of the parent stack that this nested stack stands for."""
    updated: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StackRequest:
    """A stack to create."""

    name: str
    template: Mapping[str, Any]
    files: Mapping[str, str]
    parameters: Mapping[str, Any]
    tags: tuple[str, ...]
    timeout_minutes: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StackUpdate:
    """A change of a stack; what is not named stays as it is (PATCH)."""

    template: Mapping[str, Any] | None = None
    """None keeps the stored template and files."""
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    parameters: Mapping[str, Any]
    timeout_minutes: int


class HeatPort(Protocol):
    """Stacks and software configs of one project.

    Every method raises :class:`~magnum_k8s_driver.exceptions.CloudError` or
    one of its subclasses when Heat refuses; absence is an answer, not an
    error.
    """

    def find(self, name: str) -> str | None:
        """Return the id of the live stack of that name in the project."""

    def tagged(self, tag: str) -> Mapping[str, Listed]:
        """Return the project's stacks with a tag, by name.

        Nested stacks are not among them.
        """

    def show(self, stack_id: str, *, outputs: bool = False) -> Stack | None:
        """Return the stack, None when it is gone or DELETE_COMPLETE."""

    def resources(
        self, stack_id: str, *, depth: int = 2
    ) -> tuple[StackResource, ...]:
        """Return the resources of the stack's tree; empty when it is gone."""

    def metadata(self, stack_id: str, resource_name: str) -> Mapping[str, Any]:
        """Return a resource's metadata; empty when there is none."""

    def create(self, request: StackRequest) -> str:
        """Create a stack and return its id.

        :raises CloudConflict: a stack of that name exists.
        """

    def update(self, stack_id: str, update: StackUpdate) -> None:
        """PATCH a stack: parameters that are not named keep their value.

        :raises CloudConflict: Heat works on the stack at this moment.
        """

    def delete(self, stack_id: str) -> None:
        """Start deleting a stack; gone already is fine."""

    def create_config(self, name: str, text: str) -> str:
        """Store text as a software config and return its id."""

    def configs(self, prefix: str) -> Mapping[str, str]:
        """Return id -> name of the project's configs with that name prefix."""

    def delete_config(self, config_id: str) -> None:
        """Delete a software config; gone already is fine."""

    def deploy(self, key: str, config_id: str, reader_project: str) -> None:
        """Let users of a stack's own project read a config under a key.

        :param key: at most 36 characters, an id of a server for Heat.
        :param reader_project: id of the project of the stack's users.
        """

    def deployed(self, key: str) -> frozenset[str]:
        """Return the ids of the configs that can be read under a key."""

    def withdraw(self, key: str) -> None:
        """End all reading under a key; nothing there is fine."""
