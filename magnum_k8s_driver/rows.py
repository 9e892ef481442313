# SPDX-License-Identifier: Apache-2.0
"""Magnum's rows of one cluster, always as they are in the database.

They are read with an all-tenants admin context: the caller's own may not see
the template, or may belong to another project.
"""

from collections.abc import Mapping
import time
from typing import Any

from magnum.common import context as magnum_context
from magnum import objects
from oslo_log import log as logging

from magnum_k8s_driver import intake
from magnum_k8s_driver import records
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import metrics

LOG = logging.getLogger(__name__)


class Rows:
    """Magnum's rows of one cluster, always as they are in the database."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self._context = magnum_context.make_admin_context(all_tenants=True)

    def fresh(self) -> Any:
        """Return another object of the cluster's row, as it is now.

        :raises magnum.common.exception.ClusterNotFound: the row is gone.
        """
        return objects.Cluster.get_by_uuid(self._context, self.cluster.uuid)

    def groups(self) -> list[Any]:
        """Return the node group rows."""
        return list(objects.NodeGroup.list(self._context, self.cluster.uuid))

    def read(self) -> record_module.ClusterRecord:
        """Return the rows as values.

        :raises magnum.common.exception.ClusterNotFound: the row is gone.
        """
        return records.read(self.fresh(), self.groups())

    def is_under_way(self) -> bool:
        """Tell whether anything is to be done to the cluster."""
        return self.read().intent is not record_module.Intent.NOTHING

    def inputs(self) -> fields.ClusterInputs:
        """Return what the user asked for."""
        template = objects.ClusterTemplate.get_by_uuid(
            self._context, self.cluster.cluster_template_id
        )
        return intake.inputs(self.cluster, template, self.groups())

    def apply(self, written: record_module.ClusterReport) -> None:
        """Write a report, unless the intent changed while it was made."""
        if self.read().intent is written.intent:
            records.apply(self.cluster, self.groups(), written)
            if written.operation in ("", record_module.Intent.NOTHING):
                return
            going_on = written.outcome is record_module.Outcome.IN_PROGRESS
            metrics.operation(
                self.cluster.uuid,
                written.operation,
                started=written.started,
                now=written.seen,
                result="" if going_on else written.outcome.value.lower(),
            )

    def refuse(self, reason: str) -> bool:
        """Mark a cluster of which nothing was made as failed.

        :returns: whether that was to be done. The status job may have been
            faster, and its user deletes it already: the hook must not raise
            then, or Magnum calls it failed again and the delete is lost.
        """
        record = self.read()
        if record.intent is not record_module.Intent.CREATE:
            LOG.warning("Cluster %s: %s", record.uuid, reason)
            return False
        failed = record_module.Outcome.FAILED
        groups = {
            group.uuid: record_module.GroupReport(
                intent=record.intent,
                outcome=failed,
                reason=reason,
                stack_id=None,
                version="",
                node_addresses=(),
            )
            for group in record.groups
        }
        self.apply(
            record_module.ClusterReport(
                intent=record.intent,
                outcome=failed,
                reason=reason,
                groups=groups,
            )
        )
        metrics.operation(
            record.uuid,
            record.intent.value,
            started=record.created,
            now=time.time(),
            result="refused",
        )
        return True

    def complain(self, sentence: str) -> None:
        """Tell why nothing could be done this time."""
        records.complain(self.cluster, f"{sentence} Trying again.")

    def commit_upgrade(self, target: state_module.UpgradeTarget) -> None:
        """Make the target of an upgrade what the cluster is."""
        template = objects.ClusterTemplate.get_by_uuid(
            self._context, target.template_id
        )
        records.commit_upgrade(self.cluster, self.groups(), template, target)

    def save_owner(self, user_id: str) -> None:
        """Save whose the cluster is."""
        records.save_owner(self.cluster, user_id)

    def save_references(self, references: Mapping[str, str]) -> None:
        """Save which CAs the cluster has."""
        records.save_references(self.cluster, references)

    def leave_project(self) -> bool:
        """Record that a deleted cluster needs its project no more.

        :returns: whether it was the last one that did. Magnum removes the
            row of a deleted cluster later; two that are deleted together
            must not wait for each other.
        """
        records.forget_stack_id(self.cluster)
        return self.is_last_in_project()

    def is_last_in_project(self) -> bool:
        """Tell whether no other cluster needs this one's project."""
        project = {"project_id": self.cluster.project_id}
        listed = objects.Cluster.list(self._context, filters=project)
        return not any(
            records.needs_project(one)
            for one in listed
            if one.uuid != self.cluster.uuid
        )

    def save_stack_id(self, stack_id: str) -> None:
        """Save the cluster stack's id at once."""
        records.save_stack_id(self.cluster, stack_id)
