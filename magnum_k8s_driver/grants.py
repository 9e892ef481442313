# SPDX-License-Identifier: Apache-2.0
"""Roles in the projects of clusters that have come to nothing."""

from oslo_log import log as logging

from magnum_k8s_driver import exceptions
from magnum_k8s_driver import records
from magnum_k8s_driver import rows
from magnum_k8s_driver.converge import act
from magnum_k8s_driver.ports import identity as identity_port
from magnum_k8s_driver.ports import lock as lock_port

LOG = logging.getLogger(__name__)


def give_back(
    record: rows.Rows,
    identity: identity_port.IdentityPort,
    lock: lock_port.LockPort,
) -> None:
    """Take back the roles in the project after a create that was refused.

    Whoever looks at a cluster is let into its project first, so there may be
    some although nothing was made. Does nothing for any other cluster, and
    while another one needs the project.
    """
    cluster = record.cluster
    if not records.came_to_nothing(cluster):
        return
    try:
        with act.project_lock(lock, cluster.project_id):
            if record.leave_project():
                identity.revoke_service_roles(cluster.project_id)
    except exceptions.K8sDriverError as exc:
        # The end of the cluster takes them back.
        LOG.warning("Cluster %s: grants not taken back: %s", cluster.uuid, exc)
