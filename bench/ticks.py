# SPDX-License-Identifier: Apache-2.0
"""What a call of Magnum's periodic jobs costs with many clusters.

One cluster is made for real and then left waiting: one of its workers never
reports. Rows beside its own, in Magnum's database, stand for further clusters
with the same stacks, servers and boards. So every request of a tick is a real
one to a real service; only what it is about is shared. Magnum's own jobs run
here, in a process of their own, while the conductor is stopped.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import collections
import contextlib
import dataclasses
import gc
import json
import logging
import os
import pathlib
import threading
import time
from typing import Any
import uuid

from bench import clusters
from bench import cost
from bench import magnum_rows
from lab import control
from lab import services

_CONDUCTOR = "magnum-conductor"
_IMAGE = "ubuntu-24.04"
_MEASURED = 2
"""Ticks of each kind."""
_ASKED = ("heat", "heat-engine", "keystone", "nova")
_SILENT = 60.0
"""Seconds after which nothing but the silent worker is under way."""


@dataclasses.dataclass(frozen=True)
class Tick:
    """The mean of a few calls of a job."""

    job: str
    in_progress: int
    complete: int
    cpu: float
    """Seconds of the process that runs the job."""
    wall: float
    requests: Mapping[str, float]
    """By service and method."""
    services: Mapping[str, float]
    """CPU seconds of the services asked."""


class Jobs:
    """Magnum's periodic jobs with the lab's configuration."""

    def __init__(self, meter: cost.Meter) -> None:
        # Only an environment with Magnum has them.
        from magnum.common import context
        from magnum.common import service
        from magnum import objects
        from magnum.service import periodic

        file = meter.settings.config / "magnum/magnum.conf"
        service.prepare_service(["ticks", "--config-file", str(file)])
        # The lab's services write down everything, those of a cloud do not.
        logging.getLogger().setLevel(logging.INFO)
        self._meter = meter
        self._objects, self._periodic = objects, periodic
        self._context = context.make_admin_context(all_tenants=True)

    def status(self) -> None:
        """Do what the task of every ten seconds does, to its end."""
        self._run(
            ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"),
            lambda one: (
                self._periodic.ClusterUpdateJob(
                    self._context, one
                ).update_status
            ),
        )

    def health(self) -> None:
        """Do what the task of every health_polling_interval does."""
        self._run(
            ("CREATE_COMPLETE", "UPDATE_COMPLETE"),
            lambda one: (
                self._periodic.ClusterHealthUpdateJob(
                    self._context, one
                ).update_health_status
            ),
        )

    def measured(
        self, name: str, in_progress: int, complete: int, ticks: int
    ) -> Tick:
        """Return what a few calls of one of them cost on average."""
        call = {"status": self.status, "health": self.health}[name]
        spent: list[cost.Cost] = []
        with self._meter.measured(spent, "ours", in_progress, name):
            cpu = time.process_time()
            for _tick in range(ticks):
                call()
            cpu = time.process_time() - cpu
        return Tick(
            job=name,
            in_progress=in_progress,
            complete=complete,
            cpu=round(cpu / ticks, 3),
            wall=round(spent[0].wall / ticks, 2),
            requests={
                one: round(count / ticks, 1)
                for one, count in spent[0].requests.items()
            },
            services={
                one: round(spent[0].cpu.get(one, 0.0) / ticks, 2)
                for one in _ASKED
            },
        )

    def _run(self, wanted: Iterable[str], job: Any) -> None:
        from oslo_service import loopingcall

        def work(cluster: Any) -> None:
            with contextlib.suppress(loopingcall.LoopingCallDone):
                job(cluster)()

        threads = [
            threading.Thread(target=work, args=(one,))
            for one in self._objects.Cluster.list(
                self._context, filters={"status": [*wanted]}
            )
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()


def run(
    sizes: Sequence[int],
    complete: int,
    looks: int,
    output: pathlib.Path | None,
) -> int:
    """Measure ticks with so many clusters in progress.

    :param complete: clusters beside them of which nothing is wanted.
    :param looks: how many to do to see whether memory grows.
    """
    meter = cost.Meter()
    made = clusters.Clusters(meter.settings)
    with (
        made.template(_IMAGE, {}) as template,
        _waiting(meter, made, template) as original,
        _stopped(meter),
    ):
        found = _measure(meter, original, sizes, complete, looks)
    if output is not None:
        output.write_text(f"{json.dumps(found, indent=1)}\n")
    return 0


def _measure(
    meter: cost.Meter,
    original: str,
    sizes: Sequence[int],
    complete: int,
    looks: int,
) -> dict[str, Any]:
    jobs = Jobs(meter)
    copies = magnum_rows.Copies(meter.settings, original)
    found: list[Tick] = []

    def tell(job: str, in_progress: int, done: int) -> None:
        found.append(jobs.measured(job, in_progress, done, _MEASURED))
        print(_sentence(found[-1]), flush=True)

    with contextlib.ExitStack() as stack:
        stack.callback(copies.discard)
        # Fills caches.
        jobs.status()
        tell("status", 1, 0)
        copies.make(complete, "UPDATE_COMPLETE")
        tell("status", 1, complete)
        copies.discard()
        copies.make(20, "UPDATE_COMPLETE")
        tell("health", 1, 20)
        copies.discard()
        for size in sizes:
            copies.make(size - 1, "UPDATE_IN_PROGRESS")
            tell("status", size, 0)
            if size != sizes[-1]:
                copies.discard()
        memory = _memory(jobs, sizes[-1], looks)
    return {
        "ticks": [dataclasses.asdict(one) for one in found],
        "memory": memory,
    }


def _memory(jobs: Jobs, size: int, looks: int) -> list[tuple[int, float]]:
    """Return megabytes of this process after so many looks."""
    found = []
    done = 0
    while True:
        gc.collect()
        found.append((done, _resident()))
        print(f"{done} looks: {found[-1][1]:.1f} MB", flush=True)
        if done >= looks:
            return found
        for _tick in range(max(looks // size // 6, 1)):
            jobs.status()
            done += size


def _resident() -> float:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGESIZE") / 2**20, 1)


def _sentence(one: Tick) -> str:
    by_service: collections.Counter[str] = collections.Counter()
    for name, count in one.requests.items():
        by_service[name.split()[0]] += count  # type: ignore[assignment]
    asked = ", ".join(f"{k} {v:.0f}" for k, v in by_service.items())
    spent = ", ".join(f"{k} {v:.2f}" for k, v in one.services.items())
    return (
        f"{one.job} job, {one.in_progress} in progress, {one.complete} "
        f"complete: {one.cpu:.2f} s of CPU, {one.wall:.1f} s; requests: "
        f"{asked or 'none'}; CPU s of services: {spent}"
    )


@contextlib.contextmanager
def _waiting(
    meter: cost.Meter, made: clusters.Clusters, template: str
) -> Iterator[str]:
    """Make a cluster that waits for a worker; delete it afterwards."""
    name = f"bench-ticks-{uuid.uuid4().hex[:6]}"
    behaviour = meter.settings.state / "hollow/behaviour.json"
    cluster = made.create(name, template, 1)
    try:
        made.complete(cluster, "CREATE_COMPLETE")
        rule = {"match": f"^{name}-.*worker-1$", "never_report": True}
        behaviour.write_text(json.dumps({"rules": [rule]}))
        made.begin(cluster, "resize", node_count=2)
        time.sleep(_SILENT)
        yield cluster
    finally:
        behaviour.unlink(missing_ok=True)
        made.delete(cluster)


@contextlib.contextmanager
def _stopped(meter: cost.Meter) -> Iterator[None]:
    """Stop the conductor meanwhile."""
    control.manage(meter.settings).stop(_CONDUCTOR, services.GRACE)
    try:
        yield
    finally:
        control.restart(meter.settings, [_CONDUCTOR])
