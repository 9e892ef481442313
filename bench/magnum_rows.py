# SPDX-License-Identifier: Apache-2.0
"""Rows of Magnum's that stand for clusters like one that exists."""

import uuid

from lab import database
from lab import settings as lab_settings

_SHARED = 13
"""Characters of a UUID that names of stacks and servers are made from."""
_AT_ONCE = 50


class Copies:
    """Copies of a cluster's rows; what they refer to they share.

    :param original: UUID of the cluster.
    """

    def __init__(self, settings: lab_settings.Settings, original: str) -> None:
        self._settings = settings
        self._original = original
        self._made: list[str] = []
        self._groups = self._query(
            "SELECT uuid FROM magnum.nodegroup WHERE cluster_id = "
            f"'{original}'"
        ).split()
        self._columns = {
            table: self._query(
                "SELECT column_name FROM information_schema.columns WHERE "
                f"table_schema = 'magnum' AND table_name = '{table}' AND "
                "column_name <> 'id'"
            ).split()
            for table in ("cluster", "nodegroup")
        }

    def make(self, count: int, status: str) -> None:
        """Add clusters and their node groups in a status."""
        statements = []
        for _copy in range(count):
            new = self._original[:_SHARED] + str(uuid.uuid4())[_SHARED:]
            self._made.append(new)
            statements.append(
                self._copied("cluster", self._original, new, status)
            )
            statements += [
                self._copied("nodegroup", one, str(uuid.uuid4()), status, new)
                for one in self._groups
            ]
        for begin in range(0, len(statements), _AT_ONCE):
            self._query(";".join(statements[begin : begin + _AT_ONCE]))

    def discard(self) -> None:
        """Delete them."""
        if not self._made:
            return
        named = ",".join(f"'{one}'" for one in self._made)
        self._query(
            f"DELETE FROM magnum.nodegroup WHERE cluster_id IN ({named});"
            f"DELETE FROM magnum.cluster WHERE uuid IN ({named})"
        )
        self._made = []

    def _copied(
        self, table: str, old: str, new: str, status: str, cluster: str = ""
    ) -> str:
        """Return the statement that copies a row."""
        changed = {"uuid": new, "status": status}
        if cluster:
            changed["cluster_id"] = cluster
        columns = self._columns[table]
        values = ",".join(
            f"'{changed[one]}'" if one in changed else f"`{one}`"
            for one in columns
        )
        names = ",".join(f"`{one}`" for one in columns)
        return (
            f"INSERT INTO magnum.{table} ({names}) SELECT {values} FROM "
            f"magnum.{table} WHERE uuid = '{old}'"
        )

    def _query(self, statement: str) -> str:
        return database.query(self._settings, statement)
