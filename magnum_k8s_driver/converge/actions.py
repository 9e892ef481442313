# SPDX-License-Identifier: Apache-2.0
"""The writes a plan may ask for, as values.

Each one is safe to repeat: a conductor may die before it, in it or after it,
and the next plan asks for it again when it is still needed.
"""

from collections.abc import Mapping
import dataclasses

from magnum_k8s_driver.converge import dispatch as dispatch_module
from magnum_k8s_driver.model import rotation
from magnum_k8s_driver.model import state
from magnum_k8s_driver.ports import leftovers as leftovers_port


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PrepareIdentity:
    """Make what a cluster acts with.

    Roles of the service user, the cluster secret, the cluster's own user.
    """


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CreateClusterStack:
    """Make network, endpoint and boards; members come later."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CreateControlPlane:
    """Add the first control-plane members to the cluster stack."""

    generation: int
    """Generation of the cluster stack the plan was made from."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CreateWorkerStack:
    """Make the stack of one worker group with all its members."""

    group_uuid: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ChangeMembers:
    """Let members of a worker group come, drain and go, in one update."""

    group_uuid: str
    generation: int
    """Generation of the group's stack the plan was made from."""
    drain: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    add: int = 0
    healing: state.Healing | None = None
    """Set when nobody asked for the change."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ChangeControlPlane:
    """Let control-plane members come, drain and go, one at a time."""

    generation: int
    """Generation of the cluster stack the plan was made from."""
    drain: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    prepare: str = ""
    """Member to come that gets its board."""
    add: str = ""
    """Member to come that has its board."""
    dispatch: dispatch_module.Dispatch | None = None
    """Orders that go with it."""
    healing: state.Healing | None = None
    """Set when nobody asked for the change."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SendOrders:
    """Tell the running control plane what is wanted of it."""

    generation: int
    dispatch: dispatch_module.Dispatch


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BeginUpgrade:
    """Write the target of an upgrade into the cluster stack."""

    generation: int
    target: state.UpgradeTarget


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeMembers:
    """Take the next members of a group to the upgrade's target."""

    group_uuid: str
    generation: int
    order: tuple[str, ...] = ()
    """Members that change their version in place."""
    drain: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    add: int = 0
    """New members at the target."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CommitUpgrade:
    """Make the target the cluster's own: template, labels and images."""

    generation: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BeginRotation:
    """Write down that something shall be exchanged for a new one."""

    generation: int
    kind: rotation.Kind
    user_id: str
    old: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """References of CAs that go."""
    new: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """References of CAs that come."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AdvanceRotation:
    """Begin the next phase: tell the control plane its secrets, encrypted."""

    generation: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TellWorkers:
    """Let the workers of a group follow the phase of a rotation of CAs."""

    group_uuid: str
    generation: int
    """Generation of the group's stack the plan was made from."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AbandonRotation:
    """Go back to the old CAs."""

    generation: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EndRotation:
    """Remove what is old; the cluster belongs to who asked from now on."""

    generation: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A control-plane member that has proven which certificate is its."""

    member: str
    server_id: str
    certificate: bytes
    """DER."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AnswerMembers:
    """Lay sealed secrets ready for members that asked; touches no stack."""

    questions: tuple[Question, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RememberAnswered:
    """Remember for ever who has its secrets."""

    generation: int
    servers: Mapping[str, str]
    """Member to the id of its server."""
    dispatch: dispatch_module.Dispatch | None = None
    """Orders that go with it."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RecordInitialised:
    """Remember for ever that ``kubeadm init`` succeeded."""

    generation: int
    dispatch: dispatch_module.Dispatch | None = None
    """The first orders go with it."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DropUserData:
    """Delete software configs that no member will boot from any more."""

    config_ids: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DisableIdentity:
    """Stop everything in the cluster from acting on the cloud."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DiscardRotation:
    """Delete CAs of a rotation under way; Magnum knows one set only."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DeleteStack:
    """Start deleting a stack."""

    stack_id: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RemoveLeftovers:
    """Remove what no stack owns."""

    leftovers: tuple[leftovers_port.Leftover, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ForgetCluster:
    """Remove user, secret, certificates and grants: the last step."""


Action = (
    PrepareIdentity
    | CreateClusterStack
    | CreateControlPlane
    | CreateWorkerStack
    | ChangeMembers
    | ChangeControlPlane
    | SendOrders
    | BeginUpgrade
    | UpgradeMembers
    | CommitUpgrade
    | AnswerMembers
    | RememberAnswered
    | BeginRotation
    | AdvanceRotation
    | TellWorkers
    | AbandonRotation
    | EndRotation
    | RecordInitialised
    | DropUserData
    | DisableIdentity
    | DiscardRotation
    | DeleteStack
    | RemoveLeftovers
    | ForgetCluster
)
