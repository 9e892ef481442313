# SPDX-License-Identifier: Apache-2.0
"""How long clusters take, and what they cost Heat and the conductor."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import os
import time
from typing import Any

import openstack

from lab import control
from lab import process
from lab import settings as lab_settings

TIMEOUT = 1800.0
"""Seconds one operation may take."""
_TEMPLATE = "bench"
_SERVICES = ("heat-engine", "magnum-conductor", "neutron", "keystone")
_HEADER = (
    "workers",
    "operation",
    "wall s",
    *(f"{s} CPU s" for s in _SERVICES),
)


def run(sizes: Sequence[int]) -> int:
    """Create and delete a cluster of each size; print a row for each."""
    settings = lab_settings.read()
    processes = control.manage(settings)
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(settings.root / "clouds.yaml")
    cloud = openstack.connect(cloud="demo")
    magnum = cloud.container_infrastructure_management
    _print(_HEADER)
    with _template(magnum) as template:
        for size in sizes:
            _measure(magnum, processes, template, size)
    return 0


def _measure(
    magnum: Any, processes: process.Processes, template: str, size: int
) -> None:
    with _row(processes, size, "create"):
        cluster = magnum.create_cluster(
            name=f"bench-{size}",
            cluster_template_id=template,
            master_count=1,
            node_count=size,
            create_timeout=60,
        )
        wait(lambda: _ended(magnum, cluster.id))
    with _row(processes, size, "delete"):
        magnum.delete_cluster(cluster.id)
        wait(lambda: magnum.find_cluster(cluster.id) is None)


@contextlib.contextmanager
def _template(magnum: Any) -> Iterator[str]:
    made = magnum.create_cluster_template(
        name=_TEMPLATE,
        coe="kubernetes",
        image_id="ubuntu-24.04-kube-v1.36.4",
        external_network_id="public",
        flavor_id="m1.small",
        master_flavor_id="m1.medium",
        network_driver="calico",
        is_floating_ip_enabled=False,
    )
    try:
        yield made.uuid
    finally:
        magnum.delete_cluster_template(made.uuid)


@contextlib.contextmanager
def _row(
    processes: process.Processes, size: int, operation: str
) -> Iterator[None]:
    before = {name: _cpu(processes, name) for name in _SERVICES}
    began = time.monotonic()
    yield
    wall = time.monotonic() - began
    used = [_cpu(processes, name) - before[name] for name in _SERVICES]
    _print((size, operation, f"{wall:.1f}", *(f"{one:.1f}" for one in used)))


def _cpu(processes: process.Processes, name: str) -> float:
    """Return the CPU seconds a service has used, its children included."""
    ticks = 0
    for pid in processes.members(name):
        fields = process.stat_fields(pid)
        # proc(5): utime and stime are fields 14 and 15, comm is cut off.
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _ended(magnum: Any, cluster_id: str) -> bool:
    cluster = magnum.get_cluster(cluster_id)
    if cluster.status.endswith("FAILED"):
        raise SystemExit(f"{cluster.status}: {cluster.status_reason}")
    return bool(cluster.status == "CREATE_COMPLETE")


def wait(done: Callable[[], bool]) -> None:
    """Look every second; give up after ``TIMEOUT``."""
    deadline = time.monotonic() + TIMEOUT
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"not done after {TIMEOUT:.0f} s")
        time.sleep(1)


def _print(cells: Sequence[object]) -> None:
    print("  ".join(f"{cell!s:>16}" for cell in cells), flush=True)
