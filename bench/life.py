# SPDX-License-Identifier: Apache-2.0
"""The life of clusters of several sizes: how long it takes, what it costs."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import json
import os
import pathlib
import time
from typing import Any
import uuid

import openstack
from openstack import exceptions as sdk_exceptions

from bench import cost

TIMEOUT = 3600.0
"""Seconds one operation may take."""
OLD, NEW = "v1.35.8", "v1.36.4"
IMAGE = "ubuntu-24.04"
MICROVERSION = "container-infra 1.10"
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
        file = self.meter.settings.root / "clouds.yaml"
        os.environ["OS_CLIENT_CONFIG_FILE"] = str(file)
        self._cloud = openstack.connect(cloud="demo")
        self._magnum = self._cloud.container_infrastructure_management
        self.costs: list[cost.Cost] = []

    def run(self, sizes: Sequence[int]) -> None:
        """Lead a cluster of each size through its life; print as it goes."""
        _print(_COLUMNS)
        with self._template(OLD) as old, self._template(NEW) as new:
            for size in sizes:
                self._lead(size, old, new)

    def _lead(self, size: int, old: str, new: str) -> None:
        with self._measured(size, "create"):
            made = self._magnum.create_cluster(
                name=f"bench-{size}-{uuid.uuid4().hex[:6]}",
                cluster_template_id=old,
                master_count=1,
                node_count=size,
                create_timeout=60,
            )
            self._await(made.id, "CREATE_COMPLETE")
        for operation, count in (
            ("grow by 1", size + 1),
            ("shrink by 1", size),
        ):
            with self._measured(size, operation):
                self._act(made.id, "resize", node_count=count)
        with self._measured(size, "upgrade in place"):
            self._act(
                made.id,
                "upgrade",
                cluster_template=new,
                max_batch_size=BATCH,
            )
        with self._measured(size, "delete"):
            self._magnum.delete_cluster(made.id)
            wait(lambda: self._magnum.find_cluster(made.id) is None)

    @contextlib.contextmanager
    def _measured(self, size: int, operation: str) -> Iterator[None]:
        with self.meter.measured(self.costs, size, operation):
            yield
        _print(_row(self.costs[-1]))

    @contextlib.contextmanager
    def _template(self, version: str) -> Iterator[str]:
        made = self._magnum.create_cluster_template(
            name=f"bench-{uuid.uuid4().hex[:8]}",
            coe="kubernetes",
            image_id=IMAGE,
            external_network_id="public",
            flavor_id="m1.small",
            master_flavor_id="m1.medium",
            network_driver="calico",
            is_floating_ip_enabled=False,
            labels={"kube_tag": version},
        )
        try:
            yield made.uuid
        finally:
            self._magnum.delete_cluster_template(made.uuid)

    def _act(self, cluster_id: str, action: str, **body: Any) -> None:
        answer = self._magnum.post(
            f"/clusters/{cluster_id}/actions/{action}",
            json=body,
            headers={"OpenStack-API-Version": MICROVERSION},
        )
        if not answer.ok:
            raise SystemExit(answer.text)
        # Magnum's conductor sets the status only when it is at it.
        wait(lambda: self._status(cluster_id) == "UPDATE_IN_PROGRESS", 0.2)
        self._await(cluster_id, "UPDATE_COMPLETE")

    def _await(self, cluster_id: str, wanted: str) -> None:
        wait(lambda: self._status(cluster_id) == wanted)

    def _status(self, cluster_id: str) -> str:
        try:
            cluster = self._magnum.get_cluster(cluster_id)
        except sdk_exceptions.BadRequestException:
            # Magnum has not saved its node groups yet.
            return ""
        if cluster.status.endswith("FAILED"):
            raise SystemExit(f"{cluster.status}: {cluster.status_reason}")
        return str(cluster.status)


def run(sizes: Sequence[int], output: pathlib.Path | None) -> int:
    """Measure clusters of these sizes and write everything as JSON."""
    life = Life()
    life.run(sizes)
    if output is not None:
        text = json.dumps(cost.document(life.costs), indent=1)
        output.write_text(f"{text}\n")
    return 0


def wait(done: Callable[[], bool], pause: float = 1.0) -> None:
    """Look every second; give up after ``TIMEOUT``."""
    deadline = time.monotonic() + TIMEOUT
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"not done after {TIMEOUT:.0f} s")
        time.sleep(pause)


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
