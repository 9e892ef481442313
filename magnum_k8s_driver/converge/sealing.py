# SPDX-License-Identifier: Apache-2.0
"""Who gets secrets: the handshake with each control-plane member. Pure.

The credential of a board stands in user data, which every reader of the
project can read. What a board says without a signature is therefore only
believed together with the server's console, which nobody but the guest
writes.
"""

from collections.abc import Iterator
import dataclasses
import enum

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import sealed
from magnum_k8s_driver.ports import compute

PHASE = "secrets"
_NO_LOG = (
    "Sealed secrets need the console log of Nova; where a cloud has none, the "
    "operator sets [k8s_driver] secret_delivery = user_data"
)


class Stage(enum.StrEnum):
    """How far the handshake with a member is."""

    UNSEEN = "unseen"
    """It asks; its console does not show a certificate."""
    DOUBTED = "doubted"
    """Console and board show different certificates."""
    REFUSED = "refused"
    """Its console shows several: whoever else was there, nobody is told."""
    PROVEN = "proven"
    """Console and board agree; it is to be answered."""
    ANSWERED = "answered"
    """The answer lies ready for it."""
    OPENED = "opened"
    """It has its secrets, and the answer is to be taken away."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Handshake:
    """The handshake with one member that has not ended."""

    member: str
    server_id: str
    stage: Stage
    certificate: bytes = b""
    """DER, of a member that asks."""
    error: board.NodeError | None = None
    """What is in the way, for the user."""


def control_plane_servers(
    observed: observed_module.Observed,
) -> Iterator[tuple[members.Member, compute.Server]]:
    """Yield each control-plane member that has a server, with it."""
    group = observed.record.control_plane
    for member in observed.members_of(group).all:
        name = observed.record.node_name(group, member.name)
        server = observed.servers.get(name)
        if server is not None:
            yield member, server


def report_of(
    observed: observed_module.Observed,
    member: members.Member,
    server: compute.Server,
) -> board.Report | None:
    """Return what a member says about itself, as far as it is believed.

    A report of an earlier server under this name says nothing. Nor does one
    without a signature when the member has the key to sign: anybody may have
    written it.
    """
    boards = observed.cluster.boards if observed.cluster else {}
    report = boards.get(member.name, board.Board()).report
    if report is None or report.server_id != server.id:
        return None
    if not report.signed and member.sealed_for == server.id:
        return None
    return report


def asks(
    observed: observed_module.Observed,
    member: members.Member,
    server: compute.Server,
) -> bytes:
    """Return the certificate that a member, maybe, posted; else nothing."""
    report = report_of(observed, member, server)
    cluster = observed.cluster
    if cluster is None or report is None or server.status != "ACTIVE":
        return b""
    # Not just any server of that name.
    refs = cluster.stack.outputs.get("refs_map") or {}
    return report.certificate if refs.get(member.name) == server.id else b""


def handshakes(
    observed: observed_module.Observed,
) -> dict[str, Handshake]:
    """Return what is to be done or told, by name of the member."""
    found = {}
    for member, server in control_plane_servers(observed):
        one = _handshake(observed, member, server)
        if one:
            found[member.name] = one
    return found


def spent(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return the software configs of answers that nobody waits for."""
    waiting = {
        server.id
        for member, server in control_plane_servers(observed)
        if member.sealed_for != server.id
    }
    return tuple(
        one.config_id
        for one in observed.answers
        if one.server_id not in waiting
    )


def _handshake(
    observed: observed_module.Observed,
    member: members.Member,
    server: compute.Server,
) -> Handshake | None:
    if member.sealed_for == server.id:
        return None
    has = _has_secrets(observed, member, server)
    if has and any(one.server_id == server.id for one in observed.answers):
        return Handshake(
            member=member.name, server_id=server.id, stage=Stage.OPENED
        )
    certificate = b"" if has else asks(observed, member, server)
    if not certificate:
        return None
    stage, error = _judged(observed, server, certificate)
    return Handshake(
        member=member.name,
        server_id=server.id,
        stage=stage,
        certificate=certificate,
        error=error,
    )


def _has_secrets(
    observed: observed_module.Observed,
    member: members.Member,
    server: compute.Server,
) -> bool:
    if member.sealed_for == server.id:
        return True
    report = report_of(observed, member, server)
    if report is not None and report.signed:
        return True
    # Its last report may have been written over.
    boards = observed.cluster.boards if observed.cluster else {}
    digest = boards.get(member.name, board.Board()).digest
    return digest is not None and digest.server_id == server.id


def _judged(
    observed: observed_module.Observed,
    server: compute.Server,
    certificate: bytes,
) -> tuple[Stage, board.NodeError | None]:
    console = observed.shown.get(server.name, observed_module.Console())
    wanted = sealed.fingerprint(certificate)
    if len(console.fingerprints) > 1:
        return Stage.REFUSED, board.NodeError(
            phase=PHASE,
            message="its console shows more than one certificate, so it gets "
            "no secrets",
            hint="Somebody may be imitating it; replace this node or create "
            "the cluster again",
        )
    if not console.fingerprints:
        return Stage.UNSEEN, board.NodeError(
            phase=PHASE,
            message=console.problem
            or "its console log does not show its certificate",
            hint=_NO_LOG,
        )
    if wanted not in console.fingerprints:
        return Stage.DOUBTED, board.NodeError(
            phase=PHASE,
            message="its board shows another certificate than its console, "
            "so it gets no secrets until they agree",
            hint="Somebody with read access to the project may be writing "
            "to its board",
        )
    if any(
        one.readable
        and one.server_id == server.id
        and one.key == sealed.key_of(wanted)
        for one in observed.answers
    ):
        return Stage.ANSWERED, None
    return Stage.PROVEN, None
