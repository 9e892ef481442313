# SPDX-License-Identifier: Apache-2.0
"""The life of clusters of several sizes: how long it takes, what it costs."""

from collections.abc import Iterator, Sequence
import contextlib
import json
import pathlib
import uuid

from bench import clusters
from bench import cost

OLD, NEW = "v1.35.8", "v1.36.4"
IMAGE = "ubuntu-24.04"
BATCH = 10
_SERVICES = ("heat-engine", "magnum-conductor", "neutron", "keystone")
_COLUMNS = (
    "workers",
    "operation",
    "wall s",
    *(f"{one} CPU s" for one in _SERVICES),
    "all CPU s",
    "Heat rows",
    "requests",
    "to Heat",
)


class Life:
    """One cluster after the other in one lab."""

    def __init__(self) -> None:
        self.meter = cost.Meter()
        self._clusters = clusters.Clusters(self.meter.settings)
        self.costs: list[cost.Cost] = []

    def run(self, sizes: Sequence[int]) -> None:
        """Lead a cluster of each size through its life; print as it goes."""
        _print(_COLUMNS)
        with (
            self._clusters.template(IMAGE, {"kube_tag": OLD}) as old,
            self._clusters.template(IMAGE, {"kube_tag": NEW}) as new,
        ):
            for size in sizes:
                self._lead(size, old, new)

    def _lead(self, size: int, old: str, new: str) -> None:
        with self._measured(size, "create"):
            name = f"bench-{size}-{uuid.uuid4().hex[:6]}"
            made = self._clusters.create(name, old, size)
            self._clusters.complete(made, "CREATE_COMPLETE")
        for operation, count in (
            ("grow by 1", size + 1),
            ("shrink by 1", size),
        ):
            with self._measured(size, operation):
                self._clusters.act(made, "resize", node_count=count)
        with self._measured(size, "upgrade in place"):
            self._clusters.act(
                made,
                "upgrade",
                cluster_template=new,
                max_batch_size=BATCH,
            )
        with self._measured(size, "delete"):
            self._clusters.delete(made)

    @contextlib.contextmanager
    def _measured(self, size: int, operation: str) -> Iterator[None]:
        with self.meter.measured(self.costs, size, operation):
            yield
        _print(_row(self.costs[-1]))


def run(sizes: Sequence[int], output: pathlib.Path | None) -> int:
    """Measure clusters of these sizes and write everything as JSON."""
    life = Life()
    life.run(sizes)
    if output is not None:
        text = json.dumps(cost.document(life.costs), indent=1)
        output.write_text(f"{text}\n")
    return 0


def _row(one: cost.Cost) -> tuple[object, ...]:
    to_heat = sum(
        count
        for name, count in one.requests.items()
        if name.startswith("heat ")
    )
    return (
        one.workers,
        one.operation,
        one.wall,
        *(f"{one.cpu.get(name, 0.0):.1f}" for name in _SERVICES),
        f"{sum(one.cpu.values()):.1f}",
        one.heat_rows,
        sum(one.requests.values()),
        to_heat,
    )


def _print(cells: Sequence[object]) -> None:
    print("  ".join(f"{cell!s:>16}" for cell in cells), flush=True)
