# SPDX-License-Identifier: Apache-2.0
"""What the control plane is to be ordered next. Pure.

Orders reach every control-plane member as metadata of its server; one of
them executes them and all acknowledge. What has not been acknowledged yet is
said again by the next orders, so only the last ones ever count.
"""

from collections.abc import Iterable, Mapping
import dataclasses

from magnum_k8s_driver.converge import addon_states
from magnum_k8s_driver.converge import holders
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import resize
from magnum_k8s_driver.converge import standing
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import orders
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import state

RETRY_SECONDS = 60.0
"""Between two tries of orders that the control plane could not execute."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Dispatch:
    """Orders, and what the stack remembers of them."""

    orders: orders.Orders
    settings: Mapping[str, state.GroupSettings]
    """UUID of a group to what its Nodes have, these orders done."""
    removed: tuple[str, ...]
    """Control-plane Nodes whose etcd members are gone, these orders done."""
    addons_for: str = ""
    """What add-ons are to be made from and added; empty: as before."""


def due(
    observed: observed_module.Observed,
    drain_timeout: float,
    *,
    lost: tuple[str, ...] = (),
) -> Dispatch | None:
    """Return the orders that have to be sent now, None when there are none.

    :param drain_timeout: seconds after which a member goes undrained.
    :param lost: control-plane Nodes without a server, which leave the list
        of members in the same moment.
    """
    cluster = observed.cluster
    if cluster is None:
        return None
    last = cluster.state.orders
    renewed = holders.renewed_credential(observed)
    addons = addon_states.is_due(observed, renewed)
    wanted = _wanted(observed, drain_timeout, lost)
    before = standing.outstanding(observed)
    expected = set(wanted.expected or ())
    news = (
        not last.seq
        or not expected <= set(last.expected)
        or bool(wanted.node_labels or wanted.node_taints)
        or not set(wanted.remove_etcd) <= set(last.removed)
        or not set(wanted.delete_nodes) <= set(before.delete_nodes)
        or _is_to_be_repeated(observed)
        or addons
    )
    if not news:
        return None
    merged = _merged(before, wanted, last.seq + 1)
    return Dispatch(
        orders=merged,
        settings=_settings(observed, wanted),
        removed=_joined(_still_listed(observed), merged.remove_etcd),
        addons_for=(
            addon_states.wanted_for(observed, renewed) if addons else ""
        ),
    )


def _wanted(
    observed: observed_module.Observed,
    drain_timeout: float,
    lost: tuple[str, ...],
) -> orders.Orders:
    labels: dict[str, dict[str, str | None]] = {}
    taints: dict[str, tuple[str, ...]] = {}
    for group in observed.record.kept_groups:
        change = standing.changes(observed, group)
        if change is None or not _has_joined(observed, group):
            continue
        for node in standing.node_names(observed, group):
            if change.labels:
                labels[node] = change.labels
            if change.taints:
                taints[node] = change.taints
    return orders.Orders(
        seq=1,
        expected=frozenset(_unjoined(observed)),
        node_labels=labels,
        node_taints=taints,
        delete_nodes=_strays(observed),
        remove_etcd=(*lost, *_leaving(observed, drain_timeout)),
    )


def _settings(
    observed: observed_module.Observed, wanted: orders.Orders
) -> dict[str, state.GroupSettings]:
    """Return what the Nodes of each group have when orders are done."""
    known = observed.cluster.state.orders.settings if observed.cluster else {}
    told = {*wanted.node_labels, *wanted.node_taints}
    found = {}
    for group in observed.record.kept_groups:
        names = standing.node_names(observed, group)
        if group.uuid in known and names and not told & set(names):
            found[group.uuid] = known[group.uuid]
        else:
            found[group.uuid] = group.settings
    return found


def _still_listed(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return members without etcd that are yet to leave the list."""
    cluster = observed.cluster
    listed = standing.node_names(observed, observed.record.control_plane)
    removed = cluster.state.orders.removed if cluster else ()
    return tuple(one for one in removed if one in listed)


def _is_to_be_repeated(observed: observed_module.Observed) -> bool:
    cluster = observed.cluster
    if cluster is None or not standing.problem(observed):
        return False
    return observed.now - cluster.state.orders.sent > RETRY_SECONDS


def _merged(
    before: orders.Orders, wanted: orders.Orders, seq: int
) -> orders.Orders:
    labels = {node: dict(one) for node, one in before.node_labels.items()}
    for node, one in wanted.node_labels.items():
        labels.setdefault(node, {}).update(one)
    taints = dict(before.node_taints)
    for node, changes in wanted.node_taints.items():
        taints[node] = _joined(taints.get(node, ()), changes)
    return orders.Orders(
        seq=seq,
        operation=f"orders-{seq}",
        expected=wanted.expected,
        node_labels=labels,
        node_taints=taints,
        delete_nodes=_joined(before.delete_nodes, wanted.delete_nodes),
        remove_etcd=_joined(before.remove_etcd, wanted.remove_etcd),
        addons=before.addons,
    )


def _joined(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    """Return both without repetition; of two the later one stays."""
    reverse = reversed((*first, *second))
    return tuple(reversed(tuple(dict.fromkeys(reverse))))


def _unjoined(observed: observed_module.Observed) -> list[str]:
    """Return workers that are ordered and that no digest knows."""
    known = observed.digest.nodes if observed.digest else {}
    return [
        name
        for group in observed.record.workers
        for name in standing.node_names(observed, group)
        if name not in known
    ]


def _has_joined(
    observed: observed_module.Observed, group: record.GroupRecord
) -> bool:
    """Tell whether orders would reach every Node of a group."""
    known = observed.digest.nodes if observed.digest else {}
    return all(name in known for name in standing.node_names(observed, group))


def _strays(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return Nodes that have no server and that nobody ordered.

    The cloud controller manager deletes them where there is one.
    """
    if observed.digest is None:
        return ()
    ordered = {
        name
        for group in observed.record.groups
        for name in standing.node_names(observed, group)
    }
    return tuple(
        name
        for name, node in sorted(observed.digest.nodes.items())
        if name.startswith(f"{observed.record.prefix}-")
        and name not in ordered
        and name not in observed.servers
        and not node.ready
    )


def _leaving(
    observed: observed_module.Observed, drain_timeout: float
) -> tuple[str, ...]:
    """Return drained control-plane members whose etcd is still a member."""
    group = observed.record.control_plane
    views = readiness.nodes(observed, group)
    return tuple(
        view.name
        for member, view in zip(
            observed.members_of(group).all, views, strict=True
        )
        if member.state is members.MemberState.DRAINING
        and resize.may_go(observed, group, view, drain_timeout)
        and not standing.etcd_is_removed(observed, view.name)
    )
