# SPDX-License-Identifier: Apache-2.0
"""What an operation costs the services of a lab.

CPU seconds are read from /proc, requests from the line that each WSGI service
of the lab writes about each, rows from Heat's database. None of them depends
on how busy the machine is otherwise; wall time does.
"""

import collections
from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import os
import time
from typing import Any

from lab import control
from lab import database
from lab import process
from lab import settings as lab_settings

_ROWS = (
    "SELECT CONCAT('SELECT ''', table_name, ''', COUNT(*) FROM heat.', "
    "table_name) FROM information_schema.tables WHERE table_schema = 'heat'"
)
_STACKS = "SELECT COUNT(*) FROM heat.stack WHERE deleted_at IS NULL"
_RESOURCES = (
    "SELECT COUNT(*) FROM heat.resource r JOIN heat.stack s "
    "ON s.id = r.stack_id WHERE s.deleted_at IS NULL"
)


@dataclasses.dataclass(frozen=True)
class Cost:
    """One operation on one cluster."""

    driver: str
    workers: int
    operation: str
    wall: float
    """Seconds from the command to COMPLETE."""
    cpu: Mapping[str, float]
    """Seconds by service of the lab."""
    requests: Mapping[str, int]
    """By service and method, such as ``heat PATCH``."""
    request_bytes: int
    """Bodies of all requests."""
    heat_rows: int
    """Rows in Heat's database afterwards, less those before."""
    heat_resources: int
    """Resources of all stacks afterwards, less those before."""
    heat_stacks: int
    """Stacks, nested ones included, afterwards, less those before."""


class Meter:
    """Reads what the services of a lab have used so far."""

    def __init__(self) -> None:
        self.settings = lab_settings.read()
        self._processes = control.manage(self.settings)
        self._log = self.settings.log / "requests"

    @contextlib.contextmanager
    def measured(
        self, found: list[Cost], driver: str, workers: int, operation: str
    ) -> Iterator[None]:
        """Add the cost of what happens meanwhile to a list."""
        rows, cpu = self._heat_rows(), self._cpu()
        resources, stacks = self._count(_RESOURCES), self._count(_STACKS)
        position = self._log.stat().st_size if self._log.exists() else 0
        began = time.monotonic()
        yield
        wall = time.monotonic() - began
        after = self._cpu()
        requests, size = self._requests(position)
        found.append(
            Cost(
                driver=driver,
                workers=workers,
                operation=operation,
                wall=round(wall, 1),
                cpu={
                    name: round(after[name] - cpu.get(name, 0.0), 2)
                    for name in sorted(after)
                },
                requests=requests,
                request_bytes=size,
                heat_rows=self._heat_rows() - rows,
                heat_resources=self._count(_RESOURCES) - resources,
                heat_stacks=self._count(_STACKS) - stacks,
            )
        )

    def _cpu(self) -> dict[str, float]:
        names = [one.stem for one in self.settings.run.glob("*.json")]
        return {name: self._cpu_of(name) for name in names}

    def _cpu_of(self, name: str) -> float:
        """Return the CPU seconds a service has used, its children included."""
        ticks = 0
        for pid in self._processes.members(name):
            fields = process.stat_fields(pid)
            if fields:
                # proc(5): utime and stime are fields 14 and 15, pid and comm
                # are cut off.
                ticks += int(fields[11]) + int(fields[12])
        return float(ticks / os.sysconf("SC_CLK_TCK"))

    def _requests(self, position: int) -> tuple[dict[str, int], int]:
        counted: collections.Counter[str] = collections.Counter()
        size = 0
        with self._log.open() as file:
            file.seek(position)
            for line in file:
                _at, service, method, _path, length, _status = line.split()
                counted[f"{service} {method}"] += 1
                size += int(length)
        return dict(sorted(counted.items())), size

    def _count(self, statement: str) -> int:
        return int(database.query(self.settings, statement))

    def _heat_rows(self) -> int:
        statements = database.query(self.settings, _ROWS).splitlines()
        text = database.query(self.settings, ";".join(statements))
        return sum(int(line.split()[-1]) for line in text.splitlines())


def document(costs: list[Cost]) -> list[dict[str, Any]]:
    """Return costs as JSON can hold them."""
    return [dataclasses.asdict(one) for one in costs]
