# SPDX-License-Identifier: Apache-2.0
"""Roles in the projects of clusters that have come to nothing."""

from collections.abc import Callable

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
    if records.came_to_nothing(record.cluster):
        _give_back(record, identity, lock, record.leave_project)


def give_back_of_gone(
    record: rows.Rows,
    identity: identity_port.IdentityPort,
    lock: lock_port.LockPort,
) -> None:
    """Take back the roles after a look at a cluster that has just gone.

    Another thread ended it, and this one was let into its project once more
    before Magnum removed the row.
    """
    _give_back(record, identity, lock, record.is_last_in_project)


def _give_back(
    record: rows.Rows,
    identity: identity_port.IdentityPort,
    lock: lock_port.LockPort,
    is_last: Callable[[], bool],
) -> None:
    cluster = record.cluster
    try:
        with act.project_lock(lock, cluster.project_id):
            if is_last():
                identity.revoke_service_roles(cluster.project_id)
    except exceptions.K8sDriverError as exc:
        # The end of the next cluster there takes them back.
        LOG.warning("Cluster %s: grants not taken back: %s", cluster.uuid, exc)
