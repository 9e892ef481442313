# SPDX-License-Identifier: Apache-2.0
"""The control plane's last orders, and what is still open of them. Pure."""

import dataclasses

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.model import orders
from magnum_k8s_driver.model import record


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """How the Nodes of a group must change."""

    labels: dict[str, str | None]
    taints: tuple[str, ...]


def changes(
    observed: observed_module.Observed, group: record.GroupRecord
) -> Changes | None:
    """Return how Nodes of a group must change, None when they need not."""
    cluster = observed.cluster
    known = cluster.state.orders.settings if cluster else {}
    if group.uuid not in known or known[group.uuid] == group.settings:
        # Nodes join with what the group's row says.
        return None
    if not node_names(observed, group):
        return None
    had, want = known[group.uuid], group.settings
    labels: dict[str, str | None] = {
        key: None for key in had.labels if key not in want.labels
    }
    labels |= {
        key: value
        for key, value in want.labels.items()
        if had.labels.get(key) != value
    }
    kept = {_identity(one) for one in want.taints}
    taints = [
        f"{'{}:{}'.format(*_identity(one))}-"
        for one in had.taints
        if _identity(one) not in kept
    ]
    taints += [one for one in want.taints if one not in had.taints]
    return Changes(labels=labels, taints=tuple(taints))


def _identity(taint: str) -> tuple[str, str]:
    """Return key and effect: Kubernetes has one taint for each pair."""
    setting, _, effect = taint.rpartition(":")
    return setting.partition("=")[0], effect


def outstanding(observed: observed_module.Observed) -> orders.Orders:
    """Return the last orders as long as nobody has acknowledged them."""
    cluster = observed.cluster
    nothing = orders.Orders(seq=1)
    if cluster is None or cluster.orders is None:
        return nothing
    found = cluster.acknowledged
    if found is not None and found.state is orders.AckState.DONE:
        return nothing
    return cluster.orders


def is_done(observed: observed_module.Observed) -> bool:
    """Tell whether the cluster is as its settings ask.

    Names of expected workers need no answer: that they join is one.
    """
    before = outstanding(observed)
    asked = (
        before.node_labels,
        before.node_taints,
        before.delete_nodes,
        before.remove_etcd,
        before.addons,
    )
    return not any(asked) and not any(
        changes(observed, group) for group in observed.record.kept_groups
    )


def problem(observed: observed_module.Observed) -> str:
    """Return what the control plane could not do, as a sentence."""
    cluster = observed.cluster
    found = cluster.acknowledged if cluster else None
    if found is None or found.state is not orders.AckState.FAILED:
        return ""
    return f"The control plane failed at its orders: {found.message}."


def etcd_is_removed(
    observed: observed_module.Observed, node_name: str
) -> bool:
    """Tell whether a survivor has taken a node's etcd member away."""
    cluster = observed.cluster
    return (
        cluster is not None
        and node_name in cluster.state.orders.removed
        and not outstanding(observed).remove_etcd
    )


def node_names(
    observed: observed_module.Observed, group: record.GroupRecord
) -> tuple[str, ...]:
    """Return the names of a group's Nodes, those to come included."""
    return tuple(
        observed.record.node_name(group, name)
        for name in observed.members_of(group).names
    )
