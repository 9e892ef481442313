# SPDX-License-Identifier: Apache-2.0
"""Files that tests look into and that outlive nova-compute. No secrets."""

from collections.abc import Mapping
import json
import logging
import os
import pathlib
import time
from typing import Any

LOG = logging.getLogger(__name__)

KEEP_SECONDS = 3 * 86400.0


class Store:
    """One JSON file per cluster below ``state/hollow/clusters``."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def write(self, uuid: str, content: Mapping[str, Any]) -> None:
        path = self._path(uuid)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(content, indent=1))
        os.replace(new, path)

    def read(self, uuid: str) -> dict[str, Any]:
        """Return what was written, empty when there is nothing."""
        try:
            found = json.loads(self._path(uuid).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def prune(self) -> None:
        """Remove files of clusters nobody has touched for days."""
        for path in self._directory.glob("*.json"):
            if time.time() - path.stat().st_mtime > KEEP_SECONDS:
                path.unlink(missing_ok=True)

    def _path(self, uuid: str) -> pathlib.Path:
        return self._directory / f"{pathlib.PurePath(uuid).name}.json"
