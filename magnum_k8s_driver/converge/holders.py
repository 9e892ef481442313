# SPDX-License-Identifier: Apache-2.0
"""Who has the secrets of a rotation by now. Pure."""

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import sealing
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import rotation
from magnum_k8s_driver.render import addon_orders


def renewed_credential(observed: observed_module.Observed) -> str:
    """Return the serial of a credential that every member has by now.

    Empty without add-ons that log in with it.
    """
    standing, cluster = observed.rotation, observed.cluster
    if standing is None or cluster is None:
        return ""
    if standing.kind is not rotation.Kind.CREDENTIAL:
        return ""
    begun = standing.phase is not rotation.Phase.BEGUN
    used = addon_orders.CLOUD_CONFIG in cluster.state.orders.addons
    done = begun and used and all(have(observed, standing).values())
    return standing.serial if done else ""


def have(
    observed: observed_module.Observed, standing: rotation.Rotation
) -> dict[str, bool]:
    """Tell of each control-plane member that stays whether it has them."""
    reports = {
        server.name: sealing.report_of(observed, member, server)
        for member, server in sealing.control_plane_servers(observed)
    }
    found = {}
    for name in staying(observed, observed.record.control_plane):
        report = reports.get(name)
        found[name] = (
            report is not None
            and report.signed
            and report.serial == standing.serial
        )
    return found


def staying(
    observed: observed_module.Observed, group: record.GroupRecord
) -> list[str]:
    """Return the Nodes of a group that are there to stay."""
    return [
        observed.record.node_name(group, member.name)
        for member in observed.members_of(group).all
        if member.state is not members.MemberState.DRAINING
    ]
