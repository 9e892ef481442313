# SPDX-License-Identifier: Apache-2.0
"""Magnum's database in memory, behind Magnum's own objects.

Only what conductor, status job and driver call. Magnum's real database layer
on SQLite does the same eight times slower.
"""

from collections.abc import Callable, Mapping
import datetime
from typing import Any
import uuid

from magnum.common import exception
from magnum.db.sqlalchemy import models

from tests.fakes import calls as calls_module

_Table = dict[str, dict[str, Any]]


@calls_module.counted("database")
class FakeDatabase:
    """Tables of clusters, node groups and templates.

    Every read returns a copy, whose values nobody changes. An update changes
    the named columns only, as Magnum's does. A conductor may be killed at any
    of them.
    """

    def __init__(
        self, calls: calls_module.Calls, clock: Callable[[], float]
    ) -> None:
        self.calls = calls
        self._clock = clock
        self.clusters: _Table = {}
        self.nodegroups: _Table = {}
        self.templates: _Table = {}

    def create_cluster(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Insert a row."""
        return self._insert(models.Cluster, self.clusters, values)

    def get_cluster_by_uuid(
        self, _context: Any, cluster_uuid: str
    ) -> dict[str, Any]:
        """Return a row."""
        self._cluster(cluster_uuid)
        return dict(self.clusters[cluster_uuid])

    def get_cluster_list(
        self,
        _context: Any,
        filters: Mapping[str, Any] | None = None,
        **_paging: Any,
    ) -> list[dict[str, Any]]:
        """Return the rows that fit."""
        return _fitting(self.clusters, filters or {})

    def update_cluster(
        self, cluster_id: str, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Change columns of a row."""
        self._cluster(cluster_id)
        return self._update(self.clusters[cluster_id], values)

    def destroy_cluster(self, cluster_id: str) -> None:
        """Remove a row."""
        self._cluster(cluster_id)
        del self.clusters[cluster_id]

    def create_nodegroup(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Insert a row."""
        for one in self.nodegroups.values():
            if (one["cluster_id"], one["name"]) == (
                values["cluster_id"],
                values["name"],
            ):
                raise exception.NodeGroupAlreadyExists(
                    name=values["name"], cluster_id=values["cluster_id"]
                )
        return self._insert(models.NodeGroup, self.nodegroups, values)

    def list_cluster_nodegroups(
        self,
        _context: Any,
        cluster_id: str,
        filters: Mapping[str, Any] | None = None,
        **_paging: Any,
    ) -> list[dict[str, Any]]:
        """Return the rows of a cluster."""
        return _fitting(
            self.nodegroups, {**(filters or {}), "cluster_id": cluster_id}
        )

    def update_nodegroup(
        self, _cluster_id: str, nodegroup_id: str, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Change columns of a row."""
        self._nodegroup(nodegroup_id)
        return self._update(self.nodegroups[nodegroup_id], values)

    def destroy_nodegroup(self, _cluster_id: str, nodegroup_id: str) -> None:
        """Remove a row."""
        self._nodegroup(nodegroup_id)
        del self.nodegroups[nodegroup_id]

    def create_cluster_template(
        self, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Insert a row."""
        return self._insert(models.ClusterTemplate, self.templates, values)

    def get_cluster_template_by_uuid(
        self, _context: Any, template_uuid: str
    ) -> dict[str, Any]:
        """Return a row."""
        if template_uuid not in self.templates:
            raise exception.ClusterTemplateNotFound(
                clustertemplate=template_uuid
            )
        return dict(self.templates[template_uuid])

    def _insert(
        self, model: Any, table: _Table, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        row = {
            column.name: _default(column) for column in model.__table__.columns
        }
        row.update(values)
        row["id"] = len(table) + 1
        row["uuid"] = row["uuid"] or str(uuid.uuid4())
        row["created_at"], row["updated_at"] = self._now(), None
        table[row["uuid"]] = row
        return dict(row)

    def _update(
        self, row: dict[str, Any], values: Mapping[str, Any]
    ) -> dict[str, Any]:
        row.update(values)
        row["updated_at"] = self._now()
        return dict(row)

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)

    def _cluster(self, cluster_uuid: str) -> None:
        if cluster_uuid not in self.clusters:
            raise exception.ClusterNotFound(cluster=cluster_uuid)

    def _nodegroup(self, nodegroup_uuid: str) -> None:
        if nodegroup_uuid not in self.nodegroups:
            raise exception.NodeGroupNotFound(nodegroup=nodegroup_uuid)


def _default(column: Any) -> Any:
    """Return what Magnum reads back from a column that was never written."""
    if column.default is not None:
        return column.default.arg
    empty = getattr(column.type, "type", None)
    return empty() if empty in (dict, list) else None


def _fitting(
    table: _Table, filters: Mapping[str, Any]
) -> list[dict[str, Any]]:
    return [
        dict(row)
        for row in table.values()
        if all(
            row[name] in wanted
            if isinstance(wanted, (list, tuple))
            else row[name] == wanted
            for name, wanted in filters.items()
        )
    ]
