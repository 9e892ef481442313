# SPDX-License-Identifier: Apache-2.0
"""Magnum's hooks: the table of contents of the driver.

Magnum makes a new instance for every call, from many threads, in the API and
in the conductor: nothing is kept here. Hooks record what is wanted and let
``converge`` begin; Magnum's status job calls ``update_cluster_status`` every
ten seconds until it is done.

What Magnum does around each hook is checked by tests/unit/test_contract.py.
"""

from typing import Any

from magnum.common import exception as magnum_exception
from magnum.drivers.common import driver
from magnum.objects import fields
from oslo_log import log as logging

from magnum_k8s_driver import compat
from magnum_k8s_driver import exceptions
from magnum_k8s_driver import monitor
from magnum_k8s_driver import records
from magnum_k8s_driver import rotations
from magnum_k8s_driver import session
from magnum_k8s_driver.model import record

LOG = logging.getLogger(__name__)

_MAX_CONTROL_PLANE = 7
_TEXT = "%(text)s"


class Driver(driver.Driver):
    """Kubernetes clusters by Heat and kubeadm."""

    needs_trust = False
    """Magnum 22 after 22.0.0 makes a trust for drivers that want one."""

    @property
    def provides(self) -> list[dict[str, str]]:
        """Return the kinds of cluster this driver makes."""
        return [
            {"server_type": "vm", "os": distro, "coe": "kubernetes"}
            for distro in compat.distributions()
        ]

    def create_cluster(
        self, context: Any, cluster: Any, cluster_create_timeout: int
    ) -> None:
        """Begin to make a cluster.

        Magnum has saved the rows of cluster and default groups, but not the
        references of the certificates. It overwrites the groups' stack ids
        afterwards; the status job sets them right.
        """
        records.mark_creating(cluster)
        session.begin_create(context, cluster)

    def delete_cluster(self, context: Any, cluster: Any) -> None:
        """Begin to delete a cluster, in whatever state it is.

        Magnum sets the cluster's status afterwards, but not the groups'.
        """
        records.mark_deleting(cluster, cluster.nodegroups)
        session.begin(context, cluster)

    def update_cluster_status(
        self, context: Any, cluster: Any, use_admin_ctx: bool = False
    ) -> None:
        """Go on with what is under way and write how far it is.

        Called every ten seconds for each cluster in progress, by every
        conductor, without waiting for the call before.
        """
        session.proceed(context, cluster)

    def validate_master_size(self, node_count: int) -> None:
        """Refuse sizes of a control plane that cannot work.

        Called in the API process, before anything is saved.
        """
        odd = node_count % 2 == 1
        if not (odd and 1 <= node_count <= _MAX_CONTROL_PLANE):
            raise magnum_exception.MasterNGSizeInvalid(
                requested_size=node_count
            )

    def validate_master_resize(self, node_count: int) -> None:
        """Refuse sizes that a control plane cannot have."""
        self.validate_master_size(node_count)

    def get_monitor(self, context: Any, cluster: Any) -> monitor.BoardMonitor:
        """Return what looks after the health of a cluster."""
        return monitor.BoardMonitor(context, cluster)

    def rotate_ca_certificate(self, context: Any, cluster: Any) -> None:
        """Begin to exchange CAs, keys of service accounts and join tokens.

        Magnum has put references of new CAs on the object and saves them
        even when the hook fails, after which it would sign with, and hand
        out, CAs that the cluster does not trust: the old ones are put back
        until API servers show certificates of the new ones.
        """
        try:
            rotations.begin_ca(context, cluster)
        except exceptions.K8sDriverError as exc:
            raise magnum_exception.NotSupported(_TEXT, text=exc) from exc

    def rotate_credential(self, context: Any, cluster: Any) -> None:
        """Begin to exchange the credential that nodes act with.

        Magnum waits for the answer, at most 60 seconds, and neither changes
        nor saves anything itself. The cluster is the caller's in the end.
        """
        try:
            rotations.begin_credential(cluster, context.user_id)
        except exceptions.K8sDriverError as exc:
            raise magnum_exception.NotSupported(_TEXT, text=exc) from exc

    def update_cluster(
        self,
        context: Any,
        cluster: Any,
        scale_manager: Any = None,
        rollback: bool = False,
    ) -> None:
        """Bring the default workers to the number Magnum has just saved.

        Magnum leaves the group's status as it is; the time of its change is
        when this update began.
        """
        session.check_update(cluster)
        group = cluster.default_ng_worker
        group.status = fields.ClusterStatus.UPDATE_IN_PROGRESS
        records.mark_updating(cluster, group)
        session.begin_update(context, cluster)

    def resize_cluster(
        self,
        context: Any,
        cluster: Any,
        resize_manager: Any,
        node_count: int,
        nodes_to_remove: list[str],
        nodegroup: Any = None,
    ) -> None:
        """Bring a group to the number Magnum has just saved.

        The nodes named go first, whatever the number: the autoscaler names
        those it has emptied, an operator those that are broken. The same
        number replaces what is lost and goes on after a failure.
        """
        group = nodegroup or cluster.default_ng_worker
        removal = record.Removal(
            group_uuid=group.uuid, nodes=tuple(nodes_to_remove or ())
        )
        session.check_update(cluster, removal)
        records.mark_updating(cluster)
        session.begin_update(context, cluster, removal)

    def upgrade_cluster(
        self,
        context: Any,
        cluster: Any,
        cluster_template: Any,
        max_batch_size: int,
        nodegroup: Any,
        scale_manager: Any = None,
        rollback: bool = False,
    ) -> None:
        """Check the upgrade and begin it.

        Magnum waits for the answer, at most 60 seconds. It passes
        ``rollback`` in the place of ``scale_manager``; neither means
        anything here. Only NotSupported leaves the cluster's status alone:
        after any other exception no upgrade is accepted any more.
        """
        session.begin_upgrade(
            context,
            cluster,
            cluster_template,
            batch_size=max_batch_size or 1,
            group_uuid=None if nodegroup.is_default else nodegroup.uuid,
        )

    def create_nodegroup(
        self, context: Any, cluster: Any, nodegroup: Any
    ) -> None:
        """Begin to make a node group; its row is saved already."""
        session.check_update(cluster)
        session.begin_update(context, cluster)

    def update_nodegroup(
        self, context: Any, cluster: Any, nodegroup: Any
    ) -> None:
        """Begin to change labels and taints of running nodes; note bounds.

        Magnum has set the new values on the object and not saved them.
        """
        records.mark_updating(cluster, nodegroup)
        session.begin_update(context, cluster)

    def delete_nodegroup(
        self, context: Any, cluster: Any, nodegroup: Any
    ) -> None:
        """Begin to delete a node group.

        Magnum has set its status on the object and not saved it; its row is
        destroyed by the status job when nothing of it is left.
        """
        records.mark_updating(cluster, nodegroup)
        session.begin_update(context, cluster)

    def create_federation(self, context: Any, federation: Any) -> None:
        """Refuse: Magnum itself has no federations."""
        raise _unsupported("Federation")

    def update_federation(self, context: Any, federation: Any) -> None:
        """Refuse: Magnum itself has no federations."""
        raise _unsupported("Federation")

    def delete_federation(self, context: Any, federation: Any) -> None:
        """Refuse: Magnum itself has no federations."""
        raise _unsupported("Federation")


def _unsupported(operation: str) -> magnum_exception.NotSupported:
    """Return the exception that leaves a cluster as it is.

    Only Magnum's own classes keep their type and HTTP code over RPC.
    """
    return magnum_exception.NotSupported(operation=operation)
