# SPDX-License-Identifier: Apache-2.0
"""How far a rotation is. Pure.

Everybody who has a secret that is exchanged keeps the old one until every
control-plane member has said, signed, that it has the new one.
"""

from collections.abc import Iterator

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import sealing
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import rotation
from magnum_k8s_driver.ports import heat


def problem(
    observed: observed_module.Observed, kind: rotation.Kind
) -> str | None:
    """Return why a rotation cannot begin now, as a sentence."""
    cluster = observed.cluster
    if cluster is None or not cluster.state.initialised:
        return "The control plane of the cluster has never worked."
    if cluster.stack.phase is not heat.StackPhase.COMPLETE:
        return (
            f"Heat stack {cluster.stack.name} is {cluster.stack.phase}. Wait "
            "until it is complete, or resize the cluster to its size to "
            "repair it."
        )
    standing = cluster.state.rotation
    if standing is not None and standing.kind is not kind:
        return f"The {standing.kind} of the cluster is being rotated."
    for node in readiness.nodes(observed, observed.record.control_plane):
        if node.stage is not readiness.Stage.READY:
            return readiness.node_sentence(node)
    return None


def has_arrived(observed: observed_module.Observed) -> bool:
    """Tell whether every control-plane member has the new secrets."""
    standing = observed.rotation
    return standing is not None and all(_have(observed, standing))


def progress(observed: observed_module.Observed) -> str:
    """Return how far the rotation is, as a short phrase."""
    standing = observed.rotation
    if standing is None:
        return ""
    text = f"rotating the {standing.kind}"
    if standing.phase is rotation.Phase.BEGUN:
        return f"{text}: making a new one"
    have = [*_have(observed, standing)]
    return f"{text}: control plane {sum(have)}/{len(have)} have the new one"


def _have(
    observed: observed_module.Observed, standing: rotation.Rotation
) -> Iterator[bool]:
    """Tell of each control-plane member that stays whether it has them."""
    group = observed.record.control_plane
    servers = {
        member.name: server
        for member, server in sealing.control_plane_servers(observed)
    }
    for member in observed.members_of(group).all:
        if member.state is members.MemberState.DRAINING:
            continue
        server = servers.get(member.name)
        report = None
        if server is not None:
            report = sealing.report_of(observed, member, server)
        yield (
            report is not None
            and report.signed
            and report.serial == standing.id
        )
