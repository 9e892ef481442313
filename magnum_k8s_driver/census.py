# SPDX-License-Identifier: Apache-2.0
"""How many clusters and nodes there are, from Magnum's database."""

import collections
from typing import Any

from magnum.common import context as magnum_context
from magnum.common import exception as magnum_exception
from magnum.drivers.common import driver as magnum_driver
from magnum import objects

from magnum_k8s_driver import driver
from magnum_k8s_driver.converge import health
from magnum_k8s_driver.ports import metrics

Counts = dict[str, collections.Counter[tuple[str, ...]]]


def take() -> Counts:
    """Return the values of every gauge, by its name and those of its labels.

    Clusters of other drivers do not count.
    """
    context = magnum_context.make_admin_context(all_tenants=True)
    found: Counts = {
        one.name: collections.Counter()
        for one in metrics.METRICS
        if one.kind is metrics.Kind.GAUGE
    }
    ours: dict[str, bool] = {}
    for cluster in objects.Cluster.list(context):
        template = cluster.cluster_template_id
        if template not in ours:
            ours[template] = _is_ours(context, cluster)
        if ours[template]:
            groups = objects.NodeGroup.list(context, cluster.uuid)
            _count(found, cluster, groups)
    return found


def _is_ours(context: Any, cluster: Any) -> bool:
    try:
        found = magnum_driver.Driver.get_driver_for_cluster(context, cluster)
    except (
        magnum_exception.ClusterTypeNotSupported,
        magnum_exception.ClusterDriverNotSupported,
    ):
        # Of a driver that is not installed any more.
        return False
    return isinstance(found, driver.Driver)


def _count(found: Counts, cluster: Any, groups: list[Any]) -> None:
    unknown = health.Status.UNKNOWN.value
    status = cluster.health_status or unknown
    found[metrics.CLUSTERS.name][cluster.status or "", status] += 1
    wanted = 0
    for group in groups:
        number = group.node_count or 0
        labels = (group.role or "", group.status or "")
        found[metrics.WANTED.name][labels] += number
        wanted += number
    states = collections.Counter(
        "ready" if ready else "not-ready"
        for ready in health.read_ready(cluster.health_status_reason)
    )
    if status == unknown:
        states.clear()
    states["unknown"] = max(wanted - states.total(), 0)
    for state, number in states.items():
        found[metrics.NODES.name][state,] += number
