# SPDX-License-Identifier: Apache-2.0
"""The life of clusters of several sizes: how long it takes, what it costs.

With Magnum 22 in the lab, its in-tree Heat driver leads the same life beside
ours, in one run on one cloud.
"""

from collections.abc import Iterator, Sequence
import contextlib
import json
import pathlib
import uuid

from bench import clusters
from bench import cost
from bench import old_driver
from lab import magnum_22

OLD, NEW = "v1.35.8", "v1.36.4"
IMAGE = "ubuntu-24.04"
BATCH = 10
OURS, IN_TREE = "ours", "in-tree"
_SERVICES = ("heat-engine", "magnum-conductor", "neutron", "keystone")
_COLUMNS = (
    "driver",
    "workers",
    "operation",
    "wall s",
    *(f"{one} CPU s" for one in _SERVICES),
    "all CPU s",
    "Heat rows",
    "resources",
    "requests",
    "to Heat",
)


class Life:
    """One cluster after the other in one lab."""

    def __init__(self) -> None:
        self.meter = cost.Meter()
        self._clusters = clusters.Clusters(self.meter.settings)
        self.costs: list[cost.Cost] = []

    def run(self, sizes: Sequence[int], in_tree: Sequence[int]) -> None:
        """Lead a cluster of each size through its life; print as it goes.

        :param in_tree: sizes for the in-tree driver.
        """
        if in_tree and not magnum_22.wanted(self.meter.settings):
            raise SystemExit(
                "Only Magnum 22 has the in-tree driver: python3 -m lab up "
                f"--with {magnum_22.NAME}."
            )
        _print(_COLUMNS)
        with (
            self._clusters.template(IMAGE, {"kube_tag": OLD}) as old,
            self._clusters.template(IMAGE, {"kube_tag": NEW}) as new,
        ):
            for size in sorted({*sizes, *in_tree}):
                if size in in_tree:
                    self._lead_in_tree(size)
                if size in sizes:
                    self._lead(OURS, size, old, new)

    def _lead_in_tree(self, size: int) -> None:
        cloud = self._clusters.cloud
        with (
            old_driver.image(cloud) as image,
            old_driver.discovery() as url,
            old_driver.nodes(self.meter.settings, cloud),
            self._clusters.template(image, {}, keypair_id="lab") as template,
        ):
            self._lead(IN_TREE, size, template, discovery_url=url)

    def _lead(
        self,
        driver: str,
        size: int,
        template: str,
        upgraded: str = "",
        **fields: str,
    ) -> None:
        with self._measured(driver, size, "create"):
            name = f"bench-{size}-{uuid.uuid4().hex[:6]}"
            made = self._clusters.create(name, template, size, **fields)
            self._clusters.complete(made, "CREATE_COMPLETE")
        for operation, count in (
            ("grow by 1", size + 1),
            ("shrink by 1", size),
        ):
            with self._measured(driver, size, operation):
                self._clusters.act(made, "resize", node_count=count)
        if upgraded:
            with self._measured(driver, size, "upgrade in place"):
                self._clusters.act(
                    made,
                    "upgrade",
                    cluster_template=upgraded,
                    max_batch_size=BATCH,
                )
        with self._measured(driver, size, "delete"):
            self._clusters.delete(made)

    @contextlib.contextmanager
    def _measured(
        self, driver: str, size: int, operation: str
    ) -> Iterator[None]:
        with self.meter.measured(self.costs, driver, size, operation):
            yield
        _print(_row(self.costs[-1]))


def run(
    sizes: Sequence[int],
    in_tree: Sequence[int],
    output: pathlib.Path | None,
) -> int:
    """Measure clusters of these sizes and write everything as JSON."""
    life = Life()
    try:
        life.run(sizes, in_tree)
    finally:
        if output is not None:
            text = json.dumps(cost.document(life.costs), indent=1)
            output.write_text(f"{text}\n")
    tell_ratios(life.costs)
    return 0


def tell_ratios(costs: Sequence[cost.Cost]) -> None:
    """Print what the in-tree driver takes, as a multiple of ours."""
    found = {(one.driver, one.workers, one.operation): one for one in costs}
    for (driver, workers, operation), theirs in found.items():
        ours = found.get((OURS, workers, operation))
        if driver != IN_TREE or ours is None:
            continue
        cpu = [one.cpu.get("heat-engine", 0.0) for one in (theirs, ours)]
        print(
            f"{workers} workers, {operation}: in-tree / ours: "
            f"time {_ratio(theirs.wall, ours.wall)}, "
            f"heat-engine CPU {_ratio(*cpu)}, all CPU "
            f"{_ratio(sum(theirs.cpu.values()), sum(ours.cpu.values()))}, "
            f"Heat rows {_ratio(theirs.heat_rows, ours.heat_rows)}, "
            f"resources {_ratio(theirs.heat_resources, ours.heat_resources)}, "
            f"request bytes {_ratio(theirs.request_bytes, ours.request_bytes)}"
        )


def _ratio(theirs: float, ours: float) -> str:
    return f"{theirs / ours:.1f}" if ours > 0 else "-"


def _row(one: cost.Cost) -> tuple[object, ...]:
    to_heat = sum(
        count
        for name, count in one.requests.items()
        if name.startswith("heat ")
    )
    return (
        one.driver,
        one.workers,
        one.operation,
        one.wall,
        *(f"{one.cpu.get(name, 0.0):.1f}" for name in _SERVICES),
        f"{sum(one.cpu.values()):.1f}",
        one.heat_rows,
        one.heat_resources,
        sum(one.requests.values()),
        to_heat,
    )


def _print(cells: Sequence[object]) -> None:
    print("  ".join(f"{cell!s:>16}" for cell in cells), flush=True)
