# SPDX-License-Identifier: Apache-2.0
"""Connections to projects that nobody uses at the moment.

To open one takes a token of Keystone's, the versions of the services and a
good deal of CPU; the status job and health polls do so every few seconds for
each cluster.
"""

from collections.abc import Hashable
import threading
import time
from typing import Any

_LIFE = 300.0
"""Seconds; a token does not learn of roles that are given after it."""
_MOST = 128
"""Magnum calls for all clusters in progress at the same moment."""


class Spares:
    """Connections by project. Each is used by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Hashable, list[tuple[float, Any]]] = {}

    def take(self, key: Hashable) -> tuple[float, Any] | None:
        """Return a connection and when it was opened, None without one."""
        with self._lock:
            self._forget_old()
            found = self._kept.get(key)
            return found.pop() if found else None

    def keep(self, key: Hashable, opened: float, connection: Any) -> None:
        """Keep a connection that works; its sockets are to be closed."""
        with self._lock:
            self._forget_old()
            if sum(map(len, self._kept.values())) < _MOST:
                self._kept.setdefault(key, []).append((opened, connection))

    def forget(self, key: Hashable) -> None:
        """Drop what is kept of a project whose roles have changed."""
        with self._lock:
            self._kept.pop(key, None)

    def _forget_old(self) -> None:
        oldest = time.monotonic() - _LIFE
        self._kept = {
            key: fresh
            for key, found in self._kept.items()
            if (fresh := [one for one in found if one[0] > oldest])
        }
