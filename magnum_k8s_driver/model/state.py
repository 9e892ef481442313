# SPDX-License-Identifier: Apache-2.0
"""What must survive the conductor: it lives in parameters of the stacks."""

from collections.abc import Mapping, Sequence
import dataclasses
import json
from typing import Any

from magnum_k8s_driver.model import members as members_module
from magnum_k8s_driver.model import rotation as rotation_module


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeTarget:
    """Where an upgrade leads; kept until every member is there."""

    template_id: str
    """Magnum's id of the cluster template that takes over at the end."""
    version: str
    """Kubernetes version with its leading ``v``."""
    batch_size: int
    """How many workers of a group change at the same time."""
    images: Mapping[str, str]
    """UUID of each group that takes part to the id of its image."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GroupSettings:
    """What Nodes of a group carry besides what every Node does."""

    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    taints: tuple[str, ...] = ()
    """As kubectl writes them: ``key=value:Effect``."""

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> "GroupSettings":
        """Read what ``dataclasses.asdict`` made of one."""
        return cls(labels=dict(data["labels"]), taints=tuple(data["taints"]))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OrderedAddon:
    """An add-on as it was last ordered."""

    id: str
    required: bool
    removes: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StandingOrders:
    """The last orders of the control plane and what they said."""

    seq: int = 0
    """0: there were none."""
    sent: float = 0.0
    """Seconds since the epoch."""
    expected: tuple[str, ...] = ()
    """Names of workers that may join."""
    removed: tuple[str, ...] = ()
    """Control-plane Nodes whose etcd members go by these orders."""
    settings: Mapping[str, GroupSettings] = dataclasses.field(
        default_factory=dict
    )
    """UUID of a group to what its Nodes have, these orders done."""
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The orders as control-plane servers carry them."""
    addons: Mapping[str, OrderedAddon] = dataclasses.field(
        default_factory=dict
    )
    """By name: what these orders, or older ones, have said of add-ons."""
    addons_for: str = ""
    """What they were made from; see ``addon_states.wanted_for``."""

    @classmethod
    def from_parameter(cls, value: str) -> "StandingOrders":
        """Read the stack parameter; Heat returns JSON as text."""
        data = json.loads(value or "{}")
        if not isinstance(data, dict):
            raise ValueError("the orders are no JSON object")
        settings = data.pop("settings", {})
        addons = data.pop("addons", {})
        for name in ("expected", "removed"):
            data[name] = tuple(data.get(name, ()))
        return cls(
            **data,
            settings={
                uuid: GroupSettings.from_document(one)
                for uuid, one in settings.items()
            },
            addons={name: OrderedAddon(**one) for name, one in addons.items()},
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """The operation a stack's last change belongs to."""

    id: str
    """Verb and generation, such as ``create-1``; members echo it."""
    kind: str
    """``create``, ``resize``, ``upgrade``, ``heal``, ..."""
    started: float
    """Seconds since the epoch."""
    target: UpgradeTarget | None = None
    """Set in the cluster stack while an upgrade is under way."""

    @classmethod
    def from_parameter(cls, value: str) -> "Operation | None":
        """Read the stack parameter; Heat returns JSON as text."""
        data = json.loads(value or "{}")
        if not data:
            return None
        if not isinstance(data, dict):
            raise ValueError("the operation is no JSON object")
        target = data.pop("target", None)
        return cls(**data, target=UpgradeTarget(**target) if target else None)


HEAL = "heal"
"""Kind of operation that replaces broken nodes unasked."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Healing:
    """The last time a group was healed."""

    attempt: int
    """1, or more when the attempts before did not help."""
    started: float
    """Seconds since the epoch."""
    reason: str
    """Who was replaced and why; no full stop."""

    @classmethod
    def from_parameter(cls, value: str) -> "Healing | None":
        """Read the stack parameter; stacks of older releases have none."""
        data = json.loads(value or "{}")
        return cls(**data) if data else None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StackState:
    """The part both kinds of stacks have."""

    generation: int
    """Counts the driver's changes; a plan made from an older one is void."""
    operation: Operation | None
    members: members_module.Members
    healing: Healing | None = None

    def parameters(self) -> dict[str, Any]:
        """Return the stack parameters that hold the state."""
        operation = (
            dataclasses.asdict(self.operation) if self.operation else {}
        )
        healing = dataclasses.asdict(self.healing) if self.healing else {}
        return {
            "generation": self.generation,
            "operation": operation,
            "members": self.members.to_parameter(),
            "healing": healing,
        }

    def advanced(self, **changes: Any) -> "StackState":
        """Return the state one generation later."""
        return dataclasses.replace(
            self, generation=self.generation + 1, **changes
        )


def merged(states: Sequence[StackState]) -> StackState:
    """Return what several stacks of one group remember, as one.

    Each was told when its own members changed: the newest knows how the
    group was last changed.

    :param states: at least one.
    """
    if len(states) == 1:
        return states[0]
    newest = max(states, key=lambda one: one.generation)
    healings = [one.healing for one in states if one.healing is not None]
    return StackState(
        generation=newest.generation,
        operation=newest.operation,
        members=members_module.joined([one.members for one in states]),
        healing=max(healings, key=lambda one: one.started, default=None),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClusterState:
    """What only the cluster stack remembers."""

    stack: StackState
    initialised: bool = False
    """``kubeadm init`` succeeded once; it is never ordered again."""
    secret_ref: str = ""
    ssh_public_key: str = ""
    orders: StandingOrders = dataclasses.field(default_factory=StandingOrders)
    rotation: rotation_module.Rotation | None = None

    def parameters(self) -> dict[str, Any]:
        """Return the stack parameters that hold the state."""
        return {
            **self.stack.parameters(),
            "initialised": self.initialised,
            "secret_ref": self.secret_ref,
            "ssh_public_key": self.ssh_public_key,
            "orders": dataclasses.asdict(self.orders),
            "rotation": rotation_module.to_parameter(self.rotation),
        }


def read_stack_state(parameters: Mapping[str, str]) -> StackState:
    """Read the state from a stack's parameters.

    :raises ValueError: the stack was not made by this driver.
    """
    try:
        return StackState(
            generation=int(parameters["generation"]),
            operation=Operation.from_parameter(parameters["operation"]),
            members=members_module.Members.from_parameter(
                parameters["members"]
            ),
            healing=Healing.from_parameter(parameters.get("healing", "")),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(f"not a stack of this driver: {exc}") from exc


def read_cluster_state(parameters: Mapping[str, str]) -> ClusterState:
    """Read the state from the cluster stack's parameters.

    :raises ValueError: the stack was not made by this driver.
    """
    return ClusterState(
        stack=read_stack_state(parameters),
        initialised=str(parameters.get("initialised")).lower() == "true",
        secret_ref=parameters.get("secret_ref", ""),
        ssh_public_key=parameters.get("ssh_public_key", ""),
        orders=StandingOrders.from_parameter(parameters.get("orders", "")),
        rotation=rotation_module.Rotation.from_parameter(
            parameters.get("rotation", "")
        ),
    )
